//! What each new model changes: how far its answers to the probe positions are from those of the model that served before it, and
//! whether that looks like learning. Plain state: the loader asks, and whoever shows it reads.
//!
//! A trainer moves a network a little at a time. An export that goes wrong, or a step that was far too large, shows as a jump at once,
//! while games show it late: their searches repair what a bad policy proposes.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Most that are kept.
const MOST: usize = 64;
/// Earlier changes that a new one is compared with.
const EARLIER: usize = 16;
/// Fewer than this many say nothing of what is usual.
const FEWEST: usize = 4;
/// A change that is so many times the usual one is a jump. In a run of Connect Four with 110 models in 40 minutes no divergence was more than
/// 0.065 nats or, above what is small, three times the median of those before; no change of values more than 1.5 times theirs. A broken export
/// is off by a hundred.
const JUMP: f64 = 6.0;
/// A divergence below this, in nats, is no jump, however small the usual one is: it moves a share of 50% to about 70%.
const SMALL_KL: f64 = 0.1;
/// The same of values, whose scale is from −1 to 1.
const SMALL_VALUE: f64 = 0.1;
/// The same of logits: a softmax of numbers this large can still be of any shape.
const SMALL_LOGIT: f64 = 15.0;
/// A mean divergence, as a share of that between certainty and equal chances, above which a change is a jump whatever went before. The
/// first trained model of a run stays below it; a sharp policy that gave way to another sharp one does not.
const ABSOLUTE_KL: f64 = 1.0;
/// A mean change of values above which one is a jump whatever went before: a quarter of the scale, in all positions.
const ABSOLUTE_VALUE: f64 = 0.5;
/// A move with so much of the policy leaves nothing for the others.
const CERTAIN: f64 = 0.99;
/// Share of positions with such a move at which policies count as one-hot. In that run it rose to 0.27: most positions have several good moves,
/// and those of random games more.
const ONE_HOT: f64 = 0.9;

/// Answers of a model to the probe positions, which are the same for all models of a game.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeAnswers {
    /// Of each position the logarithms of the priors of its legal actions, and the value.
    positions: Vec<(Vec<f64>, f64)>,
    largest_logit: f64,
}

impl ProbeAnswers {
    /// One more position: logits of its legal actions, and its value.
    pub fn push(&mut self, logits: impl IntoIterator<Item = f32>, value: f32) {
        let mut policy: Vec<_> = logits.into_iter().map(f64::from).collect();
        self.largest_logit = policy.iter().fold(self.largest_logit, |largest, logit| largest.max(logit.abs()));
        log_softmax(&mut policy);
        self.positions.push((policy, f64::from(value.clamp(-1.0, 1.0))));
    }

    /// Positions in which there is something to choose.
    fn choices(&self) -> impl Iterator<Item = &[f64]> {
        self.positions.iter().map(|(policy, _)| policy.as_slice()).filter(|policy| policy.len() > 1)
    }

    /// Mean entropy of the policies as a share of that of equal chances.
    fn entropy_share(&self) -> f64 {
        let entropy =
            |policy: &[f64]| -policy.iter().filter(|log| log.is_finite()).map(|log| log.exp() * log).sum::<f64>();
        mean(self.choices().map(|policy| entropy(policy) / (policy.len() as f64).ln()))
    }

    /// Share of positions in which one move has nearly all of the policy.
    fn one_hot_share(&self) -> f64 {
        let certain = |policy: &[f64]| policy.iter().any(|log| log.exp() >= CERTAIN);
        mean(self.choices().map(|policy| f64::from(u8::from(certain(policy)))))
    }

    /// Mean divergence between certainty and equal chances.
    fn most_kl(&self) -> f64 {
        mean(self.positions.iter().map(|(policy, _)| (policy.len() as f64).ln()))
    }

    /// How far these are from the answers of the model that served, version `version`.
    fn difference(&self, serving: &Self, version: i64) -> Difference {
        let (mut kl, mut value) = (Vec::new(), Vec::new());
        for ((policy, own), (before, its)) in self.positions.iter().zip(&serving.positions) {
            kl.push(divergence(policy, before));
            value.push((own - its).abs());
        }
        let most = |numbers: &[f64]| numbers.iter().copied().fold(0.0, f64::max);
        Difference {
            version,
            policy_kl: mean(kl.iter().copied()),
            policy_kl_max: most(&kl),
            value_change: mean(value.iter().copied()),
            value_change_max: most(&value),
        }
    }
}

/// Turns logits into logarithms of probabilities, in double precision so that small differences of large logits count.
pub(crate) fn log_softmax(logits: &mut [f64]) {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = logits.iter().map(|log| (log - max).exp()).sum::<f64>().ln() + max;
    logits.iter_mut().for_each(|log| *log -= sum);
}

/// Kullback–Leibler divergence of `from` from `to`, in nats: Σ from · ln(from / to). Both are logarithms of probabilities; what is impossible
/// in `from` adds nothing. Rounding below zero is 0.
pub(crate) fn divergence(from: &[f64], to: &[f64]) -> f64 {
    let term = |(&from, &to): (&f64, &f64)| if from == f64::NEG_INFINITY { 0.0 } else { from.exp() * (from - to) };
    let sum = from.iter().zip(to).map(term).sum::<f64>();
    if sum < 0.0 { 0.0 } else { sum }
}

fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (count, sum) = numbers.fold((0_u32, 0.0), |(count, sum), number| (count + 1, sum + number));
    if count == 0 { 0.0 } else { sum / f64::from(count) }
}

/// What a model changed when it came into service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelChange {
    /// The trainer's number.
    pub version: i64,
    /// When it was loaded, in seconds since 1970.
    pub unix: f64,
    /// How far its answers are from those of the model that served; `None` where none did.
    pub against: Option<Difference>,
    /// Its largest logit of a legal action, whatever its sign.
    pub largest_logit: f64,
    /// Mean entropy of its policies over legal actions, as a share of that of equal chances: 1 knows nothing, 0 is certain everywhere.
    pub entropy_share: f64,
    /// Share of positions in which one move has at least 99% of the policy.
    pub one_hot_share: f64,
    /// What is wrong with it, if anything.
    pub alarms: Vec<Alarm>,
}

/// How far the answers of a model are from those of the one that served before it, over the probe positions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The trainer's number of the model that served.
    pub version: i64,
    /// Kullback–Leibler divergence of the new policy from the one that served, over legal actions, in nats: mean of all positions.
    pub policy_kl: f64,
    /// The largest.
    pub policy_kl_max: f64,
    /// Distance between the two values: mean of all positions.
    pub value_change: f64,
    /// The largest.
    pub value_change_max: f64,
}

/// What may be wrong with a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What.
    pub kind: AlarmKind,
    /// In words, with figures.
    pub words: String,
}

/// Kinds of alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// Its policies are far from those before.
    PolicyJump,
    /// Its values are.
    ValueJump,
    /// Its logits are much larger.
    LogitJump,
    /// Its policies leave nothing to choose.
    OneHot,
}

impl fmt::Display for ModelChange {
    /// `model 12: policy KL 0.080, value change 0.050 against model 11; …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "model {}: ", self.version)?;
        if let Some(Difference { version, policy_kl, value_change, .. }) = self.against {
            write!(f, "policy KL {policy_kl:.3}, value change {value_change:.3} against model {version}; ")?;
        }
        write!(
            f,
            "largest logit {:.1}, entropy {:.0}% of equal chances",
            self.largest_logit,
            100.0 * self.entropy_share
        )
    }
}

impl ModelChange {
    /// What changes with the model `version`, which gives these `answers`, where `serving` (version and answers) served and `earlier`
    /// went before, the oldest first.
    fn of(
        version: i64,
        unix: f64,
        answers: &ProbeAnswers,
        serving: Option<(i64, &ProbeAnswers)>,
        earlier: &VecDeque<Self>,
    ) -> Self {
        let change = Self {
            version,
            unix,
            against: serving.map(|(version, serving)| answers.difference(serving, version)),
            largest_logit: answers.largest_logit,
            entropy_share: answers.entropy_share(),
            one_hot_share: answers.one_hot_share(),
            alarms: Vec::new(),
        };
        Self { alarms: change.judge(answers.most_kl(), earlier), ..change }
    }

    /// What is wrong with it. `most_kl`: what lies between certainty and equal chances, in nats.
    fn judge(&self, most_kl: f64, earlier: &VecDeque<Self>) -> Vec<Alarm> {
        let version = self.version;
        let mut alarms = Vec::new();
        let mut alarm = |kind, words| alarms.push(Alarm { kind, words });
        let before =
            |figure: fn(&Difference) -> f64| usual(earlier.iter().filter_map(|it| it.against.as_ref().map(figure)));
        if let Some(against) = &self.against {
            let (served, kl, value) = (against.version, against.policy_kl, against.value_change);
            let causes = "check that the exported file answers as the trained network does, and that the learning rate is not too high";
            if let Some(than) = jump(kl, before(|difference| difference.policy_kl), SMALL_KL, ABSOLUTE_KL * most_kl) {
                alarm(
                    AlarmKind::PolicyJump,
                    format!(
                        "policies of model {version} jumped away from those of model {served}: KL {kl:.2}, {than}; {causes}"
                    ),
                );
            }
            if let Some(than) = jump(value, before(|difference| difference.value_change), SMALL_VALUE, ABSOLUTE_VALUE) {
                alarm(
                    AlarmKind::ValueJump,
                    format!(
                        "values of model {version} jumped away from those of model {served}: by {value:.2} on average, {than}; {causes}"
                    ),
                );
            }
            let logits = usual(earlier.iter().map(|it| it.largest_logit));
            if let Some(than) = jump(self.largest_logit, logits, SMALL_LOGIT, f64::INFINITY) {
                alarm(
                    AlarmKind::LogitJump,
                    format!("logits of model {version} are up to {:.0}, {than}; {causes}", self.largest_logit),
                );
            }
        }
        if self.one_hot_share >= ONE_HOT {
            alarm(
                AlarmKind::OneHot,
                format!(
                    "policies of model {version} are one-hot: one move has 99% or more in {:.0}% of the probe positions, and the search \
                     hardly looks at another; check the export, lower the learning rate, or raise search.dirichlet_epsilon or \
                     search.root_policy_temperature",
                    100.0 * self.one_hot_share
                ),
            );
        }
        alarms
    }
}

/// What a change is too large for, in words, if it is: for what is usual, as far as that is known and unless it is `small`, or at all.
fn jump(change: f64, usual: Option<f64>, small: f64, most: f64) -> Option<String> {
    // NaN is within nothing.
    let within = |most: f64| change <= most;
    match usual {
        Some(usual) if !within(JUMP * usual) && !within(small) => {
            Some(format!("{:.0} times the usual {usual:.3}", change / usual.max(1e-3)))
        }
        _ if !within(most) => Some(format!("more than the {most:.2} that a model may ever change")),
        _ => None,
    }
}

/// The median of the last of these; `None` where there are too few.
fn usual(numbers: impl DoubleEndedIterator<Item = f64>) -> Option<f64> {
    let mut last: Vec<_> = numbers.rev().take(EARLIER).collect();
    last.sort_by(f64::total_cmp);
    (last.len() >= FEWEST).then(|| last[last.len() / 2])
}

/// The last changes. Its methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Changes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    changes: VecDeque<ModelChange>,
    /// The model that serves, and what it answers.
    serving: Option<(i64, ProbeAnswers)>,
}

impl Changes {
    /// A model was loaded and takes the place of the one that serves: what that changes.
    pub(crate) fn take_over(&self, version: i64, answers: ProbeAnswers) -> ModelChange {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let mut kept = self.lock();
        let serving = kept.serving.as_ref().map(|(version, answers)| (*version, answers));
        let change = ModelChange::of(version, unix, &answers, serving, &kept.changes);
        kept.serving = Some((version, answers));
        kept.changes.push_back(change.clone());
        if kept.changes.len() > MOST {
            kept.changes.pop_front();
        }
        change
    }

    /// A model serves again that has served before: that is no step of the trainer.
    pub(crate) fn comes_back(&self, version: i64, answers: ProbeAnswers) {
        self.lock().serving = Some((version, answers));
    }

    /// All that are kept, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<ModelChange> {
        self.lock().changes.iter().cloned().collect()
    }

    /// The last one.
    #[must_use]
    pub fn newest(&self) -> Option<ModelChange> {
        self.lock().changes.back().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers to 20 positions of four legal actions: these logits and this value.
    fn answers(logits: [f32; 4], value: f32) -> ProbeAnswers {
        let mut answers = ProbeAnswers::default();
        (0..20).for_each(|_| answers.push(logits, value));
        answers
    }

    fn kinds(change: &ModelChange) -> Vec<AlarmKind> {
        change.alarms.iter().map(|alarm| alarm.kind).collect()
    }

    /// A run whose models change a little, by a logit of 0.2 from one version to the next.
    fn run(versions: i64) -> Changes {
        let changes = Changes::default();
        (0..versions).for_each(|version| {
            let change =
                changes.take_over(version, answers([0.2 * version as f32, 0.0, 0.0, 0.0], 0.02 * version as f32));
            assert!(change.alarms.is_empty(), "{change:?}");
        });
        changes
    }

    #[test]
    fn figures_are_those_of_the_books() {
        let changes = Changes::default();
        let first = changes.take_over(3, answers([0.0; 4], 0.5));
        assert_eq!((first.against, first.one_hot_share), (None, 0.0));
        assert!((first.entropy_share - 1.0).abs() < 1e-9);
        assert_eq!(first.to_string(), "model 3: largest logit 0.0, entropy 100% of equal chances");
        let second = changes.take_over(4, answers([3f32.ln(), 0.0, 0.0, 0.0], 0.25));
        // One half and three sixths against four quarters.
        let expected = 0.5 * 2f64.ln() + 0.5 * (4.0 / 6.0_f64).ln();
        let against = second.against.unwrap();
        assert!((against.policy_kl - expected).abs() < 1e-7 && (against.policy_kl_max - expected).abs() < 1e-7);
        assert_eq!((against.version, against.value_change, against.value_change_max), (3, 0.25, 0.25));
        let entropy = (0.5 * 2f64.ln() + 0.5 * 6f64.ln()) / 4f64.ln();
        assert!((second.entropy_share - entropy).abs() < 1e-7);
        assert_eq!(
            second.to_string(),
            "model 4: policy KL 0.144, value change 0.250 against model 3; largest logit 1.1, entropy 90% of equal chances"
        );
        assert_eq!((changes.all().len(), changes.newest().unwrap().version), (2, 4));
    }

    #[test]
    fn a_model_that_learns_is_no_jump_and_a_broken_export_is() {
        let changes = run(8);
        let broken = changes.take_over(8, answers([0.0, 0.0, 60.0, 0.0], -1.0));
        assert_eq!(
            kinds(&broken),
            [AlarmKind::PolicyJump, AlarmKind::ValueJump, AlarmKind::LogitJump, AlarmKind::OneHot]
        );
        let words = &broken.alarms[0].words;
        assert!(
            words.starts_with("policies of model 8 jumped away from those of model 7: KL 1.95, ")
                && words.contains("times the usual"),
            "{words}"
        );
    }

    #[test]
    fn a_first_model_that_learned_is_no_jump_but_one_that_contradicts_is() {
        let changes = Changes::default();
        changes.take_over(0, answers([0.0; 4], 0.0));
        let learned = changes.take_over(1, answers([3.0, 0.0, 0.0, 0.0], 0.4));
        assert_eq!(kinds(&learned), []);
        let contradicts = changes.take_over(2, answers([0.0, 4.0, 0.0, 0.0], -0.4));
        assert_eq!(kinds(&contradicts), [AlarmKind::PolicyJump, AlarmKind::ValueJump]);
        assert!(contradicts.alarms[1].words.contains("more than the 0.50"), "{contradicts:?}");
    }

    #[test]
    fn small_changes_after_none_at_all_are_no_jump() {
        let changes = Changes::default();
        (0..9).for_each(|version| drop(changes.take_over(version, answers([0.0; 4], 0.0))));
        assert_eq!(kinds(&changes.take_over(9, answers([0.5, 0.0, 0.0, 0.0], 0.05))), []);
        assert_eq!(kinds(&changes.take_over(10, answers([0.5, 0.0, 2.0, 0.0], 0.05))), [AlarmKind::PolicyJump]);
    }

    #[test]
    fn certainty_everywhere_is_an_alarm_with_the_first_model_and_forced_moves_do_not_count() {
        let mut sharp = answers([9.0, 0.0, 0.0, 0.0], 0.0);
        (0..100).for_each(|_| sharp.push([0.0], 0.0));
        let changes = Changes::default();
        assert_eq!(kinds(&changes.take_over(1, sharp)), [AlarmKind::OneHot]);
        let mut forced = answers([1.0, 0.0, 0.0, 0.0], 0.0);
        (0..500).for_each(|_| forced.push([0.0], 0.0));
        assert_eq!(Changes::default().take_over(1, forced).one_hot_share, 0.0);
    }

    #[test]
    fn what_is_no_number_is_a_jump() {
        let changes = run(8);
        assert!(kinds(&changes.take_over(8, answers([f32::NAN; 4], f32::NAN))).contains(&AlarmKind::PolicyJump));
    }

    #[test]
    fn a_model_that_comes_back_is_what_the_next_is_compared_with_and_no_step() {
        let changes = run(6);
        changes.comes_back(2, answers([0.4, 0.0, 0.0, 0.0], 0.04));
        assert_eq!(changes.all().len(), 6);
        let next = changes.take_over(6, answers([0.4, 0.0, 0.0, 0.0], 0.04));
        let against = next.against.unwrap();
        assert_eq!((against.version, against.policy_kl, against.value_change), (2, 0.0, 0.0));
    }

    #[test]
    fn memory_is_bounded() {
        let changes = Changes::default();
        (0..100).for_each(|version| drop(changes.take_over(version, answers([0.0; 4], 0.0))));
        assert_eq!((changes.all().len(), changes.newest().unwrap().version), (MOST, 99));
    }
}
