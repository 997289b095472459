//! Models that contradict themselves: what changes models gives an error or another model, and never panics.
//!
//! ONNX Runtime refuses most of them before they come here, but not all: of two weights of one name it takes the first.

use proptest::{collection::vec, prelude::*};
use prost::Message as _;
use selfplay_engine::{Packing, Source};

use super::{
    super::{
        graph::{Attribute, Element, Graph, Model, Node, OperatorSet, Tensor, ValueInfo},
        model::ModelFile,
        packed::with_packed_input,
    },
    fp16::to_half,
    int8::{Quantiser, Range},
};

/// A residual network with a policy, a value, and something that no network needs.
pub(super) fn sound() -> Model {
    let port = |name: &str| ValueInfo::of_tensor(name, Element::F32, &[]);
    let within = Graph { nodes: vec![Node::new("Relu", &["h"], &["deep"])], ..Graph::default() };
    let branch = Attribute { graph: Some(within), ..Attribute::of_int("then_branch", 0) };
    let nodes = vec![
        Node::new("Constant", &[], &["w"]).with(Attribute::of_tensor("value", Tensor::of_f32("", &[4, 1], &[0.5; 4]))),
        Node::new("Conv", &["input", "conv", "bias"], &["a"]),
        Node::new("Relu", &["a"], &["b"]),
        Node::new("Conv", &["b", "conv2"], &["c"]),
        Node::new("Add", &["c", "b"], &["d"]),
        Node::new("Relu", &["d"], &["e"]),
        Node::new("Reshape", &["e", "shape"], &["f"]),
        Node::new("Gemm", &["f", "fc", "bias"], &["policy"]).with(Attribute::of_int("transB", 1)),
        Node::new("MatMul", &["f", "w"], &["g"]),
        Node::new("Resize", &["g", "", "scales"], &["h"]),
        Node::new("If", &["h"], &["i"]).with(branch),
        Node::new("Tanh", &["g"], &["value"]),
    ];
    let float =
        |name: &str, dims: &[i64]| Tensor::of_f32(name, dims, &vec![0.5; dims.iter().product::<i64>() as usize]);
    let initializers = vec![
        float("conv", &[4, 2, 1, 1]),
        float("conv2", &[4, 4, 1, 1]),
        float("fc", &[4, 4]),
        float("bias", &[4]),
        float("scales", &[2]),
        Tensor::of_i64("shape", &[2], &[0, 4]),
    ];
    let graph = Graph {
        nodes,
        initializers,
        inputs: vec![port("input")],
        outputs: vec![port("policy"), port("value")],
        ..Graph::default()
    };
    let opset_import = vec![OperatorSet { domain: None, version: Some(17) }];
    Model { graph: Some(graph), opset_import, ..Model::default() }
}

const NAMES: [&str; 16] =
    ["input", "a", "b", "c", "e", "f", "g", "h", "w", "conv", "fc", "bias", "shape", "policy", "value", ""];
const OPS: [&str; 9] = ["Constant", "Conv", "Gemm", "MatMul", "Add", "Relu", "Reshape", "Identity", "ConstantOfShape"];
const DIMS: [&[i64]; 9] = [&[], &[0], &[1], &[4], &[-1], &[i64::MAX, 4], &[4, 4], &[2, 2, 2], &[0, 4, 1, 1]];
const FLOATS: [f32; 4] = [f32::NAN, f32::INFINITY, f32::MAX, 0.0];

/// One thing made wrong: which, where and how.
type Edit = (u8, usize, usize);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec((0..13_u8, 0..64_usize, 0..64_usize), 1..5)
}

/// The entry at a place that need not be there.
fn some<T>(items: &mut [T], place: usize) -> Option<&mut T> {
    let count = items.len().max(1);
    items.get_mut(place % count)
}

fn edit(model: &mut Model, (what, place, how): Edit) -> Option<()> {
    let name = NAMES[how % NAMES.len()].to_owned();
    let graph = model.graph.as_mut()?;
    match what {
        0 => {
            let twin = some(&mut graph.initializers, place)?.clone();
            graph.initializers.push(Tensor { dims: DIMS[how % DIMS.len()].to_vec(), ..twin });
        }
        1 => some(&mut graph.initializers, place)?.dims = DIMS[how % DIMS.len()].to_vec(),
        2 => some(&mut graph.initializers, place)?.data_type = Some(how as i32),
        3 => some(&mut graph.initializers, place)?.name = Some(name),
        4 => {
            let tensor = some(&mut graph.initializers, place)?;
            let count = tensor.count().ok().filter(|&count| count <= 64)?;
            *tensor = Tensor::of_f32(tensor.name(), &tensor.dims, &vec![FLOATS[how % FLOATS.len()]; count]);
        }
        5 => some(&mut graph.initializers, place)?.raw_data = None,
        6 => *some(&mut some(&mut graph.nodes, place)?.inputs, how / NAMES.len())? = name,
        7 => some(&mut graph.nodes, place)?.inputs.truncate(how % 3),
        8 => some(&mut graph.nodes, place)?.outputs = if how.is_multiple_of(2) { Vec::new() } else { vec![name] },
        9 => some(&mut graph.nodes, place)?.op_type = Some(OPS[how % OPS.len()].to_owned()),
        10 => some(&mut graph.nodes, place)?.attributes.push(Attribute::of_int("transB", how as i64)),
        11 => {
            let node = (place < graph.nodes.len()).then(|| graph.nodes.remove(place))?;
            graph.nodes.insert(how % (graph.nodes.len() + 1), node);
        }
        _ => {
            let ports = if place.is_multiple_of(2) { &mut graph.inputs } else { &mut graph.outputs };
            ports.push(ValueInfo { name: Some(name), ..ValueInfo::default() });
        }
    }
    Some(())
}

/// Everything that changes models, without ONNX Runtime.
fn change_in_every_way(bytes: Vec<u8>) -> Result<(), String> {
    let file = ModelFile::from_bytes("broken.onnx", bytes).map_err(|error| error.to_string())?;
    let packing = Packing { bytes: 1, sources: vec![Source::Bit(0), Source::Byte(0)] };
    let packed = with_packed_input(&file, "input", &packing, &[2, 1, 1]).map(drop).map_err(|error| error.to_string());
    let half = file.graph().and_then(|mut graph| to_half(&mut graph));
    let int8 = file.graph().and_then(Quantiser::new).and_then(|quantiser| {
        let ranges = vec![Range::EMPTY.with(-1.0, 1.0); quantiser.calibration().watched.len()];
        let converted = quantiser.convert(&ranges)?;
        file.with_graph(&converted).map(drop).map_err(|error| error.to_string())
    });
    packed.and(half).and(int8)
}

fn small_network() -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/models/b3w1_resnet_1x16.onnx");
    std::fs::read(path).unwrap()
}

// Which of the broken ones are refused is ONNX Runtime's business: here they only must not panic.
proptest! {
    #[test]
    fn a_model_that_contradicts_itself_is_refused_or_changed(edits in edits()) {
        let mut model = sound();
        for step in edits {
            edit(&mut model, step);
        }
        change_in_every_way(model.encode_to_vec()).ok();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_of_broken_bytes_is_refused_or_changed(
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = small_network();
        // The first kilobytes describe the graph, the rest are weights.
        let described = bytes.len().min(8_192);
        for (place, byte) in places {
            let place = place.index(described);
            bytes[place] = byte;
        }
        change_in_every_way(bytes).ok();
    }
}

#[test]
fn sound_models_are_changed_in_every_way() {
    assert_eq!(change_in_every_way(sound().encode_to_vec()), Ok(()));
    assert_eq!(change_in_every_way(small_network()), Ok(()));
}

/// A constant of the sound model is the second one here: what the first says decides that its operator stays as it is.
#[test]
fn of_two_weights_of_one_name_the_first_counts() {
    let mut model = sound();
    model.graph.as_mut().unwrap().initializers.push(Tensor::of_f32("w", &[], &[0.5]));
    assert_eq!(change_in_every_way(model.encode_to_vec()), Ok(()));
}

#[test]
fn a_circle_is_no_endless_way() {
    let node = |op: &str, from: &str, to: &str| Node::new(op, &[from, "w"], &[to]);
    let nodes = vec![node("Identity", "b", "a"), node("Identity", "a", "b"), node("MatMul", "a", "c")];
    let initializers = vec![Tensor::of_f32("w", &[1, 1], &[1.0])];
    let graph = Graph { nodes, initializers, ..Graph::default() };
    assert!(Quantiser::new(Model { graph: Some(graph), ..sound() }).is_ok());
}
