//! The CPU, or Intel's GPU, through OpenVINO: whether this machine can, and the options of ONNX Runtime's provider.
//!
//! OpenVINO compiles a network for every batch size at its first run (20 to 75 ms), so that batches are padded to a few sizes, as
//! on a GPU. On a CPU it computes on the thread that asks: one session a thread, as with ONNX Runtime's own kernels.

mod cpu;

use ort::ep::{ArbitrarilyConfigurableExecutionProvider as _, ExecutionProviderDispatch, OpenVINO};
use serde_json::json;

pub(super) use self::cpu::has_bf16;
use super::{device::OpenVinoDevice, packages, precision::Precision};

/// The provider of a session that computes in `precision`. Of int8 models the graph tells; what is left is computed in fp32.
pub(super) fn provider(on: OpenVinoDevice, precision: Precision) -> ExecutionProviderDispatch {
    options(on, precision)
        .into_iter()
        .fold(OpenVINO::default(), |provider, (key, value)| provider.with_arbitrary_config(key, value))
        .build()
        .error_on_failure()
}

/// `load_config` is JSON itself, not the path of a file. Without a hint OpenVINO would choose bf16 or fp16 by itself where the
/// device has it.
fn options(on: OpenVinoDevice, precision: Precision) -> [(&'static str, String); 2] {
    let hint = match precision {
        Precision::Fp32 | Precision::Int8 => "f32",
        Precision::Bf16 => "bf16",
        Precision::Fp16 => "f16",
    };
    let (name, plugin) = match on {
        OpenVinoDevice::Cpu => {
            // Pinned, the threads of all sessions would share the first core.
            let plugin = json!({
                "INFERENCE_PRECISION_HINT": hint,
                "INFERENCE_NUM_THREADS": "1",
                "NUM_STREAMS": "1",
                "ENABLE_CPU_PINNING": "NO",
            });
            ("CPU", plugin)
        }
        OpenVinoDevice::Gpu => ("GPU", json!({ "INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": "1" })),
    };
    [("device_type", name.to_owned()), ("load_config", json!({ name: plugin }).to_string())]
}

/// Whether networks run at all on this CPU.
///
/// # Errors
/// What is missing, and what to do instead.
pub(super) fn suffices() -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    let avx2 = std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    let avx2 = false;
    suffices_with(avx2)
}

fn suffices_with(avx2: bool) -> Result<(), String> {
    if avx2 {
        return Ok(());
    }
    Err("OpenVINO is for x86_64 CPUs with AVX2, which this one has not; choose inference.device = \"cpu\"".to_owned())
}

/// What ONNX Runtime says when a session with OpenVINO cannot be made, in words that say what to do. Why the provider does not start
/// it only logs.
pub(super) fn explained(on: OpenVinoDevice, reason: String, logged: Option<String>) -> String {
    let unstarted = reason.starts_with("Failed to load provider");
    let reason = if unstarted { logged.unwrap_or(reason) } else { reason };
    if reason.contains("fallback to CPU EP has been explicitly disabled") {
        return "it holds operators that OpenVINO does not run; choose inference.device = \"cpu\" for it".to_owned();
    }
    if on == OpenVinoDevice::Gpu && reason.contains("Device GPU is not available") {
        return "OpenVINO finds no GPU of Intel's on this machine, or not the driver that it needs (Debian's intel-opencl-icd, and \
                in a container /dev/dri); choose inference.device = \"openvino:cpu\""
            .to_owned();
    }
    let again = packages::openvino_again_command(!packages::folders().is_empty());
    if ["JSON parsing error", "Unsupported property", "Wrong value for property", "Invalid OpenVINO EP option"]
        .iter()
        .any(|refusal| reason.contains(refusal))
    {
        return format!(
            "this OpenVINO refuses the options that it is given, as it is of another version than they are for ({reason}); \
             `{again}` fetches the one that fits"
        );
    }
    if unstarted {
        return format!(
            "OpenVINO does not start, its libraries beside ONNX Runtime are missing, damaged or of another version than \
             its options are for ({reason}); `{again}` fetches them anew"
        );
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plugin_is_told_one_thread_and_the_precision() {
        use OpenVinoDevice::{Cpu, Gpu};
        let text = |on, precision| options(on, precision).map(|(key, value)| format!("{key}={value}")).join(" ");
        let expected = r#"device_type=CPU load_config={"CPU":{"ENABLE_CPU_PINNING":"NO","INFERENCE_NUM_THREADS":"1","INFERENCE_PRECISION_HINT":"bf16","NUM_STREAMS":"1"}}"#;
        assert_eq!(text(Cpu, Precision::Bf16), expected);
        assert_eq!(text(Cpu, Precision::Fp32), expected.replace("bf16", "f32"), "never left to OpenVINO");
        assert_eq!(text(Cpu, Precision::Int8), expected.replace("bf16", "f32"));
        let expected = r#"device_type=GPU load_config={"GPU":{"INFERENCE_PRECISION_HINT":"f16","NUM_STREAMS":"1"}}"#;
        assert_eq!(text(Gpu, Precision::Fp16), expected);
    }

    #[test]
    fn a_cpu_without_avx2_is_refused_with_what_to_do() {
        let error = suffices_with(false).unwrap_err();
        assert!(error.contains("AVX2") && error.contains("\"cpu\""), "{error}");
        assert_eq!(suffices_with(true), Ok(()));
    }

    /// The words are those of ONNX Runtime 1.24.1, shortened.
    #[test]
    fn refusals_say_what_to_do() {
        use OpenVinoDevice::{Cpu, Gpu};
        const UNSTARTED: &str = "Failed to load provider OpenVINOExecutionProvider";
        let said = |on, reason: &str| explained(on, UNSTARTED.to_owned(), Some(reason.to_owned()));
        let gpu = said(Gpu, "[ERROR] [OpenVINO] Device GPU is not available");
        assert!(gpu.starts_with("OpenVINO finds no GPU") && gpu.ends_with("\"openvino:cpu\""), "{gpu}");
        for reason in [
            "JSON parsing error: [json.exception.parse_error.101] parse error at line 1, column 8",
            "NotFound: Unsupported property NO_SUCH_THING by CPU plugin",
            "Wrong value for property key INFERENCE_NUM_THREADS. Expected only positive numbers (#threads)",
            "Invalid OpenVINO EP option: nosuch",
        ] {
            // Some are logged, others come as errors.
            let text = said(Cpu, reason);
            assert_eq!(explained(Cpu, reason.to_owned(), None), text);
            assert!(text.contains(reason) && text.ends_with("--openvino --force` fetches the one that fits"), "{text}");
        }
        let missing = said(Cpu, "libopenvino.so.2541: cannot open shared object file");
        assert!(missing.starts_with("OpenVINO does not start") && missing.contains("libopenvino.so.2541"), "{missing}");
        assert!(explained(Cpu, UNSTARTED.to_owned(), None).contains(UNSTARTED));
        assert_eq!(explained(Cpu, "something else".to_owned(), None), "something else");
    }
}
