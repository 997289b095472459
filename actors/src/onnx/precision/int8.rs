//! Static quantisation to 8 bits (QDQ): operators with weights, and sums of what they give, compute in whole numbers. Activations
//! are `u8` with one scale each, measured on positions of the game; weights are `i8` with a scale for each output channel.
//!
//! The graph keeps its operators. Pairs of `QuantizeLinear` and `DequantizeLinear` around them say which numbers may be rounded
//! to what, and ONNX Runtime merges each operator with the pairs around it into one of whole numbers. `u8` because that is what
//! its CPU kernels are fast with: `i8` activations were half as fast as fp32 (docs/measurements/precision.md).

mod plan;
mod ranges;
mod rewrite;

pub(super) use self::ranges::{Calibration, Range};
use self::{plan::Plan, rewrite::rewrite};
use super::{super::graph::Model, refuse_quantised};

/// Opset from which scales may differ from channel to channel.
const LEAST_OPSET: i64 = 13;

/// Whether sums of two products of `u8` and full `i8` numbers overflow the 16 bits that older x86 CPUs have for them. Weights
/// then get 7 bits.
fn narrow_weights() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        !(std::arch::is_x86_feature_detected!("avx512vnni") || std::arch::is_x86_feature_detected!("avxvnni"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A model that can be converted, and what has to be measured for that.
pub(super) struct Quantiser {
    model: Model,
    plan: Plan,
}

impl Quantiser {
    /// Decides what is computed in 8 bits.
    ///
    /// # Errors
    /// When the model is not of fp32, too old, or has nothing to gain.
    pub(super) fn new(mut model: Model) -> Result<Self, String> {
        refuse_quantised(&model)?;
        let opset = model.opset();
        if opset < LEAST_OPSET {
            return Err(format!("int8 needs opset {LEAST_OPSET} or newer, and it is of opset {opset}"));
        }
        let graph = model.graph.as_mut().ok_or("it holds no graph")?;
        plan::hoist_constants(graph);
        let plan = Plan::of(graph);
        if plan.nodes.is_empty() {
            return Err("it holds no Conv, Gemm or MatMul with f32 weights, so int8 gains nothing".to_owned());
        }
        Ok(Self { model, plan })
    }

    /// The model with the least and the largest number of every value that is to be rounded as its only outputs.
    pub(super) fn calibration(&self) -> Calibration {
        Calibration::new(&self.model, &self.plan.values)
    }

    /// The model in 8 bits. `ranges`: of each value in the order of the calibration.
    ///
    /// # Errors
    /// When numbers are not finite.
    pub(super) fn convert(mut self, ranges: &[Range]) -> Result<Model, String> {
        let graph = self.model.graph.as_mut().ok_or("it holds no graph")?;
        rewrite(graph, &self.plan, ranges, if narrow_weights() { 63.0 } else { 127.0 })?;
        Ok(self.model)
    }
}
