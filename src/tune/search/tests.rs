//! The search finds the top of made-up hills, and does not follow noise.

use std::{cell::RefCell, collections::BTreeMap};

use super::*;

fn choice(threads: u32, batch: u32, games: u32, leaves: u32, wait: u32) -> Choice {
    Choice::new(|knob| match knob {
        Knob::Threads => threads,
        Knob::Batch => batch,
        Knob::Games => games,
        Knob::Leaves => leaves,
        Knob::Wait => wait,
    })
}

const START: fn() -> Choice = || choice(2, 32, 32, 4, 0);

fn space() -> Space {
    Space::new(START(), |knob| match knob {
        Knob::Threads => vec![1, 2, 3, 4],
        Knob::Batch => vec![8, 16, 64, 128],
        Knob::Games => vec![1, 2, 4, 8, 16, 64, 128, 256, 512],
        Knob::Leaves => vec![1, 2, 8],
        Knob::Wait => vec![0, 500, 1000],
    })
}

/// A hill with its top at `top`: every factor of two away from it costs a tenth.
fn hill(top: Choice, at: Choice) -> f64 {
    let away = |knob| (f64::from(at.get(knob).max(1)) / f64::from(top.get(knob).max(1))).log2().abs();
    1000.0 * Knob::ALL.into_iter().map(|knob| 0.9_f64.powf(away(knob))).product::<f64>()
}

/// The same numbers at every run, between -1 and 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

/// Searches, and how often each choice was measured.
fn search(mut probe: impl FnMut(Choice) -> Probed) -> (Choice, BTreeMap<Choice, usize>, bool) {
    let counts = RefCell::new(BTreeMap::new());
    let mut search = Search::new(space(), |choice| {
        *counts.borrow_mut().entry(choice).or_default() += 1;
        Ok(probe(choice))
    });
    let best = search.descend(START()).unwrap();
    let cut_short = search.is_cut_short();
    drop(search);
    (best, counts.into_inner(), cut_short)
}

#[test]
fn the_top_of_a_hill_is_found_from_below_and_from_above() {
    for top in [choice(4, 128, 256, 8, 0), choice(1, 8, 2, 1, 0), choice(2, 32, 64, 4, 500), START()] {
        let (best, counts, cut_short) = search(|choice| Probed::Rate(hill(top, choice)));
        assert_eq!((best, cut_short), (top, false));
        assert!(
            counts.values().all(|&count| count <= REPETITIONS) && counts.values().sum::<usize>() < 80,
            "{counts:?}"
        );
    }
}

#[test]
fn the_top_is_found_in_noise_that_is_smaller_than_a_step() {
    let top = choice(3, 64, 128, 8, 0);
    for seed in 0..50 {
        let mut noise = Noise(seed);
        let (best, ..) = search(|choice| Probed::Rate(hill(top, choice) * (1.0 + 0.02 * noise.next())));
        assert_eq!(best, top, "seed {seed}");
    }
}

#[test]
fn what_makes_no_difference_is_rarely_changed() {
    let changed = |seed| {
        let mut noise = Noise(seed);
        let (best, ..) = search(|_| Probed::Rate(1000.0 * (1.0 + 0.05 * noise.next())));
        best.changes(START()).len()
    };
    let changes: usize = (0..100).map(changed).sum();
    assert!(changes < 100, "{changes} of 500 settings were changed for nothing");
}

#[test]
fn gains_too_small_to_matter_are_left() {
    let (best, ..) = search(|choice| Probed::Rate(1000.0 + f64::from(choice.get(Knob::Games)) / 60.0));
    assert_eq!(best, START());
}

#[test]
fn what_is_too_large_is_not_chosen_and_not_asked_for_twice() {
    let top = choice(2, 32, 512, 4, 0);
    let (best, counts, _) =
        search(|choice| if choice.get(Knob::Games) > 128 { Probed::TooLarge } else { Probed::Rate(hill(top, choice)) });
    assert_eq!(best, START().with(Knob::Games, 128));
    assert!(counts.iter().all(|(choice, &count)| choice.get(Knob::Games) <= 128 || count == 1), "{counts:?}");
}

#[test]
fn the_best_so_far_is_kept_when_time_is_up() {
    let top = choice(2, 32, 512, 8, 0);
    let mut left = 14;
    let (best, counts, cut_short) = search(|choice| {
        if left == 0 {
            return Probed::OutOfTime;
        }
        left -= 1;
        Probed::Rate(hill(top, choice))
    });
    assert!(cut_short && counts.values().sum::<usize>() == 15, "{counts:?}");
    assert!(best.get(Knob::Games) > 32 && best.get(Knob::Games) < 512, "{best:?}");
    let (best, _, cut_short) = search(|_| Probed::OutOfTime);
    assert_eq!((best, cut_short), (START(), true));
}

#[test]
fn errors_end_the_search() {
    let mut search = Search::new(space(), |_| anyhow::bail!("no device"));
    assert_eq!(search.descend(START()).unwrap_err().to_string(), "no device");
}
