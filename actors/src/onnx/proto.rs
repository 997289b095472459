//! As much of the ONNX format (onnx.proto of ONNX 1.x, stable field numbers) as it takes to find what a model keeps in other
//! files.
//!
//! Weights in the file itself are skipped without being copied. Nesting is bounded by the decoder (100 levels).

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Model {
    #[prost(message, optional, tag = "7")]
    graph: Option<Graph>,
    /// Graphs of training are never run by inference, but ONNX Runtime reads the whole file.
    #[prost(message, repeated, tag = "20")]
    training: Vec<Training>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<Function>,
}

#[derive(Clone, PartialEq, Message)]
struct Training {
    #[prost(message, optional, tag = "1")]
    initialization: Option<Graph>,
    #[prost(message, optional, tag = "2")]
    algorithm: Option<Graph>,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(message, repeated, tag = "7")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "11")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Graph {
    #[prost(message, repeated, tag = "1")]
    nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    initializers: Vec<Tensor>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializers: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Node {
    #[prost(message, repeated, tag = "5")]
    attributes: Vec<Attribute>,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(message, optional, tag = "5")]
    tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    graph: Option<Graph>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<Graph>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<SparseTensor>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensor>,
}

#[derive(Clone, PartialEq, Message)]
struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    indices: Option<Tensor>,
}

#[derive(Clone, PartialEq, Message)]
struct Tensor {
    #[prost(string, tag = "8")]
    name: String,
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<Entry>,
    #[prost(int32, tag = "14")]
    data_location: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// A tensor whose numbers are in another file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct External {
    /// Its name in the graph.
    pub(super) tensor: String,
    /// The file, as the model writes it.
    pub(super) location: String,
    /// First byte.
    pub(super) offset: u64,
    /// Bytes; `None`: as many as the tensor needs.
    pub(super) length: Option<u64>,
    /// Whether it is a plain weight of the main graph, the only place from which files in memory are taken.
    pub(super) plain: bool,
}

/// All tensors that `bytes`, an ONNX file, keeps elsewhere.
///
/// # Errors
/// When it is no complete ONNX file, or a tensor does not say where it is.
pub(super) fn external_tensors(bytes: &[u8]) -> Result<Vec<External>, String> {
    let model = Model::decode(bytes).map_err(|error| error.to_string())?;
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    let mut found = Vec::new();
    for tensor in &graph.initializers {
        note(tensor, true, &mut found)?;
    }
    let mut rest = Nested { found };
    rest.sparse(&graph.sparse_initializers)?;
    rest.nodes(&graph.nodes)?;
    for training in &model.training {
        training.initialization.iter().chain(&training.algorithm).try_for_each(|graph| rest.graph(graph))?;
    }
    for function in &model.functions {
        rest.nodes(&function.nodes)?;
        rest.attributes(&function.attributes)?;
    }
    Ok(rest.found)
}

/// Everything below and beside the main graph's own weights. As deep as the decoder let it be.
struct Nested {
    found: Vec<External>,
}

impl Nested {
    fn tensors<'a>(&mut self, tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<(), String> {
        tensors.into_iter().try_for_each(|tensor| note(tensor, false, &mut self.found))
    }

    fn sparse<'a>(&mut self, tensors: impl IntoIterator<Item = &'a SparseTensor>) -> Result<(), String> {
        tensors.into_iter().try_for_each(|sparse| self.tensors(sparse.values.iter().chain(&sparse.indices)))
    }

    fn graph(&mut self, graph: &Graph) -> Result<(), String> {
        self.tensors(&graph.initializers)?;
        self.sparse(&graph.sparse_initializers)?;
        self.nodes(&graph.nodes)
    }

    fn nodes(&mut self, nodes: &[Node]) -> Result<(), String> {
        nodes.iter().try_for_each(|node| self.attributes(&node.attributes))
    }

    fn attributes(&mut self, attributes: &[Attribute]) -> Result<(), String> {
        for attribute in attributes {
            self.tensors(attribute.tensor.iter().chain(&attribute.tensors))?;
            self.sparse(attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors))?;
            attribute.graph.iter().chain(&attribute.graphs).try_for_each(|graph| self.graph(graph))?;
        }
        Ok(())
    }
}

fn note(tensor: &Tensor, plain: bool, found: &mut Vec<External>) -> Result<(), String> {
    if tensor.data_location != EXTERNAL && tensor.external_data.is_empty() {
        return Ok(());
    }
    let entry =
        |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    found.push(External { plain, ..external(&tensor.name, entry)? });
    Ok(())
}

/// Where the plain weight `name` is, by its entries.
///
/// # Errors
/// When they do not say it.
pub(super) fn external<'a>(name: &str, entry: impl Fn(&str) -> Option<&'a str>) -> Result<External, String> {
    let number = |key: &str| {
        let parse = |text: &str| text.parse::<u64>().map_err(|_| format!("`{key}` of tensor `{name}` is {text:?}"));
        entry(key).map(parse).transpose()
    };
    let location =
        entry("location").ok_or_else(|| format!("tensor `{name}` does not say which file holds it"))?.to_owned();
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    Ok(External { tensor: name.to_owned(), location, offset, length, plain: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, location: &str) -> Tensor {
        let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
        let external_data = vec![entry("location", location), entry("offset", "4096"), entry("length", "12")];
        Tensor { name: name.to_owned(), external_data, data_location: EXTERNAL }
    }

    fn nested(graph: Graph) -> Graph {
        let attribute = Attribute { graph: Some(graph), ..Attribute::default() };
        Graph { nodes: vec![Node { attributes: vec![attribute] }], ..Graph::default() }
    }

    fn model(graph: Graph) -> Model {
        Model { graph: Some(graph), ..Model::default() }
    }

    fn names(model: &Model) -> Vec<String> {
        let found = external_tensors(&model.encode_to_vec()).unwrap();
        assert!(found.iter().all(|external| external.offset == 4096 && external.length == Some(12)));
        assert!(found.iter().all(|external| external.plain == (external.tensor == "weight")), "{found:?}");
        found.into_iter().map(|external| external.location).collect()
    }

    #[test]
    fn external_tensors_are_found_wherever_they_are() {
        let sparse = |location| SparseTensor { values: Some(tensor("s", location)), indices: Some(tensor("i", "5")) };
        let attribute = Attribute {
            tensor: Some(tensor("a", "1")),
            tensors: vec![tensor("b", "2"), Tensor::default()],
            sparse_tensor: Some(sparse("3")),
            graphs: vec![nested(Graph { initializers: vec![tensor("c", "4")], ..Graph::default() })],
            ..Attribute::default()
        };
        let node = Node { attributes: vec![attribute.clone()] };
        let graph = Graph {
            nodes: vec![node.clone()],
            initializers: vec![Tensor::default(), tensor("weight", "0")],
            sparse_initializers: vec![sparse("6")],
        };
        assert_eq!(names(&model(graph.clone())), ["0", "6", "5", "1", "2", "3", "5", "4"]);
        let function = Function { nodes: vec![node], attributes: vec![attribute] };
        let training = Training { initialization: Some(Graph::default()), algorithm: Some(graph) };
        let everywhere = Model { graph: Some(Graph::default()), training: vec![training], functions: vec![function] };
        let inner = |external: &External| external.tensor == "weight" && !external.plain;
        let found = external_tensors(&everywhere.encode_to_vec()).unwrap();
        assert_eq!(found.len(), 8 + 10);
        assert!(found.iter().any(inner), "weights of other graphs are not plain ones");
    }

    #[test]
    fn graphs_nested_too_deeply_are_refused_and_not_followed() {
        let deep = |levels| (0..levels).fold(Graph::default(), |graph, _| nested(graph));
        assert!(external_tensors(&model(deep(20)).encode_to_vec()).is_ok());
        // Encoding recurses as well: the bytes are put together from the inside out.
        let mut bytes = Vec::new();
        for _ in 0..5_000 {
            for tag in [6, 5, 1] {
                let mut outer = Vec::new();
                prost::encoding::encode_key(tag, prost::encoding::WireType::LengthDelimited, &mut outer);
                prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
                outer.extend(bytes);
                bytes = outer;
            }
        }
        let mut file = Vec::new();
        prost::encoding::encode_key(7, prost::encoding::WireType::LengthDelimited, &mut file);
        prost::encoding::encode_varint(bytes.len() as u64, &mut file);
        file.extend(bytes);
        let error = external_tensors(&file).unwrap_err();
        assert!(error.contains("recursion limit"), "{error}");
    }

    #[test]
    fn what_is_no_model_is_said_to_be_none() {
        assert_eq!(external_tensors(&[]).unwrap_err(), "it holds no graph");
        assert!(external_tensors(b"PK\x03\x04 this is no network").is_err());
        let mut nowhere = tensor("w", "x");
        nowhere.external_data.remove(0);
        let graph = Graph { initializers: vec![nowhere], ..Graph::default() };
        let error = external_tensors(&model(graph).encode_to_vec()).unwrap_err();
        assert_eq!(error, "tensor `w` does not say which file holds it");
        let mut negative = tensor("w", "x");
        negative.external_data[1].value = "-8".to_owned();
        let graph = Graph { initializers: vec![negative], ..Graph::default() };
        let error = external_tensors(&model(graph).encode_to_vec()).unwrap_err();
        assert_eq!(error, "`offset` of tensor `w` is \"-8\"");
    }
}
