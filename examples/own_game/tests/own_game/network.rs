//! A network as an ONNX file, written by hand so that this test needs no other program: one layer, never trained.

/// A field of a protobuf message that holds bytes: text, another message or packed numbers.
fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut written = vec![number << 3 | 2];
    written.extend(varint(bytes.len() as u64));
    written.extend(bytes);
    written
}

/// A field that holds a whole number.
fn whole(number: u8, value: u64) -> Vec<u8> {
    [vec![number << 3], varint(value)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// `TensorProto.DataType.FLOAT`.
const FLOAT: u64 = 1;

/// Weights of a matrix: small numbers without a pattern.
fn weights(name: &str, rows: usize, columns: usize) -> Vec<u8> {
    let numbers = (0..rows * columns).flat_map(|number| ((number as f32 * 12.9898).sin() * 0.3).to_le_bytes());
    let raw: Vec<u8> = numbers.collect();
    [whole(1, rows as u64), whole(1, columns as u64), whole(2, FLOAT), field(8, name), field(9, raw)].concat()
}

fn node(kind: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| field(1, name));
    inputs.chain(field(2, output)).chain(field(4, kind)).collect()
}

/// An input or output: any number of rows of this shape.
fn tensor(name: &str, shape: &[usize]) -> Vec<u8> {
    let sizes = shape.iter().map(|&size| whole(1, size as u64));
    let dimensions = std::iter::once(field(2, "batch")).chain(sizes).flat_map(|size| field(1, size));
    let kind = [whole(1, FLOAT), field(2, dimensions.collect::<Vec<u8>>())].concat();
    [field(1, name), field(2, field(1, kind))].concat()
}

/// The file of a network that takes planes of this shape and knows so many actions.
pub(crate) fn onnx(planes: [usize; 3], actions: usize) -> Vec<u8> {
    let inputs = planes.iter().product();
    let graph = [
        field(1, node("Flatten", &["input"], "row")),
        field(1, node("MatMul", &["row", "policy"], "policy_logits")),
        field(1, node("MatMul", &["row", "win"], "sum")),
        field(1, node("Tanh", &["sum"], "value")),
        field(2, "small"),
        field(5, weights("policy", inputs, actions)),
        field(5, weights("win", inputs, 1)),
        field(11, tensor("input", &planes)),
        field(12, tensor("policy_logits", &[actions])),
        field(12, tensor("value", &[1])),
    ];
    // Format 8, operators 17.
    [whole(1, 8), field(7, graph.concat()), field(8, whole(2, 17))].concat()
}
