//! A game read back from its files, checked against the rules.

use anyhow::{Context as _, bail};
use selfplay_engine::{
    Action, ActionSet as _, Draw, Game, Outcome, Player,
    evaluation::DrawChance,
    games::quoridor::Quoridor,
    replay::{GameMetadata, ReadGame, Target},
};

use crate::{
    boards::view::{Ply, top_moves},
    shipped::AnyGame,
};

/// A game with its rules.
pub(crate) struct ShownGame<G: Game> {
    /// The YAML file.
    pub metadata: GameMetadata,
    /// What it was played by; of Quoridor without the step limit.
    pub rules: G,
    /// What was played; legal.
    pub plies: Vec<Ply>,
    /// How it ended.
    pub outcome: Outcome,
}

impl<G: Game> ShownGame<G> {
    /// What was read, as a game by `rules`.
    ///
    /// # Errors
    /// When it holds no actions, which other producers do not write, or moves that are not legal.
    pub(crate) fn new(read: &ReadGame, rules: G) -> anyhow::Result<Self> {
        let plies = plies_of(read, &rules)?;
        Ok(Self { metadata: read.metadata.clone(), rules, plies, outcome: outcome_of(read) })
    }

    /// The position before ply `ply`; that of the end after the last one.
    pub(crate) fn state(&self, ply: usize) -> G::State {
        let mut state = self.rules.start();
        self.plies[..ply].iter().for_each(|ply| self.rules.play(&mut state, ply.action));
        state
    }

    /// Who won, in words.
    pub(crate) fn result(&self) -> &'static str {
        match self.outcome {
            Outcome::Win(Player::First) => "the first player won",
            Outcome::Win(Player::Second) => "the second player won",
            Outcome::Draw(_) => "a draw",
        }
    }
}

/// How a game ended, from what the trainer learns: files of every producer say that.
pub(crate) fn outcome_of(read: &ReadGame) -> Outcome {
    let won = read.values.iter().zip(&read.players).next().filter(|&(&value, _)| value != 0.0);
    match won {
        None => Outcome::Draw(Draw::StepLimit),
        Some((&value, &player)) if (value > 0.0) == (player == 0) => Outcome::Win(Player::First),
        Some(_) => Outcome::Win(Player::Second),
    }
}

/// Which game it is, by its rules.
///
/// # Errors
/// When the files name a game that is not known here, or do not fit the one they name.
pub(crate) fn game_of(read: &ReadGame) -> anyhow::Result<AnyGame> {
    match &read.metadata.rules {
        Some(title) => AnyGame::titled(title),
        None => quoridor_of(read).map(AnyGame::Quoridor),
    }
}

/// The rules of Quoridor, found from the shapes of the arrays: the policy's width fixes the board, the first input the walls.
fn quoridor_of(read: &ReadGame) -> anyhow::Result<Quoridor> {
    for size in 3..=9 {
        let game = Quoridor::new(size, 0, None)?;
        if game.policy_size() != read.policy_size() {
            continue;
        }
        let first = read.input_arrays.outer_iter().next().context("the game has no rows")?;
        let encoding = game.encodings().into_iter().find(|&encoding| game.input_shape(encoding) == first.shape());
        if encoding.is_none() {
            bail!("inputs of shape {:?} are no Quoridor position on a board of {size}", first.shape());
        }
        // In both encodings the last entry is the walls that the opponent has left.
        let left = first.iter().last().copied().unwrap_or(0.0);
        return Ok(Quoridor::new(size, left as u32 + walls_before(read, (size * size) as usize), None)?);
    }
    bail!("policies of {} entries fit no Quoridor board", read.policy_size())
}

/// Walls that the opponent of the first row's mover placed before that row; `cells`: actions that move the pawn.
fn walls_before(read: &ReadGame, cells: usize) -> u32 {
    let Some(all) = &read.all else { return 0 };
    let first = all.rows().first().copied().unwrap_or(0);
    let theirs = (0..first).filter(|ply| (first - ply) % 2 == 1);
    theirs.filter(|&ply| all.actions[ply] >= cells as i32).count() as u32
}

/// The actions played, checked against the rules, with what the search thought.
fn plies_of(read: &ReadGame, game: &impl Game) -> anyhow::Result<Vec<Ply>> {
    let stored = read.all.as_ref().map(|all| &all.actions).or(read.actions.as_ref());
    let stored = stored.context("the file has no actions: it was not written by selfplayd")?;
    // Where all plies are told of, each of them; otherwise all there is are rows.
    let mut rows: Vec<_> = (0..stored.len()).map(|ply| read.all.is_none().then_some(ply)).collect();
    if let Some(all) = &read.all {
        all.rows().into_iter().enumerate().for_each(|(row, ply)| rows[ply] = Some(row));
    }
    let versions = read.all.as_ref().map(|all| &all.model_versions).or(read.model_versions.as_ref());
    let values = read.all.as_ref().map(|all| &all.root_values).or(read.root_values.as_ref());
    let draws = read.all.as_ref().map_or(read.root_draws.as_ref(), |all| all.root_draws.as_ref());
    if game.policy_size() != read.policy_size() {
        bail!("the game has {} actions, and the policies have {}", game.policy_size(), read.policy_size());
    }
    let mut state = game.start();
    let mut plies = Vec::with_capacity(stored.len());
    for (ply, &action) in stored.iter().enumerate() {
        let legal = game.legal_actions(&state);
        let action = Action::try_from(action).ok().filter(|&action| {
            usize::from(action) < game.policy_size() && legal.contains(action) && game.outcome(&state).is_none()
        });
        let action = action.with_context(|| format!("ply {ply} is not a legal move"))?;
        let player = game.side_to_move(&state);
        plies.push(Ply {
            player,
            action,
            model: versions.map_or(read.metadata.model_version, |versions| versions[ply]),
            value: values.map(|values| values[ply]),
            draw: draws.map_or(DrawChance::UNKNOWN, |draws| DrawChance::new(draws[ply])),
            top: top_moves(game, player, rows[ply].into_iter().flat_map(|row| targets(read, row))),
        });
        game.play(&mut state, action);
    }
    Ok(plies)
}

/// The policy of a row with its visits, network frame.
fn targets(read: &ReadGame, row: usize) -> impl Iterator<Item = Target> {
    let visits = read.visit_counts.as_ref().map(|counts| counts.row(row));
    read.policies.row(row).into_iter().enumerate().map(move |(action, &probability)| {
        let visits = visits.map_or(0, |row| row[action].try_into().unwrap_or(0));
        Target { action: action as Action, visits, probability }
    })
}
