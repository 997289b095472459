//! Which of the models that are seen is read, and what becomes of one that cannot be used. Plain state: no actor, no clock.

use tokio::time::Instant;

use super::{
    feed::{Followed, Seen, SeenFiles},
    refusals::Refusals,
    source::LoadFailure,
    unfinished::Unfinished,
};
use crate::{
    findings::{Found, LookOutcome},
    onnx::Checksum,
};

/// Times that the loader may panic over a file before it refuses it.
const PANICS: u32 = 2;

/// What a look comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It takes another look.
    LookAgain,
    /// This, and nothing is to be done.
    Found(Found),
    /// A model to be read: [`Candidates::begin`], then [`Candidates::took`] or [`Candidates::failed`].
    Read(SeenFiles),
}

/// What is known of the models that were seen.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// The file that the model in service was last seen in.
    taken: Option<SeenFiles>,
    /// The file that is being looked into, and how often that was begun.
    begun: Option<(SeenFiles, u32)>,
    pub(super) refusals: Refusals,
    /// The newest model, while it is not complete.
    pub(super) unfinished: Unfinished,
}

impl Candidates {
    /// What to do about what was seen. `rests`: nothing is read, as play is paused.
    pub(super) fn seen(&mut self, seen: Seen, followed: &Followed, rests: bool, now: Instant) -> Next {
        match seen {
            Seen::Nothing => {
                self.unfinished.over();
                let reason = format!("there is no model {}", followed.describe());
                Next::Found(Found::because(LookOutcome::Nothing, None, reason))
            }
            Seen::Unreadable(reason) => Next::Found(Found::because(LookOutcome::Unreadable, None, reason)),
            Seen::Still(files) => self.consider(files, rests, now),
            Seen::Changing(candidate) => {
                if let Some(candidate) = candidate {
                    self.unfinished.changes(&candidate, now);
                }
                Next::LookAgain
            }
        }
    }

    /// A model that is still is read, unless it is the one that serves, was refused, was read in vain a moment ago, or is to
    /// wait for the end of a pause.
    fn consider(&mut self, files: SeenFiles, rests: bool, now: Instant) -> Next {
        let version = files.candidate.version;
        if self.taken.as_ref().is_some_and(|taken| files.belong_to(taken)) {
            self.unfinished.over();
            return Next::Found(Found::of(LookOutcome::Unchanged, version));
        }
        if let Some(reason) = self.refusals.skip(&files, now) {
            return Next::Found(Found::because(LookOutcome::Refused, Some(version), reason));
        }
        if let Some(reason) = self.unfinished.rests(&files, now) {
            return Next::Found(Found::because(LookOutcome::Incomplete, Some(version), reason));
        }
        if rests { Next::Found(Found::of(LookOutcome::OnResume, version)) } else { Next::Read(files) }
    }

    /// A file is about to be read.
    ///
    /// # Errors
    /// When the loader has panicked over it too often.
    pub(super) fn begin(&mut self, files: &SeenFiles) -> Result<(), LoadFailure> {
        let times = self.begun.as_ref().filter(|(last, _)| last == files).map_or(0, |(_, times)| *times);
        if times == PANICS {
            return Err(LoadFailure::Refused(format!("the loader panicked over it {times} times")));
        }
        self.begun = Some((files.clone(), times + 1));
        Ok(())
    }

    /// # Errors
    /// When a model of these contents was refused before.
    pub(super) fn check(&self, content: Checksum) -> Result<(), LoadFailure> {
        let refused = |reason| LoadFailure::Refused(format!("the same model was refused before: {reason}"));
        self.refusals.hold(content).map_or(Ok(()), |reason| Err(refused(reason)))
    }

    /// The model of this file serves.
    pub(super) fn took(&mut self, files: SeenFiles) {
        self.begun = None; // The loader did not panic.
        self.taken = Some(files);
        self.unfinished.over();
    }

    /// The model of the file that was begun is held back: the loader did not panic, but may have before.
    pub(super) fn held(&mut self) {
        self.begun.iter_mut().for_each(|(_, times)| *times -= 1);
        self.unfinished.over();
    }

    /// The model of this file cannot be used: whether it is waited for or refused.
    pub(super) fn failed(&mut self, files: SeenFiles, failure: &LoadFailure, now: Instant) -> Found {
        self.begun = None;
        let (version, reason) = (files.candidate.version, failure.reason());
        let waits = match failure {
            LoadFailure::Unreadable(_) => {
                self.unfinished.lacks(&files, reason, now);
                true
            }
            LoadFailure::Unfinished(_) => self.unfinished.may_grow(&files, reason, now),
            LoadFailure::Refused(_) | LoadFailure::Impossible(_) => false,
        };
        if waits {
            return Found::because(LookOutcome::Incomplete, Some(version), reason);
        }
        self.unfinished.over();
        match failure {
            LoadFailure::Impossible(_) => self.refusals.pass_over_for_now(files, reason, now),
            _ => self.refusals.pass_over(files, reason),
        }
        Found::because(LookOutcome::Refused, Some(version), reason)
    }

    /// The model in service, of these contents, broke down: it is not taken again, and its file is passed over.
    pub(super) fn withdrawn(&mut self, content: Checksum, reason: &str) {
        self.refusals.remember_for_good(content, reason);
        if let Some(taken) = self.taken.take() {
            self.refusals.pass_over(taken, reason);
        }
    }

    /// The file of the model that served counts as new.
    pub(super) fn lost(&mut self) {
        self.taken = None;
    }

    /// Gives what was refused or not to be had another chance.
    pub(super) fn try_again(&mut self, now: Instant) {
        self.refusals.forget();
        self.unfinished.read_again(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::{Candidate, NewestBy, unfinished::PATIENCE};

    fn files(version: i64) -> SeenFiles {
        let candidate = Candidate { path: "model.onnx".into(), version, sha256: None };
        SeenFiles { candidate, fingerprint: None, weights: Vec::new() }
    }

    /// How a look ends that sees a model that is still; `None`: it is to be read.
    fn look(candidates: &mut Candidates, version: i64, rests: bool, now: Instant) -> Option<LookOutcome> {
        let followed = Followed::of("models".as_ref(), NewestBy::Name);
        match candidates.seen(Seen::Still(files(version)), &followed, rests, now) {
            Next::Found(found) => Some(found.outcome),
            Next::Read(read) => {
                assert_eq!(read, files(version));
                None
            }
            Next::LookAgain => panic!("it is still"),
        }
    }

    fn refused() -> LoadFailure {
        LoadFailure::Refused("bad".to_owned())
    }

    #[test]
    fn a_model_is_read_unless_it_serves_or_play_is_paused() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        assert_eq!(look(&mut candidates, 1, true, now), Some(LookOutcome::OnResume));
        assert_eq!(look(&mut candidates, 1, false, now), None);
        candidates.took(files(1));
        assert_eq!(look(&mut candidates, 1, true, now), Some(LookOutcome::Unchanged));
        assert_eq!(look(&mut candidates, 2, false, now), None);
        candidates.lost();
        assert_eq!(look(&mut candidates, 1, false, now), None);
    }

    #[test]
    fn what_is_not_there_or_not_still_is_looked_at_again() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        let followed = Followed::of("models".as_ref(), NewestBy::Name);
        let mut seen = |seen| candidates.seen(seen, &followed, false, now);
        assert_eq!(seen(Seen::Changing(None)), Next::LookAgain);
        assert_eq!(seen(Seen::Changing(Some(files(3).candidate))), Next::LookAgain);
        let Next::Found(found) = seen(Seen::Unreadable("no text".to_owned())) else { panic!() };
        assert_eq!((found.outcome, found.to_string().as_str()), (LookOutcome::Unreadable, "no text"));
        assert_eq!(candidates.unfinished.found().unwrap().version, Some(3));
        let Next::Found(found) = candidates.seen(Seen::Nothing, &followed, false, now) else { panic!() };
        assert_eq!(found.to_string(), "there is no model in models");
        assert_eq!(candidates.unfinished.found(), None);
    }

    #[test]
    fn what_was_refused_is_passed_over_until_it_is_asked_for() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        let content = Checksum::of(b"bad");
        candidates.check(content).unwrap();
        candidates.refusals.remember(content, "bad");
        assert_eq!(candidates.failed(files(1), &refused(), now).outcome, LookOutcome::Refused);
        assert_eq!(look(&mut candidates, 1, false, now + 100 * PATIENCE), Some(LookOutcome::Refused));
        let known = candidates.check(content).unwrap_err();
        assert_eq!(known.reason(), "the same model was refused before: bad");
        candidates.try_again(now);
        assert_eq!(look(&mut candidates, 1, false, now), None);
        candidates.check(content).unwrap();

        let impossible = LoadFailure::Impossible("no GPU".to_owned());
        assert_eq!(candidates.failed(files(1), &impossible, now).outcome, LookOutcome::Refused);
        assert_eq!(look(&mut candidates, 1, false, now), Some(LookOutcome::Refused));
        assert_eq!(look(&mut candidates, 1, false, now + PATIENCE), None, "it may have passed");
    }

    #[test]
    fn what_was_withdrawn_stays_so() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        let content = Checksum::of(b"good at first");
        candidates.took(files(1));
        candidates.withdrawn(content, "NaN");
        assert_eq!(look(&mut candidates, 1, false, now), Some(LookOutcome::Refused));
        candidates.try_again(now);
        assert_eq!(look(&mut candidates, 1, false, now), None);
        candidates.check(content).unwrap_err();
    }

    #[test]
    fn what_is_not_complete_is_waited_for_and_half_a_model_only_for_so_long() {
        for (failure, in_the_end) in [
            (LoadFailure::Unreadable("no weights".to_owned()), LookOutcome::Incomplete),
            (LoadFailure::Unfinished("half a model".to_owned()), LookOutcome::Refused),
        ] {
            let (mut candidates, now) = (Candidates::default(), Instant::now());
            assert_eq!(candidates.failed(files(1), &failure, now).outcome, LookOutcome::Incomplete);
            assert_eq!(look(&mut candidates, 1, false, now), Some(LookOutcome::Incomplete));
            assert_eq!(look(&mut candidates, 1, false, now + PATIENCE), None);
            assert_eq!(candidates.failed(files(1), &failure, now + PATIENCE).outcome, in_the_end);
        }
    }

    #[test]
    fn a_file_over_which_the_loader_panicked_twice_is_refused() {
        let (mut candidates, now) = (Candidates::default(), Instant::now());
        for _ in 0..2 {
            candidates.begin(&files(1)).unwrap();
            candidates.took(files(1));
        }
        // A panic: what was begun came to no end.
        for _ in 0..PANICS {
            candidates.begin(&files(1)).unwrap();
        }
        let failure = candidates.begin(&files(1)).unwrap_err();
        assert_eq!(failure.reason(), "the loader panicked over it 2 times");
        candidates.failed(files(1), &failure, now);
        candidates.begin(&files(2)).unwrap();
        candidates.begin(&files(1)).unwrap();
    }
}
