//! Which devices inference was asked for, and which ones it got.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use thiserror::Error;

/// Most GPUs of one process. No machine has as many.
const MOST_GPUS: usize = 64;

/// The CPU through OpenVINO.
const OPENVINO: &str = "openvino:cpu";

/// Where a session runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// Written `cpu`.
    #[default]
    Cpu,
    /// The CPU, by OpenVINO instead of ONNX Runtime's own kernels. Written `openvino:cpu`.
    OpenVino,
    /// The GPU of this number, by ONNX Runtime's own kernels. Written `cuda:N`.
    Cuda(u32),
    /// The GPU of this number, by engines that TensorRT builds. Written `tensorrt:N`.
    TensorRt(u32),
}

impl Device {
    /// The number of the GPU, if it is one.
    #[must_use]
    pub const fn gpu(self) -> Option<u32> {
        match self {
            Self::Cpu | Self::OpenVino => None,
            Self::Cuda(number) | Self::TensorRt(number) => Some(number),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::OpenVino => f.write_str(OPENVINO),
            Self::Cuda(number) => write!(f, "{}:{number}", Accelerator::Cuda),
            Self::TensorRt(number) => write!(f, "{}:{number}", Accelerator::TensorRt),
        }
    }
}

/// As it is written.
impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What runs a network on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Accelerator {
    /// ONNX Runtime's kernels for CUDA.
    Cuda,
    /// TensorRT, and CUDA for what it leaves over.
    TensorRt,
}

impl Accelerator {
    /// Its device of this number.
    #[must_use]
    pub const fn device(self, number: u32) -> Device {
        match self {
            Self::Cuda => Device::Cuda(number),
            Self::TensorRt => Device::TensorRt(number),
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        })
    }
}

/// Which GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Gpus {
    /// All that work.
    All,
    /// These, each of which must work; at least one, none twice.
    Numbered(Vec<u32>),
}

/// Where inference shall run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeviceRequest {
    /// The first GPU if it works, else the CPU. Written `auto`.
    #[default]
    Auto,
    /// Written `cpu`.
    Cpu,
    /// The CPU through OpenVINO and nothing else. Written `openvino:cpu`, or `openvino`.
    OpenVino,
    /// GPUs and nothing else. Written `cuda:0`, `cuda:0,1`, `cuda:0-3`, `cuda:all`, and the same with `tensorrt`; without
    /// a number it is the first.
    Gpus(Accelerator, Gpus),
}

/// A text that names no device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a device: expected auto, cpu, openvino, cuda, cuda:N, cuda:0,1, cuda:0-3, cuda:all, or the same with tensorrt"
)]
pub struct ParseDeviceError(String);

impl FromStr for DeviceRequest {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "openvino" | OPENVINO => return Ok(Self::OpenVino),
            _ => {}
        }
        let (name, which) = text.split_once(':').unwrap_or((text, "0"));
        let accelerator = [Accelerator::Cuda, Accelerator::TensorRt].into_iter().find(|one| one.to_string() == name);
        let gpus = if which == "all" { Some(Gpus::All) } else { numbers(which).map(Gpus::Numbered) };
        accelerator
            .zip(gpus)
            .map(|(accelerator, gpus)| Self::Gpus(accelerator, gpus))
            .ok_or_else(|| ParseDeviceError(text.to_owned()))
    }
}

/// The numbers of a list such as `0,2-4`.
fn numbers(list: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if last < first || (last - first) as usize >= MOST_GPUS {
            return None;
        }
        numbers.extend(first..=last);
    }
    let unique = numbers.iter().enumerate().all(|(index, number)| !numbers[..index].contains(number));
    (unique && numbers.len() <= MOST_GPUS).then_some(numbers)
}

/// ONNX Runtime takes a signed number; `parse` alone would accept `+1`.
fn number(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|&number| plain && i32::try_from(number).is_ok())
}

impl fmt::Display for DeviceRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::OpenVino => f.write_str(OPENVINO),
            Self::Gpus(accelerator, Gpus::All) => write!(f, "{accelerator}:all"),
            Self::Gpus(accelerator, Gpus::Numbered(numbers)) => {
                let numbers: Vec<_> = numbers.iter().map(u32::to_string).collect();
                write!(f, "{accelerator}:{}", numbers.join(","))
            }
        }
    }
}

/// A device that was demanded cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("use device {device}: {reason}")]
pub struct DeviceError {
    /// The device demanded.
    pub device: String,
    /// Why not.
    pub reason: String,
}

/// What was asked for and what inference runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// As in the settings.
    pub requested: DeviceRequest,
    /// The CPU alone, in one of two ways, or one or several GPUs.
    pub actual: Vec<Device>,
    /// Why [`DeviceRequest::Auto`] did not take a GPU.
    pub note: Option<String>,
}

impl Provider {
    /// Finds the devices for `requested` by making `attempt` on each that comes into question, which says why it does not
    /// work.
    ///
    /// # Errors
    /// When a device is demanded and does not work, or none does.
    pub(super) fn settle(
        requested: &DeviceRequest,
        mut attempt: impl FnMut(Device) -> Result<(), String>,
    ) -> Result<Self, DeviceError> {
        let settled = |actual, note| Ok(Self { requested: requested.clone(), actual, note });
        let failed = |device: Device| move |reason| DeviceError { device: device.to_string(), reason };
        match requested {
            DeviceRequest::Cpu => {
                attempt(Device::Cpu).map_err(failed(Device::Cpu))?;
                settled(vec![Device::Cpu], None)
            }
            DeviceRequest::OpenVino => {
                attempt(Device::OpenVino).map_err(failed(Device::OpenVino))?;
                settled(vec![Device::OpenVino], None)
            }
            DeviceRequest::Auto => match attempt(Device::Cuda(0)) {
                Ok(()) => settled(vec![Device::Cuda(0)], None),
                Err(reason) => {
                    attempt(Device::Cpu).map_err(failed(Device::Cpu))?;
                    settled(vec![Device::Cpu], Some(reason))
                }
            },
            DeviceRequest::Gpus(accelerator, Gpus::Numbered(numbers)) => {
                let devices: Vec<_> = numbers.iter().map(|&number| accelerator.device(number)).collect();
                devices.iter().try_for_each(|&device| attempt(device).map_err(failed(device)))?;
                settled(devices, None)
            }
            DeviceRequest::Gpus(accelerator, Gpus::All) => {
                let first = accelerator.device(0);
                attempt(first).map_err(failed(first))?;
                // ONNX Runtime does not say how many there are; numbers have no gaps.
                let others = (1..MOST_GPUS as u32).map(|number| accelerator.device(number));
                let others = others.take_while(|&device| attempt(device).is_ok());
                settled(std::iter::once(first).chain(others).collect(), None)
            }
        }
    }

    /// What inference runs on, see [`devices_name`].
    #[must_use]
    pub fn actual_name(&self) -> String {
        devices_name(&self.actual)
    }
}

/// Devices of one kind, written as a request for them would be.
#[must_use]
pub fn devices_name(devices: &[Device]) -> String {
    let mut numbers = Vec::new();
    for number in devices.iter().filter_map(|device| device.gpu()) {
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let request = match devices.first() {
        None | Some(Device::Cpu) => DeviceRequest::Cpu,
        Some(Device::OpenVino) => DeviceRequest::OpenVino,
        Some(Device::Cuda(_)) => DeviceRequest::Gpus(Accelerator::Cuda, Gpus::Numbered(numbers)),
        Some(Device::TensorRt(_)) => DeviceRequest::Gpus(Accelerator::TensorRt, Gpus::Numbered(numbers)),
    };
    request.to_string()
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requested, actual) = (self.requested.to_string(), self.actual_name());
        f.write_str(&actual)?;
        if requested != actual {
            write!(f, " (asked for {requested}")?;
            if let Some(note) = &self.note {
                write!(f, "; {note}")?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

/// The device of inference thread `thread`: threads go round the devices, so that no two devices differ by more than one.
///
/// # Panics
/// When there are no devices.
#[must_use]
pub fn device_of_thread(devices: &[Device], thread: usize) -> Device {
    devices[thread % devices.len()]
}

/// ONNX Runtime's messages span lines and begin with source positions and codes; the readers of settings and logs get the rest
/// on one line.
pub(super) fn one_line(message: &str) -> String {
    // `file.cc:1 Function() [ONNXRuntimeError] : 1 : FAIL : what happened`
    let said = message.rsplit("[ONNXRuntimeError] : ").next().unwrap_or(message);
    let said = if said.len() < message.len() { said.splitn(3, " : ").last().unwrap_or(said) } else { said };
    // `Exception from file.cpp:1:`, a line for each caller of OpenVINO's, and what happened
    let traced = said.rsplit_once("Exception from ").and_then(|(_, last)| last.split_once('\n'));
    let said = traced.map_or(said, |(_, said)| said);
    let words: Vec<_> = said.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests;
