//! Whether the serving model may go on serving, judged by its answers. Plain state: no actor.

use std::collections::VecDeque;

use crate::ticket::Tally;

/// Evaluations over which the rate of non-finite ones is taken, and fewest of them that say anything about it.
const WINDOW: u64 = 10_000;
const FEWEST: u64 = 1_000;

/// When a model is taken out of service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbationLimits {
    /// This many first evaluations of a model must all be finite.
    pub evaluations: u64,
    /// Later: largest share of non-finite ones among the last 10,000 evaluations, 0..=1.
    pub max_flawed_rate: f64,
}

/// What was found; each at most once per model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its first evaluations were all finite.
    Proven,
    /// It must not be used any more, and why.
    Withdrawn(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    OnProbation,
    Proven,
    Withdrawn,
}

/// The record of one model.
#[derive(Debug)]
pub(super) struct Probation {
    limits: ProbationLimits,
    standing: Standing,
    /// Evaluations since it came into service.
    evaluated: u64,
    /// The last batches, together at most [`WINDOW`] evaluations and one batch.
    recent: VecDeque<(u64, u64)>,
    recent_evaluated: u64,
    recent_flawed: u64,
}

impl Probation {
    pub(super) fn new(limits: ProbationLimits) -> Self {
        Self {
            limits,
            standing: Standing::OnProbation,
            evaluated: 0,
            recent: VecDeque::new(),
            recent_evaluated: 0,
            recent_flawed: 0,
        }
    }

    /// A new model has come into service.
    pub(super) fn begin(&mut self) {
        *self = Self::new(self.limits);
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.standing == Standing::Withdrawn
    }

    /// Takes another batch of the serving model into account.
    pub(super) fn judge(&mut self, Tally { evaluated, flawed, .. }: Tally) -> Option<Verdict> {
        self.evaluated += evaluated;
        self.remember(evaluated, flawed);
        match self.standing {
            Standing::Withdrawn => None,
            Standing::OnProbation if flawed > 0 => {
                self.withdraw(format!("{flawed} of its first {} evaluations are not finite", self.evaluated))
            }
            Standing::OnProbation => (self.evaluated >= self.limits.evaluations).then(|| {
                self.standing = Standing::Proven;
                Verdict::Proven
            }),
            Standing::Proven => {
                let too_many = self.recent_flawed as f64 > self.limits.max_flawed_rate * self.recent_evaluated as f64;
                let (flawed, of) = (self.recent_flawed, self.recent_evaluated);
                (too_many && of >= FEWEST)
                    .then(|| self.withdraw(format!("{flawed} of its last {of} evaluations are not finite")))?
            }
        }
    }

    fn withdraw(&mut self, reason: String) -> Option<Verdict> {
        self.standing = Standing::Withdrawn;
        Some(Verdict::Withdrawn(reason))
    }

    fn remember(&mut self, evaluated: u64, flawed: u64) {
        self.recent.push_back((evaluated, flawed));
        self.recent_evaluated += evaluated;
        self.recent_flawed += flawed;
        while let Some(&(first_evaluated, first_flawed)) = self.recent.front()
            && self.recent_evaluated - first_evaluated >= WINDOW
        {
            self.recent.pop_front();
            self.recent_evaluated -= first_evaluated;
            self.recent_flawed -= first_flawed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ProbationLimits = ProbationLimits { evaluations: 2_000, max_flawed_rate: 0.01 };

    fn batch(evaluated: u64, flawed: u64) -> Tally {
        Tally { generation: 1, evaluated, flawed }
    }

    fn proven() -> Probation {
        let mut probation = Probation::new(LIMITS);
        assert_eq!(probation.judge(batch(1_999, 0)), None);
        assert_eq!(probation.judge(batch(1, 0)), Some(Verdict::Proven));
        probation
    }

    #[test]
    fn on_probation_one_bad_answer_is_enough_and_is_said_once() {
        let mut probation = Probation::new(LIMITS);
        assert_eq!(probation.judge(batch(1_000, 0)), None);
        let reason = "1 of its first 1064 evaluations are not finite".to_owned();
        assert_eq!(probation.judge(batch(64, 1)), Some(Verdict::Withdrawn(reason)));
        assert!(probation.is_withdrawn());
        assert_eq!(probation.judge(batch(64, 64)), None);
        probation.begin();
        assert!(!probation.is_withdrawn());
        assert_eq!(probation.judge(batch(2_000, 0)), Some(Verdict::Proven));
    }

    #[test]
    fn a_proven_model_may_err_now_and_then() {
        let mut probation = proven();
        for _ in 0..1_000 {
            assert_eq!(probation.judge(batch(100, 1)), None, "one in a hundred is the limit");
        }
        let verdicts: Vec<_> = (0..200).filter_map(|_| probation.judge(batch(100, 2))).collect();
        assert!(matches!(&verdicts[..], [Verdict::Withdrawn(_)]), "{verdicts:?}");
    }

    #[test]
    fn what_is_long_past_does_not_count() {
        let mut probation = proven();
        for _ in 0..20 {
            assert_eq!(probation.judge(batch(100, 5)), None, "under the rate so far, or too early to say");
            for _ in 0..100 {
                assert_eq!(probation.judge(batch(100, 0)), None);
            }
        }
    }

    #[test]
    fn a_model_that_breaks_down_is_withdrawn_at_once() {
        let mut probation = proven();
        assert!(matches!(probation.judge(batch(32, 32)), Some(Verdict::Withdrawn(_))));
    }

    #[test]
    fn without_probation_a_model_is_proven_by_its_first_good_batch() {
        let mut probation = Probation::new(ProbationLimits { evaluations: 0, max_flawed_rate: 1.0 });
        assert_eq!(probation.judge(batch(1, 0)), Some(Verdict::Proven));
        assert_eq!(probation.judge(batch(5_000, 5_000)), None, "a rate of 1 allows everything");
    }
}
