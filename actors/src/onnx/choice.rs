//! What networks run on, and which of several ways was measured to be the fastest: remembered for as long as networks have the same
//! structure, so that only the first model of a process is measured.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    device::{Device, devices_name},
    model::Checksum,
    precision::Precision,
};

/// What a network runs on and computes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Inference threads go round these; at least one.
    pub devices: Vec<Device>,
    /// What is computed with.
    pub precision: Precision,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", devices_name(&self.devices), self.precision)
    }
}

/// What a choice was between, and for which networks it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Of the network without its weights.
    pub(super) structure: Checksum,
    pub(super) ways: Vec<Placement>,
}

/// The last question, with its answer. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Choices(Arc<Mutex<Option<(Question, Placement)>>>);

impl Choices {
    /// What was chosen, if this is what was asked last.
    pub(super) fn of(&self, question: &Question) -> Option<Placement> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(asked, _)| asked == question).map(|(_, placement)| placement.clone())
    }

    pub(super) fn remember(&self, question: Question, placement: Placement) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((question, placement));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_question_has_the_same_answer() {
        let choices = Choices::default();
        let on = |device, precision| Placement { devices: vec![device], precision };
        let answer = on(Device::OPENVINO, Precision::Bf16);
        let ways = vec![answer.clone(), on(Device::Cpu, Precision::Fp32)];
        let question = Question { structure: Checksum::of(b"a"), ways };
        assert_eq!(choices.of(&question), None);
        choices.clone().remember(question.clone(), answer.clone());
        assert_eq!(choices.of(&question), Some(answer.clone()));
        let others = [
            Question { structure: Checksum::of(b"b"), ..question.clone() },
            Question { ways: vec![answer.clone()], ..question },
        ];
        assert!(others.iter().all(|other| choices.of(other).is_none()));
        assert_eq!(answer.to_string(), "openvino:cpu in bf16");
    }
}
