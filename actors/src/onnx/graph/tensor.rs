//! Numbers in and out of tensors.

use half::f16;
use prost::bytes::Bytes;

use super::messages::Tensor;

/// `TensorProto.DataType`, as far as networks use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(in crate::onnx) enum Element {
    Undefined = 0,
    F32 = 1,
    U8 = 2,
    I8 = 3,
    U16 = 4,
    I16 = 5,
    I32 = 6,
    I64 = 7,
    Text = 8,
    Bool = 9,
    F16 = 10,
    F64 = 11,
    U32 = 12,
    U64 = 13,
    Bf16 = 16,
}

impl Element {
    /// Bytes of one number in `raw_data`.
    pub(in crate::onnx) const fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 | Self::F16 | Self::Bf16 => Some(2),
            Self::F32 | Self::I32 | Self::U32 => Some(4),
            Self::F64 | Self::I64 | Self::U64 => Some(8),
            Self::Undefined | Self::Text => None,
        }
    }

    /// As ONNX numbers it.
    pub(in crate::onnx) const fn code(self) -> i32 {
        self as i32
    }
}

/// Tensors of numbers; `dims` empty: a single number.
macro_rules! of_numbers {
    ($name:ident, $number:ty, $element:ident) => {
        #[doc = concat!("A tensor of `", stringify!($number), "`.")]
        pub(in crate::onnx) fn $name(name: impl Into<String>, dims: &[i64], numbers: &[$number]) -> Self {
            Self::raw(name, Element::$element, dims, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
        }
    };
}

impl Tensor {
    of_numbers!(of_f32, f32, F32);
    of_numbers!(of_f16, f16, F16);
    of_numbers!(of_u8, u8, U8);
    of_numbers!(of_i8, i8, I8);
    of_numbers!(of_i32, i32, I32);
    of_numbers!(of_i64, i64, I64);

    /// A tensor of `bytes`, the numbers little-endian.
    pub(in crate::onnx) fn raw(name: impl Into<String>, element: Element, dims: &[i64], bytes: Vec<u8>) -> Self {
        let count = dims.iter().product::<i64>();
        debug_assert_eq!(Some(bytes.len() as i64), element.size().map(|size| size as i64 * count));
        Self {
            name: Some(name.into()),
            data_type: Some(element.code()),
            dims: dims.to_vec(),
            raw_data: Some(Bytes::from(bytes)),
            ..Self::default()
        }
    }

    /// What it holds; `Undefined` for what no network uses.
    pub(in crate::onnx) fn element(&self) -> Element {
        self.data_type.and_then(|code| Element::try_from(code).ok()).unwrap_or(Element::Undefined)
    }

    /// How many numbers its dimensions say it has.
    ///
    /// # Errors
    /// When a dimension is negative or they are too many.
    pub(in crate::onnx) fn count(&self) -> Result<usize, String> {
        let mut sizes = self.dims.iter().map(|&size| usize::try_from(size).ok());
        let count = sizes.try_fold(1_usize, |product, size| product.checked_mul(size?));
        count.ok_or_else(|| format!("tensor `{}` has dimensions {:?}", self.name(), self.dims))
    }

    /// Length of its numbers in `raw_data`.
    ///
    /// # Errors
    /// When dimensions or type do not say it.
    pub(in crate::onnx) fn byte_len(&self) -> Result<usize, String> {
        let size = self.element().size().ok_or_else(|| format!("tensor `{}` is not of numbers", self.name()))?;
        self.count()?.checked_mul(size).ok_or_else(|| format!("tensor `{}` is too large", self.name()))
    }

    /// The numbers of a tensor of `f32`.
    ///
    /// # Errors
    /// When it holds something else, or not as many as it says.
    pub(in crate::onnx) fn floats(&self) -> Result<Vec<f32>, String> {
        if self.element() != Element::F32 {
            return Err(format!("tensor `{}` is not of f32", self.name()));
        }
        let numbers = match &self.raw_data {
            Some(bytes) => numbers(bytes, f32::from_le_bytes),
            None => self.float_data.clone(),
        };
        self.as_many_as_said(numbers)
    }

    /// The numbers of a tensor of `i64` or `i32`, such as a shape.
    ///
    /// # Errors
    /// When it holds something else, or not as many as it says.
    pub(in crate::onnx) fn integers(&self) -> Result<Vec<i64>, String> {
        let numbers = match (self.element(), &self.raw_data) {
            (Element::I64, Some(bytes)) => numbers(bytes, i64::from_le_bytes),
            (Element::I64, None) => self.int64_data.clone(),
            (Element::I32, Some(bytes)) => numbers(bytes, |bytes| i64::from(i32::from_le_bytes(bytes))),
            (Element::I32, None) => self.int32_data.iter().map(|&number| i64::from(number)).collect(),
            _ => return Err(format!("tensor `{}` is not of whole numbers", self.name())),
        };
        self.as_many_as_said(numbers)
    }

    fn as_many_as_said<T>(&self, numbers: Vec<T>) -> Result<Vec<T>, String> {
        if self.count()? == numbers.len() {
            return Ok(numbers);
        }
        Err(format!("tensor `{}` of dimensions {:?} holds {} numbers", self.name(), self.dims, numbers.len()))
    }
}

fn numbers<const SIZE: usize, T>(bytes: &[u8], number: impl Fn([u8; SIZE]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&bytes| number(bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_out_as_they_went_in() {
        let floats = [1.5, -0.0, f32::MIN_POSITIVE, f32::INFINITY];
        assert_eq!(Tensor::of_f32("a", &[2, 2], &floats).floats().unwrap(), floats);
        assert_eq!(Tensor::of_i64("a", &[3], &[-1, 0, i64::MAX]).integers().unwrap(), [-1, 0, i64::MAX]);
        assert_eq!(Tensor::of_i32("a", &[], &[-7]).integers().unwrap(), [-7]);
        let typed = Tensor { dims: vec![2], data_type: Some(1), float_data: vec![3.0, 4.0], ..Tensor::default() };
        assert_eq!(typed.floats().unwrap(), [3.0, 4.0]);
        let typed = Tensor { dims: vec![1], data_type: Some(7), int64_data: vec![5], ..Tensor::default() };
        assert_eq!(typed.integers().unwrap(), [5]);
    }

    #[test]
    fn what_does_not_hold_what_it_says_is_refused() {
        let mut tensor = Tensor::of_f32("w", &[2], &[1.0, 2.0]);
        assert_eq!(tensor.integers().unwrap_err(), "tensor `w` is not of whole numbers");
        tensor.dims = vec![3];
        assert_eq!(tensor.floats().unwrap_err(), "tensor `w` of dimensions [3] holds 2 numbers");
        tensor.dims = vec![-1];
        assert_eq!(tensor.floats().unwrap_err(), "tensor `w` has dimensions [-1]");
        tensor.dims = vec![i64::MAX, 4];
        assert_eq!(tensor.byte_len().unwrap_err(), "tensor `w` has dimensions [9223372036854775807, 4]");
        tensor.data_type = Some(8);
        assert_eq!(tensor.byte_len().unwrap_err(), "tensor `w` is not of numbers");
        tensor.data_type = Some(99);
        assert_eq!(tensor.element(), Element::Undefined);
    }
}
