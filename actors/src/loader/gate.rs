//! Models that are held back until a match has shown that they do not lose against the one that serves. Plain state: no actor, no clock.
//!
//! ```text
//! newer model ─▶ waiting ─▶ examined ─▶ promoted: it serves, whatever is newer by now
//!                   │                └─▶ refused
//!                   └─▶ passed over: a newer one took its place
//! ```
//!
//! One model is examined and one waits, the newest. A match that has begun is played to its end: however fast models come, one is
//! judged after the other, and none waits for long behind matches that are broken off.

use super::feed::SeenFiles;
use crate::{
    onnx::Checksum,
    referee::{Entrant, Examine},
};

/// A model that is held back, and the files that it was read from.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) model: Entrant,
    pub(super) files: SeenFiles,
}

/// What is held back.
#[derive(Debug, Default)]
pub(super) struct Gate {
    examined: Option<Held>,
    waiting: Option<Held>,
}

impl Gate {
    /// Holds a model back; the one whose place it takes, if one waited.
    pub(super) fn hold(&mut self, held: Held) -> Option<Held> {
        self.waiting.replace(held)
    }

    /// Whether the model of these files is held back.
    pub(super) fn holds(&self, files: &SeenFiles) -> bool {
        self.examined.iter().chain(&self.waiting).any(|held| files.belong_to(&held.files))
    }

    /// Models that are held back.
    pub(super) fn count(&self) -> usize {
        usize::from(self.examined.is_some()) + usize::from(self.waiting.is_some())
    }

    /// What is to be found out next, unless something is being found out.
    pub(super) fn next(&mut self, serving: &Entrant) -> Option<Examine> {
        if self.examined.is_some() {
            return None;
        }
        self.examined = self.waiting.take();
        let candidate = self.examined.as_ref()?.model.clone();
        Some(Examine { candidate, serving: serving.clone() })
    }

    /// The model of these contents was judged: it, if that was still asked.
    pub(super) fn judged(&mut self, content: Checksum) -> Option<Held> {
        self.examined.take_if(|held| held.model.file.content() == content)
    }

    /// Nothing is held back any more: the newest, if there is any.
    pub(super) fn open(&mut self) -> Option<Held> {
        let examined = self.examined.take();
        self.waiting.take().or(examined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{loader::Candidate, onnx::ModelFile};

    fn held(version: i64) -> Held {
        let candidate = Candidate { path: format!("model_{version}.onnx").into(), version, sha256: None };
        let files = SeenFiles { candidate, fingerprint: None, weights: Vec::new() };
        Held { model: Entrant { version, file: ModelFile::named(format!("{version}")) }, files }
    }

    fn content(version: i64) -> Checksum {
        held(version).model.file.content()
    }

    #[test]
    fn one_is_examined_to_the_end_and_the_newest_waits() {
        let (mut gate, serving) = (Gate::default(), held(0).model);
        assert!(gate.next(&serving).is_none() && gate.hold(held(1)).is_none());
        assert_eq!(gate.next(&serving).unwrap().candidate.version, 1);
        for newer in 2..=9 {
            let replaced = gate.hold(held(newer)).map(|held| held.model.version);
            assert_eq!(replaced, (newer > 2).then_some(newer - 1));
            assert!(gate.next(&serving).is_none(), "the match goes on");
        }
        assert!(gate.holds(&held(1).files) && gate.holds(&held(9).files) && !gate.holds(&held(8).files));
        assert!(gate.judged(content(9)).is_none(), "it was not asked");
        assert_eq!((gate.judged(content(1)).unwrap().model.version, gate.count()), (1, 1));
        assert_eq!(gate.next(&held(1).model).unwrap().candidate.version, 9);
    }

    #[test]
    fn an_open_gate_lets_the_newest_through() {
        let (mut gate, serving) = (Gate::default(), held(0).model);
        assert!(gate.open().is_none());
        gate.hold(held(1));
        gate.next(&serving);
        assert_eq!(gate.open().unwrap().model.version, 1);
        gate.hold(held(1));
        gate.next(&serving);
        gate.hold(held(2));
        assert_eq!((gate.open().unwrap().model.version, gate.count()), (2, 0));
        assert!(gate.judged(content(1)).is_none(), "an answer that comes late");
    }
}
