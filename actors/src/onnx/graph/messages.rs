//! The messages of onnx.proto (ONNX 1.x, stable field numbers): all that describe a model, field by field. What says on which
//! of several devices a node runs is left out, as nothing here writes or reads it.

use prost::{Message, Oneof, bytes::Bytes};

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Model {
    #[prost(int64, optional, tag = "1")]
    pub(in crate::onnx) ir_version: Option<i64>,
    #[prost(string, optional, tag = "2")]
    pub(in crate::onnx) producer_name: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::onnx) producer_version: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(in crate::onnx) domain: Option<String>,
    #[prost(int64, optional, tag = "5")]
    pub(in crate::onnx) model_version: Option<i64>,
    #[prost(string, optional, tag = "6")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub(in crate::onnx) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(in crate::onnx) opset_import: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub(in crate::onnx) metadata: Vec<Entry>,
    #[prost(message, repeated, tag = "20")]
    pub(in crate::onnx) training: Vec<Training>,
    #[prost(message, repeated, tag = "25")]
    pub(in crate::onnx) functions: Vec<Function>,
}

/// `OperatorSetIdProto`: the version of the operators of a domain.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct OperatorSet {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) domain: Option<String>,
    #[prost(int64, optional, tag = "2")]
    pub(in crate::onnx) version: Option<i64>,
}

/// `StringStringEntryProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Entry {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) key: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(in crate::onnx) value: Option<String>,
}

/// `TrainingInfoProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Training {
    #[prost(message, optional, tag = "1")]
    pub(in crate::onnx) initialization: Option<Graph>,
    #[prost(message, optional, tag = "2")]
    pub(in crate::onnx) algorithm: Option<Graph>,
    #[prost(message, repeated, tag = "3")]
    pub(in crate::onnx) initialization_binding: Vec<Entry>,
    #[prost(message, repeated, tag = "4")]
    pub(in crate::onnx) update_binding: Vec<Entry>,
}

/// `FunctionProto`: an operator made of others.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Function {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) name: Option<String>,
    #[prost(string, repeated, tag = "4")]
    pub(in crate::onnx) inputs: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    pub(in crate::onnx) outputs: Vec<String>,
    #[prost(string, repeated, tag = "6")]
    pub(in crate::onnx) attributes: Vec<String>,
    #[prost(message, repeated, tag = "7")]
    pub(in crate::onnx) nodes: Vec<Node>,
    #[prost(string, optional, tag = "8")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(message, repeated, tag = "9")]
    pub(in crate::onnx) opset_import: Vec<OperatorSet>,
    #[prost(string, optional, tag = "10")]
    pub(in crate::onnx) domain: Option<String>,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::onnx) attribute_defaults: Vec<Attribute>,
    #[prost(message, repeated, tag = "12")]
    pub(in crate::onnx) value_info: Vec<ValueInfo>,
    #[prost(string, optional, tag = "13")]
    pub(in crate::onnx) overload: Option<String>,
    #[prost(message, repeated, tag = "14")]
    pub(in crate::onnx) metadata: Vec<Entry>,
}

/// `GraphProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::onnx) nodes: Vec<Node>,
    #[prost(string, optional, tag = "2")]
    pub(in crate::onnx) name: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(in crate::onnx) initializers: Vec<Tensor>,
    #[prost(string, optional, tag = "10")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::onnx) inputs: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(in crate::onnx) outputs: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "13")]
    pub(in crate::onnx) value_info: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "14")]
    pub(in crate::onnx) quantization: Vec<TensorAnnotation>,
    #[prost(message, repeated, tag = "15")]
    pub(in crate::onnx) sparse_initializers: Vec<SparseTensor>,
    #[prost(message, repeated, tag = "16")]
    pub(in crate::onnx) metadata: Vec<Entry>,
}

/// `TensorAnnotation`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct TensorAnnotation {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) tensor: Option<String>,
    #[prost(message, repeated, tag = "2")]
    pub(in crate::onnx) parameters: Vec<Entry>,
}

/// `NodeProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(in crate::onnx) inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(in crate::onnx) outputs: Vec<String>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::onnx) name: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(in crate::onnx) op_type: Option<String>,
    #[prost(message, repeated, tag = "5")]
    pub(in crate::onnx) attributes: Vec<Attribute>,
    #[prost(string, optional, tag = "6")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(in crate::onnx) domain: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub(in crate::onnx) overload: Option<String>,
    #[prost(message, repeated, tag = "9")]
    pub(in crate::onnx) metadata: Vec<Entry>,
}

/// `AttributeProto`: `kind` says which of the fields counts.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Attribute {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) name: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub(in crate::onnx) float: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(in crate::onnx) int: Option<i64>,
    #[prost(bytes = "bytes", optional, tag = "4")]
    pub(in crate::onnx) string: Option<Bytes>,
    #[prost(message, optional, tag = "5")]
    pub(in crate::onnx) tensor: Option<Tensor>,
    #[prost(message, optional, tag = "6")]
    pub(in crate::onnx) graph: Option<Graph>,
    #[prost(float, repeated, packed = "false", tag = "7")]
    pub(in crate::onnx) floats: Vec<f32>,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    pub(in crate::onnx) ints: Vec<i64>,
    #[prost(bytes = "bytes", repeated, tag = "9")]
    pub(in crate::onnx) strings: Vec<Bytes>,
    #[prost(message, repeated, tag = "10")]
    pub(in crate::onnx) tensors: Vec<Tensor>,
    #[prost(message, repeated, tag = "11")]
    pub(in crate::onnx) graphs: Vec<Graph>,
    #[prost(string, optional, tag = "13")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(message, optional, boxed, tag = "14")]
    pub(in crate::onnx) type_proto: Option<Box<Type>>,
    #[prost(message, repeated, tag = "15")]
    pub(in crate::onnx) type_protos: Vec<Type>,
    #[prost(enumeration = "AttributeKind", optional, tag = "20")]
    pub(in crate::onnx) kind: Option<i32>,
    #[prost(string, optional, tag = "21")]
    pub(in crate::onnx) reference: Option<String>,
    #[prost(message, optional, tag = "22")]
    pub(in crate::onnx) sparse_tensor: Option<SparseTensor>,
    #[prost(message, repeated, tag = "23")]
    pub(in crate::onnx) sparse_tensors: Vec<SparseTensor>,
}

/// `AttributeProto.AttributeType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(in crate::onnx) enum AttributeKind {
    Undefined = 0,
    Float = 1,
    Int = 2,
    String = 3,
    Tensor = 4,
    Graph = 5,
    Floats = 6,
    Ints = 7,
    Strings = 8,
    Tensors = 9,
    Graphs = 10,
    SparseTensor = 11,
    SparseTensors = 12,
    Type = 13,
    Types = 14,
}

/// `TensorProto`. Its numbers are in `raw_data`, little-endian, or in the field of their type.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Tensor {
    #[prost(int64, repeated, packed = "false", tag = "1")]
    pub(in crate::onnx) dims: Vec<i64>,
    #[prost(int32, optional, tag = "2")]
    pub(in crate::onnx) data_type: Option<i32>,
    #[prost(message, optional, tag = "3")]
    pub(in crate::onnx) segment: Option<Segment>,
    #[prost(float, repeated, tag = "4")]
    pub(in crate::onnx) float_data: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(in crate::onnx) int32_data: Vec<i32>,
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub(in crate::onnx) string_data: Vec<Bytes>,
    #[prost(int64, repeated, tag = "7")]
    pub(in crate::onnx) int64_data: Vec<i64>,
    #[prost(string, optional, tag = "8")]
    pub(in crate::onnx) name: Option<String>,
    #[prost(bytes = "bytes", optional, tag = "9")]
    pub(in crate::onnx) raw_data: Option<Bytes>,
    #[prost(double, repeated, tag = "10")]
    pub(in crate::onnx) double_data: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(in crate::onnx) uint64_data: Vec<u64>,
    #[prost(string, optional, tag = "12")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(message, repeated, tag = "13")]
    pub(in crate::onnx) external_data: Vec<Entry>,
    #[prost(int32, optional, tag = "14")]
    pub(in crate::onnx) data_location: Option<i32>,
    #[prost(message, repeated, tag = "16")]
    pub(in crate::onnx) metadata: Vec<Entry>,
}

/// `TensorProto.Segment`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Segment {
    #[prost(int64, optional, tag = "1")]
    pub(in crate::onnx) begin: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    pub(in crate::onnx) end: Option<i64>,
}

/// `SparseTensorProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct SparseTensor {
    #[prost(message, optional, tag = "1")]
    pub(in crate::onnx) values: Option<Tensor>,
    #[prost(message, optional, tag = "2")]
    pub(in crate::onnx) indices: Option<Tensor>,
    #[prost(int64, repeated, packed = "false", tag = "3")]
    pub(in crate::onnx) dims: Vec<i64>,
}

/// `ValueInfoProto`: name and type of a value.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct ValueInfo {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) name: Option<String>,
    #[prost(message, optional, boxed, tag = "2")]
    pub(in crate::onnx) kind: Option<Box<Type>>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::onnx) doc_string: Option<String>,
    #[prost(message, repeated, tag = "4")]
    pub(in crate::onnx) metadata: Vec<Entry>,
}

/// `TypeProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Type {
    #[prost(message, optional, tag = "1")]
    pub(in crate::onnx) tensor: Option<TensorType>,
    #[prost(message, optional, boxed, tag = "4")]
    pub(in crate::onnx) sequence: Option<Box<Wrapped>>,
    #[prost(message, optional, boxed, tag = "5")]
    pub(in crate::onnx) map: Option<Box<Map>>,
    #[prost(string, optional, tag = "6")]
    pub(in crate::onnx) denotation: Option<String>,
    #[prost(message, optional, tag = "7")]
    pub(in crate::onnx) opaque: Option<Opaque>,
    #[prost(message, optional, tag = "8")]
    pub(in crate::onnx) sparse_tensor: Option<TensorType>,
    #[prost(message, optional, boxed, tag = "9")]
    pub(in crate::onnx) optional: Option<Box<Wrapped>>,
}

/// `TypeProto.Tensor` and `TypeProto.SparseTensor`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct TensorType {
    #[prost(int32, optional, tag = "1")]
    pub(in crate::onnx) element: Option<i32>,
    #[prost(message, optional, tag = "2")]
    pub(in crate::onnx) shape: Option<Shape>,
}

/// `TypeProto.Sequence` and `TypeProto.Optional`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Wrapped {
    #[prost(message, optional, boxed, tag = "1")]
    pub(in crate::onnx) element: Option<Box<Type>>,
}

/// `TypeProto.Map`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Map {
    #[prost(int32, optional, tag = "1")]
    pub(in crate::onnx) key: Option<i32>,
    #[prost(message, optional, boxed, tag = "2")]
    pub(in crate::onnx) value: Option<Box<Type>>,
}

/// `TypeProto.Opaque`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Opaque {
    #[prost(string, optional, tag = "1")]
    pub(in crate::onnx) domain: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub(in crate::onnx) name: Option<String>,
}

/// `TensorShapeProto`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(in crate::onnx) dims: Vec<Dimension>,
}

/// `TensorShapeProto.Dimension`.
#[derive(Clone, PartialEq, Message)]
pub(in crate::onnx) struct Dimension {
    #[prost(oneof = "Size", tags = "1, 2")]
    pub(in crate::onnx) size: Option<Size>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::onnx) denotation: Option<String>,
}

/// How large a dimension is: a number, or a name for a size that is open.
#[derive(Clone, PartialEq, Oneof)]
pub(in crate::onnx) enum Size {
    #[prost(int64, tag = "1")]
    Value(i64),
    #[prost(string, tag = "2")]
    Name(String),
}
