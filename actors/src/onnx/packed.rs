//! Networks that take positions packed into bytes and expand them on their device.
//!
//! A network takes planes of single precision: 8.8 kB for a 9x9 position. Where the way to the device costs, nodes are put
//! before the network that make its planes of 49 bytes. They use operators that every provider has for single precision
//! (`Cast`, `Reshape`, `Mul`, `Floor`, `Sub`, `Add`, `Concat`, `Gather`); shifts and masks of bytes (`BitShift`,
//! `BitwiseAnd`) are not among those of CUDA in all versions. All of it is exact, so that the network sees the same planes.

use selfplay_engine::{Packing, Source};

use super::{
    device::Device,
    graph::{Attribute, Element, Graph, Model, Names, Node, Size, Tensor, ValueInfo},
    model::ModelFile,
    refusal::ModelError,
};

/// How positions travel to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputFormat {
    /// Packed to a GPU, as planes on a CPU. As planes where a network cannot be changed.
    #[default]
    Auto,
    /// As the network takes them.
    Planes,
    /// Packed, where the game knows how to.
    Packed,
}

impl InputFormat {
    pub(super) const fn is_packed_on(self, device: Device) -> bool {
        match self {
            Self::Auto => device.gpu().is_some(),
            Self::Planes => false,
            Self::Packed => true,
        }
    }
}

/// `model` with packed bytes as its input `name`, which its first nodes expand into what was its input: planes of shape `row`.
///
/// # Errors
/// When it is no model that can be changed.
pub(super) fn with_packed_input(
    model: &ModelFile,
    name: &str,
    packing: &Packing,
    row: &[usize],
) -> Result<ModelFile, ModelError> {
    let cannot = |reason| ModelError::Unsupported { path: model.path().to_owned(), reason };
    let mut changed: Model = model.graph().map_err(cannot)?;
    let graph = changed.graph.as_mut().ok_or_else(|| cannot("it holds no graph".to_owned()))?;
    expand_input(graph, name, packing, row).map_err(cannot)?;
    model.with_graph(&changed)
}

fn expand_input(graph: &mut Graph, name: &str, packing: &Packing, row: &[usize]) -> Result<(), String> {
    let mut names = Names::of(graph);
    let planes = names.fresh("unpacked");
    graph.rename_uses(name, &planes);
    let input = graph.input_mut(name).ok_or_else(|| format!("it has no input `{name}`"))?;
    let batch = input.dims().and_then(|dims| dims.first()?.size.clone());
    let batch = batch.unwrap_or_else(|| Size::Name("batch".to_owned()));
    *input = ValueInfo::of_tensor(name, Element::U8, &[batch, Size::Value(packing.bytes as i64)]);

    let mut front = Front { names, nodes: Vec::new(), constants: Vec::new() };
    let bytes = front.node("Cast", &[name], &[Attribute::of_int("to", Element::F32.code().into())]);
    let bits = front.bits(&bytes, packing.bytes);
    // All that a number of the planes can be: first the bits, then the bytes.
    let all = front.node("Concat", &[&bits, &bytes], &[Attribute::of_int("axis", 1)]);
    let places: Vec<i64> = packing.sources.iter().map(|source| place(*source, packing.bytes) as i64).collect();
    let places = front.constant(|name| Tensor::of_i64(name, &[places.len() as i64], &places));
    let flat = front.node("Gather", &[&all, &places], &[Attribute::of_int("axis", 1)]);
    // 0: as many as there are.
    let shape = front.shape(std::iter::once(0).chain(row.iter().copied()));
    front.nodes.push(Node::new("Reshape", &[&flat, &shape], &[&planes]));
    graph.nodes.splice(..0, front.nodes);
    graph.initializers.extend(front.constants);
    Ok(())
}

/// Where a number is found among the bits of all `bytes` and the bytes behind them.
const fn place(source: Source, bytes: usize) -> usize {
    match source {
        Source::Bit(bit) => bit,
        Source::Byte(byte) => 8 * bytes + byte,
    }
}

/// What comes before a network.
struct Front {
    names: Names,
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

impl Front {
    /// Adds a node and returns the name of what it gives.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: &[Attribute]) -> String {
        let output = self.names.fresh("unpacking");
        let node = Node::new(op, inputs, &[&output]);
        self.nodes.push(attributes.iter().cloned().fold(node, Node::with));
        output
    }

    /// Adds a constant and returns its name.
    fn constant(&mut self, tensor: impl FnOnce(String) -> Tensor) -> String {
        let name = self.names.fresh("unpacking");
        self.constants.push(tensor(name.clone()));
        name
    }

    fn shape(&mut self, sizes: impl Iterator<Item = usize>) -> String {
        let sizes: Vec<i64> = sizes.map(|size| size as i64).collect();
        self.constant(|name| Tensor::of_i64(name, &[sizes.len() as i64], &sizes))
    }

    /// The bits of `bytes`, the least significant of each byte first, in a row.
    ///
    /// Bit k of b is floor(2 f), where f is what b / 2^(k+1) has behind the point. Powers of two divide without rounding.
    fn bits(&mut self, bytes: &str, count: usize) -> String {
        let column = self.shape([0, count, 1].into_iter());
        let column = self.node("Reshape", &[bytes, &column], &[]);
        let powers: Vec<f32> = (1..=8).map(|bit| 0.5_f32.powi(bit)).collect();
        let powers = self.constant(|name| Tensor::of_f32(name, &[8], &powers));
        let shifted = self.node("Mul", &[&column, &powers], &[]);
        let whole = self.node("Floor", &[&shifted], &[]);
        let fraction = self.node("Sub", &[&shifted, &whole], &[]);
        let doubled = self.node("Add", &[&fraction, &fraction], &[]);
        let bits = self.node("Floor", &[&doubled], &[]);
        let row = self.shape([0, 8 * count].into_iter());
        self.node("Reshape", &[&bits, &row], &[])
    }
}
