//! Models that were refused, so that none is tried twice.

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

use super::feed::SeenFiles;
use crate::onnx::Checksum;

/// Contents that are remembered; the oldest are forgotten.
const MOST_CONTENTS: usize = 256;
/// When to look again at what may have failed for a reason that passes.
const RETRY: Duration = Duration::from_secs(10);

/// What was refused or withdrawn.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    contents: VecDeque<Content>,
    last: Option<PassedOver>,
}

#[derive(Debug)]
struct Content {
    sum: Checksum,
    reason: String,
    /// It failed in play: no check will find that.
    withdrawn: bool,
}

/// The last file refused.
#[derive(Debug)]
struct PassedOver {
    files: SeenFiles,
    reason: String,
    /// Until when it is passed over without a look into it; `None`: until it changes.
    until: Option<Instant>,
}

impl Refusals {
    /// Why this file was refused, if it was and has not changed since.
    pub(super) fn skip(&self, files: &SeenFiles, now: Instant) -> Option<&str> {
        let last = self.last.as_ref().filter(|last| last.files == *files)?;
        last.until.is_none_or(|until| now < until).then_some(&last.reason)
    }

    /// Why a model of these contents was refused, if it was.
    pub(super) fn hold(&self, content: Checksum) -> Option<&str> {
        self.contents.iter().find(|known| known.sum == content).map(|known| known.reason.as_str())
    }

    /// Passes over this file until it changes.
    pub(super) fn pass_over(&mut self, files: SeenFiles, reason: &str) {
        self.last = Some(PassedOver { files, reason: reason.to_owned(), until: None });
    }

    /// Passes over this file for a while: it may not be its fault.
    pub(super) fn pass_over_for_now(&mut self, files: SeenFiles, reason: &str, now: Instant) {
        let until = Some(now + RETRY);
        self.last = Some(PassedOver { files, reason: reason.to_owned(), until });
    }

    /// Gives everything another chance that was refused. What was withdrawn stays so: it had its chance.
    pub(super) fn forget(&mut self) {
        self.last = None;
        self.contents.retain(|known| known.withdrawn);
    }

    /// Refuses these contents from here on, whatever the file is called.
    pub(super) fn remember(&mut self, content: Checksum, reason: &str) {
        self.add(Content { sum: content, reason: reason.to_owned(), withdrawn: false });
    }

    /// The same of a model that failed in play.
    pub(super) fn remember_for_good(&mut self, content: Checksum, reason: &str) {
        self.contents.retain(|known| known.sum != content);
        self.add(Content { sum: content, reason: reason.to_owned(), withdrawn: true });
    }

    fn add(&mut self, content: Content) {
        if self.hold(content.sum).is_some() {
            return;
        }
        if self.contents.len() == MOST_CONTENTS {
            self.contents.pop_front();
        }
        self.contents.push_back(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::Candidate;

    fn files(version: i64) -> SeenFiles {
        let candidate = Candidate { path: "model.onnx".into(), version, sha256: None };
        SeenFiles { candidate, fingerprint: None, weights: Vec::new() }
    }

    #[test]
    fn the_last_contents_are_remembered_each_once() {
        let mut refusals = Refusals::default();
        let content = |number: usize| Checksum::of(&number.to_le_bytes());
        for number in 0..MOST_CONTENTS + 10 {
            refusals.remember(content(number), "bad");
            refusals.remember(content(number), "worse");
        }
        assert!((0..10).all(|number| refusals.hold(content(number)).is_none()));
        assert!((10..MOST_CONTENTS + 10).all(|number| refusals.hold(content(number)) == Some("bad")));
        assert_eq!(refusals.contents.len(), MOST_CONTENTS);
    }

    #[test]
    fn a_file_is_passed_over_until_it_changes_or_for_a_while() {
        let mut refusals = Refusals::default();
        let now = Instant::now();
        let skip = |refusals: &Refusals, version, now| refusals.skip(&files(version), now).map(str::to_owned);
        assert_eq!(skip(&refusals, 1, now), None);
        refusals.pass_over(files(1), "bad");
        assert_eq!(skip(&refusals, 1, now + 100 * RETRY).as_deref(), Some("bad"));
        assert_eq!(skip(&refusals, 2, now), None);
        refusals.pass_over_for_now(files(1), "no room", now);
        assert_eq!(skip(&refusals, 1, now).as_deref(), Some("no room"));
        assert_eq!(skip(&refusals, 1, now + RETRY), None);
    }

    #[test]
    fn what_was_refused_gets_another_chance_and_what_was_withdrawn_does_not() {
        let mut refusals = Refusals::default();
        let [refused, withdrawn] = [b"refused", b"without"].map(|bytes| Checksum::of(bytes));
        refusals.pass_over(files(1), "bad");
        refusals.remember(refused, "bad");
        refusals.remember(withdrawn, "bad");
        refusals.remember_for_good(withdrawn, "NaN in play");
        refusals.forget();
        assert_eq!((refusals.skip(&files(1), Instant::now()), refusals.hold(refused)), (None, None));
        assert_eq!(refusals.hold(withdrawn), Some("NaN in play"));
    }
}
