//! A model that is not complete yet: when it is read again, when that is said, and for how long it may stay so.

use std::path::PathBuf;

use tokio::time::{Duration, Instant};

use super::feed::{Candidate, SeenFiles};
use crate::findings::{Found, LookOutcome};

/// How long a model may be incomplete before that is said, once.
pub(super) const SAY_AFTER: Duration = Duration::from_secs(5);
/// Looks that must have found it so besides: on a busy machine there may be few in that time.
const SAY_AFTER_LOOKS: u32 = 5;
/// How long a file that is no model, as it is while it is being copied, must have been still before it is refused.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// When to read files again that could not be read for a reason that may pass.
const RETRY: Duration = Duration::from_secs(10);

/// The newest model, as long as it is not complete.
#[derive(Debug, Default)]
pub(super) struct Unfinished(Option<Model>);

#[derive(Debug)]
struct Model {
    version: i64,
    path: PathBuf,
    /// Since when it has not been complete.
    begun: Instant,
    reason: String,
    looks: u32,
    said: bool,
    /// What was read in vain last.
    tried: Option<Tried>,
}

#[derive(Debug)]
struct Tried {
    files: SeenFiles,
    /// When it was first read.
    since: Instant,
    /// When it is read again without having changed.
    again: Instant,
}

/// What is to be said of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Overdue {
    pub(super) version: i64,
    pub(super) reason: String,
}

impl Unfinished {
    /// The files of `candidate` are not as they were a moment ago.
    pub(super) fn changes(&mut self, candidate: &Candidate, now: Instant) {
        self.model(candidate, "its files are still changing", now).tried = None;
    }

    /// A file of this model is missing or cannot be read. It is waited for as long as it takes.
    pub(super) fn lacks(&mut self, files: &SeenFiles, reason: &str, now: Instant) {
        let model = self.model(&files.candidate, reason, now);
        model.tried = Some(Tried { files: files.clone(), since: now, again: now + RETRY });
    }

    /// What was read is no model: it may be the part of one. Whether it is waited for: not when it has been like this for too
    /// long.
    pub(super) fn may_grow(&mut self, files: &SeenFiles, reason: &str, now: Instant) -> bool {
        let model = self.model(&files.candidate, reason, now);
        let before = model.tried.take().filter(|tried| tried.files == *files);
        let since = before.map_or(now, |tried| tried.since);
        model.tried = Some(Tried { files: files.clone(), since, again: since + PATIENCE });
        now.duration_since(since) < PATIENCE
    }

    /// Why this model need not be read again yet.
    pub(super) fn rests(&self, files: &SeenFiles, now: Instant) -> Option<&str> {
        let model = self.0.as_ref()?;
        let tried = model.tried.as_ref().filter(|tried| tried.files == *files)?;
        (now < tried.again).then_some(&model.reason)
    }

    /// What is known of the model.
    pub(super) fn found(&self) -> Option<Found> {
        let model = self.0.as_ref()?;
        Some(Found::because(LookOutcome::Incomplete, Some(model.version), &model.reason))
    }

    /// Reads the files again at the next look, whether they changed or not.
    pub(super) fn read_again(&mut self, now: Instant) {
        if let Some(tried) = self.0.as_mut().and_then(|model| model.tried.as_mut()) {
            tried.again = now;
        }
    }

    /// The model is complete, or not the newest any more.
    pub(super) fn over(&mut self) {
        self.0 = None;
    }

    /// What is to be said by now and was not said before. Asked once a look.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Overdue> {
        let model = self.0.as_mut().filter(|model| !model.said)?;
        model.looks += 1;
        if now.duration_since(model.begun) < SAY_AFTER || model.looks < SAY_AFTER_LOOKS {
            return None;
        }
        model.said = true;
        Some(Overdue { version: model.version, reason: model.reason.clone() })
    }

    /// This model, which has a new reason not to be complete.
    fn model(&mut self, Candidate { version, path, .. }: &Candidate, reason: &str, now: Instant) -> &mut Model {
        let same = self.0.take().filter(|model| model.version == *version && model.path == *path);
        let new = || Model {
            version: *version,
            path: path.clone(),
            begun: now,
            reason: String::new(),
            looks: 0,
            said: false,
            tried: None,
        };
        let model = self.0.insert(same.unwrap_or_else(new));
        reason.clone_into(&mut model.reason);
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(version: i64) -> SeenFiles {
        let candidate = Candidate { path: "model.onnx".into(), version, sha256: None };
        SeenFiles { candidate, fingerprint: None, weights: Vec::new() }
    }

    /// The same with a file beside it.
    fn grown(version: i64) -> SeenFiles {
        SeenFiles { weights: vec![("w".into(), None)], ..files(version) }
    }

    #[test]
    fn it_is_said_once_and_again_of_the_next_model() {
        let (mut unfinished, mut now) = (Unfinished::default(), Instant::now());
        for version in [1, 2] {
            unfinished.changes(&files(version).candidate, now);
            now += SAY_AFTER / 2;
            for _ in 2..SAY_AFTER_LOOKS {
                assert_eq!(unfinished.overdue(now), None, "it may only be on its way");
            }
            unfinished.lacks(&files(version), "no weights", now);
            now += SAY_AFTER / 2;
            assert_eq!(unfinished.overdue(now), None, "it was looked at too seldom");
            assert_eq!(unfinished.overdue(now), Some(Overdue { version, reason: "no weights".to_owned() }));
            unfinished.changes(&files(version).candidate, now);
            now += 10 * SAY_AFTER;
            assert_eq!(unfinished.overdue(now), None);
        }
        unfinished.changes(&files(3).candidate, now);
        unfinished.over();
        now += 10 * SAY_AFTER;
        assert_eq!(unfinished.overdue(now), None);
    }

    #[test]
    fn what_is_missing_is_read_again_now_and_then_and_when_it_changes() {
        let (mut unfinished, mut now) = (Unfinished::default(), Instant::now());
        assert_eq!(unfinished.rests(&files(1), now), None);
        unfinished.lacks(&files(1), "no weights", now);
        assert_eq!(unfinished.rests(&files(1), now), Some("no weights"));
        assert_eq!((unfinished.rests(&grown(1), now), unfinished.rests(&files(2), now)), (None, None));
        now += RETRY;
        assert_eq!(unfinished.rests(&files(1), now), None);
        unfinished.lacks(&files(1), "no weights", now);
        unfinished.read_again(now);
        assert_eq!(unfinished.rests(&files(1), now), None);
    }

    #[test]
    fn patience_ends_for_what_does_not_grow() {
        let (mut unfinished, mut now) = (Unfinished::default(), Instant::now());
        assert!(unfinished.may_grow(&files(1), "cut off", now));
        now += PATIENCE / 2;
        assert!(unfinished.may_grow(&files(1), "cut off", now), "as when somebody asks for another look");
        assert!(unfinished.may_grow(&grown(1), "cut off", now));
        now += PATIENCE / 2;
        assert_eq!(unfinished.rests(&grown(1), now), Some("cut off"));
        now += PATIENCE / 2;
        assert_eq!(unfinished.rests(&grown(1), now), None);
        assert!(!unfinished.may_grow(&grown(1), "cut off", now));
    }
}
