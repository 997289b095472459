//! Which device inference was asked for, and which one it got.

use std::{fmt, str::FromStr};

use ort::ep::{CUDA, ExecutionProvider, ExecutionProviderDispatch, cuda::ConvAlgorithmSearch};
use thiserror::Error;

use super::runtime::Runtime;

/// Where inference shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// The first CUDA device if it works, else the CPU. Written `auto`.
    #[default]
    Auto,
    /// Written `cpu`.
    Cpu,
    /// This CUDA device or none. Written `cuda:N`; `cuda` is `cuda:0`.
    Cuda(u32),
}

impl Device {
    /// Whether a CUDA build of ONNX Runtime is worth looking for.
    #[must_use]
    pub const fn may_use_cuda(self) -> bool {
        !matches!(self, Self::Cpu)
    }
}

/// A text that names no device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a device: expected auto, cpu, cuda or cuda:N")]
pub struct ParseDeviceError(String);

impl FromStr for Device {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseDeviceError(text.to_owned());
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").ok_or_else(error)?;
                // ONNX Runtime takes a signed number; `parse` alone would accept `+1`.
                let plain = number.bytes().all(|byte| byte.is_ascii_digit());
                let number = number.parse().ok().filter(|&number| plain && i32::try_from(number).is_ok());
                number.map(Self::Cuda).ok_or_else(error)
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

/// A device that was demanded cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("use device {device}: {reason}")]
pub struct DeviceError {
    /// The device demanded.
    pub device: Device,
    /// Why not.
    pub reason: String,
}

/// What was asked for and what inference runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// As in the settings.
    pub requested: Device,
    /// [`Device::Cpu`] or [`Device::Cuda`].
    pub actual: Device,
    /// Why [`Device::Auto`] did not take CUDA.
    pub note: Option<String>,
}

impl Provider {
    /// Runs on what was asked for.
    #[must_use]
    pub const fn as_requested(device: Device) -> Self {
        Self { requested: device, actual: device, note: None }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requested, actual, note } = self;
        write!(f, "{actual}")?;
        if requested != actual {
            write!(f, " (asked for {requested}")?;
            if let Some(note) = note {
                write!(f, "; {note}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// What to try for a request: the CUDA device, or the reason why none can work with this library.
pub(super) fn cuda_candidate(runtime: &Runtime, requested: Device) -> Option<Result<u32, String>> {
    let index = match requested {
        Device::Cpu => return None,
        Device::Auto => 0,
        Device::Cuda(index) => index,
    };
    // Says only whether CUDA was compiled in; whether it works shows when a session asks for it.
    Some(match CUDA::is_available() {
        Ok(true) => Ok(index),
        Ok(false) => Err(format!("the ONNX Runtime in {} is built without CUDA", runtime.library().display())),
        Err(error) => Err(one_line(error.message())),
    })
}

/// The CUDA provider of device `index`, an error where it does not work. Without `error_on_failure` a session would silently
/// run on the CPU.
pub(super) fn cuda_provider(index: u32) -> ExecutionProviderDispatch {
    // The exhaustive search takes 0.6 s for every new batch shape, the heuristic one 2 ms.
    CUDA::default()
        .with_device_id(index.cast_signed())
        .with_conv_algorithm_search(ConvAlgorithmSearch::Heuristic)
        .build()
        .error_on_failure()
}

/// ONNX Runtime's messages span lines and begin with source positions and codes; the readers of settings and logs get the rest
/// on one line.
pub(super) fn one_line(message: &str) -> String {
    // `file.cc:1 Function() [ONNXRuntimeError] : 1 : FAIL : what happened`
    let said = message.rsplit("[ONNXRuntimeError] : ").next().unwrap_or(message);
    let said = if said.len() < message.len() { said.splitn(3, " : ").last().unwrap_or(said) } else { said };
    let words: Vec<_> = said.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        for (text, device) in
            [("auto", Device::Auto), ("cpu", Device::Cpu), ("cuda:0", Device::Cuda(0)), ("cuda:7", Device::Cuda(7))]
        {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Device::Cuda(0)));
    }

    #[test]
    fn what_is_no_device_is_refused_with_what_is_allowed() {
        for text in ["", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:+1", "cuda: 1", "cuda:4294967295"] {
            let error = text.parse::<Device>().unwrap_err().to_string();
            assert_eq!(error, format!("`{text}` is not a device: expected auto, cpu, cuda or cuda:N"));
        }
    }

    #[test]
    fn a_provider_says_what_was_asked_for_only_where_it_differs() {
        assert_eq!(Provider::as_requested(Device::Cuda(1)).to_string(), "cuda:1");
        let mut provider = Provider { requested: Device::Auto, actual: Device::Cuda(0), note: None };
        assert_eq!(provider.to_string(), "cuda:0 (asked for auto)");
        provider = Provider { actual: Device::Cpu, note: Some("no driver".to_owned()), ..provider };
        assert_eq!(provider.to_string(), "cpu (asked for auto; no driver)");
    }

    #[test]
    fn what_onnx_runtime_says_is_brought_to_one_line() {
        assert_eq!(one_line("no  such\n node."), "no such node");
        let message = "/src/a.cc:20 Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load x : no\nsuch file";
        assert_eq!(one_line(message), "Failed to load x : no such file");
        assert_eq!(one_line(""), "");
    }
}
