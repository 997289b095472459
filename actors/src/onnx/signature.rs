//! What a model takes and gives, and whether that fits the game.

use std::path::Path;

use ort::{
    session::Session,
    value::{Outlet, TensorElementType, ValueType},
};
use selfplay_engine::game::Game;

use super::{
    ports::{Head, POLICY_NAMES, Ports, VALUE_NAMES, find, find_win_draw_loss, names_text},
    refusal::ModelError,
    report::PortReport,
};

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
    /// What is used of the model.
    pub(super) ports: Ports,
    /// Shape of one position.
    pub(super) input: Vec<usize>,
    /// Whether that is the encoding's own shape flattened.
    pub(super) flat: bool,
    /// Length of one position's logits.
    pub(super) policy: usize,
    /// The only batch size the model takes; `None` when it takes any.
    pub(super) fixed_batch: Option<usize>,
    /// Outputs that the model has besides the two that are needed.
    pub(super) unused: Vec<String>,
}

impl<E: Copy> Layout<E> {
    /// The game's name for its input, and in which form it comes.
    pub(super) fn input_name<G: Game<Encoding = E>>(&self, game: &G) -> String {
        format!("{}{}", if self.flat { "flat " } else { "" }, game.encoding_name(self.encoding))
    }
}

impl Signature {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            inputs: session.inputs().iter().map(Port::new).collect(),
            outputs: session.outputs().iter().map(Port::new).collect(),
        }
    }

    /// What is used of the model, by names, and by the shape of its value; without a game.
    ///
    /// # Errors
    /// When there is not one input, or an output is missing.
    pub(super) fn ports(&self, path: &Path) -> Result<Ports, ModelError> {
        let outputs = || self.outputs.iter().map(|port| port.name.as_str());
        let policy = find(outputs(), &POLICY_NAMES);
        let value = find(outputs(), &VALUE_NAMES).map(|name| (name, self.head(name)));
        match (&self.inputs[..], policy, value.or_else(|| find_win_draw_loss(outputs()))) {
            ([input], Some(policy), Some((value, head))) => {
                Ok(Ports { input: input.name.clone(), policy: policy.to_owned(), value: value.to_owned(), head })
            }
            _ => {
                let names =
                    |ports: &[Port]| ports.iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ");
                let found = format!("inputs {} and outputs {}", names(&self.inputs), names(&self.outputs));
                Err(ModelError::Names { path: path.into(), found, expected: names_text() })
            }
        }
    }

    /// What the output `value` holds, by its shape.
    fn head(&self, value: &str) -> Head {
        match self.output(value).map_or(&[][..], |port| &port.dims) {
            [_, Some(3)] => Head::IN_ORDER,
            _ => Head::Scalar,
        }
    }

    fn output(&self, name: &str) -> Option<&Port> {
        self.outputs.iter().find(|port| port.name == name)
    }

    /// Inputs and outputs that are used.
    fn used<'a>(&'a self, ports: &'a Ports) -> impl Iterator<Item = &'a Port> {
        self.inputs.iter().chain(&self.outputs).filter(|port| ports.contains(&port.name))
    }

    /// Whether an input or output that is used is of half precision.
    pub(super) fn is_half(&self, ports: &Ports) -> bool {
        let half = TensorElementType::Float16.to_string();
        self.used(ports).any(|port| port.kind == half)
    }

    /// Whether the input or an output that is used says how many positions it holds.
    pub(super) fn declares_batch(&self, ports: &Ports) -> bool {
        self.used(ports).any(|port| matches!(port.dims.first(), Some(Some(_))))
    }

    /// Every input and output, and what it is used for as far as names tell.
    pub(super) fn report(&self, ports: Option<&Ports>) -> Vec<PortReport> {
        let used_as = |name: &str| match ports {
            Some(Ports { input, .. }) if input == name => "positions".to_owned(),
            Some(Ports { policy, .. }) if policy == name => "policy".to_owned(),
            Some(Ports { value, head, .. }) if value == name => head.to_string(),
            Some(_) => "nothing".to_owned(),
            None => "?".to_owned(),
        };
        let report = |kind, port: &Port| PortReport {
            port: kind,
            name: port.name.clone(),
            shape: shape_text(&port.dims),
            element: port.kind.clone(),
            used_as: used_as(&port.name),
        };
        let inputs = self.inputs.iter().map(|port| report("input", port));
        inputs.chain(self.outputs.iter().map(|port| report("output", port))).collect()
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
        let ports = self.ports(path)?;
        let expected = TensorElementType::Float32.to_string();
        if let Some(Port { name, kind, .. }) = self.used(&ports).find(|port| port.kind != expected) {
            return Err(ModelError::ElementType { path: path.into(), port: name.clone(), found: kind.clone() });
        }
        let found = &self.inputs[0];
        let (encoding, input, flat) = self.encoding(path, &ports.policy, (game, description))?;
        let (policy, batch) = (game.policy_size(), found.dims[0]);
        self.check_output(path, &ports.policy, batch, &[(&[policy], "")], description)
            .map_err(|error| self.name_game(error, &ports, description))?;
        let three = format!(" ({})", if ports.head == Head::Scalar { Head::IN_ORDER } else { ports.head });
        let three = (&[3][..], three.as_str());
        let rows = if VALUE_NAMES.iter().any(|name| name.eq_ignore_ascii_case(&ports.value)) {
            &[(&[1][..], ""), (&[], ""), three][..]
        } else {
            &[three]
        };
        self.check_output(path, &ports.value, batch, rows, description)?;
        let unused = self.outputs.iter().filter(|port| !ports.contains(&port.name)).map(|port| port.name.clone());
        Ok(Layout { encoding, input, flat, policy, fixed_batch: batch, unused: unused.collect(), ports })
    }

    /// The first encoding of the game whose shape is that of the input, else the first that has as many numbers as a flat input;
    /// the shape of one position, and whether it is flat.
    fn encoding<G: Game>(
        &self,
        path: &Path,
        policy: &str,
        (game, description): (&G, &GameDescription),
    ) -> Result<(G::Encoding, Vec<usize>, bool), ModelError> {
        let found = &self.inputs[0];
        let encodings = || game.encodings().into_iter().map(|encoding| (encoding, game.input_shape(encoding)));
        let flat = |shape: &[usize]| vec![shape.iter().product()];
        let fitting = encodings().find(|(_, shape)| fits(&found.dims, None, shape));
        let fitting = fitting.map(|(encoding, shape)| (encoding, shape, false)).or_else(|| {
            let flattened = encodings().find(|(_, shape)| fits(&found.dims, None, &flat(shape)));
            flattened.map(|(encoding, shape)| (encoding, flat(&shape), true))
        });
        fitting.ok_or_else(|| {
            let expected = encodings().map(|(encoding, shape)| {
                let text = |shape: &[usize]| shape_text(&expected_dims(None, shape));
                let flat = if shape.len() > 1 { format!(" or {}", text(&flat(&shape))) } else { String::new() };
                format!("{}{flat} ({})", text(&shape), game.encoding_name(encoding))
            });
            ModelError::InputShape {
                path: path.into(),
                found: shape_text(&found.dims) + &self.recognised(found, policy, description),
                settings: description.settings.clone(),
                expected: expected.collect::<Vec<_>>().join(", or "),
            }
        })
    }

    /// What the model is of, to follow a shape; nothing where that cannot be told.
    fn recognised(&self, input: &Port, policy: &str, description: &GameDescription) -> String {
        let row: Option<Vec<usize>> = input.dims.iter().skip(1).copied().collect();
        let policy = self.output(policy);
        let policy = policy.and_then(|port| port.dims.get(1).copied()).flatten();
        let known = row.and_then(|row| (description.recognise)(&row, policy));
        known.map_or_else(String::new, |known| format!(", which is {known}"))
    }

    /// Says which game a model is of whose input fits and whose policy does not.
    fn name_game(&self, error: ModelError, ports: &Ports, description: &GameDescription) -> ModelError {
        match error {
            ModelError::OutputShape { path, port, found, settings, expected } => {
                let found = found + &self.recognised(&self.inputs[0], &ports.policy, description);
                ModelError::OutputShape { path, port, found, settings, expected }
            }
            other => other,
        }
    }

    /// `rows`: shapes allowed, each with what is said of it. Outputs of unknown rank are left to the trial run.
    fn check_output(
        &self,
        path: &Path,
        port: &str,
        batch: Option<usize>,
        rows: &[(&[usize], &str)],
        description: &GameDescription,
    ) -> Result<(), ModelError> {
        let found = self.output(port).map_or(&[][..], |found| &found.dims);
        if found.is_empty() || rows.iter().any(|(row, _)| fits(found, batch, row)) {
            return Ok(());
        }
        let expected: Vec<_> = rows.iter().map(|(row, what)| shape_text(&expected_dims(batch, row)) + what).collect();
        Err(ModelError::OutputShape {
            path: path.into(),
            port: port.to_owned(),
            found: shape_text(found),
            settings: description.settings.clone(),
            expected: expected.join(" or "),
        })
    }
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
