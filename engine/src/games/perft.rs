//! Perft: the number of legal action sequences, the usual oracle and stopwatch of a rules implementation.

use crate::game::{ActionSet, Game};

/// Number of sequences of exactly `depth` legal actions from `state`.
///
/// A finished game has no continuation. The last ply is counted from the set of legal actions without being played.
pub fn perft<G: Game>(game: &G, state: &G::State, depth: u32) -> u64 {
    if depth == 0 {
        return 1;
    }
    if game.outcome(state).is_some() {
        return 0;
    }
    let legal = game.legal_actions(state);
    if depth == 1 {
        return legal.len() as u64;
    }
    let mut sequences = 0;
    for action in legal.iter() {
        let mut next = state.clone();
        game.play(&mut next, action);
        sequences += perft(game, &next, depth - 1);
    }
    sequences
}
