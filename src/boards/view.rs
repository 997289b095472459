//! A game as people look at it: what was played, what the search thought of it, and the boards. As JSON for the status page,
//! and the ground that `selfplayd show` draws on.

use selfplay_engine::{
    Action, Game, Outcome, Player,
    game::board::{Board, Mark, Pieces},
    games::quoridor::{Cell, Orientation, Quoridor, QuoridorState},
    replay::{PlyRecord, Target},
};
use serde::Serialize;

use crate::{shipped::Shipped, words::as_text};

/// How many of a ply's moves are kept, the most visited first.
pub(crate) const TOP_MOVES: usize = 5;

/// What is kept of one ply; 80 bytes, so that hundreds of games are no burden.
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
    /// The moves with the largest shares of the policy, game frame; shares above 0 come first.
    pub top: [Target; TOP_MOVES],
}

impl Ply {
    /// Of what self-play recorded.
    pub(crate) fn of<G: Game>(game: &G, ply: &PlyRecord<G>) -> Self {
        let &PlyRecord { player, action, model_version, root_value, .. } = ply;
        let top = top_moves(game, player, ply.targets.iter().copied());
        Self { player, action, model: model_version, value: Some(root_value), top }
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
#[serde(untagged)]
pub(crate) enum RulesView {
    /// A board of Quoridor, which readers know how to draw.
    Quoridor {
        /// Cells a side.
        board_size: u8,
        /// Walls of each player at the start.
        max_walls: u8,
    },
    /// Any other.
    Shapes {
        /// Which game it is, with its parameters.
        rules: String,
        /// What its board looks like.
        board: Board,
    },
}

/// Where everything stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum BoardView {
    /// On a board of Quoridor.
    Quoridor(QuoridorView),
    /// As shapes.
    Shapes(Pieces),
}

/// Where everything stands on a board of Quoridor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct QuoridorView {
    /// Row and column of each player's pawn, from 0; the first player's first. Rows count downwards.
    pub pawns: [[u8; 2]; 2],
    /// All walls.
    pub walls: Vec<WallView>,
    /// Walls that each player has not placed yet.
    pub walls_left: [u8; 2],
}

/// A wall, two cells long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct WallView {
    /// Row of the cell above and left of its middle.
    pub r: u8,
    /// Column of that cell.
    pub c: u8,
    /// `h`: below that cell and its right neighbour; `v`: right of that cell and the one below.
    pub o: char,
}

impl QuoridorView {
    /// Of a position of `game`.
    pub(crate) fn of(game: &Quoridor, state: &QuoridorState) -> Self {
        let players = [Player::First, Player::Second];
        let anchors = game.board_size() - 1;
        let cells = (0..anchors).flat_map(|row| (0..anchors).map(move |col| Cell { row, col }));
        let walls = cells.flat_map(|cell| {
            [(Orientation::Horizontal, 'h'), (Orientation::Vertical, 'v')]
                .into_iter()
                .filter(move |&(orientation, _)| state.has_wall(orientation, cell))
                .map(move |(_, o)| WallView { r: cell.row, c: cell.col, o })
        });
        Self {
            pawns: players.map(|player| state.pawn(player)).map(|cell| [cell.row, cell.col]),
            walls: walls.collect(),
            walls_left: players.map(|player| state.walls_left(player)),
        }
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
    /// Where that was, if moves are marked by shapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Version of the newest model that had a say.
    pub model: Option<i64>,
    /// Value of the position by the search, from the view of the player to move.
    pub value: Option<f64>,
    /// The moves that the search liked best.
    pub top: Vec<MoveView>,
    /// The position before the ply.
    #[serde(flatten)]
    pub board: BoardView,
}

/// What the search said of a move.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MoveView {
    /// The move.
    pub action: String,
    /// Where that is, if moves are marked by shapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<Mark>,
    /// Its visits; 0 for players that do not search.
    pub visits: u32,
    /// Its share of the policy.
    pub share: f64,
}

impl GameView {
    /// The game `index` under `seed` after `plies`, which must be legal.
    pub(crate) fn new<G: Shipped>(game: &G, seed: u64, index: u64, plies: &[Ply], outcome: Option<Outcome>) -> Self {
        let mut state = game.start();
        let mut views: Vec<_> = plies
            .iter()
            .enumerate()
            .map(|(number, ply)| {
                let view = PlyView {
                    ply: number,
                    player: ply.player.index(),
                    action: Some(game.action_name(ply.action)),
                    mark: game.mark_view(&state, ply.action),
                    model: Some(ply.model),
                    value: ply.value.map(rounded),
                    top: ply.top().map(|top| move_view(game, &state, top)).collect(),
                    board: game.board_view(&state),
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
            board: game.board_view(&state),
        });
        Self { game: index, seed, rules: game.rules_view(), plies: views, result: outcome.map(result_name) }
    }
}

fn move_view<G: Shipped>(game: &G, state: &G::State, top: &Target) -> MoveView {
    let mark = game.mark_view(state, top.action);
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
    use selfplay_engine::game::Notation as _;
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
                top: top_moves(&game, player, [target].into_iter()),
            }
        };
        let plies = [ply(Player::First, "a1v", 0.5, "b2"), ply(Player::Second, "b2", -0.25, "b2")];
        let view = serde_json::to_value(GameView::new(&game, 7, 12, &plies, None)).unwrap();
        let expected = json!({
            "game": 12, "seed": "7", "board_size": 3, "max_walls": 1, "result": null,
            "plies": [
                { "ply": 0, "player": 0, "action": "a1v", "model": 4, "value": 0.5,
                  "top": [{ "action": "b2", "visits": 6, "share": 0.75 }],
                  "pawns": [[0, 1], [2, 1]], "walls": [], "walls_left": [1, 1] },
                { "ply": 1, "player": 1, "action": "b2", "model": 4, "value": -0.25,
                  "top": [{ "action": "b2", "visits": 6, "share": 0.75 }],
                  "pawns": [[0, 1], [2, 1]], "walls": [{ "r": 0, "c": 0, "o": "v" }], "walls_left": [0, 1] },
                { "ply": 2, "player": 0, "action": null, "model": null, "value": null, "top": [],
                  "pawns": [[0, 1], [1, 1]], "walls": [{ "r": 0, "c": 0, "o": "v" }], "walls_left": [0, 1] },
            ],
        });
        assert_eq!(view, expected);
    }
}
