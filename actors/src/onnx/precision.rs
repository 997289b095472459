//! The numbers that a network computes with: as the trainer made it (fp32), or converted when it is loaded.
//!
//! Low to high: `positions` (what it is tried on), `fp16` and `int8` (graphs rewritten), `agreement` (how far its answers are from those
//! of the model it was made from), `convert` (all of it for one model).

mod agreement;
#[cfg(test)]
mod broken_models;
mod convert;
mod fp16;
mod int8;
mod positions;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::agreement::Agreement;
pub(super) use self::{agreement::judge, convert::convert, fp16::with_single_ports, positions::Samples};
use super::{
    device::{Device, OpenVinoDevice},
    graph::{Attribute, Graph, Model},
    openvino,
};

/// What a network computes with. Models come in fp32, and their inputs and outputs stay fp32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// As the model is.
    #[default]
    Fp32,
    /// 8-bit whole numbers, with scales measured on positions of the game. For CPUs.
    Int8,
    /// Matrix products in bfloat16, chosen by ONNX Runtime where an aarch64 CPU has instructions for it, and by OpenVINO where an
    /// x86_64 CPU has.
    Bf16,
    /// Half precision. For GPUs; a CPU runs it slower than fp32.
    Fp16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Int8, Self::Bf16, Self::Fp16];

    /// The word of the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Int8 => "int8",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }

    /// Why it cannot be had on `device` in this process.
    ///
    /// # Errors
    /// What is missing, and what is possible instead.
    pub fn possible_on(self, device: Device) -> Result<(), String> {
        match (self, device) {
            (Self::Bf16, Device::OPENVINO) => through_openvino_in_bf16(openvino::has_bf16()),
            (Self::Fp16, Device::OPENVINO) => {
                Err("fp16 is for GPUs: through OpenVINO a CPU can do fp32, int8 and, with AMX or AVX512-BF16, bf16"
                    .to_owned())
            }
            (Self::Bf16 | Self::Int8, Device::OpenVino(OpenVinoDevice::Gpu)) => {
                Err(format!("{self} is for CPUs: through OpenVINO a GPU can do fp32 and fp16"))
            }
            (Self::Int8, Device::Cuda(_) | Device::TensorRt(_)) => {
                Err("int8 is for CPUs: on a GPU it would only round numbers; fp16 is faster there".to_owned())
            }
            (Self::Bf16, Device::Cuda(_) | Device::TensorRt(_)) => {
                Err("bf16 is for CPUs: on a GPU choose fp16".to_owned())
            }
            (Self::Bf16, Device::Cpu) if !has_bf16() => Err(format!(
                "ONNX Runtime computes in bf16 only on aarch64 Linux with bf16 instructions, which this {} machine is not; \
                 it can do fp32, int8 and fp16{}",
                std::env::consts::ARCH,
                if openvino::has_bf16() { ", and bf16 with inference.device = \"openvino\"" } else { "" }
            )),
            _ => Ok(()),
        }
    }
}

/// Without instructions for it bf16 would only be computed by detours.
fn through_openvino_in_bf16(has_bf16: bool) -> Result<(), String> {
    if has_bf16 {
        return Ok(());
    }
    Err("bf16 through OpenVINO is for CPUs with AMX or AVX512-BF16, which this one has not; it can do fp32 and int8"
        .to_owned())
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |precision: &Self| precision.name() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| format!("{text:?} is none of fp32, int8, bf16 and fp16"))
    }
}

#[cfg(all(target_arch = "aarch64", target_os = "linux"))]
fn has_bf16() -> bool {
    std::arch::is_aarch64_feature_detected!("bf16")
}

#[cfg(not(all(target_arch = "aarch64", target_os = "linux")))]
const fn has_bf16() -> bool {
    false
}

/// What networks shall compute with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionRequest {
    /// Through OpenVINO on a CPU with bf16 the faster of bf16, if answers stay near enough to those in fp32, and fp32; else fp32.
    #[default]
    Auto,
    /// This and nothing else.
    #[serde(untagged)]
    Only(Precision),
}

impl PrecisionRequest {
    /// What may be computed with on `device`.
    ///
    /// # Errors
    /// When what is demanded cannot be had there: what is missing, and what is possible instead.
    pub fn on(self, device: Device) -> Result<Vec<Precision>, String> {
        match self {
            Self::Auto => Ok(automatic(device, openvino::has_bf16())),
            Self::Only(precision) => precision.possible_on(device).map(|()| vec![precision]),
        }
    }
}

fn automatic(device: Device, has_bf16: bool) -> Vec<Precision> {
    if device == Device::OPENVINO && has_bf16 { vec![Precision::Bf16, Precision::Fp32] } else { vec![Precision::Fp32] }
}

impl From<Precision> for PrecisionRequest {
    fn from(precision: Precision) -> Self {
        Self::Only(precision)
    }
}

impl fmt::Display for PrecisionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.pad("auto"),
            Self::Only(precision) => precision.fmt(f),
        }
    }
}

/// What models are converted to, and how far they may then be from what they were.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionOptions {
    /// What to compute with.
    pub precision: PrecisionRequest,
    /// Most that the policy of any position tried may differ: Kullback–Leibler divergence in nats.
    pub max_kl: f64,
    /// Most that the value of any position tried may differ.
    pub max_value_error: f64,
}

impl PrecisionOptions {
    /// Models as they come.
    pub const FP32: Self =
        Self { precision: PrecisionRequest::Only(Precision::Fp32), max_kl: 0.0, max_value_error: 0.0 };
}

/// Operators of models that are not of fp32 any more.
const QUANTISED: [&str; 8] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
    "QGemm",
];

/// Refuses a model that is quantised already: its numbers cannot be told from weights.
fn refuse_quantised(model: &Model) -> Result<(), String> {
    fn find(graph: &Graph) -> Option<&str> {
        graph.nodes.iter().find_map(|node| {
            let quantised = QUANTISED.contains(&node.op_type()).then(|| node.op_type());
            quantised.or_else(|| node.attributes.iter().flat_map(Attribute::graphs).find_map(find))
        })
    }
    let in_functions = model.functions.iter().flat_map(|function| &function.nodes);
    let found = model.graph.as_ref().and_then(find);
    let found = found.or_else(|| in_functions.map(|node| node.op_type()).find(|op| QUANTISED.contains(op)));
    found.map_or(Ok(()), |op| Err(format!("it is quantised already: it holds {op}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_through_openvino_needs_a_cpu_with_bf16() {
        assert_eq!(through_openvino_in_bf16(true), Ok(()));
        let error = through_openvino_in_bf16(false).unwrap_err();
        assert!(error.contains("AMX or AVX512-BF16") && error.ends_with("it can do fp32 and int8"), "{error}");
    }

    #[test]
    fn by_itself_only_openvino_leaves_fp32() {
        use Precision::{Bf16, Fp32};
        assert_eq!(automatic(Device::OPENVINO, true), [Bf16, Fp32]);
        assert_eq!(automatic(Device::OPENVINO, false), [Fp32]);
        for device in [Device::Cpu, Device::Cuda(0), Device::OpenVino(OpenVinoDevice::Gpu)] {
            assert_eq!(automatic(device, true), [Fp32]);
        }
        assert_eq!(PrecisionRequest::Only(Precision::Int8).on(Device::Cpu), Ok(vec![Precision::Int8]));
        assert!(PrecisionRequest::Only(Precision::Int8).on(Device::Cuda(0)).is_err(), "obeyed or refused");
    }

    #[test]
    fn a_request_is_a_word() {
        for (request, word) in [(PrecisionRequest::Auto, "auto"), (Precision::Bf16.into(), "bf16")] {
            assert_eq!(request.to_string(), word);
            assert_eq!(serde_json::to_value(request).unwrap(), word);
            assert_eq!(serde_json::from_value::<PrecisionRequest>(word.into()).unwrap(), request);
        }
        assert!(serde_json::from_value::<PrecisionRequest>("fp8".into()).is_err());
    }

    #[test]
    fn what_cannot_be_had_is_refused_with_what_can() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse(), Ok(precision));
        }
        assert_eq!("fp8".parse::<Precision>().unwrap_err(), "\"fp8\" is none of fp32, int8, bf16 and fp16");
        for device in [Device::Cpu, Device::Cuda(0), Device::TensorRt(0)] {
            assert!(Precision::Fp32.possible_on(device).is_ok() && Precision::Fp16.possible_on(device).is_ok());
        }
        assert!(Precision::Int8.possible_on(Device::Cpu).is_ok());
        assert!(Precision::Int8.possible_on(Device::Cuda(0)).unwrap_err().contains("fp16 is faster there"));
        assert!(Precision::Bf16.possible_on(Device::Cuda(0)).is_err());
        assert!(Precision::Fp32.possible_on(Device::OPENVINO).is_ok());
        assert!(Precision::Fp16.possible_on(Device::OPENVINO).unwrap_err().starts_with("fp16 is for GPUs"));
        let intel = Device::OpenVino(OpenVinoDevice::Gpu);
        assert!(Precision::Fp32.possible_on(intel).is_ok() && Precision::Fp16.possible_on(intel).is_ok());
        for precision in [Precision::Int8, Precision::Bf16] {
            assert!(precision.possible_on(intel).unwrap_err().ends_with("a GPU can do fp32 and fp16"));
        }
        if cfg!(target_arch = "x86_64") {
            let error = Precision::Bf16.possible_on(Device::Cpu).unwrap_err();
            assert!(error.contains("this x86_64 machine is not; it can do fp32, int8 and fp16"), "{error}");
        }
    }
}
