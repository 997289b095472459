//! Names of devices, and what is taken where some do not work.

use super::*;

fn gpus(accelerator: Accelerator, numbers: &[u32]) -> DeviceRequest {
    DeviceRequest::Gpus(accelerator, Gpus::Numbered(numbers.to_vec()))
}

#[test]
fn devices_are_read_and_written() {
    use Accelerator::{Cuda, TensorRt};
    for (text, device, written) in [
        ("auto", DeviceRequest::Auto, "auto"),
        ("cpu", DeviceRequest::Cpu, "cpu"),
        ("openvino", DeviceRequest::OpenVino(OpenVinoDevice::Cpu), "openvino:cpu"),
        ("openvino:cpu", DeviceRequest::OpenVino(OpenVinoDevice::Cpu), "openvino:cpu"),
        ("openvino:gpu", DeviceRequest::OpenVino(OpenVinoDevice::Gpu), "openvino:gpu"),
        ("cuda", gpus(Cuda, &[0]), "cuda:0"),
        ("cuda:7", gpus(Cuda, &[7]), "cuda:7"),
        ("cuda:1,0", gpus(Cuda, &[1, 0]), "cuda:1,0"),
        ("cuda:0-3", gpus(Cuda, &[0, 1, 2, 3]), "cuda:0,1,2,3"),
        ("cuda:0,2-3,7", gpus(Cuda, &[0, 2, 3, 7]), "cuda:0,2,3,7"),
        ("cuda:all", DeviceRequest::Gpus(Cuda, Gpus::All), "cuda:all"),
        ("tensorrt", gpus(TensorRt, &[0]), "tensorrt:0"),
        ("tensorrt:1-2", gpus(TensorRt, &[1, 2]), "tensorrt:1,2"),
        ("tensorrt:all", DeviceRequest::Gpus(TensorRt, Gpus::All), "tensorrt:all"),
    ] {
        assert_eq!(text.parse(), Ok(device.clone()), "{text}");
        assert_eq!(device.to_string(), written);
        assert_eq!(written.parse(), Ok(device));
    }
}

#[test]
fn what_is_no_device_is_refused_with_what_is_allowed() {
    for text in [
        "",
        "gpu",
        "CPU",
        "cpu:0",
        "auto:all",
        "cuda:",
        "cuda:x",
        "cuda:-1",
        "cuda:+1",
        "cuda: 1",
        "cuda:4294967295",
        "cuda:0,",
        "cuda:0,0",
        "cuda:0-2,1",
        "cuda:3-1",
        "cuda:0-64",
        "cuda:0-4000000000",
        "cuda:all,1",
        "tensorrt:",
        "openvino:",
        "openvino:0",
        "openvino:GPU",
        "openvino:gpu:0",
    ] {
        let error = text.parse::<DeviceRequest>().unwrap_err().to_string();
        let allowed =
            "auto, cpu, openvino, openvino:gpu, cuda, cuda:N, cuda:0,1, cuda:0-3, cuda:all, or the same with tensorrt";
        assert_eq!(error, format!("`{text}` is not a device: expected {allowed}"));
    }
}

/// What is settled for a request on a machine where only `working` devices work, with a CPU that is slow in OpenVINO.
fn settle(request: &str, working: &[Device]) -> Result<String, String> {
    settle_with(request, false, working)
}

fn settle_with(request: &str, worthwhile: bool, working: &[Device]) -> Result<String, String> {
    let attempt =
        |device: Device| if working.contains(&device) { Ok(()) } else { Err(format!("there is no {device}")) };
    let provider = Provider::settle(&request.parse().unwrap(), worthwhile, attempt);
    provider.map(|provider| provider.to_string()).map_err(|error| error.to_string())
}

#[test]
fn what_is_demanded_is_taken_or_refused() {
    use Device::{Cpu, Cuda, TensorRt};
    let two = [Cpu, Cuda(0), Cuda(1), TensorRt(0), TensorRt(1)];
    assert_eq!(settle("cpu", &two).unwrap(), "cpu");
    assert_eq!(settle("cuda:1", &two).unwrap(), "cuda:1");
    assert_eq!(settle("cuda:1,0", &two).unwrap(), "cuda:1,0");
    assert_eq!(settle("tensorrt:0-1", &two).unwrap(), "tensorrt:0,1");
    assert_eq!(settle("cuda:0-2", &two).unwrap_err(), "use device cuda:2: there is no cuda:2");
    assert_eq!(settle("tensorrt", &[Cpu, Cuda(0)]).unwrap_err(), "use device tensorrt:0: there is no tensorrt:0");
    assert_eq!(settle("cpu", &[]).unwrap_err(), "use device cpu: there is no cpu");
    assert_eq!(settle("openvino", &[Cpu, Device::OPENVINO]).unwrap(), "openvino:cpu");
    let missing = settle("openvino", &two).unwrap_err();
    assert_eq!(missing, "use device openvino:cpu: there is no openvino:cpu", "never another device");
    let missing = settle("openvino:gpu", &[Cpu, Device::OPENVINO]).unwrap_err();
    assert_eq!(missing, "use device openvino:gpu: there is no openvino:gpu", "nor the CPU");
}

#[test]
fn all_are_those_that_work_and_at_least_one() {
    use Device::{Cpu, Cuda};
    assert_eq!(settle("cuda:all", &[Cpu, Cuda(0), Cuda(1)]).unwrap(), "cuda:0,1 (asked for cuda:all)");
    assert_eq!(settle("cuda:all", &[Cpu]).unwrap_err(), "use device cuda:0: there is no cuda:0");
}

#[test]
fn auto_takes_the_cpu_where_it_must_and_says_why() {
    use Device::{Cpu, Cuda};
    assert_eq!(settle("auto", &[Cpu, Cuda(0), Cuda(1)]).unwrap(), "cuda:0 (asked for auto)");
    assert_eq!(settle("auto", &[Cpu]).unwrap(), "cpu (asked for auto; there is no cuda:0)");
}

#[test]
fn auto_takes_openvino_where_it_is_worthwhile_and_works() {
    use Device::{Cpu, Cuda};
    let both = [Cpu, Device::OPENVINO];
    let measured = "openvino:cpu or cpu (asked for auto; there is no cuda:0)";
    assert_eq!(settle_with("auto", true, &both).unwrap(), measured);
    assert_eq!(settle_with("auto", false, &both).unwrap(), "cpu (asked for auto; there is no cuda:0)");
    let plain = "cpu (asked for auto; there is no cuda:0; there is no openvino:cpu)";
    assert_eq!(settle_with("auto", true, &[Cpu]).unwrap(), plain);
    assert_eq!(settle_with("auto", true, &[Cpu, Device::OPENVINO, Cuda(0)]).unwrap(), "cuda:0 (asked for auto)");
    assert_eq!(settle_with("cpu", true, &both).unwrap(), "cpu", "only where it is left open");
}

#[test]
fn a_precision_leaves_the_devices_that_have_it() {
    use super::super::precision::Precision;
    let provider = |actual, rival| Provider {
        requested: DeviceRequest::Auto,
        actual: vec![actual],
        rival,
        note: Some("there is no cuda:0".to_owned()),
    };
    let both = || provider(Device::OPENVINO, Some(Device::Cpu));
    assert_eq!(both().able(Precision::Int8.into()), Ok(both()));
    assert_eq!(both().able(PrecisionRequest::Auto), Ok(both()));
    let half = both().able(Precision::Fp16.into()).unwrap();
    assert_eq!((&half.actual[..], half.rival), (&[Device::Cpu][..], None));
    assert!(half.note.unwrap().starts_with("there is no cuda:0; fp16 is for GPUs"));
    let refused = provider(Device::Cuda(0), None).able(Precision::Int8.into()).unwrap_err();
    assert!(refused.contains("int8 is for CPUs"), "{refused}");
}

#[test]
fn threads_go_round_the_devices() {
    let devices = [Device::Cuda(2), Device::Cuda(0), Device::Cuda(5)];
    let given: Vec<_> = (0..7).map(|thread| device_of_thread(&devices, thread).gpu().unwrap()).collect();
    assert_eq!(given, [2, 0, 5, 2, 0, 5, 2]);
    assert_eq!(device_of_thread(&[Device::Cpu], 9), Device::Cpu);
}

#[test]
fn what_onnx_runtime_says_is_brought_to_one_line() {
    assert_eq!(one_line("no  such\n node."), "no such node");
    let message = "/src/a.cc:20 Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load x : no\nsuch file";
    assert_eq!(one_line(message), "Failed to load x : no such file");
    assert_eq!(one_line(""), "");
    let message = "Exception during initialization: /src/a.cc:136 f(A<B>&) /src/b.cc:28 auto g() [with bool typed = false] \
                   [OpenVINO-EP]  Exception while Loading Network for graph x_1_0: Exception from src/core.cpp:114:\n\
                   Exception from src/plugin.cpp:53:\nNotFound: Unsupported property HINT by CPU plugin.\n\n";
    assert_eq!(one_line(message), "NotFound: Unsupported property HINT by CPU plugin");
}
