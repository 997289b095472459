//! The faults of a binary that has them.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use selfplay_engine::evaluation::EvaluateError;

use super::{FaultsError, POINTS, Point};

/// What [`Fault::Slow`] adds: far more than a batch takes on any machine.
const SLOW: Duration = Duration::from_millis(250);

static PLAN: OnceLock<Plan> = OnceLock::new();

pub(super) fn prepare(value: &str) -> Result<(), FaultsError> {
    let plan = Plan::parse(value)?;
    tracing::warn!(plan = value, "faults will be injected");
    PLAN.get_or_init(|| plan);
    Ok(())
}

pub(super) fn hit(point: Point) {
    if let Some(plan) = PLAN.get() {
        if plan.fires(point, Fault::Hang) {
            loop {
                std::thread::park();
            }
        }
        if plan.fires(point, Fault::Slow) {
            sleep(SLOW);
        }
        assert!(!plan.fires(point, Fault::Panic), "a fault was injected");
    }
}

#[expect(clippy::disallowed_methods, reason = "a device that is slow on purpose is nothing that could be waited for")]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

pub(super) fn batch() -> Result<(), EvaluateError> {
    match PLAN.get() {
        Some(plan) if plan.fires(Point::Evaluator, Fault::Error) => {
            Err(EvaluateError::Backend("a fault was injected".to_owned()))
        }
        _ => Ok(()),
    }
}

pub(super) fn value(value: f32) -> f32 {
    match PLAN.get() {
        Some(plan) if plan.fires(Point::Evaluator, Fault::Nan) => f32::NAN,
        _ => value,
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Panic,
    Hang,
    Slow,
    Error,
    Nan,
}

impl Fault {
    fn parse(name: &str) -> Option<Self> {
        let faults = [
            ("panic", Self::Panic),
            ("hang", Self::Hang),
            ("slow", Self::Slow),
            ("error", Self::Error),
            ("nan", Self::Nan),
        ];
        faults.into_iter().find_map(|(known, fault)| (known == name).then_some(fault))
    }
}

/// One item.
#[derive(Debug)]
struct Rule {
    point: Point,
    fault: Fault,
    timing: Mutex<Timing>,
}

/// At which hits a rule fires.
#[derive(Debug)]
struct Timing {
    hits: u64,
    /// `None`: never again.
    next: Option<u64>,
    /// Mean distance; `None`: fires once.
    every: Option<u64>,
    random: u64,
}

impl Timing {
    /// Counts a hit.
    fn hit(&mut self) -> bool {
        self.hits += 1;
        if self.next != Some(self.hits) {
            return false;
        }
        self.next = self.every.map(|every| self.hits + distance(&mut self.random, every));
        true
    }
}

/// 1 to 2n − 1, evenly: n on average.
fn distance(random: &mut u64, n: u64) -> u64 {
    *random = random.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    1 + (mixed ^ (mixed >> 31)) % (2 * n - 1)
}

/// All items.
#[derive(Debug)]
struct Plan(Vec<Rule>);

impl Plan {
    fn parse(value: &str) -> Result<Self, FaultsError> {
        let items: Vec<&str> = value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        let mut seed = 0;
        let mut rules = Vec::new();
        for item in items {
            let form = || FaultsError::Form { item: item.to_owned() };
            let (left, right) = item.split_once('=').ok_or_else(form)?;
            if left == "seed" {
                seed = right.parse::<u64>().map_err(|_| form())?;
                continue;
            }
            let (name, number) = right.split_once(['/', '@']).ok_or_else(form)?;
            let n = number.parse().ok().filter(|n| (1..=u64::MAX / 4).contains(n)).ok_or_else(form)?;
            let (_, point, faults) = POINTS
                .into_iter()
                .find(|(point, ..)| *point == left)
                .ok_or_else(|| FaultsError::Point { item: item.to_owned() })?;
            let fault = Fault::parse(name)
                .filter(|_| faults.contains(&name))
                .ok_or_else(|| FaultsError::Fault { item: item.to_owned(), faults: faults.join(", ") })?;
            rules.push((point, fault, n, right.contains('/')));
        }
        let rule = |(number, (point, fault, n, again)): (usize, (Point, Fault, u64, bool))| {
            let mut random = seed.wrapping_add((number as u64).wrapping_mul(0xD134_2543_DE82_EF95));
            let next = if again { distance(&mut random, n) } else { n };
            let timing = Timing { hits: 0, next: Some(next), every: again.then_some(n), random };
            Rule { point, fault, timing: Mutex::new(timing) }
        };
        Ok(Self(rules.into_iter().enumerate().map(rule).collect()))
    }

    /// Counts a hit of `point` by all rules for `fault` there; whether one of them fires.
    fn fires(&self, point: Point, fault: Fault) -> bool {
        let mut fires = false;
        for rule in self.0.iter().filter(|rule| (rule.point, rule.fault) == (point, fault)) {
            let mut timing = rule.timing.lock().unwrap_or_else(PoisonError::into_inner);
            if timing.hit() {
                fires = true;
                tracing::warn!(?point, ?fault, hit = timing.hits, "fault injected");
            }
        }
        fires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of `hits` hits the only point of `plan` fires.
    fn fired(plan: &str, point: Point, fault: Fault, hits: u64) -> Vec<u64> {
        let plan = Plan::parse(plan).unwrap();
        (1..=hits).filter(|_| plan.fires(point, fault)).collect()
    }

    #[test]
    fn once_is_once() {
        assert_eq!(fired("inference=hang@3", Point::Inference, Fault::Hang, 1000), [3]);
        assert_eq!(fired("inference=hang@3", Point::Inference, Fault::Panic, 1000), [0; 0]);
        assert_eq!(fired("inference=hang@3", Point::Cache, Fault::Hang, 1000), [0; 0]);
    }

    #[test]
    fn every_so_often_is_irregular_and_repeatable() {
        let cache = |plan: &str| fired(plan, Point::Cache, Fault::Panic, 100_000);
        let first = cache("cache=panic/100, seed=7");
        assert!((900..1100).contains(&first.len()), "{}", first.len());
        let gaps: std::collections::BTreeSet<_> = first.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.len() > 100 && gaps.iter().all(|gap| (1..200).contains(gap)), "{gaps:?}");
        assert_eq!(first, cache("seed=7,cache=panic/100"));
        assert_ne!(first, cache("seed=8,cache=panic/100"));
        assert_eq!(cache("cache=panic/1").len(), 100_000);
    }

    #[test]
    fn rules_do_not_fire_in_step() {
        let plan = Plan::parse("cache=panic/50,batcher=panic/50").unwrap();
        let both = (0..10_000).filter(|_| {
            let cache = plan.fires(Point::Cache, Fault::Panic);
            plan.fires(Point::Batcher, Fault::Panic) && cache
        });
        assert!(both.count() < 50);
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_reason() {
        let refusal = |plan: &str| Plan::parse(plan).unwrap_err().to_string();
        for plan in ["cache", "cache=panic", "cache=panic/0", "cache=panic/x", "seed=x", "cache=panic@-1"] {
            assert!(refusal(plan).contains("is neither <point>=<fault>/<n>"), "{plan}");
        }
        assert!(refusal("cash=panic/3").ends_with(
            "names no point; there are game, cache, batcher, writer, format, loader, referee, thread, inference, evaluator, \
             fleet, collector, publisher"
        ));
        assert!(refusal("cache=hang/3").ends_with("it has panic"));
        assert!(refusal("evaluator=panic/3").ends_with("it has error, nan"));
        assert!(Plan::parse(" , ").unwrap().0.is_empty());
    }
}
