//! What a model takes and gives, and whether that fits the game.

use std::path::Path;

use ort::{
    session::Session,
    value::{Outlet, TensorElementType, ValueType},
};
use selfplay_engine::game::Game;

use super::refusal::ModelError;

pub(super) const INPUT: &str = "input";
pub(super) const POLICY: &str = "policy_logits";
pub(super) const VALUE: &str = "value";

/// How the game of the settings is named in messages about models that do not fit it.
#[derive(Clone, Debug)]
pub struct GameDescription {
    /// What the settings say, such as `board 9`.
    pub settings: String,
    /// What a model is of whose input (without the batch dimension) and policy fit no encoding, such as `a 5x5 resnet`. The policy's
    /// length is `None` where the model leaves it open.
    pub recognise: fn(&[usize], Option<usize>) -> Option<String>,
}

impl GameDescription {
    /// A description that recognises no other shapes.
    pub fn new(settings: impl Into<String>) -> Self {
        Self { settings: settings.into(), recognise: |_, _| None }
    }
}

/// One input or output. Dimensions that are open are `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    /// `f32`, …, or what it is if not a tensor.
    pub(super) kind: String,
    pub(super) dims: Vec<Option<usize>>,
}

impl Port {
    fn new(outlet: &Outlet) -> Self {
        let name = outlet.name().to_owned();
        match outlet.dtype() {
            ValueType::Tensor { ty, shape, .. } => {
                let dims = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
                Self { name, kind: ty.to_string(), dims }
            }
            other => Self { name, kind: format!("{other:?}"), dims: Vec::new() },
        }
    }
}

/// Everything a model takes and gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
}

/// How a network that fits the game is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout<E> {
    pub(super) encoding: E,
    /// Shape of one position.
    pub(super) input: Vec<usize>,
    /// Length of one position's logits.
    pub(super) policy: usize,
    /// The only batch size the model takes; `None` when it takes any.
    pub(super) fixed_batch: Option<usize>,
    /// Outputs that the model has besides the two that are needed.
    pub(super) unused: Vec<String>,
}

impl Signature {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            inputs: session.inputs().iter().map(Port::new).collect(),
            outputs: session.outputs().iter().map(Port::new).collect(),
        }
    }

    /// The input's shape and the outputs' names and types, without a game.
    ///
    /// # Errors
    /// When names or types are not as expected.
    pub(super) fn input(&self, path: &Path) -> Result<&Port, ModelError> {
        let names = |ports: &[Port]| ports.iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ");
        let find = |ports: &[Port], name: &str| ports.iter().any(|port| port.name == name);
        let [input] = &self.inputs[..] else { return Err(self.wrong_names(path, names)) };
        let outputs = find(&self.outputs, POLICY) && find(&self.outputs, VALUE);
        if input.name != INPUT || !outputs {
            return Err(self.wrong_names(path, names));
        }
        let expected = TensorElementType::Float32.to_string();
        let used = self.outputs.iter().filter(|port| is_used(port));
        match self.inputs.iter().chain(used).find(|port| port.kind != expected) {
            Some(Port { name, kind, .. }) => {
                Err(ModelError::ElementType { path: path.into(), port: name.clone(), found: kind.clone() })
            }
            None => Ok(input),
        }
    }

    /// Whether an input or output that is used is of half precision.
    pub(super) fn is_half(&self) -> bool {
        let half = TensorElementType::Float16.to_string();
        let used = self.outputs.iter().filter(|port| is_used(port));
        self.inputs.iter().chain(used).any(|port| port.kind == half)
    }

    /// Whether the input or an output that is used says how many positions it holds.
    pub(super) fn declares_batch(&self) -> bool {
        let used = self.outputs.iter().filter(|port| is_used(port));
        self.inputs.iter().chain(used).any(|port| matches!(port.dims.first(), Some(Some(_))))
    }

    /// Outputs that are not used, such as those of further heads.
    pub(super) fn unused(&self) -> Vec<String> {
        self.outputs.iter().filter(|port| !is_used(port)).map(|port| port.name.clone()).collect()
    }

    fn wrong_names(&self, path: &Path, names: impl Fn(&[Port]) -> String) -> ModelError {
        let found = format!("inputs {} and outputs {}", names(&self.inputs), names(&self.outputs));
        ModelError::Names { path: path.into(), found }
    }

    /// Chooses the encoding by the model's own input shape and checks the outputs against the game.
    ///
    /// # Errors
    /// When anything does not fit.
    pub(super) fn layout<G: Game>(
        &self,
        path: &Path,
        game: &G,
        description: &GameDescription,
    ) -> Result<Layout<G::Encoding>, ModelError> {
        let found = self.input(path)?;
        let encodings: Vec<_> =
            game.encodings().into_iter().map(|encoding| (encoding, game.input_shape(encoding))).collect();
        let fitting = encodings.iter().find(|(_, shape)| fits(&found.dims, None, shape));
        let Some((encoding, input)) = fitting else {
            let expected = encodings.iter().map(|(encoding, shape)| {
                format!("{} ({})", shape_text(&expected_dims(None, shape)), game.encoding_name(*encoding))
            });
            return Err(ModelError::InputShape {
                path: path.into(),
                found: shape_text(&found.dims) + &self.recognised(found, description),
                settings: description.settings.clone(),
                expected: expected.collect::<Vec<_>>().join(" or "),
            });
        };
        let (policy, batch) = (game.policy_size(), found.dims[0]);
        self.check_output(path, POLICY, batch, &[&[policy]], description)
            .map_err(|error| self.name_game(error, found, description))?;
        self.check_output(path, VALUE, batch, &[&[1], &[]], description)?;
        Ok(Layout { encoding: *encoding, input: input.clone(), policy, fixed_batch: batch, unused: self.unused() })
    }

    /// What the model is of, to follow a shape; nothing where that cannot be told.
    fn recognised(&self, input: &Port, description: &GameDescription) -> String {
        let row: Option<Vec<usize>> = input.dims.iter().skip(1).copied().collect();
        let policy = self.outputs.iter().find(|port| port.name == POLICY);
        let policy = policy.and_then(|port| port.dims.get(1).copied()).flatten();
        let known = row.and_then(|row| (description.recognise)(&row, policy));
        known.map_or_else(String::new, |known| format!(", which is {known}"))
    }

    /// Says which game a model is of whose input fits and whose policy does not.
    fn name_game(&self, error: ModelError, input: &Port, description: &GameDescription) -> ModelError {
        match error {
            ModelError::OutputShape { path, port, found, settings, expected } => {
                let found = found + &self.recognised(input, description);
                ModelError::OutputShape { path, port, found, settings, expected }
            }
            other => other,
        }
    }

    /// Outputs of unknown rank are left to the trial run.
    fn check_output(
        &self,
        path: &Path,
        port: &'static str,
        batch: Option<usize>,
        rows: &[&[usize]],
        description: &GameDescription,
    ) -> Result<(), ModelError> {
        let found = self.outputs.iter().find(|found| found.name == port).map_or(&[][..], |found| &found.dims);
        if found.is_empty() || rows.iter().any(|row| fits(found, batch, row)) {
            return Ok(());
        }
        let expected: Vec<_> = rows.iter().map(|row| shape_text(&expected_dims(batch, row))).collect();
        Err(ModelError::OutputShape {
            path: path.into(),
            port,
            found: shape_text(found),
            settings: description.settings.clone(),
            expected: expected.join(" or "),
        })
    }
}

fn is_used(output: &Port) -> bool {
    matches!(output.name.as_str(), POLICY | VALUE)
}

/// Whether `dims`, of which some may be open, can be a batch of `row`s. An open `batch` fits every size.
fn fits(dims: &[Option<usize>], batch: Option<usize>, row: &[usize]) -> bool {
    let Some((&first, rest)) = dims.split_first() else { return false };
    let same = |found: Option<usize>, wanted: usize| found.is_none_or(|found| found == wanted);
    let batch_fits = first != Some(0) && batch.is_none_or(|batch| same(first, batch));
    batch_fits && rest.len() == row.len() && rest.iter().zip(row).all(|(&found, &wanted)| same(found, wanted))
}

fn expected_dims(batch: Option<usize>, row: &[usize]) -> Vec<Option<usize>> {
    std::iter::once(batch).chain(row.iter().copied().map(Some)).collect()
}

/// `[batch, 5, ?, 9]`.
fn shape_text(dims: &[Option<usize>]) -> String {
    let open = |index| if index == 0 { "batch" } else { "?" };
    let texts = dims.iter().enumerate();
    let texts = texts.map(|(index, size)| size.map_or_else(|| open(index).to_owned(), |size| size.to_string()));
    format!("[{}]", texts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_dimensions_fit_and_others_must_be_equal() {
        let row = [5, 9, 9];
        assert!(fits(&[None, Some(5), Some(9), Some(9)], None, &row));
        assert!(fits(&[None, Some(5), None, None], None, &row));
        assert!(fits(&[Some(4), Some(5), Some(9), Some(9)], None, &row));
        assert!(fits(&[None], Some(4), &[]));
        assert!(!fits(&[Some(3)], Some(4), &[]));
        assert!(!fits(&[Some(0), Some(5), Some(9), Some(9)], None, &row));
        assert!(!fits(&[None, Some(5), Some(9)], None, &row));
        assert!(!fits(&[None, Some(5), Some(9), Some(13)], None, &row));
        assert!(!fits(&[], None, &[]));
    }

    #[test]
    fn shapes_are_written_with_open_dimensions() {
        assert_eq!(shape_text(&[None, Some(5), None]), "[batch, 5, ?]");
        assert_eq!(shape_text(&[Some(4)]), "[4]");
        assert_eq!(shape_text(&[]), "[]");
    }
}
