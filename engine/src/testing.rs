//! Whether a game keeps the laws of [`Game`], for those who add one.
//!
//! Random games find out; what they do not reach stays unknown. A failure names the law, the actions that lead to it and what
//! was seen:
//!
//! ```
//! use selfplay_engine::{games::tictactoe::TicTacToe, testing::check_game};
//!
//! let report = check_game(&TicTacToe, 1000).unwrap();
//! println!("{report}");
//! assert_eq!(report.symmetries_played, 8);
//! ```
//!
//! Parts, in the order in which they are checked:
//!
//! - `rules`: legal actions, plies, results, and that nothing else than the actions decides them
//! - `view`: positions, turning, encodings, packing
//! - `symmetry`: the group, and that the rules cannot tell an image from its position
//! - `records`: games through replay files and the journal
//! - `drawing`: names of actions, shapes of boards

mod drawing;
mod records;
mod rules;
mod symmetry;
#[cfg(test)]
mod tests;
mod view;

use std::fmt;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

pub use self::drawing::check_notation;
use self::{rules::playout, view::Views};
use crate::game::{Action, ActionSet, Draw, Game, Outcome};

/// A random game is cut here: rules need not end by themselves.
pub const LONGEST: usize = 4096;

/// Games that are recorded as well, since that takes longer.
const RECORDED: usize = 24;

/// What a game promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// A game that begins is not over, and its ply is 0.
    Start,
    /// Legal actions are a set of policy indices.
    LegalActions,
    /// Every action adds one to the ply, and the players move in turn.
    Turns,
    /// A result stays as it is, however often it is asked for.
    Outcome,
    /// The same actions lead to the same states, and states do not share anything.
    Determinism,
    /// Equal positions have equal hashes, orders, legal actions and encodings.
    Position,
    /// Turning twice changes nothing; sets and priors are turned as their actions.
    Turning,
    /// Encodings differ in shape and name, are finite, and overwrite everything.
    Encoding,
    /// What is packed unpacks to what is encoded, and overwrites everything.
    Packing,
    /// Symmetries are a group; sets and priors are transformed as their actions, entries of the input as the positions.
    Group,
    /// Legal actions, successors and results of an image are images of those of the position.
    Symmetry,
    /// A game comes back from replay files and journal as it was.
    Records,
    /// Every action has its own name, and all that is drawn has its place on the board.
    Notation,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "a game that begins is not over, and its ply is 0",
            Self::LegalActions => "legal actions are a set of policy indices",
            Self::Turns => "every action adds one to the ply, and the players move in turn",
            Self::Outcome => "a result stays as it is, however often it is asked for",
            Self::Determinism => "the same actions lead to the same states, and states do not share anything",
            Self::Position => "equal positions have equal hashes, orders, legal actions and encodings",
            Self::Turning => "turning twice changes nothing; sets and priors are turned as their actions",
            Self::Encoding => "encodings differ in shape and name, are finite, and overwrite everything",
            Self::Packing => "what is packed unpacks to what is encoded, and overwrites everything",
            Self::Group => "symmetries are a group; sets and priors are transformed as their actions, entries of the input as the positions",
            Self::Symmetry => "legal actions, successors and results of an image are images of those of the position",
            Self::Records => "a game comes back from replay files and journal as it was",
            Self::Notation => "every action has its own name, and all that is drawn has its place on the board",
        })
    }
}

/// A law that a game breaks.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what}; after the actions {actions:?}; but the law says: {law}")]
pub struct Broken {
    /// The law.
    pub law: Law,
    /// The actions from the start to the position where it was seen, game frame.
    pub actions: Vec<Action>,
    /// What was seen.
    pub what: String,
}

/// Refuses a game whose `law` does not hold.
fn hold(law: Law, holds: bool, actions: &[Action], what: impl FnOnce() -> String) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken { law, actions: actions.to_vec(), what: what() }) }
}

/// What random games came upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Games played.
    pub playouts: usize,
    /// Games cut after [`LONGEST`] plies.
    pub cut: usize,
    /// Plies of all of them.
    pub plies: usize,
    /// Legal actions at all of them.
    pub legal_actions: usize,
    /// Plies of the longest one.
    pub longest: usize,
    /// Different positions, as far as they were remembered.
    pub positions: usize,
    /// Games won by the first and the second player.
    pub won: [usize; 2],
    /// Games drawn by the rules.
    pub drawn: usize,
    /// Games drawn by the step limit.
    pub limited: usize,
    /// Games in which a player had no legal action.
    pub stuck: usize,
    /// Symmetries, the identity among them.
    pub symmetries: usize,
    /// Those of them by which whole games were played side by side with their images. Others move the start: see
    /// [`check_images`].
    pub symmetries_played: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { playouts, cut, plies, longest, positions, won: [first, second], drawn, limited, stuck, .. } = self;
        let choice = self.legal_actions as f64 / (*plies).max(1) as f64;
        write!(
            f,
            "{playouts} games of {plies} plies together, the longest of {longest}, with {choice:.1} legal actions on average \
             and {positions} positions: won {first} \
             to {second}, {drawn} drawn by the rules, {limited} by the step limit, {stuck} without a legal action, {cut} cut; \
             {} of {} symmetries played",
            self.symmetries_played, self.symmetries
        )
    }
}

/// Plays `playouts` random games, the same ones whenever it is called, and checks all laws of [`Game`] in them. A thousand is a
/// good number; small games take milliseconds.
///
/// # Errors
/// The first law found broken.
pub fn check_game<G: Game>(game: &G, playouts: usize) -> Result<Report, Broken> {
    let size = game.policy_size();
    hold(Law::LegalActions, (1..=usize::from(Action::MAX)).contains(&size), &[], || {
        format!("the policy has {size} places, and actions are numbers of 16 bits")
    })?;
    view::check_all_actions(game)?;
    symmetry::check_group(game)?;
    let mut report = Report { playouts, symmetries: game.symmetries(), ..Report::default() };
    let mut views = Views::new(game)?;
    for number in 0..playouts {
        let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
        let trace = playout(game, game.start(), &mut rng)?;
        rules::check_again(game, &trace)?;
        for ply in 0..trace.states.len() {
            views.check(&trace, ply)?;
            symmetry::check_positions(game, &trace, ply)?;
        }
        report.plies += trace.actions.len();
        report.legal_actions += trace.legal.iter().map(ActionSet::len).sum::<usize>();
        report.longest = report.longest.max(trace.actions.len());
        *match trace.outcome {
            Some(Outcome::Win(winner)) => &mut report.won[winner.index()],
            Some(Outcome::Draw(Draw::StepLimit)) => &mut report.limited,
            Some(Outcome::Draw(Draw::Rule)) => &mut report.drawn,
            Some(Outcome::Draw(Draw::NoLegalAction)) => &mut report.stuck,
            None => &mut report.cut,
        } += 1;
    }
    report.positions = views.positions();
    for symmetry in 0..game.symmetries() {
        let start = game.position(&game.start());
        if game.transform(symmetry, &start) == start {
            // A share of the games each: they are played twice.
            let games = (playouts / game.symmetries()).clamp(1, playouts.max(1));
            symmetry::check_images(game, symmetry, [&game.start(), &game.start()], games)?;
            report.symmetries_played += 1;
        }
    }
    for number in 0..playouts.min(RECORDED) {
        records::check(game, number as u64)?;
    }
    Ok(report)
}

/// Plays `playouts` random games and their images side by side from two starts of which the second one is the image of the first
/// by `symmetry`: for symmetries that move the start, and so are not played by [`check_game`].
///
/// # Errors
/// When the rules can tell the image from the position, or the second start is not the image of the first.
pub fn check_images<G: Game>(game: &G, symmetry: usize, starts: [&G::State; 2], playouts: usize) -> Result<(), Broken> {
    symmetry::check_images(game, symmetry, starts, playouts)
}
