//! A game as people look at it: what was played, what the search thought of it, and the boards. As JSON for the status page,
//! and the ground that `selfplayd show` draws on.

use selfplay_engine::{
    Action, Game, Outcome, Player,
    evaluation::DrawChance,
    game::board::{Board, Mark, Pieces},
    replay::{PlyRecord, Target},
};
use serde::Serialize;

use crate::{played::PlayedGame, words::as_text};

/// How many of a ply's moves are kept, the most visited first.
pub(crate) const TOP_MOVES: usize = 5;

/// What is kept of one ply; 88 bytes, so that hundreds of games are no burden.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ply {
    /// Who moved.
    pub player: Player,
    /// What was played, game frame.
    pub action: Action,
    /// Version of the newest model that had a say.
    pub model: i64,
    /// Value of the position before it by the search, mover's view; `None` if the file does not have it.
    pub value: Option<f32>,
    /// How likely a draw is from there, by the search.
    pub draw: DrawChance,
    /// The moves with the largest shares of the policy, game frame; shares above 0 come first.
    pub top: [Target; TOP_MOVES],
}

impl Ply {
    /// Of what self-play recorded.
    pub(crate) fn of<G: Game>(game: &G, ply: &PlyRecord<G>) -> Self {
        let &PlyRecord { player, action, model_version, root_value, root_draw, .. } = ply;
        let top = top_moves(game, player, ply.targets.iter().copied());
        Self { player, action, model: model_version, value: Some(root_value), draw: root_draw, top }
    }

    /// [`Self::value`] from the first player's view, so that it does not alternate from ply to ply.
    pub(crate) fn value_for_first(&self) -> Option<f32> {
        self.value.map(|value| if self.player == Player::First { value } else { -value })
    }

    /// The moves of [`Self::top`] that have a share, the largest first.
    pub(crate) fn top(&self) -> impl Iterator<Item = &Target> {
        self.top.iter().filter(|top| top.probability > 0.0)
    }
}

/// The largest of `targets`, which are in the network frame of `player`; equal ones in the order of their actions there.
pub(crate) fn top_moves(
    game: &impl Game,
    player: Player,
    targets: impl Iterator<Item = Target>,
) -> [Target; TOP_MOVES] {
    const NONE: Target = Target { action: 0, visits: 0, probability: 0.0 };
    let mut top = [NONE; TOP_MOVES];
    for target in targets {
        // Most are smaller than the smallest kept: one comparison each.
        if target.probability > top[TOP_MOVES - 1].probability {
            let place = top.iter().position(|kept| target.probability > kept.probability).unwrap_or(TOP_MOVES - 1);
            top[place..].rotate_right(1);
            top[place] = target;
        }
    }
    top.map(|target| Target { action: game.turn_action(player, target.action), ..target })
}

/// What is the same in all positions of a game.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RulesView {
    /// Which game it is, with its parameters.
    pub rules: String,
    /// What its board looks like.
    pub board: Board,
}

impl RulesView {
    /// Of `game`.
    pub(crate) fn of(game: &impl PlayedGame) -> Self {
        Self { rules: game.title(), board: game.board() }
    }
}

/// A game with all its positions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct GameView {
    /// Its number under its seed.
    pub game: u64,
    /// The seed of the process that began it.
    #[serde(serialize_with = "as_text::serialize")]
    pub seed: u64,
    /// What is the same in all positions.
    #[serde(flatten)]
    pub rules: RulesView,
    /// Every ply, with the position before it; the last entry is the present position and has no action.
    pub plies: Vec<PlyView>,
    /// Who won: `first`, `second`, `draw`; `None` in play, or unknown.
    pub result: Option<&'static str>,
}

/// One ply, or the present position.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PlyView {
    /// Number of the ply, from 0.
    pub ply: usize,
    /// Index of the player to move.
    pub player: usize,
    /// What was played, such as `e2` or `e3h`.
    pub action: Option<String>,
    /// Where that was.
    pub mark: Option<Mark>,
    /// Version of the newest model that had a say.
    pub model: Option<i64>,
    /// Value of the position by the search, from the view of the player to move.
    pub value: Option<f64>,
    /// The moves that the search liked best.
    pub top: Vec<MoveView>,
    /// The position before the ply.
    #[serde(flatten)]
    pub pieces: Pieces,
}

/// What the search said of a move.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MoveView {
    /// The move.
    pub action: String,
    /// Where that is.
    pub mark: Mark,
    /// Its visits; 0 for players that do not search.
    pub visits: u32,
    /// Its share of the policy.
    pub share: f64,
}

impl GameView {
    /// The game `index` under `seed` after `plies`, which must be legal.
    pub(crate) fn new<G: PlayedGame>(game: &G, seed: u64, index: u64, plies: &[Ply], outcome: Option<Outcome>) -> Self {
        let mut state = game.start();
        let mut views: Vec<_> = plies
            .iter()
            .enumerate()
            .map(|(number, ply)| {
                let view = PlyView {
                    ply: number,
                    player: ply.player.index(),
                    action: Some(game.action_name(ply.action)),
                    mark: Some(game.mark(&state, ply.action)),
                    model: Some(ply.model),
                    value: ply.value.map(rounded),
                    top: ply.top().map(|top| move_view(game, &state, top)).collect(),
                    pieces: game.pieces(&state),
                };
                game.play(&mut state, ply.action);
                view
            })
            .collect();
        views.push(PlyView {
            ply: plies.len(),
            player: game.side_to_move(&state).index(),
            action: None,
            mark: None,
            model: None,
            value: None,
            top: Vec::new(),
            pieces: game.pieces(&state),
        });
        Self { game: index, seed, rules: RulesView::of(game), plies: views, result: outcome.map(result_name) }
    }
}

fn move_view<G: PlayedGame>(game: &G, state: &G::State, top: &Target) -> MoveView {
    let mark = game.mark(state, top.action);
    MoveView { action: game.action_name(top.action), mark, visits: top.visits, share: rounded(top.probability) }
}

/// With four digits after the point.
pub(crate) fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

/// A result in the words of the files and the API.
pub(crate) fn result_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Win(Player::First) => "first",
        Outcome::Win(Player::Second) => "second",
        Outcome::Draw(_) => "draw",
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::{game::Notation as _, games::quoridor::Quoridor};
    use serde_json::json;

    use super::*;

    fn action(game: &Quoridor, name: &str) -> Action {
        (0..game.policy_size() as Action).find(|&action| game.action_name(action) == name).unwrap()
    }

    #[test]
    fn top_moves_are_the_largest_in_order_and_in_the_frame_of_the_game() {
        let game = Quoridor::new(3, 1, None).unwrap();
        let shares = [0.05, 0.3, 0.0, 0.25, 0.05, 0.2, 0.1, 0.05];
        let targets = || {
            shares.iter().enumerate().map(|(action, &probability)| Target {
                action: action as Action,
                visits: action as u32,
                probability,
            })
        };
        let first = top_moves(&game, Player::First, targets());
        assert_eq!(first.map(|target| target.action), [1, 3, 5, 6, 0]);
        let second = top_moves(&game, Player::Second, targets());
        assert_eq!(second.map(|target| target.action), [7, 5, 3, 2, 8], "turned by half");
        assert_eq!(second.map(|target| target.visits), [1, 3, 5, 6, 0]);
        assert!(top_moves(&game, Player::First, std::iter::empty()).iter().all(|target| target.probability == 0.0));
    }

    #[test]
    fn a_game_is_told_as_the_status_page_reads_it() {
        let game = Quoridor::new(3, 1, None).unwrap();
        let ply = |player, name: &str, value, best: &str| {
            let turned = game.turn_action(player, action(&game, best));
            let target = Target { action: turned, visits: 6, probability: 0.75 };
            Ply {
                player,
                action: action(&game, name),
                model: 4,
                value: Some(value),
                draw: DrawChance::UNKNOWN,
                top: top_moves(&game, player, [target].into_iter()),
            }
        };
        let plies = [ply(Player::First, "a1v", 0.5, "b2"), ply(Player::Second, "b2", -0.25, "b2")];
        let view = serde_json::to_value(GameView::new(&game, 7, 12, &plies, None)).unwrap();
        let pawn = |at: [f32; 2], player| json!({ "at": at, "player": player, "kind": "pawn" });
        let stones = |second| json!([pawn([1.0, 0.0], "first"), pawn(second, "second")]);
        let (from, to) = ([0.5, 0.5 - 0.9_f32], [0.5, 0.5 + 0.9_f32]);
        let (walls, placed) =
            (json!([{ "from": from, "to": to, "player": null }]), json!({ "wall": { "from": from, "to": to } }));
        let step = |from: [f32; 2], to: [f32; 2]| json!({ "step": { "from": from, "to": to } });
        let top = |from| json!([{ "action": "b2", "mark": step(from, [1.0, 1.0]), "visits": 6, "share": 0.75 }]);
        let expected = json!({
            "game": 12, "seed": "7", "rules": "quoridor(board_size=3,max_walls=1)", "result": null,
            "board": game.board(),
            "plies": [
                { "ply": 0, "player": 0, "action": "a1v", "mark": placed, "model": 4, "value": 0.5, "top": top([1.0, 0.0]),
                  "stones": stones([1.0, 2.0]), "walls": [], "beside": ["1 wall left", "1 wall left"] },
                { "ply": 1, "player": 1, "action": "b2", "mark": step([1.0, 2.0], [1.0, 1.0]), "model": 4, "value": -0.25,
                  "top": top([1.0, 2.0]),
                  "stones": stones([1.0, 2.0]), "walls": walls, "beside": ["0 walls left", "1 wall left"] },
                { "ply": 2, "player": 0, "action": null, "mark": null, "model": null, "value": null, "top": [],
                  "stones": stones([1.0, 1.0]), "walls": walls, "beside": ["0 walls left", "1 wall left"] },
            ],
        });
        assert_eq!(view, expected);
    }
}
