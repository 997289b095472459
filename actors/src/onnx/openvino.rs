//! The CPU through OpenVINO: whether this machine can, and the options of ONNX Runtime's provider.
//!
//! OpenVINO compiles a network for every batch size at its first run (20 to 75 ms), so that batches are padded to a few sizes, as
//! on a GPU. It computes on the thread that asks: one session a thread, as with ONNX Runtime's own kernels.

use ort::ep::{ArbitrarilyConfigurableExecutionProvider as _, ExecutionProviderDispatch, OpenVINO};
use serde_json::json;

/// Fetches a library that has it.
pub(super) const FETCH_COMMAND: &str = "cargo xtask fetch-ort --openvino";

/// The provider of a session that computes in bf16 or in fp32.
pub(super) fn provider(bf16: bool) -> ExecutionProviderDispatch {
    options(bf16)
        .into_iter()
        .fold(OpenVINO::default(), |provider, (key, value)| provider.with_arbitrary_config(key, value))
        .build()
        .error_on_failure()
}

/// `load_config` is JSON itself, not the path of a file. Without a hint OpenVINO would choose bf16 by itself where the CPU has it.
fn options(bf16: bool) -> [(&'static str, String); 2] {
    let hint = if bf16 { "bf16" } else { "f32" };
    let plugin = json!({ "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": "1", "NUM_STREAMS": "1" });
    [("device_type", "CPU".to_owned()), ("load_config", json!({ "CPU": plugin }).to_string())]
}

/// What OpenVINO asks of a CPU.
#[derive(Clone, Copy, Debug)]
pub(super) struct Abilities {
    pub(super) avx2: bool,
    /// Instructions for bf16. CPUs with AMX have those of AVX-512 as well.
    pub(super) avx512_bf16: bool,
}

impl Abilities {
    #[cfg(target_arch = "x86_64")]
    pub(super) fn of_this_cpu() -> Self {
        Self {
            avx2: std::arch::is_x86_feature_detected!("avx2"),
            avx512_bf16: std::arch::is_x86_feature_detected!("avx512bf16"),
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    pub(super) const fn of_this_cpu() -> Self {
        Self { avx2: false, avx512_bf16: false }
    }

    /// Whether networks run at all.
    ///
    /// # Errors
    /// What is missing, and what to do instead.
    pub(super) fn suffice(self) -> Result<(), String> {
        if self.avx2 {
            return Ok(());
        }
        Err("OpenVINO is for x86_64 CPUs with AVX2, which this one has not; choose inference.device = \"cpu\""
            .to_owned())
    }

    /// Whether bf16 is faster than fp32.
    pub(super) const fn bf16(self) -> bool {
        self.avx512_bf16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_told_one_thread_and_the_precision() {
        let text = |bf16| options(bf16).map(|(key, value)| format!("{key}={value}")).join(" ");
        let expected = r#"device_type=CPU load_config={"CPU":{"INFERENCE_NUM_THREADS":"1","INFERENCE_PRECISION_HINT":"bf16","NUM_STREAMS":"1"}}"#;
        assert_eq!(text(true), expected);
        assert_eq!(text(false), expected.replace("bf16", "f32"), "never left to OpenVINO");
    }

    #[test]
    fn a_cpu_without_avx2_is_refused_with_what_to_do() {
        let old = Abilities { avx2: false, avx512_bf16: false };
        let error = old.suffice().unwrap_err();
        assert!(error.contains("AVX2") && error.contains("\"cpu\""), "{error}");
        assert_eq!(Abilities { avx2: true, ..old }.suffice(), Ok(()));
    }
}
