//! Games that the trainer must not see, kept for people: one JSON file each under `rejected/`, a bounded number of them.

use std::{fs, io::Write as _, path::PathBuf, sync::Arc};

use actix::Message;
use selfplay_engine::{
    Game, Leaf, evaluation::RawOutput, game::ActionSet as _, journal::JournalNumber, replay::PlyRecord,
};
use serde_json::{Value, json};

use crate::ticket::Generation;

/// Keep what happened in a game that ends because the network answered one of its positions with nonsense twice. Sent by its
/// game actor, which is free again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct KeepRejected<G: Game> {
    /// Its number in the journal.
    pub number: JournalNumber,
    /// The seed of the process that began it.
    pub seed: u64,
    /// Its number under that seed.
    pub index: u64,
    /// What was played.
    pub plies: Vec<PlyRecord<G>>,
    /// What the network said.
    pub nonsense: Nonsense<G>,
}

/// A position and the answer to it that cannot be used.
#[derive(Debug)]
pub struct Nonsense<G: Game> {
    /// The position, network frame.
    pub leaf: Leaf<G>,
    /// The model.
    pub generation: Generation,
    /// What it gave.
    pub output: Arc<RawOutput>,
}

impl<G: Game> KeepRejected<G> {
    /// Everything that is known, for people and scripts.
    pub(super) fn to_json(&self, game: &G, encoding: Option<G::Encoding>) -> Value {
        let Nonsense { leaf, generation, output } = &self.nonsense;
        let input = encoding.map(|encoding| {
            let shape = game.input_shape(encoding);
            let mut planes = vec![0.0; shape.iter().product()];
            game.encode(encoding, &leaf.position, &mut planes);
            json!({ "shape": shape, "values": planes })
        });
        json!({
            "reason": "non-finite output",
            "seed": self.seed,
            "game_index": self.index,
            "model_version": generation.version,
            "generation": generation.number,
            "actions_played": self.plies.iter().map(|ply| ply.action).collect::<Vec<_>>(),
            "legal_actions": leaf.legal.iter().collect::<Vec<_>>(),
            "input": input,
            "output": {
                "value": number(output.value),
                "policy_logits": output.logits.iter().map(|&logit| number(logit)).collect::<Vec<_>>(),
            },
        })
    }
}

/// JSON has no NaN and no infinity: they become words.
fn number(number: f32) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

/// The directory of games set aside.
#[derive(Debug)]
pub(super) struct Rejects {
    dir: PathBuf,
    most: u64,
    kept: u64,
}

impl Rejects {
    /// At most `most` files in `dir`, which is created when it is needed.
    pub(super) fn new(dir: PathBuf, most: u64) -> Self {
        Self { dir, most, kept: 0 }
    }

    /// Keeps a game. What cannot be kept is only logged: it is for people, and play goes on.
    pub(super) fn keep(&mut self, unix_ms: u64, seed: u64, index: u64, game: &Value) {
        if self.kept == self.most {
            return;
        }
        self.kept += 1;
        let path = self.dir.join(format!("rejected_{unix_ms:013}_{index:04}_{seed:x}.json"));
        let written = fs::create_dir_all(&self.dir)
            .and_then(|()| fs::File::create_new(&path))
            .and_then(|mut file| writeln!(file, "{game:#}"));
        match written {
            Ok(()) => tracing::info!(file = %path.display(), "kept what is known of the game"),
            Err(error) => tracing::warn!(file = %path.display(), %error, "cannot keep the game set aside"),
        }
        if self.kept == self.most {
            tracing::warn!(most = self.most, "further games set aside are only counted (output.max_rejected)");
        }
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::journal::Journal;

    use super::*;
    use crate::testing::{Numbers, leaf, nth};

    #[test]
    fn a_rejected_game_says_what_went_in_and_what_came_out_and_there_are_not_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::new(dir.path().join("rejected"), 2);
        let output = Arc::new(RawOutput { value: f32::NAN, logits: [1.5, f32::NEG_INFINITY].into() });
        let nonsense = Nonsense { leaf: leaf(7), generation: nth(3), output };
        let number = Journal::disabled().begin(5, 9);
        let game = KeepRejected::<Numbers> { number, seed: 5, index: 9, plies: Vec::new(), nonsense };
        let json = game.to_json(&Numbers, Some(()));
        for ms in 0..5 {
            rejects.keep(ms, game.seed, game.index, &json);
        }
        let mut files: Vec<_> =
            fs::read_dir(dir.path().join("rejected")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files.len(), 2);
        let read: Value = serde_json::from_slice(&fs::read(&files[0]).unwrap()).unwrap();
        assert_eq!((&read["model_version"], &read["input"]["values"]), (&json!(30), &json!([7.0])));
        assert_eq!(read["output"], json!({ "value": "NaN", "policy_logits": [1.5, "-inf"] }));
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_reason_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("rejected"), b"").unwrap();
        Rejects::new(dir.path().join("rejected"), 2).keep(1, 2, 3, &json!({}));
    }
}
