//! Models whose exporter built the size of its example batch into the graph.
//!
//! An exporter runs the network once on an example. Where the network copies the size of that batch, the exporter may write
//! the number down instead, so that the graph declares an open batch and runs with that one size only (torch 2.9's dynamo
//! exporter with a batch of 1: each flattening is a `Reshape` to `[1, 169]`). [`opened`] puts the size back where it was
//! written down:
//!
//! | operator, its data computed from the input | written down | becomes |
//! |---|---|---|
//! | `Reshape` to a constant shape | `[b, 169]`, no -1 in it | `[-1, 169]`: what the other sizes leave |
//! | | `[b, -1]` | `[0, -1]`: as many as come in |
//! | `Expand` to a constant shape | `[b, …]` | `[1, …]`: the batch is kept |
//! | `Slice` of the first axis | from 0 to b | all |
//! | `Squeeze` | the first axis among others | the others |
//! | inputs and outputs | declared with b | declared open |
//!
//! Whether that is what the network was meant to be, its answers must tell: the caller compares those of a large batch with
//! those of the graph as it was written.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    graph::{Attribute, Dimension, Graph, Model, Names, Node, Size, Tensor, ValueInfo},
    model::ModelFile,
    ports::Ports,
    refusal::ModelError,
};

/// Larger sizes are not tried: nothing was exported with so large an example.
const LARGEST: i64 = 4096;

/// Batch sizes that may be built into `model`, the most likely first: those that its ports declare, then those that its
/// shapes begin with, then 1.
pub(super) fn candidates(model: &ModelFile, used: &Ports) -> Vec<usize> {
    let Ok(model) = model.graph() else { return vec![1] };
    let Some(graph) = &model.graph else { return vec![1] };
    let mut found: Vec<i64> = ports(graph, used).filter_map(declared_batch).collect();
    let constants = Constants::of(graph);
    let carrying = carrying(graph, used);
    let shapes = graph.nodes.iter().filter(|node| node.is("Reshape") && carrying.contains(node.input()));
    let leading = shapes.filter_map(|node| constants.of_input(node, 1)?.first().copied());
    found.extend(leading.collect::<BTreeSet<_>>());
    found.push(1);
    let mut seen = HashSet::new();
    found.retain(|&batch| (1..=LARGEST).contains(&batch) && seen.insert(batch));
    found.into_iter().filter_map(|batch| usize::try_from(batch).ok()).collect()
}

/// `model`, whose graph runs in batches of `batch` only, with that size taken out of it, and the number of places where it
/// stood.
///
/// # Errors
/// With a sentence, when there is none that is understood, or the model cannot be changed.
pub(super) fn opened(model: &ModelFile, used: &Ports, batch: usize) -> Result<(ModelFile, usize), String> {
    let mut changed: Model = model.graph()?;
    let graph = changed.graph.as_mut().ok_or("it holds no graph")?;
    let places = open(graph, used, batch as i64);
    if places == 0 {
        return Err(format!("no place is known where {batch} stands for the batch"));
    }
    let changed = model.with_graph(&changed).map_err(ModelError::into_reason)?;
    Ok((changed, places))
}

fn open(graph: &mut Graph, used: &Ports, batch: i64) -> usize {
    let mut names = Names::of(graph);
    let constants = Constants::of(graph);
    let carrying = carrying(graph, used);
    let mut places = 0;
    let mut new = Vec::new();
    for node in graph.nodes.iter_mut().filter(|node| carrying.contains(node.input())) {
        if let Some((input, numbers)) = rewritten(node, &constants, batch) {
            let name = names.fresh("open_batch");
            new.push(Tensor::of_i64(name.clone(), &[numbers.len() as i64], &numbers));
            node.inputs[input] = name;
            // By which a 0 would be no rows instead of as many as come in. A shape with a -1 has no other 0 to be taken so.
            node.attributes.retain(|attribute| attribute.name() != "allowzero");
            places += 1;
        }
    }
    graph.initializers.extend(new);
    for port in graph.inputs.iter_mut().chain(&mut graph.outputs).filter(|port| used.contains(port.name())) {
        if declared_batch(port) == Some(batch)
            && let Some(first) = port.dims_mut().and_then(|dims| dims.first_mut())
        {
            first.size = Some(Size::Name("batch".to_owned()));
            places += 1;
        }
    }
    graph.forget_types();
    places
}

/// Which input of `node` is to hold which numbers instead.
fn rewritten(node: &Node, constants: &Constants, batch: i64) -> Option<(usize, Vec<i64>)> {
    if node.is("Reshape") {
        let mut shape = constants.of_input(node, 1)?.to_vec();
        let inferred = shape.iter().position(|&size| size == -1);
        let first = shape.first_mut()?;
        *first = match inferred {
            None if *first != 0 => -1,
            Some(_) if *first == batch => 0,
            _ => return None,
        };
        return Some((1, shape));
    }
    if node.is("Expand") {
        let mut shape = constants.of_input(node, 1)?.to_vec();
        let first = shape.first_mut().filter(|first| **first == batch && batch > 1)?;
        *first = 1;
        return Some((1, shape));
    }
    if node.is("Slice") {
        let first_axis = match constants.of_input(node, 3) {
            Some(axes) => axes == [0],
            None => node.inputs.get(3).is_none_or(String::is_empty) && constants.of_input(node, 1)?.len() == 1,
        };
        let whole = constants.of_input(node, 1)? == [0] && constants.of_input(node, 2)? == [batch];
        return (first_axis && whole).then(|| (2, vec![i64::MAX]));
    }
    if node.is("Squeeze") {
        let axes = constants.of_input(node, 1)?;
        let others: Vec<i64> = axes.iter().copied().filter(|&axis| axis != 0).collect();
        return (others.len() < axes.len() && !others.is_empty()).then_some((1, others));
    }
    None
}

/// The values of `graph` that are computed from the network's input; all others are the same for every position.
fn carrying(graph: &Graph, used: &Ports) -> HashSet<String> {
    let mut carrying = HashSet::from([used.input.clone()]);
    for node in &graph.nodes {
        let within = || node.attributes.iter().flat_map(Attribute::graphs).next().is_some();
        if node.inputs.iter().any(|input| carrying.contains(input)) || within() {
            carrying.extend(node.outputs.iter().filter(|output| !output.is_empty()).cloned());
        }
    }
    carrying
}

fn ports<'a>(graph: &'a Graph, used: &Ports) -> impl Iterator<Item = &'a ValueInfo> {
    graph.inputs.iter().chain(&graph.outputs).filter(|port| used.contains(port.name()))
}

fn declared_batch(port: &ValueInfo) -> Option<i64> {
    match port.dims()?.first()? {
        Dimension { size: Some(Size::Value(batch)), .. } => Some(*batch),
        _ => None,
    }
}

/// The whole numbers that a graph holds by name: weights and what `Constant` operators give.
struct Constants(HashMap<String, Vec<i64>>);

impl Constants {
    fn of(graph: &Graph) -> Self {
        let weights = graph.initializers.iter().filter_map(|tensor| Some((tensor.name().to_owned(), short(tensor)?)));
        let mut all: HashMap<_, _> = weights.collect();
        for node in &graph.nodes {
            let numbers = match node.op_type() {
                "Constant" => constant(node),
                // torch 2.5's dynamo exporter casts every shape.
                "Cast" | "Identity" => all.get(node.input()).cloned(),
                _ => None,
            };
            if let Some(numbers) = numbers {
                all.insert(node.output().to_owned(), numbers);
            }
        }
        Self(all)
    }

    fn of_input(&self, node: &Node, input: usize) -> Option<&[i64]> {
        self.0.get(node.inputs.get(input)?).map(Vec::as_slice)
    }
}

/// The whole numbers that a `Constant` operator gives.
fn constant(node: &Node) -> Option<Vec<i64>> {
    match node.attribute("value") {
        Some(value) => short(value.tensor.as_ref()?),
        None => Some(node.attribute("value_ints")?.ints.clone()),
    }
}

/// The numbers of a tensor that may be a shape, axes or bounds.
fn short(tensor: &Tensor) -> Option<Vec<i64>> {
    (tensor.count().ok()? <= 16).then(|| tensor.integers().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::{graph::Element, ports::Head};

    const INPUT: &str = "x";
    const POLICY: &str = "policy";
    const VALUE: &str = "wdl";

    fn used() -> Ports {
        let [input, policy, value] = [INPUT, POLICY, VALUE].map(str::to_owned);
        Ports { input, policy, value, head: Head::IN_ORDER }
    }

    /// A network of `nodes`, whose shapes and the like are `constants`.
    fn graph(nodes: Vec<Node>, constants: &[(&str, &[i64])]) -> Graph {
        let tensor = |&(name, numbers): &(&str, &[i64])| Tensor::of_i64(name, &[numbers.len() as i64], numbers);
        let port = |name, batch| ValueInfo::of_tensor(name, Element::F32, &[batch, Size::Value(4)]);
        Graph {
            nodes,
            initializers: constants.iter().map(tensor).collect(),
            inputs: vec![port(INPUT, Size::Name("s77".to_owned()))],
            outputs: vec![port(POLICY, Size::Value(1)), port(VALUE, Size::Value(1))],
            ..Graph::default()
        }
    }

    /// What input `input` of the only node, of operator `op`, holds once `batch` is opened, where that is changed.
    fn opened(op: &str, constants: &[(&str, &[i64])], input: usize, batch: i64) -> Option<Vec<i64>> {
        let inputs: Vec<&str> = std::iter::once(INPUT).chain(constants.iter().map(|(name, _)| *name)).collect();
        let node = Node::new(op, &inputs, &["out"]).with(Attribute::of_int("allowzero", 1));
        let mut graph = graph(vec![node], constants);
        open(&mut graph, &used(), batch);
        let node = &graph.nodes[0];
        let changed = node.inputs[input] != inputs[input];
        assert_eq!(node.attribute("allowzero").is_none(), changed);
        changed.then(|| graph.initializer(&node.inputs[input]).unwrap().integers().unwrap())
    }

    #[test]
    fn a_shape_that_begins_with_the_batch_is_opened() {
        let reshaped = |shape: &[i64], batch| opened("Reshape", &[("shape", shape)], 1, batch);
        assert_eq!(reshaped(&[1, 169], 1), Some(vec![-1, 169]));
        assert_eq!(reshaped(&[2, 169], 2), Some(vec![-1, 169]));
        assert_eq!(reshaped(&[1, 8, 81], 1), Some(vec![-1, 8, 81]));
        assert_eq!(reshaped(&[1, -1], 1), Some(vec![0, -1]));
        assert_eq!(reshaped(&[2, -1], 2), Some(vec![0, -1]));
        for open_already in [&[-1, 169][..], &[0, 169], &[0, -1]] {
            assert_eq!(reshaped(open_already, 1), None, "{open_already:?}");
        }
        assert_eq!(reshaped(&[2, -1], 1), None, "another size than the batch");
    }

    #[test]
    fn other_operators_that_hold_the_batch_are_opened() {
        assert_eq!(opened("Expand", &[("shape", &[2, 8, 1])], 1, 2), Some(vec![1, 8, 1]));
        assert_eq!(opened("Expand", &[("shape", &[1, 8, 1])], 1, 1), None, "a batch is kept by a 1");
        let sliced = |bounds: [&[i64]; 3], batch| {
            let [start, end, axis] = bounds;
            opened("Slice", &[("start", start), ("end", end), ("axis", axis)], 2, batch)
        };
        assert_eq!(sliced([&[0], &[1], &[0]], 1), Some(vec![i64::MAX]));
        assert_eq!(sliced([&[0], &[1], &[1]], 1), None, "another axis");
        assert_eq!(sliced([&[0], &[3], &[0]], 1), None, "another size");
        assert_eq!(opened("Squeeze", &[("axes", &[0, 1])], 1, 1), Some(vec![1]));
        assert_eq!(opened("Squeeze", &[("axes", &[1])], 1, 1), None);
        assert_eq!(opened("Concat", &[("shape", &[1, 169])], 1, 1), None);
    }

    #[test]
    fn what_does_not_come_from_the_input_keeps_its_shape_and_shapes_are_not_shared_with_it() {
        let nodes = vec![
            Node::new("Reshape", &["weights", "shape"], &["row"]),
            Node::new("Relu", &[INPUT], &["x"]),
            Node::new("Reshape", &["x", "shape"], &["flat"]),
            Node::new("Add", &["flat", "row"], &[POLICY]),
        ];
        let mut graph = graph(nodes, &[("shape", &[1, 4])]);
        assert_eq!(open(&mut graph, &used(), 1), 3, "one shape and two outputs");
        assert_eq!(graph.nodes[0].inputs[1], "shape");
        assert_eq!(graph.initializer("shape").unwrap().integers().unwrap(), [1, 4]);
        assert_eq!(graph.initializer(&graph.nodes[2].inputs[1]).unwrap().integers().unwrap(), [-1, 4]);
        assert!(graph.outputs.iter().all(|output| declared_batch(output).is_none()));
    }

    #[test]
    fn shapes_of_constant_operators_are_known() {
        let shape = Attribute::of_ints("value_ints", &[1, -1]);
        let nodes = vec![
            Node::new("Constant", &[], &["shape"]).with(shape),
            Node::new("Cast", &["shape"], &["cast"]),
            Node::new("Reshape", &[INPUT, "shape"], &["x"]),
            Node::new("Reshape", &[INPUT, "cast"], &["y"]),
        ];
        let mut graph = graph(nodes, &[]);
        open(&mut graph, &used(), 1);
        for node in &graph.nodes[2..] {
            assert_eq!(graph.initializer(&node.inputs[1]).unwrap().integers().unwrap(), [0, -1]);
        }
    }
}
