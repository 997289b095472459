//! Whether another collector takes the same games, as the reports of both tell.

use super::ask::{Stored, is_changed};
use crate::link::Refusal;

/// What a report adds that found one of another collector in the place of the one before; one that found none takes one away, and of two
/// collectors that take turns each finds the other in every third report. From this sum on it is told: a single find may be due to an
/// answer that was lost, or to a server that was started anew.
const FOUND: u32 = 3;
const RIVAL: u32 = FOUND + 1;

/// The reports that were put. Each takes the place of the very one that this collector put before. If it finds another one there again
/// and again, there is another collector, which has the same key and collects into another folder: the one of a folder is alone by a lock.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Of the last one, which its answer comes on.
    pub(super) number: u64,
    /// Whether it was to take the place of one that was known.
    follows: bool,
    /// The message that it is, once that is known, and nothing was put since.
    pub(super) revision: Option<u64>,
    /// How often another was found, by [`FOUND`], less how often none was.
    others: u32,
    has_rival: bool,
}

impl Reports {
    /// The next one was put.
    pub(super) const fn was_put(&mut self) {
        self.number += 1;
        self.follows = self.revision.take().is_some();
    }

    /// Takes up what became of one; whether there is another collector.
    pub(super) fn answered(&mut self, number: u64, answer: Result<Stored, Refusal>) -> bool {
        if number == self.number {
            match answer {
                Ok(Stored { sequence, .. }) => {
                    self.revision = Some(sequence);
                    self.others = self.others.saturating_sub(u32::from(self.follows));
                }
                Err(refusal) if is_changed(&refusal) => self.others = (self.others + FOUND).min(3 * FOUND),
                Err(_) => {}
            }
            self.has_rival = if self.has_rival { self.others > 0 } else { self.others >= RIVAL };
        }
        self.has_rival
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_collector_is_known_by_its_reports() {
        let mut reports = Reports::default();
        let stored = |sequence| Ok(Stored { sequence, duplicate: false });
        let changed = || Err(Refusal::Denied("wrong last sequence: 3 (10071)".to_owned()));
        let mut put = |answer| {
            reports.was_put();
            reports.answered(reports.number, answer)
        };
        // An answer that was lost, or a server that lost what it had.
        assert!(!put(stored(1)) && !put(stored(2)) && !put(changed()) && !put(stored(7)));
        assert!((8..12).all(|sequence| !put(stored(sequence))));
        // Each time another was there; what takes no particular place tells nothing.
        let told: Vec<_> = (0..8).map(|turn| put(if turn % 2 == 0 { changed() } else { stored(9 + turn) })).collect();
        assert_eq!(told, [false, false, true, true, true, true, true, true]);
        // It has ended: none is found any more.
        let told = (0..20).map(|turn| put(stored(20 + turn))).take_while(|told| *told).count();
        assert_eq!(told, 8);
    }

    #[test]
    fn two_collectors_find_each_other_in_whatever_order_they_put_their_reports() {
        // Rounds in which each puts one; a bit says who is first, and after eight rounds it is the same again.
        for order in 0..256_u32 {
            let mut both = [Reports::default(), Reports::default()];
            let mut last = 0;
            for round in 0..24 {
                let first = (order >> (round % 8) & 1) as usize;
                for who in [first, 1 - first] {
                    let reports = &mut both[who];
                    let wanted = reports.revision;
                    reports.was_put();
                    let answer = if wanted.is_none_or(|wanted| wanted == last) {
                        last += 1;
                        Ok(Stored { sequence: last, duplicate: false })
                    } else {
                        Err(Refusal::Denied("wrong last sequence: 3 (10071)".to_owned()))
                    };
                    let number = reports.number;
                    reports.answered(number, answer);
                }
                let told = both.iter().all(|reports| reports.has_rival);
                assert!(told || round < 8, "order {order:b}, round {round}");
            }
        }
    }

    #[test]
    fn an_answer_to_an_earlier_report_tells_nothing() {
        let mut reports = Reports::default();
        reports.was_put();
        reports.was_put();
        reports.answered(1, Ok(Stored { sequence: 1, duplicate: false }));
        assert_eq!(reports.revision, None, "another was put since");
    }
}
