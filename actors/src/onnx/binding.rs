//! A session's inputs and outputs in memory of our own, made once for each batch size and used again for every batch.
//!
//! On a GPU that memory is page-locked, so that the device copies from and to it directly. With captured launches, whose
//! addresses must not change, there is memory on the device as well, and what a batch needs is copied between the two.

use std::fmt;

use ort::{
    memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType},
    session::{IoBinding, RunOptions, Session},
    value::{PrimitiveTensorElementType, Tensor},
};

use super::{device::Device, ports::Ports, upon::Upon};

/// What is in a network's input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Numbers of single precision, in this shape.
    Planes(Vec<usize>),
    /// As many bytes, which the network expands by itself.
    Packed(usize),
}

impl Row {
    /// Numbers or bytes of one position.
    pub(super) fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Bytes of one position.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Planes(_) => self.len() * size_of::<f32>(),
            Self::Packed(bytes) => *bytes,
        }
    }

    /// Shape of one position.
    pub(super) fn shape(&self) -> &[usize] {
        match self {
            Self::Planes(shape) => shape,
            Self::Packed(bytes) => std::slice::from_ref(bytes),
        }
    }

    /// Shape of `batch` positions.
    pub(super) fn dims(&self, batch: usize) -> Vec<i64> {
        std::iter::once(batch).chain(self.shape().iter().copied()).map(|size| size as i64).collect()
    }
}

/// Positions to be evaluated, row by row, where ONNX Runtime reads them.
#[derive(Debug)]
pub enum Rows<'a> {
    /// As planes.
    Planes(&'a mut [f32]),
    /// Packed.
    Packed(&'a mut [u8]),
}

/// Shapes of one position's outputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutputShapes {
    pub(super) logits: Vec<i64>,
    pub(super) value: Vec<i64>,
}

/// Where memory is taken from.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// What the network runs on: page-locked memory for a GPU, ordinary memory for a CPU.
    pub(super) device: Device,
    /// Whether launches are captured, so that there must be memory on the device as well.
    pub(super) graphs: bool,
}

impl Memory {
    /// Memory of this process, which the device can reach where that is possible.
    fn near(&self, session: &Session, kind: MemoryType) -> Allocator {
        let Some(gpu) = self.device.gpu() else { return Allocator::default() };
        // Versions of ONNX Runtime differ in whose page-locked memory it is: the GPU's or the first one's.
        let found = [gpu, 0].into_iter().map(|id| allocator(session, AllocationDevice::CUDA_PINNED, id, kind));
        found.into_iter().find_map(Result::ok).unwrap_or_else(|| {
            tracing::warn!(device = %self.device, "no page-locked memory: copies to the device are slower");
            Allocator::default()
        })
    }

    /// Memory of the device.
    fn far(&self, session: &Session) -> ort::Result<Allocator> {
        match self.device.gpu() {
            Some(gpu) => allocator(session, AllocationDevice::CUDA, gpu, MemoryType::Default),
            None => Ok(Allocator::default()),
        }
    }
}

fn allocator(session: &Session, device: AllocationDevice<'_>, id: u32, kind: MemoryType) -> ort::Result<Allocator> {
    Allocator::new(session, MemoryInfo::new(device, id.cast_signed(), AllocatorType::Device, kind)?)
}

/// A network's input and outputs for one batch size.
#[derive(Debug)]
struct Tensors {
    input: Input,
    logits: Tensor<f32>,
    values: Tensor<f32>,
}

#[derive(Debug)]
enum Input {
    Planes(Tensor<f32>),
    Packed(Tensor<u8>),
}

impl Tensors {
    fn new(
        batch: usize,
        row: &Row,
        outputs: &OutputShapes,
        input: &Allocator,
        output: &Allocator,
    ) -> ort::Result<Self> {
        let dims = row.dims(batch);
        let input = match row {
            Row::Planes(_) => Input::Planes(Tensor::new(input, dims)?),
            Row::Packed(_) => Input::Packed(Tensor::new(input, dims)?),
        };
        let dims = |row: &[i64]| std::iter::once(batch as i64).chain(row.iter().copied()).collect::<Vec<_>>();
        let logits = Tensor::new(output, dims(&outputs.logits))?;
        let values = Tensor::new(output, dims(&outputs.value))?;
        Ok(Self { input, logits, values })
    }

    fn bind(&mut self, binding: &mut IoBinding, ports: &Ports) -> ort::Result<()> {
        self.bind_input(binding, ports)?;
        binding.bind_output(ports.policy.as_str(), &mut self.logits)?;
        binding.bind_output(ports.value.as_str(), &mut self.values)
    }

    /// Where session and input are on different devices, it is this that copies.
    fn bind_input(&self, binding: &mut IoBinding, ports: &Ports) -> ort::Result<()> {
        match &self.input {
            Input::Planes(tensor) => binding.bind_input(ports.input.as_str(), tensor),
            Input::Packed(tensor) => binding.bind_input(ports.input.as_str(), tensor),
        }
    }

    fn copy_input_to(&self, other: &mut Self) -> ort::Result<()> {
        match (&self.input, &mut other.input) {
            (Input::Planes(from), Input::Planes(to)) => from.copy_into(to),
            (Input::Packed(from), Input::Packed(to)) => from.copy_into(to),
            (Input::Planes(_) | Input::Packed(_), _) => Err(ort::Error::new("inputs of different kinds")),
        }
    }

    fn copy_outputs_to(&self, other: &mut Self) -> ort::Result<()> {
        self.logits.copy_into(&mut other.logits)?;
        self.values.copy_into(&mut other.values)
    }
}

/// The memory of one batch size, bound to its session.
pub(super) struct Bound {
    batch: usize,
    ports: Ports,
    /// Memory that a session gave, and the binding, which keeps the session.
    bound: Upon<Sides, IoBinding>,
}

struct Sides {
    near: Tensors,
    /// With captured launches: what the session works on, and the number of its capture.
    far: Option<(Tensors, RunOptions)>,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound").field("batch", &self.batch).field("near", &self.bound.top.near).finish_non_exhaustive()
    }
}

impl Bound {
    /// Memory for batches of `batch`, bound to `session`. `number` tells it from others of the session, counted from 1.
    ///
    /// # Errors
    /// When there is not enough, or outputs have other shapes.
    pub(super) fn new(
        session: &Session,
        memory: &Memory,
        (batch, number): (usize, usize),
        (row, outputs, ports): (&Row, &OutputShapes, &Ports),
    ) -> ort::Result<Self> {
        let (to_device, from_device) =
            (memory.near(session, MemoryType::CPUInput), memory.near(session, MemoryType::CPUOutput));
        let mut near = Tensors::new(batch, row, outputs, &to_device, &from_device)?;
        let mut binding = session.create_binding()?;
        let far = if memory.graphs {
            let allocator = memory.far(session)?;
            let mut far = Tensors::new(batch, row, outputs, &allocator, &allocator)?;
            far.bind(&mut binding, ports)?;
            let mut options = RunOptions::new()?;
            options.set("gpu_graph_id", number.to_string())?;
            Some((far, options))
        } else {
            near.bind(&mut binding, ports)?;
            None
        };
        Ok(Self { batch, ports: ports.clone(), bound: Upon { top: Sides { near, far }, base: binding } })
    }

    /// The batch size.
    pub(super) const fn batch(&self) -> usize {
        self.batch
    }

    /// The input.
    ///
    /// # Errors
    /// When this process cannot reach it.
    pub(super) fn rows(&mut self) -> ort::Result<Rows<'_>> {
        Ok(match &mut self.bound.top.near.input {
            Input::Planes(tensor) => Rows::Planes(numbers_mut(tensor)?),
            Input::Packed(tensor) => Rows::Packed(numbers_mut(tensor)?),
        })
    }

    /// Runs the network on the input and returns logits and values.
    ///
    /// # Errors
    /// When ONNX Runtime fails.
    pub(super) fn run(&mut self, session: &mut Session) -> ort::Result<(&[f32], &[f32])> {
        let Upon { top: Sides { near, far }, base: binding } = &mut self.bound;
        match far {
            None => {
                near.bind_input(binding, &self.ports)?;
                session.run_binding(binding)?;
            }
            Some((far, options)) => {
                near.copy_input_to(far)?;
                session.run_binding_with_options(binding, options)?;
                far.copy_outputs_to(near)?;
            }
        }
        Ok((near.logits.try_extract_tensor()?.1, near.values.try_extract_tensor()?.1))
    }
}

fn numbers_mut<T: PrimitiveTensorElementType + fmt::Debug>(tensor: &mut Tensor<T>) -> ort::Result<&mut [T]> {
    Ok(tensor.try_extract_tensor_mut()?.1)
}
