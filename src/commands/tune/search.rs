//! Which settings to try next: coordinate descent on ladders of values. Plain logic, without clock and machine: the caller's
//! `probe` measures.
//!
//! First the start is measured beside itself, which shows how much measurements of the same settings differ. Then one setting at
//! a time is moved up or down its ladder for as long as that helps, and all of them again until none moves. A step is taken only
//! where it is better than where it leads away from, both measured anew and in turn ([`super::noise`]). What is found at the end
//! is compared with the start once more, by pairs that did not choose it: a choice among many is flattered by its own pairs.

use std::collections::BTreeSet;

use super::noise::{Noise, PAIRS, Verdict, gain, judge, mean};

/// Pairs of the start beside itself: so many, and up to so many where fewer leave the machine too restless to tell. Noise that is
/// known better stands in the way of fewer gains.
const OF_THE_SAME: (usize, usize) = (4, 12);
/// Pairs that compare what was found with the start.
const AT_THE_END: usize = 5;

/// A setting that is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knob {
    /// Inference threads.
    Threads,
    /// Most positions of a batch.
    Batch,
    /// Games in play.
    Games,
    /// Longest wait for a fuller batch, in microseconds.
    Wait,
    /// Leaves gathered from one tree at a time (K).
    Leaves,
}

impl Knob {
    /// In the order in which they are tried: first what others depend on, last what costs strength.
    pub(super) const ALL: [Self; 5] = [Self::Threads, Self::Batch, Self::Games, Self::Wait, Self::Leaves];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Threads => "inference threads",
            Self::Batch => "batch",
            Self::Games => "games",
            Self::Leaves => "K",
            Self::Wait => "wait",
        }
    }
}

/// A value for each knob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Choice([u32; Knob::ALL.len()]);

impl Choice {
    pub(super) fn new(of: impl Fn(Knob) -> u32) -> Self {
        Self(Knob::ALL.map(of))
    }

    pub(super) fn get(self, knob: Knob) -> u32 {
        self.0[knob as usize]
    }

    pub(super) fn with(mut self, knob: Knob, value: u32) -> Self {
        self.0[knob as usize] = value;
        self
    }

    /// In what it differs from `other`.
    pub(super) fn changes(self, other: Self) -> Vec<(Knob, u32)> {
        let changed = Knob::ALL.into_iter().filter(|&knob| self.get(knob) != other.get(knob));
        changed.map(|knob| (knob, self.get(knob))).collect()
    }
}

/// The values that each knob may have.
#[derive(Clone, Debug)]
pub(super) struct Space([Vec<u32>; Knob::ALL.len()]);

impl Space {
    /// Of the values given and those of `start`.
    pub(super) fn new(start: Choice, values: impl Fn(Knob) -> Vec<u32>) -> Self {
        Self(Knob::ALL.map(|knob| {
            let mut ladder = values(knob);
            ladder.push(start.get(knob));
            ladder.sort_unstable();
            ladder.dedup();
            ladder
        }))
    }

    /// The choice one step up or down from `from`.
    fn step(&self, from: Choice, knob: Knob, up: bool) -> Option<Choice> {
        let (ladder, value) = (&self.0[knob as usize], from.get(knob));
        let next = if up {
            ladder.iter().find(|&&other| other > value)
        } else {
            ladder.iter().rev().find(|&&other| other < value)
        };
        next.map(|&next| from.with(knob, next))
    }
}

/// What a measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Probed {
    /// So much; more is better.
    Rate(f64),
    /// It may not be used.
    TooLarge,
    /// There was no time left for it.
    OutOfTime,
}

/// The search. `probe` measures; its errors end the search.
pub(super) struct Search<P> {
    space: Space,
    probe: P,
    noise: Noise,
    too_large: BTreeSet<Choice>,
    /// Challengers and what they were not better than.
    lost: BTreeSet<(Choice, Choice)>,
    out_of_time: bool,
}

impl<P: FnMut(Choice) -> anyhow::Result<Probed>> Search<P> {
    pub(super) fn new(space: Space, probe: P) -> Self {
        let (too_large, lost) = (BTreeSet::new(), BTreeSet::new());
        Self { space, probe, noise: Noise::default(), too_large, lost, out_of_time: false }
    }

    /// Learns how much measurements of the same settings differ, from those of `start`, which are the answer. `between` is called
    /// after each pair.
    pub(super) fn learn_noise(
        &mut self,
        start: Choice,
        mut between: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for turn in 0..OF_THE_SAME.1 {
            if turn >= OF_THE_SAME.0 && !self.noise.is_too_restless() {
                break;
            }
            let Some(pair) = self.pair(start, start, turn)? else { break };
            self.noise.learn_same(gain(pair.new, pair.old));
            pairs.push(pair);
            between()?;
        }
        Ok(pairs)
    }

    /// How much measurements of the same settings differ, as far as it is known by now.
    pub(super) const fn noise(&self) -> Noise {
        self.noise
    }

    /// The best choice that is found from `start`; `start` itself where nothing is better, or nothing could be measured.
    pub(super) fn descend(&mut self, start: Choice) -> anyhow::Result<Choice> {
        let mut best = start;
        loop {
            let before = best;
            for knob in Knob::ALL {
                best = self.climb(best, knob)?;
            }
            if best == before || self.out_of_time {
                return Ok(best);
            }
        }
    }

    /// Compares `best` with `start` once more, as fairly as it can be done. `between` is called after each pair.
    pub(super) fn confirm(
        &mut self,
        best: Choice,
        start: Choice,
        mut between: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Comparison> {
        let mut pairs = Vec::new();
        self.out_of_time = false;
        for turn in 0..AT_THE_END {
            let Some(pair) = self.pair(best, start, turn)? else { break };
            pairs.push(pair);
            between()?;
        }
        let gains: Vec<_> = pairs.iter().map(|&Pair { new, old }| gain(new, old)).collect();
        let better = gains.len() >= PAIRS.0 && judge(&gains, self.noise) == Verdict::Better;
        self.noise = self.noise.with(&gains);
        Ok(Comparison { gain: mean(&gains), margin: self.noise.margin(gains.len().max(1)), better, pairs })
    }

    /// Whether it ended because there was no time for more.
    pub(super) const fn is_cut_short(&self) -> bool {
        self.out_of_time
    }

    /// Moves one knob for as long as that helps.
    fn climb(&mut self, from: Choice, knob: Knob) -> anyhow::Result<Choice> {
        for up in [true, false] {
            let mut here = from;
            while let Some(next) = self.space.step(here, knob, up) {
                if !self.is_better(next, here)? {
                    break;
                }
                here = next;
            }
            if here != from {
                return Ok(here);
            }
        }
        Ok(from)
    }

    fn is_better(&mut self, challenger: Choice, incumbent: Choice) -> anyhow::Result<bool> {
        if self.lost.contains(&(challenger, incumbent)) {
            return Ok(false);
        }
        let mut gains = Vec::new();
        let verdict = loop {
            let Some(Pair { new, old }) = self.pair(challenger, incumbent, gains.len())? else { return Ok(false) };
            gains.push(gain(new, old));
            match judge(&gains, self.noise) {
                Verdict::Open => {}
                verdict => break verdict,
            }
        };
        self.noise = self.noise.with(&gains);
        if verdict == Verdict::NotBetter {
            self.lost.insert((challenger, incumbent));
        }
        Ok(verdict == Verdict::Better)
    }

    /// Measures both, one straight after the other: by turns this one first and that one, so that what changes steadily
    /// favours neither. `None` where one of them gives no rate.
    fn pair(&mut self, challenger: Choice, incumbent: Choice, turn: usize) -> anyhow::Result<Option<Pair>> {
        let challenger_first = turn.is_multiple_of(2);
        let (first, second) = if challenger_first { (challenger, incumbent) } else { (incumbent, challenger) };
        let Some(first) = self.measure(first)? else { return Ok(None) };
        let Some(second) = self.measure(second)? else { return Ok(None) };
        let (new, old) = if challenger_first { (first, second) } else { (second, first) };
        Ok(Some(Pair { new, old }))
    }

    /// Measures once, unless that cannot be.
    fn measure(&mut self, choice: Choice) -> anyhow::Result<Option<f64>> {
        if self.out_of_time || self.too_large.contains(&choice) {
            return Ok(None);
        }
        match (self.probe)(choice)? {
            Probed::Rate(rate) => return Ok(Some(rate)),
            Probed::TooLarge => drop(self.too_large.insert(choice)),
            Probed::OutOfTime => self.out_of_time = true,
        }
        Ok(None)
    }
}

/// Rates measured straight after each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    /// Of what was found.
    pub(super) new: f64,
    /// Of the start.
    pub(super) old: f64,
}

/// What was found beside the start.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comparison {
    /// Logarithm of how many times as much it gives.
    pub(super) gain: f64,
    /// By how much that may be off.
    pub(super) margin: f64,
    /// Whether that is more than noise.
    pub(super) better: bool,
    pub(super) pairs: Vec<Pair>,
}

#[cfg(test)]
mod tests;
