//! Arithmetic over short slices in independent lanes: the compiler makes vectors of them on every target, and no step waits for
//! the one before. The order of operations is fixed, so that results are the same on all of them.

/// Numbers taken at once: four vectors of the narrowest kind.
const LANES: usize = 16;

/// Raises every lane to its value, as far as there are values. NaN raises nothing.
pub(crate) fn raise<T: Copy + PartialOrd, const N: usize>(lanes: &mut [T; N], values: impl Iterator<Item = T>) {
    for (lane, value) in lanes.iter_mut().zip(values) {
        *lane = if value > *lane { value } else { *lane };
    }
}

/// The largest of a power of two of lanes. By halves: one after the other, each comparison would wait for the one before.
pub(crate) fn largest<T: Copy + PartialOrd, const N: usize>(mut lanes: [T; N]) -> T {
    let mut half = N / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        for (low, &high) in low.iter_mut().zip(high.iter()) {
            *low = if high > *low { high } else { *low };
        }
        half /= 2;
    }
    lanes[0]
}

/// Turns logits into probabilities, the maximum subtracted first. False when there are some and the result is not finite (a NaN
/// among them, +∞, or −∞ for all of them).
///
/// In whole chunks only: of lengths that vary, a compiler guided by a profile makes no vectors.
pub(crate) fn softmax(logits: &mut [f32]) -> bool {
    let (chunks, rest) = logits.as_chunks_mut::<LANES>();
    if chunks.is_empty() && rest.is_empty() {
        return true;
    }
    // What is left over, filled up with what changes neither the maximum nor the sum.
    let mut last = [f32::NEG_INFINITY; LANES];
    last[..rest.len()].copy_from_slice(rest);
    let mut max = last;
    chunks.iter().for_each(|chunk| raise(&mut max, chunk.iter().copied()));
    let max = largest(max);
    let mut sums = [0.0; LANES];
    for chunk in chunks.iter_mut() {
        exponentials(chunk, max, &mut sums);
    }
    exponentials(&mut last, max, &mut sums);
    let sum: f32 = sums.iter().sum();
    chunks.iter_mut().for_each(|chunk| divide(chunk, sum));
    divide(&mut last, sum);
    rest.copy_from_slice(&last[..rest.len()]);
    sum.is_finite()
}

/// e to the power of each logit less the maximum; adds them to the sums.
fn exponentials(logits: &mut [f32; LANES], max: f32, sums: &mut [f32; LANES]) {
    for (sum, logit) in sums.iter_mut().zip(logits) {
        *logit = exp(*logit - max);
        *sum += *logit;
    }
}

fn divide(values: &mut [f32; LANES], by: f32) {
    values.iter_mut().for_each(|value| *value /= by);
}

/// e^x for x ≤ 0, within 2 units in the last place; 0 where that is below e^−87, NaN for NaN.
///
/// By x = n ln 2 + r with |r| ≤ ln 2 / 2 and a polynomial in r (Moshier, Cephes library, `expf`). The C library's own takes one
/// number at a time, and what it answers depends on the processor.
fn exp(x: f32) -> f32 {
    /// Added to a small number, it leaves its integer part in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LEAST: f32 = -87.0;
    // ln 2 in two parts, of which the first has so few digits that its products are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let small = x < LEAST;
    let x = if small { LEAST } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2[0] - n * LN_2[1];
    let mut series = 1.987_569_1e-4;
    for coefficient in [1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        series = series * r + coefficient;
    }
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    let exponential = (series * r * r + r + 1.0) * f32::from_bits(exponent << 23);
    if small { 0.0 } else { exponential }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_exact_to_the_last_places() {
        for step in 0..=870_000 {
            let x = -step as f32 / 1e4;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 2.5e-7, "exp({x}) = {found}, not {expected}");
        }
        assert_eq!((exp(0.0), exp(-0.0)), (1.0, 1.0));
        assert_eq!((exp(-87.01), exp(f32::MIN), exp(f32::NEG_INFINITY)), (0.0, 0.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn what_is_not_finite_is_noticed_wherever_it_stands() {
        for length in 1..40 {
            for place in 0..length {
                for (logit, finite) in [(f32::NAN, false), (f32::INFINITY, false), (f32::NEG_INFINITY, length > 1)] {
                    let mut logits = vec![0.5; length];
                    logits[place] = logit;
                    assert_eq!(softmax(&mut logits), finite, "{logit} at {place} of {length}");
                    assert!(!finite || logits[place] == 0.0);
                }
            }
            assert!(!softmax(&mut vec![f32::NEG_INFINITY; length]));
        }
        assert!(softmax(&mut []));
    }

    #[test]
    fn probabilities_sum_to_one_at_every_length() {
        for length in 1..70 {
            let mut logits: Vec<f32> = (0..length).map(|place| ((place * 37) % 23) as f32 / 4.0 - 3.0).collect();
            let of_each: Vec<f64> = logits.iter().map(|&logit| f64::from(logit).exp()).collect();
            assert!(softmax(&mut logits));
            let sum: f64 = of_each.iter().sum();
            for (found, expected) in logits.iter().zip(&of_each) {
                assert!((f64::from(*found) - expected / sum).abs() < 1e-6, "length {length}");
            }
            assert!((logits.iter().sum::<f32>() - 1.0).abs() < 1e-6, "length {length}");
        }
    }
}
