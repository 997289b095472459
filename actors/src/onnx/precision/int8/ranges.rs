//! Which numbers the values of a network take on positions of the game.

use super::super::super::graph::{Attribute, Element, Graph, Model, Names, Node, ValueInfo};

/// The model with an end for every value: what its least and its largest number is, in a batch.
pub(in crate::onnx::precision) struct Calibration {
    /// It.
    pub(in crate::onnx::precision) model: Model,
    /// What they tell, in the order in which the values were named.
    pub(in crate::onnx::precision) watched: Vec<Watched>,
}

/// A value and the outputs that tell its least and its largest number.
pub(in crate::onnx::precision) struct Watched {
    pub(in crate::onnx::precision) value: String,
    pub(in crate::onnx::precision) least: String,
    pub(in crate::onnx::precision) most: String,
}

impl Calibration {
    pub(super) fn new(model: &Model, values: &[String]) -> Self {
        let mut model = model.clone();
        let mut watched = Vec::with_capacity(values.len());
        if let Some(graph) = model.graph.as_mut() {
            let mut names = Names::of(graph);
            graph.outputs.clear();
            for value in values {
                let [least, most] = ["least", "most"].map(|end| names.fresh(&format!("{value}_{end}")));
                end(graph, "ReduceMin", value, &least);
                end(graph, "ReduceMax", value, &most);
                watched.push(Watched { value: value.clone(), least, most });
            }
        }
        Self { model, watched }
    }
}

/// Reduces `value`, whatever its shape, to one number.
fn end(graph: &mut Graph, op: &str, value: &str, output: &str) {
    graph.nodes.push(Node::new(op, &[value], &[output]).with(Attribute::of_int("keepdims", 0)));
    graph.outputs.push(ValueInfo::of_tensor(output, Element::F32, &[]));
}

/// The numbers of a value, and how they are rounded to `u8`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::onnx::precision) struct Range {
    least: f32,
    most: f32,
    /// Only whole numbers were seen, as in most inputs.
    whole: bool,
}

/// How numbers become `u8`: `round(number / scale) + zero`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rounding {
    pub(super) scale: f32,
    pub(super) zero: u8,
}

impl Range {
    /// Nothing seen yet. Zero is always in the range, because it must be exact.
    pub(in crate::onnx::precision) const EMPTY: Self = Self { least: 0.0, most: 0.0, whole: false };

    /// Of these numbers.
    pub(in crate::onnx::precision) fn of(numbers: &[f32]) -> Self {
        let whole = numbers.iter().all(|number| number.fract() == 0.0);
        let range = numbers.iter().fold(Self::EMPTY, |range, &number| range.with(number, number));
        Self { whole, ..range }
    }

    /// With a batch in which the numbers went from `least` to `most`. What is no number makes it infinite.
    pub(in crate::onnx::precision) fn with(self, least: f32, most: f32) -> Self {
        if !(least.is_finite() && most.is_finite()) {
            return Self { least: f32::NEG_INFINITY, most: f32::INFINITY, ..self };
        }
        Self { least: self.least.min(least), most: self.most.max(most), ..self }
    }

    /// Over 256 steps; whole numbers exactly, if that can be.
    pub(super) fn rounding(self) -> Option<Rounding> {
        let width = self.most - self.least;
        if !width.is_finite() {
            return None;
        }
        if width < f32::MIN_POSITIVE * 256.0 {
            return Some(Rounding { scale: 1.0, zero: 0 });
        }
        let scale = if self.whole && width <= 255.0 { 1.0 / (255.0 / width).floor() } else { width / 255.0 };
        Some(Rounding { scale, zero: (-self.least / scale).round() as u8 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_into_256_steps_and_has_a_zero() {
        let rounding = |least, most| Range::EMPTY.with(least, most).rounding();
        assert_eq!(rounding(0.5, 2.55), Some(Rounding { scale: 0.01, zero: 0 }));
        assert_eq!(rounding(-1.0, 1.55), Some(Rounding { scale: 0.01, zero: 100 }));
        assert_eq!(rounding(-2.55, -1.0), Some(Rounding { scale: 0.01, zero: 255 }));
        assert_eq!(rounding(0.0, 0.0), Some(Rounding { scale: 1.0, zero: 0 }));
        assert_eq!(rounding(0.0, f32::INFINITY), None);
        assert_eq!(rounding(f32::NAN, 1.0), None);
        let both = Range::EMPTY.with(-1.0, 0.0).with(0.0, 1.55).rounding();
        assert_eq!(both, rounding(-1.0, 1.55), "batch after batch");
    }

    #[test]
    fn whole_numbers_stay_whole() {
        for numbers in [vec![0.0, 1.0, 10.0], vec![-3.0, 200.0], vec![1.0], vec![0.0, 255.0]] {
            let Rounding { scale, zero } = Range::of(&numbers).rounding().unwrap();
            for number in numbers {
                let rounded = ((number / scale).round() + f32::from(zero)).clamp(0.0, 255.0);
                assert!((scale * (rounded - f32::from(zero)) - number).abs() < 1e-5, "{number} by {scale}");
            }
        }
        assert_eq!(Range::of(&[0.0, 2.55]).rounding(), Some(Rounding { scale: 0.01, zero: 0 }));
        assert!(Range::of(&[0.0, 1000.0]).rounding().unwrap().scale > 3.0);
    }
}
