//! A graph with its operators, and pairs around them that say what is rounded to what.

use std::collections::{HashMap, HashSet};

use super::{
    super::super::graph::{Attribute, Graph, Names, Node, Tensor},
    plan::{Plan, Planned},
    ranges::{Range, Rounding},
};

/// Sums of products are 32 bits wide; a bias takes part of them at most.
const MOST_BIAS: f32 = (1 << 30) as f32;

/// Rounds values of `ranges`, in the order of the plan, and weights to ±`most_weight`.
///
/// # Errors
/// When numbers are not finite.
pub(super) fn rewrite(graph: &mut Graph, plan: &Plan, ranges: &[Range], most_weight: f32) -> Result<(), String> {
    let mut rewriter =
        Rewriter { names: Names::of(graph), most_weight, roundings: HashMap::new(), weights: Vec::new() };
    for (value, range) in plan.values.iter().zip(ranges) {
        let rounding = range.rounding().ok_or_else(|| format!("the numbers of `{value}` are not finite"))?;
        rewriter.add_rounding(value, rounding);
    }
    for (value, root) in &plan.shared {
        if let Some(rounding) = rewriter.roundings.get(root).cloned() {
            rewriter.roundings.insert(value.clone(), rounding);
        }
    }
    let mut before: HashMap<usize, Vec<Node>> = HashMap::new();
    for planned in &plan.nodes {
        if let Some(channels) = planned.channels {
            before.insert(planned.index, rewriter.weigh(graph, planned, channels)?);
        }
    }
    let mut nodes = Vec::with_capacity(3 * graph.nodes.len());
    let given: Vec<_> = graph.inputs.iter().map(|input| input.name().to_owned()).collect();
    nodes.extend(given.iter().flat_map(|input| rewriter.round(input)));
    for (index, node) in std::mem::take(&mut graph.nodes).into_iter().enumerate() {
        nodes.extend(before.remove(&index).unwrap_or_default());
        let outputs = node.outputs.clone();
        nodes.push(node);
        nodes.extend(outputs.iter().flat_map(|output| rewriter.round(output)));
    }
    graph.nodes = nodes;
    for (value, Scales { dequantised, quantise, .. }) in &rewriter.roundings {
        graph.rename_uses(value, dequantised);
        // But for the one that rounds it.
        let own = graph.nodes.iter_mut().find(|node| node.is("QuantizeLinear") && node.output() == *quantise);
        own.into_iter().for_each(|node| node.inputs[0].clone_from(value));
    }
    graph.initializers.append(&mut rewriter.weights);
    drop_unused_weights(graph);
    graph.forget_types();
    Ok(())
}

/// Names of what rounds one value.
#[derive(Clone, Debug)]
struct Scales {
    rounding: Rounding,
    /// Of the scale and the zero point.
    parameters: [String; 2],
    /// Of the value as `u8`, and as what is read instead of it.
    quantise: String,
    dequantised: String,
}

struct Rewriter {
    names: Names,
    most_weight: f32,
    roundings: HashMap<String, Scales>,
    /// New ones.
    weights: Vec<Tensor>,
}

impl Rewriter {
    fn add_rounding(&mut self, value: &str, rounding: Rounding) {
        let parameters = ["scale", "zero"].map(|suffix| self.names.fresh(&format!("{value}_{suffix}")));
        self.weights.push(Tensor::of_f32(&parameters[0], &[], &[rounding.scale]));
        self.weights.push(Tensor::of_u8(&parameters[1], &[], &[rounding.zero]));
        self.roundings.insert(
            value.to_owned(),
            Scales { rounding, parameters, quantise: String::new(), dequantised: String::new() },
        );
    }

    /// The pair that rounds `value`, if it is to be rounded.
    fn round(&mut self, value: &str) -> Vec<Node> {
        let Some(scales) = self.roundings.get_mut(value) else { return Vec::new() };
        scales.quantise = self.names.fresh(&format!("{value}_u8"));
        scales.dequantised = self.names.fresh(&format!("{value}_rounded"));
        let [scale, zero] = &scales.parameters;
        vec![
            Node::new("QuantizeLinear", &[value, scale, zero], &[&scales.quantise]).named(&scales.quantise),
            Node::new("DequantizeLinear", &[&scales.quantise, scale, zero], &[&scales.dequantised])
                .named(&scales.dequantised),
        ]
    }

    /// Rounds the weights of an operator. Gives what makes floats of them again, which it then reads.
    fn weigh(&mut self, graph: &mut Graph, planned: &Planned, channels: usize) -> Result<Vec<Node>, String> {
        let node = &graph.nodes[planned.index];
        let [input, weight] = [0, 1].map(|index| node.inputs[index].clone());
        let bias = node.inputs.get(2).filter(|name| !name.is_empty()).cloned();
        let missing = |name: &str| format!("`{name}` is not there");
        let read = |name: &str| graph.initializer(name).ok_or_else(|| missing(name))?.floats();
        let dims = graph.initializer(&weight).ok_or_else(|| missing(&weight))?.dims.clone();
        let (numbers, biases) = (read(&weight)?, bias.as_deref().map(read).transpose()?);
        let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
        if !finite(&numbers) || !biases.as_deref().is_none_or(finite) {
            return Err(format!("the weights of `{}` are not finite", node.output()));
        }
        let input_scale = self.roundings.get(&input).ok_or_else(|| missing(&input))?.rounding.scale;
        let layout = Layout::new(&dims, channels);
        let scales = self.scales(&numbers, biases.as_deref(), layout, input_scale);
        let round = |(index, number): (usize, &f32)| (number / scales[layout.channel(index)]).round() as i8;
        let rounded: Vec<_> = numbers.iter().enumerate().map(round).collect();
        let axis = Attribute::of_int("axis", channels as i64);
        let mut made = vec![self.dequantise(&weight, |name| Tensor::of_i8(name, &dims, &rounded), &scales, axis)];
        // ONNX Runtime merges only weights that say where their zero is.
        let zero = self.names.fresh(&format!("{weight}_zeros"));
        made[0].inputs.push(zero.clone());
        self.weights.push(Tensor::of_i8(zero, &[scales.len() as i64], &vec![0; scales.len()]));
        if let (Some(name), Some(biases)) = (&bias, &biases) {
            let scales: Vec<_> = scales.iter().map(|scale| scale * input_scale).collect();
            let rounded: Vec<_> =
                biases.iter().zip(&scales).map(|(bias, scale)| (bias / scale).round() as i32).collect();
            let dims = [rounded.len() as i64];
            let axis = Attribute::of_int("axis", 0);
            made.push(self.dequantise(name, |name| Tensor::of_i32(name, &dims, &rounded), &scales, axis));
        }
        let node = &mut graph.nodes[planned.index];
        for (place, made) in (1..).zip(&made) {
            node.inputs[place].clone_from(&made.outputs[0]);
        }
        Ok(made)
    }

    /// One scale per channel: the largest weight fills the range, and the bias fits into 32 bits.
    fn scales(&self, numbers: &[f32], biases: Option<&[f32]>, layout: Layout, input_scale: f32) -> Vec<f32> {
        let mut scales = vec![0.0_f32; layout.channels];
        for (index, number) in numbers.iter().enumerate() {
            let scale = &mut scales[layout.channel(index)];
            *scale = scale.max(number.abs() / self.most_weight);
        }
        for (scale, bias) in scales.iter_mut().zip(biases.unwrap_or_default()) {
            *scale = scale.max(bias.abs() / (input_scale * MOST_BIAS));
        }
        // A channel of zeros, or of numbers next to nothing.
        scales.iter_mut().filter(|scale| **scale < f32::MIN_POSITIVE).for_each(|scale| *scale = 1.0);
        scales
    }

    fn dequantise(
        &mut self,
        name: &str,
        tensor: impl FnOnce(String) -> Tensor,
        scales: &[f32],
        axis: Attribute,
    ) -> Node {
        let [whole, scale, float] =
            ["int8", "scales", "rounded"].map(|suffix| self.names.fresh(&format!("{name}_{suffix}")));
        let node = Node::new("DequantizeLinear", &[&whole, &scale], &[&float]).named(&float).with(axis);
        self.weights.push(Tensor::of_f32(scale, &[scales.len() as i64], scales));
        self.weights.push(tensor(whole));
        node
    }
}

/// Which channel a number of a tensor belongs to.
#[derive(Clone, Copy)]
struct Layout {
    channels: usize,
    /// Numbers from one channel to the next.
    stride: usize,
}

impl Layout {
    fn new(dims: &[i64], axis: usize) -> Self {
        let size = |dims: &[i64]| dims.iter().product::<i64>() as usize;
        Self { channels: dims[axis] as usize, stride: size(&dims[axis + 1..]) }
    }

    const fn channel(self, index: usize) -> usize {
        index / self.stride % self.channels
    }
}

/// Weights that only operators of whole numbers read are needed no more.
fn drop_unused_weights(graph: &mut Graph) {
    let mut kept = std::mem::take(&mut graph.initializers);
    // What stands for an input where none is given is not ours to drop.
    let mut names: HashSet<_> = graph.inputs.iter().map(|input| input.name().to_owned()).collect();
    uses(graph, &mut names);
    kept.retain(|tensor| names.contains(tensor.name()));
    graph.initializers = kept;
}

fn uses(graph: &Graph, names: &mut HashSet<String>) {
    names.extend(graph.outputs.iter().map(|output| output.name().to_owned()));
    for node in &graph.nodes {
        names.extend(node.inputs.iter().cloned());
        node.attributes.iter().flat_map(Attribute::graphs).for_each(|graph| uses(graph, names));
    }
}
