//! Which devices inference was asked for, and which ones it got.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};
use thiserror::Error;

use super::precision::PrecisionRequest;

/// Most GPUs of one process. No machine has as many.
const MOST_GPUS: usize = 64;

/// What OpenVINO computes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenVinoDevice {
    /// The CPU, by OpenVINO instead of ONNX Runtime's own kernels. Written `openvino:cpu`.
    Cpu,
    /// Intel's GPU, the first where there are several. Written `openvino:gpu`.
    Gpu,
}

impl OpenVinoDevice {
    /// Both.
    const ALL: [Self; 2] = [Self::Cpu, Self::Gpu];
}

impl fmt::Display for OpenVinoDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "openvino:cpu",
            Self::Gpu => "openvino:gpu",
        })
    }
}

/// Where a session runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Device {
    /// Written `cpu`.
    #[default]
    Cpu,
    /// What OpenVINO computes on, see there.
    OpenVino(OpenVinoDevice),
    /// The GPU of this number, by ONNX Runtime's own kernels. Written `cuda:N`.
    Cuda(u32),
    /// The GPU of this number, by engines that TensorRT builds. Written `tensorrt:N`.
    TensorRt(u32),
}

impl Device {
    /// The CPU through OpenVINO.
    pub(super) const OPENVINO: Self = Self::OpenVino(OpenVinoDevice::Cpu);

    /// The number of NVIDIA's GPU, if it is one.
    #[must_use]
    pub const fn gpu(self) -> Option<u32> {
        match self {
            Self::Cpu | Self::OpenVino(_) => None,
            Self::Cuda(number) | Self::TensorRt(number) => Some(number),
        }
    }

    /// Whether it leaves the CPU to others: a GPU, whoever made it.
    #[must_use]
    pub const fn is_gpu(self) -> bool {
        self.gpu().is_some() || matches!(self, Self::OpenVino(OpenVinoDevice::Gpu))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::OpenVino(on) => on.fmt(f),
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
    /// NVIDIA's first GPU if it works; else the CPU, through OpenVINO where that is there and faster. Written `auto`.
    #[default]
    Auto,
    /// The CPU by ONNX Runtime's own kernels. Written `cpu`.
    Cpu,
    /// The CPU or a GPU through OpenVINO and nothing else. Written `openvino:cpu`, `openvino:gpu`, or `openvino` for the CPU.
    OpenVino(OpenVinoDevice),
    /// GPUs and nothing else. Written `cuda:0`, `cuda:0,1`, `cuda:0-3`, `cuda:all`, and the same with `tensorrt`; without
    /// a number it is the first.
    Gpus(Accelerator, Gpus),
}

/// A text that names no device.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a device: expected auto, cpu, openvino, openvino:gpu, cuda, cuda:N, cuda:0,1, cuda:0-3, cuda:all, or the same with tensorrt"
)]
pub struct ParseDeviceError(String);

impl FromStr for DeviceRequest {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "openvino" => return Ok(Self::OpenVino(OpenVinoDevice::Cpu)),
            _ => {}
        }
        if let Some(on) = OpenVinoDevice::ALL.into_iter().find(|on| on.to_string() == text) {
            return Ok(Self::OpenVino(on));
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
            Self::OpenVino(on) => on.fmt(f),
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
    /// One device that is none of NVIDIA's, or one or several GPUs of theirs.
    pub actual: Vec<Device>,
    /// What computes instead where it is faster with the network in question, or the only one that can.
    pub rival: Option<Device>,
    /// Why [`DeviceRequest::Auto`] did not take a GPU or OpenVINO.
    pub note: Option<String>,
}

impl Provider {
    /// Finds the devices for `requested` by making `attempt` on each that comes into question, which says why it does not
    /// work. OpenVINO comes into question for [`DeviceRequest::Auto`] where it is `worthwhile` on this CPU.
    ///
    /// # Errors
    /// When a device is demanded and does not work, or none does.
    pub(super) fn settle(
        requested: &DeviceRequest,
        worthwhile: bool,
        mut attempt: impl FnMut(Device) -> Result<(), String>,
    ) -> Result<Self, DeviceError> {
        let settled = |actual, note| Ok(Self { requested: requested.clone(), actual, rival: None, note });
        let failed = |device: Device| move |reason| DeviceError { device: device.to_string(), reason };
        match requested {
            DeviceRequest::Cpu => {
                attempt(Device::Cpu).map_err(failed(Device::Cpu))?;
                settled(vec![Device::Cpu], None)
            }
            DeviceRequest::OpenVino(on) => {
                let device = Device::OpenVino(*on);
                attempt(device).map_err(failed(device))?;
                settled(vec![device], None)
            }
            DeviceRequest::Auto => {
                let Err(no_gpu) = attempt(Device::Cuda(0)) else { return settled(vec![Device::Cuda(0)], None) };
                attempt(Device::Cpu).map_err(failed(Device::Cpu))?;
                match worthwhile.then(|| attempt(Device::OPENVINO)) {
                    None => settled(vec![Device::Cpu], Some(no_gpu)),
                    Some(Err(no_openvino)) => settled(vec![Device::Cpu], Some(format!("{no_gpu}; {no_openvino}"))),
                    Some(Ok(())) => {
                        let settled = settled(vec![Device::OPENVINO], Some(no_gpu));
                        settled.map(|settled| Self { rival: Some(Device::Cpu), ..settled })
                    }
                }
            }
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

    /// Without what cannot compute as `precision` asks, where something else can; the note says why.
    ///
    /// # Errors
    /// When nothing can.
    pub fn able(self, precision: PrecisionRequest) -> Result<Self, String> {
        let can = |device| precision.on(device).map(drop);
        let Err(reason) = can(device_of_thread(&self.actual, 0)) else {
            let rival = self.rival.filter(|&rival| can(rival).is_ok());
            return Ok(Self { rival, ..self });
        };
        let noted = |reason: String| match &self.note {
            Some(note) => format!("{note}; {reason}"),
            None => reason,
        };
        match self.rival {
            Some(rival) if can(rival).is_ok() => {
                Ok(Self { note: Some(noted(reason)), requested: self.requested, actual: vec![rival], rival: None })
            }
            // What was left out says more than what is not there.
            _ => Err(noted(reason)),
        }
    }

    /// What inference runs on, see [`devices_name`]; both where it is still to be measured.
    #[must_use]
    pub fn actual_name(&self) -> String {
        let name = devices_name(&self.actual);
        self.rival.map_or_else(|| name.clone(), |rival| format!("{name} or {rival}"))
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
        Some(&Device::OpenVino(on)) => DeviceRequest::OpenVino(on),
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
