//! Whether a stranger's game is one that the trainer may read.

use std::io::Cursor;

use selfplay_engine::replay::{POLICY_SUM_TOLERANCE, ReadGame};

use crate::frame::{Entry, GameFiles};

/// Reads a game as the trainer does, and as strictly as our own are written: rows that are distributions over legal actions, results that
/// are such. Takes no more memory than the files have bytes, a few times over.
///
/// # Errors
/// What is wrong with it.
pub fn check_game(entry: &Entry, files: &GameFiles) -> Result<(), String> {
    let yaml = std::str::from_utf8(&files.yaml).map_err(|_| "its YAML file is no text".to_owned())?;
    let game = ReadGame::read_within(Cursor::new(&files.npz), yaml, files.npz.len() as u64)
        .map_err(|error| with_sources(&error))?;
    if game.rows() == 0 {
        return Err("it has no rows".to_owned());
    }
    if game.metadata.model_version != entry.model.version {
        let (said, written) = (entry.model.version, game.metadata.model_version);
        return Err(format!("it was played with model {written}, and is said to be of model {said}"));
    }
    for (row, (policy, legal)) in game.policies.rows().into_iter().zip(game.action_masks.rows()).enumerate() {
        let illegal = policy.iter().zip(legal).any(|(&share, &legal)| share < 0.0 || share > 0.0 && !legal);
        let sum: f64 = policy.iter().copied().map(f64::from).sum();
        if illegal || (sum - 1.0).abs() > f64::from(POLICY_SUM_TOLERANCE) {
            return Err(format!("the policy of row {row} is no distribution over legal actions"));
        }
    }
    match game.values.iter().position(|value| ![-1.0, 0.0, 1.0].contains(value)) {
        Some(row) => Err(format!("the value of row {row} is no result")),
        None => Ok(()),
    }
}

/// An error with all that is behind it.
fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}
