//! Plies of a journal, played again.

use thiserror::Error;

use super::{
    JournaledPly,
    entry::{Entry, decode, encode},
};
use crate::{
    evaluation::Leaf,
    game::{Action, ActionSet, Game},
    replay::{PlyRecord, Target},
};

/// Why plies cannot be played again.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RestoreError {
    /// The rules do not allow it.
    #[error("play ply {ply} again: action {action} is not legal")]
    Illegal {
        /// The ply, from 0.
        ply: usize,
        /// The action, game frame.
        action: Action,
    },
    /// The training policy names an action that is not legal.
    #[error("restore the policy of ply {ply}: action {action} is not legal")]
    IllegalTarget {
        /// The ply, from 0.
        ply: usize,
        /// The action, network frame.
        action: Action,
    },
}

/// What a journal gives back of plies that were written to it.
///
/// # Errors
/// What is wrong with the bytes.
pub(crate) fn journaled<G: Game>(plies: &[PlyRecord<G>]) -> Result<Vec<JournaledPly>, String> {
    let mut bytes = Vec::new();
    for (index, ply) in plies.iter().enumerate() {
        encode(&Entry::played((0, index, None), ply), &mut bytes);
    }
    let (mut reader, mut buffer, mut read) = (&bytes[..], Vec::new(), Vec::new());
    while let Some((entry, _)) = decode(&mut reader, &mut buffer)? {
        read.extend(entry.into_ply().map(|(_, ply)| ply));
    }
    Ok(read)
}

/// Plays a journaled game's plies again and makes their records, for [`crate::selfplay::SelfPlayGame::resume`].
///
/// # Errors
/// When the plies are not of this game.
pub fn restore_plies<G: Game>(game: &G, plies: &[JournaledPly]) -> Result<Vec<PlyRecord<G>>, RestoreError> {
    let mut state = game.start();
    let mut records = Vec::with_capacity(plies.len());
    for (number, ply) in plies.iter().enumerate() {
        // Legal actions mean nothing once a game is over, and a set need not know of actions that the game does not have.
        let over = game.outcome(&state).is_some();
        let known = |action: Action| !over && usize::from(action) < game.policy_size();
        let legal = game.legal_actions(&state);
        if !known(ply.action) || !legal.contains(ply.action) {
            return Err(RestoreError::Illegal { ply: number, action: ply.action });
        }
        let leaf = Leaf::new(game, &state, &legal);
        let stray = ply.targets.iter().find(|&&(action, ..)| !known(action) || !leaf.legal.contains(action));
        if let Some(&(action, ..)) = stray {
            return Err(RestoreError::IllegalTarget { ply: number, action });
        }
        let targets = ply.targets.iter();
        records.push(PlyRecord {
            leaf,
            player: game.side_to_move(&state),
            action: ply.action,
            targets: targets.map(|&(action, visits, probability)| Target { action, visits, probability }).collect(),
            root_value: ply.root_value,
            root_draw: ply.root_draw,
            model_version: ply.model_version,
            notes: ply.notes,
        });
        game.play(&mut state, ply.action);
    }
    Ok(records)
}
