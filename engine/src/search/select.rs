//! Maxima over short slices, written so that the compiler vectorises them on every target.

/// Elements compared at once.
const LANES: usize = 8;

/// The largest element of `values` and the index of its first occurrence; `None` unless some element is above `floor`.
///
/// The values must not be NaN.
pub(super) fn first_max(values: &[f32], floor: f32) -> Option<(usize, f32)> {
    let mut lanes = [floor; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = if value > *lane { value } else { *lane };
        }
    }
    let max = rest.iter().chain(&lanes).fold(floor, |max, &value| if value > max { value } else { max });
    if max <= floor {
        return None;
    }
    let whole = chunks.iter().position(|chunk| chunk.iter().fold(false, |any, &value| any | (value == max)));
    let start = whole.map_or(chunks.len() * LANES, |chunk| chunk * LANES);
    let within = values[start..].iter().position(|&value| value == max)?;
    Some((start + within, max))
}

/// The largest of `q[i] + exploration * u[i]`; −∞ for empty slices of equal length.
pub(super) fn best_score(q: &[f64], u: &[f64], exploration: f64) -> f64 {
    let mut lanes = [f64::NEG_INFINITY; LANES];
    let (q_chunks, q_rest) = q.as_chunks::<LANES>();
    let (u_chunks, u_rest) = u.as_chunks::<LANES>();
    for (q, u) in q_chunks.iter().zip(u_chunks) {
        for lane in 0..LANES {
            let score = q[lane] + exploration * u[lane];
            lanes[lane] = if score > lanes[lane] { score } else { lanes[lane] };
        }
    }
    let rest = q_rest.iter().zip(u_rest).map(|(q, u)| q + exploration * u);
    lanes.into_iter().chain(rest).fold(f64::NEG_INFINITY, |max, score| if score > max { score } else { max })
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
