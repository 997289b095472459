//! Half precision: weights and everything between input and outputs in f16, with casts where numbers come in and go out.

use half::f16;

use super::{
    super::{
        graph::{Attribute, AttributeKind, Element, Graph, Model, Names, Node, Tensor, ValueInfo},
        model::ModelFile,
        refusal::ModelError,
    },
    refuse_quantised,
};

/// Converts `model` from f32 to f16.
///
/// # Errors
/// When it holds numbers that f16 cannot, or is not made of dense f32 tensors.
pub(super) fn to_half(model: &mut Model) -> Result<(), String> {
    refuse_quantised(model)?;
    for node in model.functions.iter_mut().flat_map(|function| &mut function.nodes) {
        convert_node(node)?;
    }
    let graph = model.graph.as_mut().ok_or("it holds no graph")?;
    convert(graph)?;
    cast_ports(graph, Element::F32)
}

/// `model` with inputs and outputs of f32 where it has such of f16; it computes as before.
///
/// # Errors
/// With a sentence, when it cannot be changed.
pub(in crate::onnx) fn with_single_ports(model: &ModelFile) -> Result<ModelFile, String> {
    let mut changed = model.graph()?;
    cast_ports(changed.graph.as_mut().ok_or("it holds no graph")?, Element::F16)?;
    model.with_graph(&changed).map_err(ModelError::into_reason)
}

/// Puts a cast behind every input and before every output of `element`, so that they are of f32 outside and of f16 within; what
/// they are called outside stays.
fn cast_ports(graph: &mut Graph, element: Element) -> Result<(), String> {
    let mut names = Names::of(graph);
    let weights: Vec<_> = graph.initializers.iter().map(|tensor| tensor.name().to_owned()).collect();
    let declared = |port: &mut ValueInfo| {
        (port.element() == Some(element)).then(|| {
            port.set_element(Element::F32);
            port.name().to_owned()
        })
    };
    let outputs: Vec<_> = graph.outputs.iter_mut().filter_map(declared).collect();
    let inputs = graph.inputs.iter_mut().filter(|port| !weights.iter().any(|weight| weight == port.name()));
    let inputs: Vec<_> = inputs.filter_map(declared).collect();
    let mut casts = Vec::new();
    for output in outputs {
        let half = names.fresh(&format!("{output}_f16"));
        let written = graph.nodes.iter_mut().flat_map(|node| &mut node.outputs).find(|name| **name == output);
        written.ok_or_else(|| format!("no operator computes its output `{output}`"))?.clone_from(&half);
        graph.rename_uses(&output, &half);
        casts.push(cast(&mut names, &half, &output, Element::F32));
    }
    graph.nodes.extend(casts);
    for input in inputs.into_iter().rev() {
        let half = names.fresh(&format!("{input}_f16"));
        graph.rename_uses(&input, &half);
        graph.nodes.insert(0, cast(&mut names, &input, &half, Element::F16));
    }
    Ok(())
}

fn cast(names: &mut Names, from: &str, to: &str, element: Element) -> Node {
    let node = Node::new("Cast", &[from], &[to]).named(names.fresh(&format!("{to}_cast")));
    node.with(Attribute::of_int("to", element.code().into()))
}

fn convert(graph: &mut Graph) -> Result<(), String> {
    if !graph.sparse_initializers.is_empty() {
        return Err("it has sparse weights".to_owned());
    }
    // Scales of a Resize are f32 whatever is resized.
    let scales: Vec<_> =
        graph.nodes.iter().filter(|node| node.is("Resize")).filter_map(|node| node.inputs.get(2).cloned()).collect();
    for tensor in graph.initializers.iter_mut().filter(|tensor| !scales.iter().any(|name| name == tensor.name())) {
        convert_tensor(tensor)?;
    }
    let others = graph.nodes.iter_mut().filter(|node| !node.outputs.iter().any(|output| scales.contains(output)));
    others.into_iter().try_for_each(convert_node)?;
    graph.forget_types();
    Ok(())
}

fn convert_node(node: &mut Node) -> Result<(), String> {
    let constant = node.is("Constant");
    if node.is("ConstantOfShape") && node.attribute("value").is_none() {
        *node = std::mem::take(node).with(Attribute::of_tensor("value", Tensor::of_f32("", &[1], &[0.0])));
    }
    for attribute in &mut node.attributes {
        match attribute.name() {
            "to" | "dtype" if attribute.int == Some(Element::F32.code().into()) => {
                attribute.int = Some(Element::F16.code().into());
            }
            // The same numbers, in a form that says what they are.
            "value_float" if constant => {
                *attribute = Attribute::of_tensor("value", Tensor::of_f32("", &[], &[attribute.float()]));
            }
            "value_floats" if constant => {
                let floats = &attribute.floats;
                *attribute = Attribute::of_tensor("value", Tensor::of_f32("", &[floats.len() as i64], floats));
            }
            _ => {}
        }
        if attribute.kind() == AttributeKind::SparseTensor {
            return Err("it has sparse weights".to_owned());
        }
        attribute.tensor.iter_mut().chain(&mut attribute.tensors).try_for_each(convert_tensor)?;
        for graph in attribute.graphs_mut() {
            convert(graph)?;
            graph.inputs.iter_mut().chain(&mut graph.outputs).for_each(retype);
        }
    }
    Ok(())
}

fn retype(port: &mut ValueInfo) {
    if port.element() == Some(Element::F32)
        && let Some(tensor) = port.kind.as_mut().and_then(|kind| kind.tensor.as_mut())
    {
        tensor.element = Some(Element::F16.code());
    }
}

fn convert_tensor(tensor: &mut Tensor) -> Result<(), String> {
    if tensor.element() != Element::F32 {
        return Ok(());
    }
    let half = |float: f32| {
        let half = f16::from_f32(float);
        let fits = half.is_finite() || !float.is_finite();
        fits.then_some(half).ok_or_else(|| format!("`{}` holds {float:e}, too large for fp16", tensor.name()))
    };
    let halves = tensor.floats()?.into_iter().map(half).collect::<Result<Vec<_>, _>>()?;
    *tensor = Tensor::of_f16(tensor.name(), &tensor.dims, &halves);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(nodes: Vec<Node>, initializers: Vec<Tensor>) -> Model {
        let port = |name: &str| ValueInfo::of_tensor(name, Element::F32, &[]);
        let graph = Graph {
            nodes,
            initializers,
            inputs: vec![port("input")],
            outputs: vec![port("value")],
            ..Graph::default()
        };
        Model { graph: Some(graph), ..Model::default() }
    }

    #[test]
    fn everything_between_the_ports_is_of_half_precision() {
        let nodes = vec![
            Node::new("Constant", &[], &["one"]).with(Attribute::of_float("value_float", 1.0)),
            Node::new("ConstantOfShape", &["shape"], &["zeros"]),
            Node::new("Cast", &["shape"], &["sizes"]).with(Attribute::of_int("to", 1)),
            Node::new("Add", &["input", "w"], &["value"]),
        ];
        let weights = vec![Tensor::of_f32("w", &[2], &[0.5, -2.0]), Tensor::of_i64("shape", &[1], &[3])];
        let mut converted = model(nodes, weights);
        to_half(&mut converted).unwrap();
        let graph = converted.graph.unwrap();
        let tensor = |index: usize| graph.nodes[index].attribute("value").unwrap().tensor.as_ref().unwrap();
        assert_eq!((tensor(1).element(), tensor(2).element()), (Element::F16, Element::F16));
        assert_eq!(graph.nodes[3].attribute("to").unwrap().int, Some(10));
        let ends = [&graph.nodes[0], graph.nodes.last().unwrap()];
        assert_eq!(
            ends.map(|node| (node.inputs[0].as_str(), node.outputs[0].as_str())),
            [("input", "input_f16"), ("value_f16", "value")]
        );
        assert_eq!(ends.map(|node| node.attribute("to").unwrap().int), [Some(10), Some(1)]);
        let weight = graph.initializer("w").unwrap();
        assert_eq!(weight.raw_data.as_deref(), Some(&[0, 0x38, 0, 0xc0][..]));
        assert_eq!(graph.initializer("shape").unwrap().element(), Element::I64);
        assert_eq!(graph.inputs[0].element(), Some(Element::F32), "ports stay as they were");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let add = || vec![Node::new("Add", &["input", "w"], &["value"])];
        let mut large = model(add(), vec![Tensor::of_f32("w", &[1], &[7e4])]);
        assert_eq!(to_half(&mut large).unwrap_err(), "`w` holds 7e4, too large for fp16");
        let mut masks = model(add(), vec![Tensor::of_f32("w", &[1], &[f32::NEG_INFINITY])]);
        assert!(to_half(&mut masks).is_ok(), "infinity is one on purpose");
        let mut quantised = model(vec![Node::new("QuantizeLinear", &["input", "w"], &["value"])], Vec::new());
        assert_eq!(to_half(&mut quantised).unwrap_err(), "it is quantised already: it holds QuantizeLinear");
        let mut nothing = model(Vec::new(), vec![Tensor::of_f32("value", &[1], &[1.0])]);
        assert_eq!(to_half(&mut nothing).unwrap_err(), "no operator computes its output `value`");
    }
}
