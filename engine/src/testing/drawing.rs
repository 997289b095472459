//! Names of actions, and shapes of boards.

use std::collections::HashMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::{Broken, Law, hold, rules::playout};
use crate::game::{
    Action, ActionSet, Notation,
    board::{Mark, Point},
};

/// Checks what [`Notation`] promises in `playouts` random games.
///
/// # Errors
/// When two actions have one name, or something is drawn beside the board.
pub fn check_notation<G: Notation>(game: &G, playouts: usize) -> Result<(), Broken> {
    let mut names = HashMap::new();
    for action in 0..game.policy_size() as Action {
        let name = game.action_name(action);
        hold(Law::Notation, !name.is_empty() && name.trim() == name, &[], || format!("action {action} is {name:?}"))?;
        if let Some(other) = names.insert(name.clone(), action) {
            return hold(Law::Notation, false, &[], || format!("actions {other} and {action} are both called {name}"));
        }
    }
    let board = game.board();
    let is_cell = |point: Point| board.cells.iter().any(|cell| cell.at == point);
    for number in 0..playouts {
        let trace = playout(game, game.start(), &mut ChaCha8Rng::seed_from_u64(number as u64))?;
        for (ply, state) in trace.states.iter().enumerate() {
            let pieces = game.pieces(state);
            let lost = pieces.stones.iter().find(|stone| !is_cell(stone.at));
            hold(Law::Notation, lost.is_none(), trace.before(ply), || format!("{lost:?} stands on no cell"))?;
            let text = game.draw(state);
            hold(Law::Notation, text.ends_with('\n'), trace.before(ply), || format!("{text:?} is no line of text"))?;
        }
        for (ply, legal) in trace.legal.iter().enumerate() {
            for action in legal.iter() {
                let mark = game.mark(&trace.states[ply], action);
                let placed = match &mark {
                    Mark::Cell(at) => is_cell(*at),
                    Mark::Step { from, to } => is_cell(*from) && is_cell(*to),
                    Mark::Wall { from, to } => from != to,
                    Mark::Word(word) => !word.is_empty(),
                };
                hold(Law::Notation, placed, trace.before(ply), || {
                    format!("action {action} is beside the board: {mark:?}")
                })?;
            }
        }
    }
    Ok(())
}
