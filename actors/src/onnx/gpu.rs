//! The providers of sessions, and how they use GPUs: the options of ONNX Runtime's providers.
//!
//! Each session has a stream of its own, as ONNX Runtime makes one for every session that is not given one, so that the
//! copies of one inference thread run beside the kernels of another on the same GPU.

use std::path::PathBuf;

use ort::ep::{
    ArbitrarilyConfigurableExecutionProvider as _, CUDA, ExecutionProvider as _, ExecutionProviderDispatch, OpenVINO,
    TensorRT,
};

use super::{
    device::{Device, one_line},
    openvino, packages,
    precision::Precision,
    runtime::Runtime,
};

/// How sessions use GPUs. A CPU makes nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuOptions {
    /// Most memory of a session, in bytes; `None`: as much as it takes. What cuDNN takes for itself comes on top.
    pub memory_limit: Option<u64>,
    /// Whether matrix products and convolutions of single precision are computed on ten bits of mantissa, where the GPU can:
    /// faster, and off by about one part in a thousand.
    pub tf32: bool,
    /// Whether convolutions are run with channels last, as tensor cores like them.
    pub channels_last: bool,
    /// Whether the launches of each batch size are captured once and then replayed.
    pub graphs: bool,
    /// Where TensorRT keeps its engines; `None`: it builds them anew each time.
    pub engine_cache: Option<PathBuf>,
}

impl Default for GpuOptions {
    /// As ONNX Runtime does it by itself, except for the search of convolutions.
    fn default() -> Self {
        Self { memory_limit: None, tf32: true, channels_last: false, graphs: false, engine_cache: None }
    }
}

/// What TensorRT must know of one model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct EnginePlan {
    /// Where engines of this very model are kept, and what was learned about all models of its structure.
    pub(super) places: Option<EnginePlaces>,
    /// Whether it is of half precision, so that engines may be.
    pub(super) fp16: bool,
    /// The input's name and shape of one position.
    pub(super) input: String,
    /// See there.
    pub(super) row: Vec<usize>,
    /// Smallest and largest batch; `None`: the model takes one size only.
    pub(super) batches: Option<(usize, usize)>,
}

/// See [`EnginePlan::places`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EnginePlaces {
    /// Holds engines. ONNX Runtime takes an engine for any weights, so that each model needs a folder of its own.
    pub(super) engines: PathBuf,
    /// Holds how long kernels take, which does not depend on weights.
    pub(super) timings: PathBuf,
}

/// Why `device` cannot work with this library. Whether it does work shows only when a session runs there.
pub(super) fn compiled_in(runtime: &Runtime, device: Device) -> Result<(), String> {
    let (available, name) = match device {
        Device::Cpu => return Ok(()),
        Device::OpenVino(_) => (OpenVINO::is_available(), "OpenVINO"),
        Device::Cuda(_) => (CUDA::is_available(), "CUDA"),
        Device::TensorRt(_) => (TensorRT::is_available(), "TensorRT"),
    };
    match available {
        Ok(true) if device == Device::OPENVINO => openvino::suffices(),
        Ok(true) => Ok(()),
        Ok(false) if matches!(device, Device::OpenVino(_)) => Err(format!(
            "the ONNX Runtime in {} is built without OpenVINO; `{}` fetches one that has it, which is taken unless \
             inference.ort_library or ORT_DYLIB_PATH names another",
            runtime.library().display(),
            packages::openvino_command(!packages::folders().is_empty())
        )),
        Ok(false) => Err(format!("the ONNX Runtime in {} is built without {name}", runtime.library().display())),
        Err(error) => Err(one_line(error.message())),
    }
}

/// The providers of a session on `device`, the first that takes a node before the others; errors where they do not work.
/// Without `error_on_failure` a session would silently run on the CPU.
pub(super) fn providers(
    device: Device,
    precision: Precision,
    options: &GpuOptions,
    plan: &EnginePlan,
) -> Vec<ExecutionProviderDispatch> {
    let cuda = |number| {
        let options = cuda_options(number, options);
        let provider =
            options.into_iter().fold(CUDA::default(), |cuda, (key, value)| cuda.with_arbitrary_config(key, value));
        provider.build().error_on_failure()
    };
    match device {
        Device::Cpu => Vec::new(),
        Device::OpenVino(on) => vec![openvino::provider(on, precision)],
        Device::Cuda(number) => vec![cuda(number)],
        Device::TensorRt(number) => {
            let options = tensorrt_options(number, options, plan);
            let provider = options
                .into_iter()
                .fold(TensorRT::default(), |tensorrt, (key, value)| tensorrt.with_arbitrary_config(key, value));
            // CUDA runs what TensorRT does not take.
            vec![provider.build().error_on_failure(), cuda(number)]
        }
    }
}

type Options = Vec<(&'static str, String)>;

fn flag(flag: bool) -> String {
    u8::from(flag).to_string()
}

fn cuda_options(number: u32, options: &GpuOptions) -> Options {
    let mut list = vec![
        ("device_id", number.to_string()),
        // The exhaustive search takes 0.6 s for every new batch shape, the heuristic one 2 ms.
        ("cudnn_conv_algo_search", "HEURISTIC".to_owned()),
        ("use_tf32", flag(options.tf32)),
        ("prefer_nhwc", flag(options.channels_last)),
        ("enable_cuda_graph", flag(options.graphs)),
    ];
    list.extend(options.memory_limit.map(|limit| ("gpu_mem_limit", limit.to_string())));
    list
}

fn tensorrt_options(number: u32, options: &GpuOptions, plan: &EnginePlan) -> Options {
    let mut list = vec![
        ("device_id", number.to_string()),
        ("trt_fp16_enable", flag(plan.fp16)),
        ("trt_cuda_graph_enable", flag(options.graphs)),
    ];
    list.extend(options.memory_limit.map(|limit| ("trt_max_workspace_size", limit.to_string())));
    if let Some((least, most)) = plan.batches {
        // One profile for all buckets, best at the largest, which is the usual one under load.
        let shape = |batch: usize| {
            let sizes: Vec<_> =
                std::iter::once(batch).chain(plan.row.iter().copied()).map(|size| size.to_string()).collect();
            format!("{}:{}", plan.input, sizes.join("x"))
        };
        list.push(("trt_profile_min_shapes", shape(least)));
        list.push(("trt_profile_opt_shapes", shape(most)));
        list.push(("trt_profile_max_shapes", shape(most)));
    }
    if let Some(EnginePlaces { engines, timings }) = &plan.places {
        list.push(("trt_engine_cache_enable", flag(true)));
        list.push(("trt_engine_cache_path", engines.display().to_string()));
        list.push(("trt_timing_cache_enable", flag(true)));
        list.push(("trt_timing_cache_path", timings.display().to_string()));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &Options) -> String {
        let parts: Vec<_> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        parts.join(" ")
    }

    #[test]
    fn cuda_is_told_everything_that_is_chosen() {
        let usual = cuda_options(2, &GpuOptions::default());
        let expected = "device_id=2 cudnn_conv_algo_search=HEURISTIC use_tf32=1 prefer_nhwc=0 enable_cuda_graph=0";
        assert_eq!(text(&usual), expected);
        let chosen = GpuOptions {
            memory_limit: Some(1 << 30),
            tf32: false,
            channels_last: true,
            graphs: true,
            ..GpuOptions::default()
        };
        let expected = "device_id=0 cudnn_conv_algo_search=HEURISTIC use_tf32=0 prefer_nhwc=1 enable_cuda_graph=1 \
                        gpu_mem_limit=1073741824";
        assert_eq!(text(&cuda_options(0, &chosen)), expected);
    }

    #[test]
    fn tensorrt_is_told_shapes_and_places() {
        let plain = tensorrt_options(1, &GpuOptions::default(), &EnginePlan::default());
        assert_eq!(text(&plain), "device_id=1 trt_fp16_enable=0 trt_cuda_graph_enable=0");
        let plan = EnginePlan {
            fp16: true,
            places: Some(EnginePlaces { engines: "/c/s/m".into(), timings: "/c/s".into() }),
            input: "input".to_owned(),
            row: vec![5, 21, 21],
            batches: Some((1, 1024)),
        };
        let expected = "device_id=0 trt_fp16_enable=1 trt_cuda_graph_enable=0 \
                        trt_profile_min_shapes=input:1x5x21x21 trt_profile_opt_shapes=input:1024x5x21x21 \
                        trt_profile_max_shapes=input:1024x5x21x21 trt_engine_cache_enable=1 \
                        trt_engine_cache_path=/c/s/m trt_timing_cache_enable=1 trt_timing_cache_path=/c/s";
        assert_eq!(text(&tensorrt_options(0, &GpuOptions::default(), &plan)), expected);
    }

    #[test]
    fn every_device_has_its_providers_and_a_cpu_none() {
        let names = |device| -> Vec<_> {
            let providers = providers(device, Precision::Fp32, &GpuOptions::default(), &EnginePlan::default());
            providers.iter().map(ExecutionProviderDispatch::name).collect()
        };
        assert!(names(Device::Cpu).is_empty());
        assert_eq!(names(Device::OPENVINO), ["OpenVINOExecutionProvider"]);
        assert_eq!(names(Device::Cuda(0)), ["CUDAExecutionProvider"]);
        assert_eq!(names(Device::TensorRt(3)), ["TensorrtExecutionProvider", "CUDAExecutionProvider"]);
    }
}
