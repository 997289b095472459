//! Making and changing nodes, and names that are free.

use std::collections::HashSet;

use prost::bytes::Bytes;

use super::{
    messages::{
        Attribute, AttributeKind, Dimension, Graph, Model, Node, Shape, Size, Tensor, TensorType, Type, ValueInfo,
    },
    tensor::Element,
};

impl Model {
    /// The version of the standard operators; 0 where it is not said.
    pub(in crate::onnx) fn opset(&self) -> i64 {
        let standard = |domain: Option<&str>| matches!(domain, None | Some("" | "ai.onnx"));
        let found = self.opset_import.iter().find(|set| standard(set.domain.as_deref()));
        found.and_then(|set| set.version).unwrap_or(0)
    }
}

impl Graph {
    /// The weights of this name: of several the first, as in ONNX Runtime.
    pub(in crate::onnx) fn initializer(&self, name: &str) -> Option<&Tensor> {
        self.initializers.iter().find(|tensor| tensor.name() == name)
    }

    /// The input of this name.
    pub(in crate::onnx) fn input_mut(&mut self, name: &str) -> Option<&mut ValueInfo> {
        self.inputs.iter_mut().find(|input| input.name() == name)
    }

    /// Lets all that read the value `from`, in graphs within as well, read `to`. What writes it and the graph's own inputs and
    /// outputs keep their names.
    pub(in crate::onnx) fn rename_uses(&mut self, from: &str, to: &str) {
        for node in &mut self.nodes {
            node.rename_uses(from, to);
        }
    }

    /// Forgets what was noted about types and shapes of values within; ONNX Runtime finds out by itself.
    pub(in crate::onnx) fn forget_types(&mut self) {
        self.value_info.clear();
    }
}

impl Node {
    /// A node of a standard operator.
    pub(in crate::onnx) fn new(op: &str, inputs: &[&str], outputs: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self { inputs: owned(inputs), outputs: owned(outputs), op_type: Some(op.to_owned()), ..Self::default() }
    }

    /// With its own name.
    pub(in crate::onnx) fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// With one more attribute.
    pub(in crate::onnx) fn with(mut self, attribute: Attribute) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// Whether it is the standard operator `op`.
    pub(in crate::onnx) fn is(&self, op: &str) -> bool {
        matches!(self.domain(), "" | "ai.onnx") && self.op_type() == op
    }

    /// Its first input; empty where it has none.
    pub(in crate::onnx) fn input(&self) -> &str {
        self.inputs.first().map_or("", String::as_str)
    }

    /// Its first output; empty where it has none.
    pub(in crate::onnx) fn output(&self) -> &str {
        self.outputs.first().map_or("", String::as_str)
    }

    /// The attribute of this name.
    pub(in crate::onnx) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name() == name)
    }

    /// See [`Graph::rename_uses`].
    pub(in crate::onnx) fn rename_uses(&mut self, from: &str, to: &str) {
        for input in self.inputs.iter_mut().filter(|input| *input == from) {
            to.clone_into(input);
        }
        for graph in self.attributes.iter_mut().flat_map(Attribute::graphs_mut) {
            graph.rename_uses(from, to);
            // An inner graph may give out a value of the outer one.
            for output in graph.outputs.iter_mut().filter(|output| output.name() == from) {
                output.name = Some(to.to_owned());
            }
        }
    }
}

impl Attribute {
    fn of(name: &str, kind: AttributeKind) -> Self {
        Self { name: Some(name.to_owned()), kind: Some(kind.into()), ..Self::default() }
    }

    /// A whole number.
    pub(in crate::onnx) fn of_int(name: &str, int: i64) -> Self {
        Self { int: Some(int), ..Self::of(name, AttributeKind::Int) }
    }

    /// Whole numbers.
    pub(in crate::onnx) fn of_ints(name: &str, ints: &[i64]) -> Self {
        Self { ints: ints.to_vec(), ..Self::of(name, AttributeKind::Ints) }
    }

    /// A number.
    pub(in crate::onnx) fn of_float(name: &str, float: f32) -> Self {
        Self { float: Some(float), ..Self::of(name, AttributeKind::Float) }
    }

    /// A text.
    pub(in crate::onnx) fn of_string(name: &str, text: &str) -> Self {
        Self { string: Some(Bytes::copy_from_slice(text.as_bytes())), ..Self::of(name, AttributeKind::String) }
    }

    /// A tensor.
    pub(in crate::onnx) fn of_tensor(name: &str, tensor: Tensor) -> Self {
        Self { tensor: Some(tensor), ..Self::of(name, AttributeKind::Tensor) }
    }

    /// The graphs that a node such as `If` or `Loop` holds.
    pub(in crate::onnx) fn graphs(&self) -> impl Iterator<Item = &Graph> {
        self.graph.iter().chain(&self.graphs)
    }

    /// As [`Attribute::graphs`].
    pub(in crate::onnx) fn graphs_mut(&mut self) -> impl Iterator<Item = &mut Graph> {
        self.graph.iter_mut().chain(&mut self.graphs)
    }
}

impl Tensor {
    /// What the entry `key` says about where it is.
    pub(in crate::onnx) fn entry(&self, key: &str) -> Option<&str> {
        self.external_data.iter().find(|entry| entry.key() == key).map(super::Entry::value)
    }
}

impl ValueInfo {
    /// A tensor of this shape; the batch and other open sizes by name.
    pub(in crate::onnx) fn of_tensor(name: &str, element: Element, dims: &[Size]) -> Self {
        let dims = dims.iter().map(|size| Dimension { size: Some(size.clone()), denotation: None }).collect();
        let tensor = TensorType { element: Some(element.code()), shape: Some(Shape { dims }) };
        let kind = Type { tensor: Some(tensor), ..Type::default() };
        Self { name: Some(name.to_owned()), kind: Some(Box::new(kind)), ..Self::default() }
    }

    /// What its numbers are, if it is a tensor.
    pub(in crate::onnx) fn element(&self) -> Option<Element> {
        let tensor = self.kind.as_ref()?.tensor.as_ref()?;
        Element::try_from(tensor.element?).ok()
    }

    /// Lets it be a tensor of other numbers, if it is a tensor.
    pub(in crate::onnx) fn set_element(&mut self, element: Element) {
        if let Some(tensor) = self.kind.as_mut().and_then(|kind| kind.tensor.as_mut()) {
            tensor.element = Some(element.code());
        }
    }

    /// Its sizes, if it is a tensor of known rank.
    pub(in crate::onnx) fn dims(&self) -> Option<&[Dimension]> {
        let shape = self.kind.as_ref()?.tensor.as_ref()?.shape.as_ref()?;
        Some(&shape.dims)
    }

    /// As [`ValueInfo::dims`].
    pub(in crate::onnx) fn dims_mut(&mut self) -> Option<&mut Vec<Dimension>> {
        let shape = self.kind.as_mut()?.tensor.as_mut()?.shape.as_mut()?;
        Some(&mut shape.dims)
    }
}

/// The names of all values and nodes of a graph, so that new ones differ.
#[derive(Debug)]
pub(in crate::onnx) struct Names(HashSet<String>);

impl Names {
    /// Those of `graph` and the graphs within.
    pub(in crate::onnx) fn of(graph: &Graph) -> Self {
        let mut names = HashSet::new();
        collect(graph, &mut names);
        Self(names)
    }

    /// `wanted`, or the first of `wanted_1`, `wanted_2`, … that is free. It is taken from now on.
    pub(in crate::onnx) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        let mut count = 0_u32;
        while !self.0.insert(name.clone()) {
            count += 1;
            name = format!("{wanted}_{count}");
        }
        name
    }
}

fn collect(graph: &Graph, names: &mut HashSet<String>) {
    let values = graph.inputs.iter().chain(&graph.outputs).chain(&graph.value_info);
    names.extend(values.map(|value| value.name().to_owned()));
    names.extend(graph.initializers.iter().map(|tensor| tensor.name().to_owned()));
    let sparse = graph.sparse_initializers.iter().filter_map(|sparse| sparse.values.as_ref());
    names.extend(sparse.map(|tensor| tensor.name().to_owned()));
    for node in &graph.nodes {
        names.extend(node.inputs.iter().chain(&node.outputs).cloned());
        names.insert(node.name().to_owned());
        node.attributes.iter().flat_map(Attribute::graphs).for_each(|graph| collect(graph, names));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(graph: Graph) -> Attribute {
        Attribute { graph: Some(graph), ..Attribute::of("then_branch", AttributeKind::Graph) }
    }

    #[test]
    fn fresh_names_are_nobodys() {
        let inner = Graph { nodes: vec![Node::new("Relu", &["x"], &["deep"])], ..Graph::default() };
        let node = Node::new("If", &["x"], &["y"]).named("n").with(within(inner));
        let initializers = vec![Tensor::of_f32("w", &[], &[1.0])];
        let mut names = Names::of(&Graph { nodes: vec![node], initializers, ..Graph::default() });
        for taken in ["x", "y", "n", "w", "deep"] {
            assert_eq!(names.fresh(taken), format!("{taken}_1"));
            assert_eq!(names.fresh(taken), format!("{taken}_2"));
        }
        assert_eq!((names.fresh("z"), names.fresh("z")), ("z".to_owned(), "z_1".to_owned()));
    }

    #[test]
    fn a_value_is_renamed_wherever_it_is_read() {
        let inner = Graph {
            nodes: vec![Node::new("Add", &["x", "x"], &["sum"])],
            outputs: vec![ValueInfo { name: Some("x".to_owned()), ..ValueInfo::default() }],
            ..Graph::default()
        };
        let nodes = vec![Node::new("Cast", &["raw"], &["x"]), Node::new("If", &["x"], &["y"]).with(within(inner))];
        let mut graph = Graph { nodes, ..Graph::default() };
        graph.rename_uses("x", "z");
        assert_eq!(graph.nodes[0].outputs, ["x"]);
        assert_eq!(graph.nodes[1].inputs, ["z"]);
        let inner = graph.nodes[1].attribute("then_branch").unwrap().graph.as_ref().unwrap();
        assert_eq!((inner.nodes[0].inputs.join(" "), inner.outputs[0].name()), ("z z".to_owned(), "z"));
    }

    #[test]
    fn operators_of_other_domains_are_others() {
        let mut node = Node::new("Relu", &[], &[]);
        assert!(node.is("Relu") && !node.is("Tanh"));
        node.domain = Some("com.example".to_owned());
        assert!(!node.is("Relu"));
    }
}
