//! Maxima over short slices, written so that the compiler vectorises them on every target.

use crate::lanes::{largest, raise};

/// Priors and scores compared at once: four vectors of the narrowest kind, whose comparisons do not wait for each other.
const PRIOR_LANES: usize = 16;
const SCORE_LANES: usize = 8;

/// The largest element of `values` and the index of its first occurrence; `None` unless some element is above `floor`.
///
/// The values must not be NaN.
pub(super) fn first_max(values: &[f32], floor: f32) -> Option<(usize, f32)> {
    let mut lanes = [floor; PRIOR_LANES];
    let (chunks, rest) = values.as_chunks::<PRIOR_LANES>();
    for chunk in chunks {
        raise(&mut lanes, chunk.iter().copied());
    }
    // What is left over, and some of it twice where that makes a whole chunk.
    let last = values.last_chunk::<PRIOR_LANES>().map_or(rest, |last| last);
    if !rest.is_empty() {
        raise(&mut lanes, last.iter().copied());
    }
    let max = largest(lanes);
    if max <= floor {
        return None;
    }
    let whole = chunks.iter().position(|chunk| chunk.iter().fold(false, |any, &value| any | (value == max)));
    let start = whole.map_or(chunks.len() * PRIOR_LANES, |chunk| chunk * PRIOR_LANES);
    let within = values[start..].iter().position(|&value| value == max)?;
    Some((start + within, max))
}

/// The largest of `q[i] + exploration * u[i]`; −∞ for empty slices of equal length.
pub(super) fn best_score(q: &[f64], u: &[f64], exploration: f64) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; SCORE_LANES];
    let (q_chunks, q_rest) = q.as_chunks::<SCORE_LANES>();
    let (u_chunks, u_rest) = u.as_chunks::<SCORE_LANES>();
    let score = |(q, u): (&f64, &f64)| q + exploration * u;
    for (q, u) in q_chunks.iter().zip(u_chunks) {
        raise(&mut lanes, q.iter().zip(u).map(score));
    }
    raise(&mut lanes, q_rest.iter().zip(u_rest).map(score));
    largest(lanes)
}

/// The places of all scores `q[i] + exploration * u[i]` that equal `score`, in ascending order.
pub(super) fn places_of(score: f64, q: &[f64], u: &[f64], exploration: f64) -> impl Iterator<Item = usize> {
    let equal = move |(q, u): (&f64, &f64)| q + exploration * u == score;
    let (q_chunks, q_rest) = q.as_chunks::<SCORE_LANES>();
    let (u_chunks, _) = u.as_chunks::<SCORE_LANES>();
    // Chunks without any are passed over whole.
    let chunks = q_chunks.iter().zip(u_chunks).enumerate();
    let chunks = chunks.filter(move |(_, (q, u))| q.iter().zip(*u).fold(false, |any, pair| any | equal(pair)));
    let within = chunks.flat_map(|(chunk, _)| chunk * SCORE_LANES..(chunk + 1) * SCORE_LANES);
    within.chain(q.len() - q_rest.len()..q.len()).filter(move |&place| equal((&q[place], &u[place])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_maxima_wins_at_every_length() {
        for length in 0..40 {
            for place in 0..length {
                let mut values = vec![-1.0; length];
                values[place] = 0.5;
                values[length - 1] = 0.5;
                assert_eq!(first_max(&values, 0.0), Some((place, 0.5)), "length {length}");
            }
            assert_eq!(first_max(&vec![-1.0; length], 0.0), None);
        }
    }

    #[test]
    fn every_place_of_a_score_is_found_at_every_length() {
        for length in 0..40 {
            let q: Vec<f64> = (0..length).map(|place| if place % 3 == 1 { 0.5 } else { 0.25 }).collect();
            let u = vec![0.125; length];
            let expected: Vec<usize> = (0..length).filter(|place| place % 3 == 1).collect();
            assert_eq!(places_of(0.75, &q, &u, 2.0).collect::<Vec<_>>(), expected, "length {length}");
            assert_eq!(places_of(0.25, &q, &u, 2.0).count(), 0);
        }
    }

    #[test]
    fn the_best_score_is_found_at_every_length() {
        for length in 1..40 {
            for place in 0..length {
                let mut q = vec![-0.5; length];
                q[place] = 0.25;
                let u = vec![0.125; length];
                assert_eq!(best_score(&q, &u, 2.0), 0.5, "length {length}");
            }
        }
        assert_eq!(best_score(&[], &[], 1.0), f64::NEG_INFINITY);
    }
}
