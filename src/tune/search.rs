//! Which settings to try next: coordinate descent on ladders of values. Plain logic: whoever calls it measures.
//!
//! One setting at a time is moved up or down its ladder for as long as that helps, and all of them again until none moves.
//! A step is measured once, and where that looks better, it and where it would lead away from are measured again in turn; it
//! is taken only where the difference is beyond what repetitions differ by.

use std::collections::BTreeMap;

/// Measurements of both sides before a step is taken.
const REPETITIONS: usize = 3;
/// What is no gain: settings that are better by less than this share stay as they are.
const LEAST_GAIN: f64 = 0.01;

/// A setting that is tuned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knob {
    /// Inference threads.
    Threads,
    /// Most positions of a batch.
    Batch,
    /// Games in play.
    Games,
    /// Leaves gathered from one tree at a time (K).
    Leaves,
    /// Longest wait for a fuller batch, in microseconds.
    Wait,
}

impl Knob {
    /// In the order in which they are tried: first what others depend on.
    pub(super) const ALL: [Self; 5] = [Self::Threads, Self::Batch, Self::Games, Self::Leaves, Self::Wait];

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
    rates: BTreeMap<Choice, Vec<f64>>,
    too_large: Vec<Choice>,
    out_of_time: bool,
}

impl<P: FnMut(Choice) -> anyhow::Result<Probed>> Search<P> {
    pub(super) fn new(space: Space, probe: P) -> Self {
        Self { space, probe, rates: BTreeMap::new(), too_large: Vec::new(), out_of_time: false }
    }

    /// The best choice that is found from `start`; `start` itself where nothing is better, or nothing could be measured.
    pub(super) fn descend(&mut self, start: Choice) -> anyhow::Result<Choice> {
        self.measure(start)?;
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

    /// What was measured of a choice.
    pub(super) fn rates(&self, choice: Choice) -> &[f64] {
        self.rates.get(&choice).map_or(&[], Vec::as_slice)
    }

    /// Whether it ended because there was no time for more.
    pub(super) fn is_cut_short(&self) -> bool {
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
        let known = !self.rates(challenger).is_empty() || self.measure(challenger)?;
        if !known || median(self.rates(challenger)) <= median(self.rates(incumbent)) {
            return Ok(false);
        }
        // In turn, so that whatever else the machine does is done to both.
        while self.rates(challenger).len().min(self.rates(incumbent).len()) < REPETITIONS {
            for one in [incumbent, challenger] {
                if self.rates(one).len() < REPETITIONS && !self.measure(one)? {
                    return Ok(false);
                }
            }
        }
        Ok(beats(self.rates(challenger), self.rates(incumbent)))
    }

    /// Measures once more; whether that gave a rate.
    fn measure(&mut self, choice: Choice) -> anyhow::Result<bool> {
        if self.out_of_time || self.too_large.contains(&choice) {
            return Ok(false);
        }
        match (self.probe)(choice)? {
            Probed::Rate(rate) => self.rates.entry(choice).or_default().push(rate),
            Probed::TooLarge => self.too_large.push(choice),
            Probed::OutOfTime => self.out_of_time = true,
        }
        Ok(!self.out_of_time && !self.too_large.contains(&choice))
    }
}

/// Whether `new` is better than `old` by more than either differs from itself.
fn beats(new: &[f64], old: &[f64]) -> bool {
    let gain = median(new) - median(old);
    let noise = (range(new).max(range(old)) / 2.0).max(LEAST_GAIN * median(old));
    gain > noise
}

fn range(rates: &[f64]) -> f64 {
    let (least, most) =
        rates.iter().fold((f64::INFINITY, 0.0), |(least, most), &rate| (rate.min(least), rate.max(most)));
    (most - least).max(0.0)
}

/// The middle one, the upper of two; 0 of none.
pub(super) fn median(rates: &[f64]) -> f64 {
    let mut rates = rates.to_vec();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests;
