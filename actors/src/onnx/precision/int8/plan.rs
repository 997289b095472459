//! Which operators compute in 8 bits, and which values are rounded for that.

use std::collections::{HashMap, HashSet};

use super::super::super::graph::{Attribute, Element, Graph, Node, Tensor};

/// Operators that only rearrange numbers: what they give is rounded as what they take.
const REARRANGING: [&str; 7] = ["Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice"];

/// What becomes of a graph.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Operators with weights, and sums, in the order of the graph.
    pub(super) nodes: Vec<Planned>,
    /// Values that are rounded, each with a scale of its own, in the order of the graph.
    pub(super) values: Vec<String>,
    /// Values that are rounded as another one is, which they are a rearrangement of.
    pub(super) shared: HashMap<String, String>,
}

/// An operator that computes in 8 bits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its place in the graph.
    pub(super) index: usize,
    /// The dimension of its weights that counts output channels; `None`: it has no weights (a sum).
    pub(super) channels: Option<usize>,
}

/// Turns `Constant` nodes of f32 tensors into weights, which they are.
pub(super) fn hoist_constants(graph: &mut Graph) {
    let (constants, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut graph.nodes).into_iter().partition(is_weights);
    graph.nodes = rest;
    for mut node in constants {
        let tensor = node.attributes.pop().and_then(|attribute| attribute.tensor);
        let name = node.outputs.pop();
        graph.initializers.extend(tensor.map(|tensor| Tensor { name, ..tensor }));
    }
}

fn is_weights(node: &Node) -> bool {
    let tensor = |attribute: &Attribute| attribute.name() == "value" && attribute.tensor.is_some();
    let f32s = |attribute: &Attribute| attribute.tensor.as_ref().is_some_and(|tensor| tensor.element() == Element::F32);
    node.is("Constant") && node.outputs.len() == 1 && matches!(&node.attributes[..], [one] if tensor(one) && f32s(one))
}

impl Plan {
    /// Of a graph whose nodes are in order, as the format demands.
    pub(super) fn of(graph: &Graph) -> Self {
        let mut planner = Planner::new(graph);
        for (index, node) in graph.nodes.iter().enumerate() {
            planner.add(index, node);
        }
        planner.finish()
    }
}

struct Planner<'a> {
    graph: &'a Graph,
    weights: HashMap<&'a str, &'a Tensor>,
    outputs: HashSet<&'a str>,
    /// How often a value is read by operators.
    uses: HashMap<&'a str, usize>,
    nodes: Vec<Planned>,
    /// Values that must be rounded.
    rounded: HashSet<&'a str>,
    /// Values that operators of 8 bits give, and their Relus.
    eight_bits: HashSet<&'a str>,
}

impl<'a> Planner<'a> {
    fn new(graph: &'a Graph) -> Self {
        // What may be replaced from outside is no weight.
        let inputs: HashSet<_> = graph.inputs.iter().map(|input| input.name()).collect();
        // Of several of one name the first counts: in a map it is the last that comes.
        let plain = graph.initializers.iter().rev().filter(|tensor| tensor.element() == Element::F32);
        let weights = plain.map(|tensor| (tensor.name(), tensor)).filter(|(name, _)| !inputs.contains(name)).collect();
        let mut uses = HashMap::new();
        for input in graph.nodes.iter().flat_map(|node| &node.inputs) {
            *uses.entry(input.as_str()).or_default() += 1;
        }
        let outputs = graph.outputs.iter().map(|output| output.name()).collect();
        let (nodes, rounded, eight_bits) = Default::default();
        Self { graph, weights, outputs, uses, nodes, rounded, eight_bits }
    }

    fn add(&mut self, index: usize, node: &'a Node) {
        let channels = self.channels(node);
        if let Some(channels) = channels {
            self.nodes.push(Planned { index, channels: Some(channels) });
            self.rounded.insert(node.input());
        } else if self.is_sum(node) {
            self.nodes.push(Planned { index, channels: None });
            self.rounded.extend(node.inputs.iter().map(String::as_str));
        } else {
            return;
        }
        let given = self.given(index, node);
        self.eight_bits.insert(given);
        // What the outside sees is not rounded, and products of matrices may well be left as they are.
        if !self.outputs.contains(given) && !node.is("Gemm") && !node.is("MatMul") {
            self.rounded.insert(given);
        }
    }

    /// The dimension of output channels of an operator that can compute with its weights in 8 bits.
    fn channels(&self, node: &Node) -> Option<usize> {
        let weights = |index: usize| node.inputs.get(index).and_then(|name| self.weights.get(name.as_str()));
        let (input, weight) = (node.inputs.first()?, weights(1)?);
        if self.weights.contains_key(input.as_str()) || weight.dims.contains(&0) {
            return None;
        }
        let int = |name: &str, default| node.attribute(name).and_then(|attribute| attribute.int).unwrap_or(default);
        let one = |name: &str| node.attribute(name).is_none_or(|attribute| attribute.float == Some(1.0));
        let rank = weight.dims.len();
        let channels = match node.op_type() {
            "Conv" if node.is("Conv") && rank >= 3 => 0,
            "Gemm" if node.is("Gemm") && rank == 2 && int("transA", 0) == 0 && one("alpha") && one("beta") => {
                usize::from(int("transB", 0) == 0)
            }
            "MatMul" if node.is("MatMul") && rank == 2 => 1,
            _ => return None,
        };
        let has_bias = node.inputs.get(2).is_some_and(|name| !name.is_empty());
        let bias_fits = !has_bias || weights(2).is_some_and(|bias| bias.dims == [weight.dims[channels]]);
        bias_fits.then_some(channels)
    }

    /// Whether it adds what operators of 8 bits give, as at the end of a residual block.
    fn is_sum(&self, node: &Node) -> bool {
        node.is("Add")
            && node.inputs.len() == 2
            && node.inputs.iter().all(|name| self.eight_bits.contains(name.as_str()))
    }

    /// What others take of `node`: what its Relu gives, if that is all that becomes of its output.
    fn given(&self, index: usize, node: &'a Node) -> &'a str {
        let output = node.output();
        let only_use = self.uses.get(output) == Some(&1) && !self.outputs.contains(output);
        let relu = self.graph.nodes[index + 1..].iter().find(|next| next.inputs.iter().any(|input| input == output));
        relu.filter(|next| only_use && next.is("Relu")).map_or(output, Node::output)
    }

    fn finish(self) -> Plan {
        let Self { graph, outputs, nodes, rounded, .. } = self;
        let mut plan = Plan { nodes, ..Plan::default() };
        let taken: HashMap<&str, &str> = graph
            .nodes
            .iter()
            .filter(|node| REARRANGING.iter().any(|op| node.is(op)))
            .map(|node| (node.output(), node.input()))
            .collect();
        // Rearranged values are rounded where they come from; on the way they are rounded the same way again.
        let mut roots = HashSet::new();
        for &value in &rounded {
            let mut root = value;
            let mut way = vec![value];
            // A circle is no graph, but must end as well.
            while let Some(&from) = taken.get(root).filter(|from| !outputs.contains(**from) && !way.contains(*from)) {
                root = from;
                way.push(from);
            }
            way.pop();
            roots.insert(root);
            plan.shared.extend(way.into_iter().map(|value| (value.to_owned(), root.to_owned())));
        }
        let given = graph.inputs.iter().map(|input| input.name());
        let computed = graph.nodes.iter().flat_map(|node| &node.outputs).map(String::as_str);
        let in_order = given.chain(computed).filter(|value| roots.contains(value) && !plan.shared.contains_key(*value));
        plan.values = in_order.map(str::to_owned).collect();
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{super::graph::ValueInfo, broken_models::sound},
        *,
    };

    fn graph(nodes: Vec<Node>) -> Graph {
        let port = |name: &str| ValueInfo { name: Some(name.to_owned()), ..ValueInfo::default() };
        let weights = [("conv", vec![4, 5, 1, 1]), ("conv2", vec![4, 4, 1, 1]), ("fc", vec![3, 8]), ("bias", vec![3])];
        let initializers = weights.into_iter().map(|(name, dims)| {
            let count = dims.iter().product::<i64>() as usize;
            Tensor::of_f32(name, &dims, &vec![0.5; count])
        });
        Graph {
            nodes,
            initializers: initializers.collect(),
            inputs: vec![port("input")],
            outputs: vec![port("policy"), port("value")],
            ..Graph::default()
        }
    }

    #[test]
    fn a_residual_network_is_rounded_where_its_operators_meet() {
        let mut graph = sound().graph.unwrap();
        hoist_constants(&mut graph);
        let plan = Plan::of(&graph);
        let planned: Vec<_> = plan.nodes.iter().map(|node| (node.index, node.channels)).collect();
        assert_eq!(planned, [(0, Some(0)), (2, Some(0)), (3, None), (6, Some(0)), (7, Some(1))]);
        assert_eq!(plan.values, ["input", "b", "c", "e"], "neither what a Relu is about to cut nor outputs");
        assert_eq!(plan.shared, HashMap::from([("f".to_owned(), "e".to_owned())]));
    }

    #[test]
    fn what_has_no_weights_of_its_own_stays() {
        let float = |name: &str, float| Attribute::of_float(name, float);
        let nodes = vec![
            Node::new("Add", &["input", "input"], &["a"]),
            Node::new("Conv", &["conv", "conv2"], &["b"]),
            Node::new("MatMul", &["a", "input"], &["c"]),
            Node::new("Gemm", &["c", "fc"], &["d"]).with(float("alpha", 0.5)),
            Node::new("Gemm", &["c", "fc", "input"], &["e"]),
            Node::new("Gemm", &["c", "fc", "bias"], &["policy"]).with(Attribute::of_int("transA", 1)),
            Node::new("Tanh", &["e"], &["value"]),
        ];
        let plan = Plan::of(&graph(nodes));
        assert!(plan.nodes.is_empty() && plan.values.is_empty(), "{plan:?}");
        let mut foreign = Node::new("Conv", &["input", "conv"], &["policy"]);
        assert_eq!(Plan::of(&graph(vec![foreign.clone()])).nodes.len(), 1);
        foreign.domain = Some("com.example".to_owned());
        assert!(Plan::of(&graph(vec![foreign])).nodes.is_empty());
    }

    #[test]
    fn constants_are_weights() {
        let tensor = Attribute::of_tensor("value", Tensor::of_f32("", &[8, 3], &[1.0; 24]));
        let shape = Attribute::of_tensor("value", Tensor::of_i64("", &[1], &[8]));
        let mut graph = graph(vec![
            Node::new("Constant", &[], &["w"]).with(tensor),
            Node::new("Constant", &[], &["s"]).with(shape),
            Node::new("MatMul", &["input", "w"], &["policy"]),
        ]);
        hoist_constants(&mut graph);
        assert_eq!(graph.nodes.iter().map(Node::op_type).collect::<Vec<_>>(), ["Constant", "MatMul"]);
        assert_eq!(graph.initializer("w").unwrap().floats().unwrap().len(), 24);
        assert_eq!(Plan::of(&graph).nodes, [Planned { index: 1, channels: Some(1) }]);
    }
}
