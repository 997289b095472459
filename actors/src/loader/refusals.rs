//! Models that were refused, so that none is tried twice.

use std::collections::VecDeque;

use tokio::time::{Duration, Instant};

use super::feed::Sighting;
use crate::onnx::Checksum;

/// Contents that are remembered; the oldest are forgotten.
const MOST_CONTENTS: usize = 256;
/// When to look again at what may have failed for a reason that passes.
const RETRY: Duration = Duration::from_secs(10);

/// What was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    contents: VecDeque<Checksum>,
    /// The last file refused, and until when it is passed over without a look into it; `None`: until it changes.
    last: Option<(Sighting, Option<Instant>)>,
}

impl Refusals {
    /// Whether this file was refused and has not changed since.
    pub(super) fn skip(&self, sighting: &Sighting) -> bool {
        let unchanged = self.last.as_ref().filter(|(last, _)| last == sighting);
        unchanged.is_some_and(|(_, until)| until.is_none_or(|until| Instant::now() < until))
    }

    /// Whether a model of these contents was refused.
    pub(super) fn hold(&self, content: Checksum) -> bool {
        self.contents.contains(&content)
    }

    /// Passes over this file until it changes.
    pub(super) fn pass_over(&mut self, sighting: Sighting) {
        self.last = Some((sighting, None));
    }

    /// Passes over this file for a while: it may not be its fault. One that is not there is looked at once it is.
    pub(super) fn pass_over_for_now(&mut self, sighting: Sighting) {
        let until = sighting.fingerprint.is_some().then(|| Instant::now() + RETRY);
        self.last = Some((sighting, until));
    }

    /// Looks into a file again that was passed over only for a while.
    pub(super) fn forget_for_now(&mut self) {
        self.last.take_if(|(_, until)| until.is_some());
    }

    /// Refuses these contents from here on, whatever the file is called.
    pub(super) fn remember(&mut self, content: Checksum) {
        if self.hold(content) {
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
    use crate::{loader::Candidate, testing::play};

    fn sighting(version: i64, there: bool) -> Sighting {
        let candidate = Candidate { path: "model.onnx".into(), version, sha256: None };
        let fingerprint = there.then(|| super::super::feed::Fingerprint::of(std::path::Path::new("/")).unwrap());
        Sighting { candidate, fingerprint }
    }

    #[test]
    fn the_last_contents_are_remembered_each_once() {
        let mut refusals = Refusals::default();
        let content = |number: usize| Checksum::of(&number.to_le_bytes());
        for number in 0..MOST_CONTENTS + 10 {
            refusals.remember(content(number));
            refusals.remember(content(number));
        }
        assert!((0..10).all(|number| !refusals.hold(content(number))));
        assert!((10..MOST_CONTENTS + 10).all(|number| refusals.hold(content(number))));
        assert_eq!(refusals.contents.len(), MOST_CONTENTS);
    }

    #[test]
    fn a_file_is_passed_over_until_it_changes_or_for_a_while() {
        play(async {
            let mut refusals = Refusals::default();
            assert!(!refusals.skip(&sighting(1, true)));
            refusals.pass_over(sighting(1, true));
            tokio::time::sleep(100 * RETRY).await;
            assert!(refusals.skip(&sighting(1, true)));
            assert!(!refusals.skip(&sighting(2, true)) && !refusals.skip(&sighting(1, false)));
            refusals.pass_over_for_now(sighting(1, true));
            assert!(refusals.skip(&sighting(1, true)));
            tokio::time::sleep(RETRY).await;
            assert!(!refusals.skip(&sighting(1, true)));
            refusals.pass_over_for_now(sighting(1, false));
            tokio::time::sleep(RETRY).await;
            assert!(refusals.skip(&sighting(1, false)));
        });
    }
}
