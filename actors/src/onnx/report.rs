//! What a model was checked for before it may serve, step by step.

use std::{fmt, path::PathBuf, time::Instant};

use serde::Serialize;

use super::precision::{Agreement, Precision};

/// The checks of a model, in their order. The first that fails refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// A regular file under a directory that models may come from, links followed.
    Origin,
    /// No larger than allowed; known before it is read.
    Size,
    /// The checksum that came with it.
    Sha256,
    /// An ONNX file, complete.
    Format,
    /// Weights in other files: beside the model, and no larger than allowed together with it.
    #[serde(rename = "external data")]
    ExternalData,
    /// Inputs and outputs are those of the game, and it runs.
    Structure,
    /// Finite answers on positions of the game.
    Finite,
    /// The same answers to the same batch, run twice.
    Steady,
    /// Answers that look like logits and values, and differ from position to position.
    Meaning,
    /// Converted to what the settings ask for, or run by OpenVINO, it answers nearly as before; the faster of two devices is
    /// chosen.
    Precision,
    /// The same answers to a position alone and in the largest batch.
    Agreement,
    /// Every session has run every batch size.
    Warm,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::Origin,
        Self::Size,
        Self::Sha256,
        Self::Format,
        Self::ExternalData,
        Self::Structure,
        Self::Finite,
        Self::Steady,
        Self::Meaning,
        Self::Precision,
        Self::Agreement,
        Self::Warm,
    ];
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Origin => "origin",
            Self::Size => "size",
            Self::Sha256 => "sha256",
            Self::Format => "format",
            Self::ExternalData => "external data",
            Self::Structure => "structure",
            Self::Finite => "finite",
            Self::Steady => "steady",
            Self::Meaning => "meaning",
            Self::Precision => "precision",
            Self::Agreement => "agreement",
            Self::Warm => "warm",
        })
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// Nothing against the model; what was found.
    Passed(String),
    /// The model may serve, but something is most likely wrong with it; what, and the remedy.
    Warned(String),
    /// The model must not serve; why.
    Refused(String),
    /// Not checked; why.
    Skipped(String),
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Which.
    pub step: Step,
    /// How it ended.
    pub outcome: StepOutcome,
    /// How long it took.
    pub seconds: f64,
}

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PortReport {
    /// `input` or `output`.
    pub port: &'static str,
    /// Its name.
    pub name: String,
    /// `[batch, 2, 3, 3]`.
    pub shape: String,
    /// What its numbers are, such as `f32`.
    #[serde(rename = "type")]
    pub element: String,
    /// `positions`, `policy`, `value`, `win, draw, loss`, or `nothing`; `?` where it cannot be told.
    pub used_as: String,
}

/// All steps of one model, and what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelReport {
    /// The file.
    pub path: PathBuf,
    /// Its version, where one is known.
    pub version: Option<i64>,
    /// Checksum of the file, 64 hexadecimal digits, once it is read.
    pub sha256: Option<String>,
    /// Length of the file and of its external data, once they are read.
    pub bytes: Option<u64>,
    /// The layout of its input, by the game's name for it.
    pub encoding: Option<String>,
    /// Its inputs and outputs, once it is opened.
    pub ports: Vec<PortReport>,
    /// What it ran on.
    pub provider: Option<String>,
    /// What it computes with there.
    pub computes: Option<Precision>,
    /// How far the converted model is from the file, where it was converted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Agreement>,
    /// In the order of [`Step::ALL`]; none twice.
    pub steps: Vec<StepReport>,
}

impl ModelReport {
    /// Nothing checked yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// Whether the model may serve: every step ended, and none refused it.
    #[must_use]
    pub fn accepted(&self) -> bool {
        self.steps.len() == Step::ALL.len() && self.refusal().is_none()
    }

    /// The step that refused the model, and why.
    #[must_use]
    pub fn refusal(&self) -> Option<(Step, &str)> {
        self.steps.iter().find_map(|report| match &report.outcome {
            StepOutcome::Refused(reason) => Some((report.step, reason.as_str())),
            StepOutcome::Passed(_) | StepOutcome::Warned(_) | StepOutcome::Skipped(_) => None,
        })
    }

    /// What is most likely wrong with a model that may serve all the same.
    pub fn warnings(&self) -> impl Iterator<Item = (Step, &str)> {
        self.steps.iter().filter_map(|report| match &report.outcome {
            StepOutcome::Warned(warning) => Some((report.step, warning.as_str())),
            StepOutcome::Passed(_) | StepOutcome::Refused(_) | StepOutcome::Skipped(_) => None,
        })
    }

    /// Does a step and notes how it ended. A step that is done again, as on another device, replaces what it said before.
    pub(super) fn step<T, E: std::error::Error>(
        &mut self,
        step: Step,
        check: impl FnOnce() -> Result<(T, StepOutcome), E>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let (outcome, result) = match check() {
            Ok((value, outcome)) => (outcome, Ok(value)),
            Err(error) => (StepOutcome::Refused(crate::error_text::with_sources(&error)), Err(error)),
        };
        self.note(step, outcome, begun.elapsed().as_secs_f64());
        result
    }

    fn note(&mut self, step: Step, outcome: StepOutcome, seconds: f64) {
        self.steps.retain(|report| report.step != step);
        self.steps.push(StepReport { step, outcome, seconds });
        self.steps.sort_by_key(|report| report.step);
    }

    /// Says of all steps that were not taken why they were not.
    #[must_use]
    pub fn skipping_the_rest(mut self, why: &str) -> Self {
        for step in Step::ALL {
            if self.steps.iter().all(|report| report.step != step) {
                self.note(step, StepOutcome::Skipped(why.to_owned()), 0.0);
            }
        }
        self
    }
}

/// The outcome of a step that found nothing against the model.
pub(super) fn passed(detail: impl Into<String>) -> StepOutcome {
    StepOutcome::Passed(detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_accepted_once_every_step_ended_and_none_refused_it() {
        let mut report = ModelReport::new("a.onnx");
        let fine = || Ok::<_, std::io::Error>(((), passed("fine")));
        for step in Step::ALL {
            assert!(!report.accepted());
            report.step(step, fine).unwrap();
        }
        assert!(report.accepted());
        report.step(Step::Format, || Err::<((), _), _>(std::io::Error::other("cut off"))).unwrap_err();
        assert!(!report.accepted());
        assert_eq!(report.refusal(), Some((Step::Format, "cut off")));
        assert_eq!(report.steps.iter().map(|report| report.step).collect::<Vec<_>>(), Step::ALL);
        report.step(Step::Format, fine).unwrap();
        assert!(report.accepted(), "the last word counts");
    }

    #[test]
    fn steps_not_taken_say_why() {
        let mut report = ModelReport::new("a.onnx");
        report.step(Step::Origin, || Err::<((), _), _>(std::io::Error::other("elsewhere"))).unwrap_err();
        let report = report.skipping_the_rest("refused before");
        assert!(!report.accepted());
        assert_eq!(report.steps.len(), Step::ALL.len());
        assert!(report.steps[1..].iter().all(|step| step.outcome == StepOutcome::Skipped("refused before".to_owned())));
        let text = serde_json::to_string(&report.steps[4]).unwrap();
        assert_eq!(text, r#"{"step":"external data","outcome":{"skipped":"refused before"},"seconds":0.0}"#);
    }
}
