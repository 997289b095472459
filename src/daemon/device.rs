//! What the network runs on, for status and metrics.

use selfplay_actors::{
    loader::Placed,
    onnx::{Placement, Provider, device_of_thread, devices_name},
};
use serde::{Deserialize, Serialize};

/// What the network runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceStatus {
    /// As in the settings.
    pub requested: String,
    /// As found; two until the first model shows which is faster.
    pub actual: String,
    /// What is computed with there; `null` before the first model, and without a network.
    #[serde(default)]
    pub precision: Option<String>,
    /// Every inference thread; none without a network.
    pub threads: Vec<ThreadDevice>,
    /// Why it is not a GPU or OpenVINO where `auto` was asked for.
    pub note: Option<String>,
    /// Version of ONNX Runtime; `null` without a network.
    pub onnxruntime: Option<String>,
}

/// What one inference thread runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ThreadDevice {
    /// Its name.
    pub thread: String,
    /// As in the settings.
    pub requested: String,
    /// Its own device.
    pub actual: String,
}

/// Where [`DeviceStatus`] is read: what was settled at the start, and what the newest model made of it.
#[derive(Clone, Debug)]
pub(crate) struct DeviceFacts {
    settled: DeviceStatus,
    placed: Placed,
}

impl DeviceFacts {
    /// What nothing changes any more.
    pub(crate) fn fixed(settled: DeviceStatus) -> Self {
        Self { settled, placed: Placed::default() }
    }

    /// What `threads` inference threads run on, as soon as `placed` tells.
    pub(crate) fn new(provider: &Provider, threads: usize, onnxruntime: &str, placed: Placed) -> Self {
        let thread = |thread: usize| ThreadDevice {
            thread: format!("inference-{thread}"),
            requested: provider.requested.to_string(),
            actual: match provider.rival {
                Some(_) => provider.actual_name(),
                None => device_of_thread(&provider.actual, thread).to_string(),
            },
        };
        let settled = DeviceStatus {
            requested: provider.requested.to_string(),
            actual: provider.actual_name(),
            precision: None,
            threads: (0..threads).map(thread).collect(),
            note: provider.note.clone(),
            onnxruntime: Some(onnxruntime.to_owned()),
        };
        Self { settled, placed }
    }

    /// As it is now.
    pub(crate) fn look(&self) -> DeviceStatus {
        let mut status = self.settled.clone();
        if let Some(Placement { devices, precision }) = self.placed.get() {
            status.actual = devices_name(&devices);
            status.precision = Some(precision.to_string());
            for (index, thread) in status.threads.iter_mut().enumerate() {
                thread.actual = device_of_thread(&devices, index).to_string();
            }
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use selfplay_actors::onnx::{Device, DeviceRequest, OpenVinoDevice, Precision};

    use super::*;

    #[test]
    fn the_device_is_open_until_the_first_model_is_placed() {
        let openvino = Device::OpenVino(OpenVinoDevice::Cpu);
        let provider = Provider {
            requested: DeviceRequest::Auto,
            actual: vec![openvino],
            rival: Some(Device::Cpu),
            note: Some("no GPU".to_owned()),
        };
        let placed = Placed::default();
        let facts = DeviceFacts::new(&provider, 2, "1.24.1", placed.clone());
        let seen = || {
            let DeviceStatus { actual, precision, threads, .. } = facts.look();
            (actual, precision, threads[1].actual.clone())
        };
        let open = "openvino:cpu or cpu".to_owned();
        assert_eq!(seen(), (open.clone(), None, open));
        for (device, name, precision) in
            [(openvino, "openvino:cpu", Precision::Bf16), (Device::Cpu, "cpu", Precision::Fp32)]
        {
            placed.set(Placement { devices: vec![device], precision });
            assert_eq!(seen(), (name.to_owned(), Some(precision.to_string()), name.to_owned()));
        }
    }
}
