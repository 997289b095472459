//! One model to one precision.

use ort::value::TensorRef;
use selfplay_engine::game::Game;

use super::{
    super::{
        device::{Device, one_line},
        graph::Model,
        model::ModelFile,
        refusal::ModelError,
        runtime::Runtime,
        session::open_on_cpu,
        signature::Layout,
    },
    Precision,
    fp16::to_half,
    int8::{Calibration, Quantiser, Range},
    positions::Samples,
};

/// Positions of one run of the calibration: all values of so many are in memory at once.
const BATCH: usize = 8;

/// The model in another precision. For bf16, and for fp16 through OpenVINO, it stays as it is: its sessions are told.
///
/// # Errors
/// When it cannot be converted.
pub(in crate::onnx) fn convert<G: Game>(
    runtime: &Runtime,
    game: &G,
    model: &ModelFile,
    layout: &Layout<G::Encoding>,
    samples: &Samples<G>,
    (precision, device): (Precision, Device),
) -> Result<ModelFile, ModelError> {
    let converter = Converter { runtime, game, model, layout };
    let refused =
        |reason| ModelError::Unconvertible { path: model.path().to_owned(), precision: precision.into(), reason };
    let graph = || model.graph().map_err(refused);
    let converted = match precision {
        Precision::Fp32 | Precision::Bf16 => return Ok(model.clone()),
        Precision::Fp16 if matches!(device, Device::OpenVino(_)) => return Ok(model.clone()),
        Precision::Fp16 => {
            let mut graph = graph()?;
            to_half(&mut graph).map_err(refused)?;
            graph
        }
        Precision::Int8 => {
            let quantiser = Quantiser::new(graph()?).map_err(refused)?;
            let ranges = converter.ranges(&quantiser.calibration(), samples).map_err(refused)?;
            quantiser.convert(&ranges).map_err(refused)?
        }
    };
    model.with_graph(&converted)
}

struct Converter<'a, G: Game> {
    runtime: &'a Runtime,
    game: &'a G,
    model: &'a ModelFile,
    layout: &'a Layout<G::Encoding>,
}

impl<G: Game> Converter<'_, G> {
    /// The numbers of every value on the positions of the calibration, computed on the CPU.
    fn ranges(&self, calibration: &Calibration, samples: &Samples<G>) -> Result<Vec<Range>, String> {
        let batch = self.layout.fixed_batch.unwrap_or(BATCH);
        let rows = self.rows(samples, batch);
        let mut session = self.open(&calibration.model)?;
        let dims: Vec<_> = std::iter::once(batch).chain(self.layout.input.iter().copied()).collect();
        let mut ranges = vec![Range::EMPTY; calibration.watched.len()];
        for part in rows.chunks_exact(batch * self.layout.input.iter().product::<usize>()) {
            let failed = |error: ort::Error| one_line(error.message());
            let input = TensorRef::from_array_view((&dims[..], part)).map_err(failed)?;
            let outputs = session.run(ort::inputs![input]).map_err(failed)?;
            let number = |name: &String| {
                let (_, numbers) = outputs[name.as_str()].try_extract_tensor::<f32>().map_err(failed)?;
                numbers.first().copied().ok_or_else(|| format!("`{name}` is empty"))
            };
            for (range, watched) in ranges.iter_mut().zip(&calibration.watched) {
                *range = range.with(number(&watched.least)?, number(&watched.most)?);
            }
        }
        // Of what goes in every number is known.
        let input = &self.layout.ports.input;
        for (range, _) in ranges.iter_mut().zip(&calibration.watched).filter(|(_, watched)| watched.value == *input) {
            *range = Range::of(&rows);
        }
        Ok(ranges)
    }

    /// All positions as the network takes them, the first ones again where batches have to be full.
    fn rows(&self, samples: &Samples<G>, batch: usize) -> Vec<f32> {
        let row_len = self.layout.input.iter().product::<usize>();
        let count = samples.calibration.len().next_multiple_of(batch);
        let mut rows = vec![0.0; count * row_len];
        for (leaf, row) in samples.calibration.iter().cycle().zip(rows.chunks_exact_mut(row_len)) {
            self.game.encode(self.layout.encoding, &leaf.position, row);
        }
        rows
    }

    fn open(&self, graph: &Model) -> Result<ort::session::Session, String> {
        let model = self.model.with_graph(graph).map_err(|error| error.to_string())?;
        open_on_cpu(self.runtime, &model).map_err(ModelError::into_reason)
    }
}
