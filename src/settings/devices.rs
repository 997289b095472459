//! Devices, batch sizes and how positions travel, as text.

use std::{fmt, ops::Deref, str::FromStr};

use selfplay_actors::onnx::{self, DeviceRequest};
use serde::{Deserialize, Serialize};

use super::kind;

/// Most batch sizes: each is warmed, and some need memory of their own.
const MOST_BUCKETS: usize = 64;
/// Largest batch size.
const LARGEST_BUCKET: usize = 65_536;

/// Where the network runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Device(pub(crate) DeviceRequest);

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| format!("{text:?} is none of {}", kind::DEVICES))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

/// How positions travel to the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InputFormat {
    /// Packed to a GPU, as planes on a CPU.
    Auto,
    /// As the network takes them.
    Planes,
    /// As bits, which the network's graph expands.
    Packed,
}

impl From<InputFormat> for onnx::InputFormat {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Auto => Self::Auto,
            InputFormat::Planes => Self::Planes,
            InputFormat::Packed => Self::Packed,
        }
    }
}

/// Batch sizes in ascending order, as text separated by commas.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Buckets(Vec<usize>);

impl Buckets {
    /// The largest.
    pub(crate) fn largest(&self) -> usize {
        self.last().copied().unwrap_or(1)
    }
}

impl Deref for Buckets {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for Buckets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let sizes: Option<Vec<usize>> = text.split(',').map(|size| size.trim().parse().ok()).collect();
        let ascending = |sizes: &[usize]| sizes.windows(2).all(|pair| pair[0] < pair[1]);
        let fits = |sizes: &Vec<usize>| {
            sizes.len() <= MOST_BUCKETS
                && sizes.iter().all(|size| (1..=LARGEST_BUCKET).contains(size))
                && ascending(sizes)
        };
        sizes.filter(fits).map(Self).ok_or_else(|| format!("{text:?} is not a list of batch sizes"))
    }
}

impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sizes: Vec<_> = self.iter().map(usize::to_string).collect();
        f.write_str(&sizes.join(","))
    }
}

impl TryFrom<String> for Buckets {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Buckets> for String {
    fn from(buckets: Buckets) -> Self {
        buckets.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_read_and_print_alike() {
        for text in ["auto", "cpu", "openvino:cpu", "openvino:gpu", "cuda:3", "cuda:0,2", "cuda:all", "tensorrt:1"] {
            assert_eq!(text.parse::<Device>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<Device>().unwrap().to_string(), "cuda:0");
        assert_eq!("openvino".parse::<Device>().unwrap().to_string(), "openvino:cpu");
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU"] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn batch_sizes_ascend() {
        assert_eq!(*"1, 8,64".parse::<Buckets>().unwrap(), [1, 8, 64]);
        assert_eq!("1, 8,64".parse::<Buckets>().unwrap().to_string(), "1,8,64");
        assert_eq!("65536".parse::<Buckets>().unwrap().largest(), 65_536);
        let many = (1..=65).map(|size| size.to_string()).collect::<Vec<_>>().join(",");
        for wrong in ["", "0,1", "8,1", "8,8", "1,65537", "1,x", "1,-2", "1,,2", &many] {
            assert!(wrong.parse::<Buckets>().is_err(), "{wrong}");
        }
    }
}
