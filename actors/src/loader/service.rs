//! Which model is in service, and which takes its place: what happens goes in, what the loader is to do comes out. Plain
//! state: no actor, no file, no clock.
//!
//! ```text
//!   Empty ─▶ OnItsWay ─▶ Serving ─▶ Released, for a long pause ─▶ OnItsWay, as a new generation
//! ```
//!
//! A newer model takes the place of the one before from any of these. A model that is withdrawn gives way to the last one that
//! passed its probation before it, if there is one.

use tokio::time::{Duration, Instant};

use crate::{
    onnx::{Checksum, ModelFile},
    ticket::Generation,
};

/// How long a model may be on its way to the inference threads before it is taken for lost and sent again.
pub(super) const ON_ITS_WAY: Duration = Duration::from_secs(10);
/// How often it is tried to bring the model back after a pause, should that fail.
pub(super) const BRING_BACK: Duration = Duration::from_secs(5);

/// A model in memory, with the generation it serves or served as.
#[derive(Clone, Debug)]
pub(super) struct KeptModel {
    pub(super) generation: Generation,
    pub(super) file: ModelFile,
    /// Its probation is over.
    pub(super) proven: bool,
}

/// What is in service.
#[derive(Debug, Default)]
enum State {
    /// No model: play waits for one.
    #[default]
    Empty,
    /// The batcher was told of it, but did not take it yet.
    OnItsWay { model: KeptModel, sent: Instant },
    /// New batches go to it.
    Serving(KeptModel),
    /// The threads do not hold it, for a pause. `tried`: when it was tried to bring it back, in vain.
    Released { model: KeptModel, tried: Option<Instant> },
}

/// What the loader is to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Load this model once more and send it to the batcher: [`Service::brought`] or [`Service::failed`] comes of it.
    Load(KeptModel, Why),
    /// The file that the lost model came from counts as new.
    ReadAgain,
    /// Tell that there is no model any more.
    GoWithout,
}

/// Why a model that has served is loaded once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// It was lost on its way to the batcher, as in a panic there.
    Lost,
    /// It was released for a pause, which is over.
    PauseOver,
    /// The model after it was withdrawn.
    OtherWithdrawn,
}

/// A model that must not be used any more, by its contents.
#[derive(Debug)]
pub(super) enum Withdrawn {
    /// It would have taken the place of the one in service, should that be withdrawn.
    Fallback(Checksum),
    /// It was in service; what is to be done now.
    InService(Checksum, Option<Task>),
}

/// The model in service and the one to fall back on.
#[derive(Debug, Default)]
pub(super) struct Service {
    state: State,
    /// The last model before the one in service that passed its probation.
    fallback: Option<KeptModel>,
    /// Number of the last generation there was.
    number: u64,
}

impl Service {
    /// The model that evaluates, or will as soon as the batcher hears of it or a pause is over.
    pub(super) const fn model(&self) -> Option<&KeptModel> {
        match &self.state {
            State::Empty => None,
            State::OnItsWay { model, .. } | State::Serving(model) | State::Released { model, .. } => Some(model),
        }
    }

    /// Whether no model was ever in service.
    pub(super) const fn never_served(&self) -> bool {
        self.number == 0
    }

    /// Whether time alone may bring something to do.
    pub(super) const fn is_unsettled(&self, paused: bool) -> bool {
        match self.state {
            State::OnItsWay { .. } => true,
            State::Released { .. } => !paused,
            State::Empty | State::Serving(_) => false,
        }
    }

    /// New batches go to generation `newest` at present.
    pub(super) fn taken_up(&mut self, newest: u64, now: Instant) -> Option<Task> {
        match std::mem::take(&mut self.state) {
            State::OnItsWay { model, .. } if newest >= model.generation.number => self.state = State::Serving(model),
            other => self.state = other,
        }
        match &self.state {
            State::OnItsWay { model, sent } if now.duration_since(*sent) >= ON_ITS_WAY => {
                Some(Task::Load(model.clone(), Why::Lost))
            }
            _ => None,
        }
    }

    /// Play is not paused: what was released for a pause comes back.
    pub(super) fn bring_back(&mut self, now: Instant) -> Option<Task> {
        match &mut self.state {
            State::Released { model, tried } if tried.is_none_or(|last| now.duration_since(last) >= BRING_BACK) => {
                *tried = Some(now);
                Some(Task::Load(model.clone(), Why::PauseOver))
            }
            _ => None,
        }
    }

    /// A released model may be brought back at once, however short ago that failed.
    pub(super) const fn hurry(&mut self) {
        if let State::Released { tried, .. } = &mut self.state {
            *tried = None;
        }
    }

    /// A model was loaded and is sent to the batcher: the generation that it gets.
    pub(super) fn brought(&mut self, file: ModelFile, version: i64, proven: bool, now: Instant) -> Generation {
        self.number += 1;
        let generation = Generation { number: self.number, version };
        // The same model once more is no better to fall back on.
        let before = self.leave().filter(|before| before.proven && before.file.content() != file.content());
        self.fallback = before.or(self.fallback.take());
        self.state = State::OnItsWay { model: KeptModel { generation, file, proven }, sent: now };
        generation
    }

    /// A model that was to be loaded once more cannot be.
    pub(super) fn failed(&mut self, why: Why) -> Option<Task> {
        match why {
            Why::Lost => {
                self.state = State::Empty;
                Some(Task::ReadAgain)
            }
            // The program that had the device meanwhile may still hold it.
            Why::PauseOver => None,
            Why::OtherWithdrawn => Some(Task::GoWithout),
        }
    }

    /// A model has passed its probation.
    pub(super) fn proven(&mut self, generation: Generation) {
        if let State::OnItsWay { model, .. } | State::Serving(model) | State::Released { model, .. } = &mut self.state
            && model.generation == generation
        {
            model.proven = true;
        }
    }

    /// The threads drop the model for a pause.
    pub(super) fn released(&mut self) {
        if !matches!(self.state, State::Released { .. }) {
            self.state = self.leave().map_or(State::Empty, |model| State::Released { model, tried: None });
        }
    }

    /// A model broke down in play. `None` where it neither serves nor is kept to serve again.
    pub(super) fn withdrawn(&mut self, generation: Generation, paused: bool) -> Option<Withdrawn> {
        if let Some(model) = self.fallback.take_if(|model| model.generation == generation) {
            return Some(Withdrawn::Fallback(model.file.content()));
        }
        self.model().filter(|model| model.generation == generation)?;
        let (rests, tried) = match self.state {
            State::Released { tried, .. } => (true, tried),
            _ => (paused, None),
        };
        let content = self.leave()?.file.content();
        // The same model under another version is no better.
        let next = match self.fallback.take().filter(|model| model.file.content() != content) {
            Some(model) if rests => {
                self.state = State::Released { model, tried };
                None
            }
            Some(model) => Some(Task::Load(model, Why::OtherWithdrawn)),
            None => Some(Task::GoWithout),
        };
        Some(Withdrawn::InService(content, next))
    }

    /// Takes the model out of service.
    fn leave(&mut self) -> Option<KeptModel> {
        match std::mem::take(&mut self.state) {
            State::Empty => None,
            State::OnItsWay { model, .. } | State::Serving(model) | State::Released { model, .. } => Some(model),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(contents: &str) -> ModelFile {
        ModelFile::named(contents)
    }

    fn content(contents: &str) -> Checksum {
        file(contents).content()
    }

    /// A service and the time.
    struct Stage(Service, Instant);

    impl Stage {
        fn new() -> Self {
            Self(Service::default(), Instant::now())
        }

        /// A model was found and loaded; its version is its number.
        fn bring(&mut self, contents: &str) -> Generation {
            let version = self.0.number.cast_signed() + 1;
            self.0.brought(file(contents), version, false, self.1)
        }

        fn bring_proven(&mut self, contents: &str) -> Generation {
            let generation = self.bring(contents);
            self.0.proven(generation);
            generation
        }

        /// What a task loads, is loaded; version and reason.
        fn load(&mut self, task: Option<Task>) -> (i64, Why) {
            let Some(Task::Load(KeptModel { generation: Generation { version, .. }, file, proven }, why)) = task else {
                panic!("{task:?}")
            };
            self.0.brought(file, version, proven, self.1);
            (version, why)
        }

        fn state(&self) -> &'static str {
            match self.0.state {
                State::Empty => "empty",
                State::OnItsWay { .. } => "on its way",
                State::Serving(_) => "serving",
                State::Released { .. } => "released",
            }
        }

        /// Number, version, and whether it is proven.
        fn model(&self) -> Option<(u64, i64, bool)> {
            self.0.model().map(|model| (model.generation.number, model.generation.version, model.proven))
        }
    }

    #[test]
    fn a_model_serves_once_the_batcher_has_taken_it_up() {
        let mut stage = Stage::new();
        assert!((stage.state(), stage.0.never_served()) == ("empty", true) && !stage.0.is_unsettled(false));
        assert!(stage.0.taken_up(0, stage.1).is_none(), "there is none to be lost");
        stage.bring("a");
        assert!(stage.0.taken_up(0, stage.1).is_none());
        assert!((stage.state(), stage.0.never_served()) == ("on its way", false) && stage.0.is_unsettled(true));
        assert!(stage.0.taken_up(1, stage.1 + 2 * ON_ITS_WAY).is_none(), "it arrived, however late");
        assert!(stage.state() == "serving" && !stage.0.is_unsettled(false));
        assert!(stage.0.taken_up(0, stage.1 + 4 * ON_ITS_WAY).is_none(), "it was there");
    }

    #[test]
    fn a_lost_model_is_sent_again_as_a_new_generation_or_read_again() {
        let mut stage = Stage::new();
        stage.bring_proven("a");
        stage.1 += ON_ITS_WAY;
        let task = stage.0.taken_up(0, stage.1);
        assert_eq!(stage.load(task), (1, Why::Lost));
        assert_eq!((stage.state(), stage.model()), ("on its way", Some((2, 1, true))));
        assert!(stage.0.fallback.is_none(), "it is the same model");
        assert!(stage.0.taken_up(1, stage.1).is_none(), "the former generation is another");
        stage.1 += ON_ITS_WAY;
        assert!(stage.0.taken_up(1, stage.1).is_some());
        assert!(matches!(stage.0.failed(Why::Lost), Some(Task::ReadAgain)) && stage.state() == "empty");
    }

    #[test]
    fn a_released_model_comes_back_after_the_pause_with_time_between_tries() {
        let mut stage = Stage::new();
        stage.0.released();
        assert_eq!(stage.state(), "empty", "there is none to be released");
        for is_there in [false, true] {
            stage.bring_proven("a");
            assert!(stage.0.taken_up(if is_there { u64::MAX } else { 0 }, stage.1).is_none());
            stage.0.released();
            assert_eq!(stage.state(), "released");
            assert!(stage.0.taken_up(0, stage.1 + ON_ITS_WAY).is_none(), "it cannot be lost");
            assert!(!stage.0.is_unsettled(true) && stage.0.is_unsettled(false));
            assert!(stage.0.bring_back(stage.1).is_some() && stage.0.failed(Why::PauseOver).is_none());
            assert!(stage.0.bring_back(stage.1 + BRING_BACK / 2).is_none(), "tried a moment ago");
            stage.0.released();
            assert!(stage.0.bring_back(stage.1 + BRING_BACK / 2).is_none(), "it was released already");
            assert!(stage.0.bring_back(stage.1 + BRING_BACK).is_some());
            stage.0.hurry();
            let task = stage.0.bring_back(stage.1 + BRING_BACK);
            let version = stage.model().unwrap().1;
            assert_eq!(stage.load(task), (version, Why::PauseOver));
            assert_eq!(stage.model(), Some((stage.0.number, version, true)), "what was proven is so still");
            assert!(stage.0.bring_back(stage.1 + 9 * BRING_BACK).is_none() && stage.0.fallback.is_none());
        }
    }

    #[test]
    fn only_a_proven_model_of_other_contents_is_kept_to_fall_back_on() {
        let mut stage = Stage::new();
        let first = stage.bring_proven("a");
        for contents in ["b", "c", "c"] {
            stage.bring(contents);
            assert_eq!(stage.0.fallback.as_ref().map(|model| model.generation), Some(first));
        }
        stage.0.proven(first);
        assert_eq!(stage.model(), Some((4, 4, false)), "an old model is meant");
        stage.0.proven(Generation { number: 4, version: 4 });
        stage.0.released();
        stage.bring("d");
        assert_eq!(stage.0.fallback.as_ref().map(|model| model.generation.number), Some(4));
    }

    #[test]
    fn a_withdrawn_model_gives_way_to_the_one_before() {
        let mut stage = Stage::new();
        stage.bring_proven("a");
        let second = stage.bring("b");
        let Some(Withdrawn::InService(gone, task)) = stage.0.withdrawn(second, false) else { panic!() };
        assert_eq!((gone, stage.state()), (content("b"), "empty"));
        assert_eq!(stage.load(task), (1, Why::OtherWithdrawn));
        assert_eq!((stage.state(), stage.model()), ("on its way", Some((3, 1, true))));
        assert!(stage.0.withdrawn(second, false).is_none(), "it is gone");
        let third = stage.0.model().unwrap().generation;
        assert!(matches!(
            stage.0.withdrawn(third, false),
            Some(Withdrawn::InService(gone, Some(Task::GoWithout))) if gone == content("a")
        ));
        assert!(matches!(stage.0.failed(Why::OtherWithdrawn), Some(Task::GoWithout)));
    }

    #[test]
    fn the_same_contents_are_no_way_back_and_nor_is_what_was_withdrawn() {
        let mut stage = Stage::new();
        stage.bring_proven("a");
        stage.bring("b");
        let third = stage.bring("a");
        assert!(matches!(stage.0.withdrawn(third, false), Some(Withdrawn::InService(_, Some(Task::GoWithout)))));

        let fourth = stage.bring_proven("c");
        let fifth = stage.bring("d");
        assert!(
            matches!(stage.0.withdrawn(fourth, false), Some(Withdrawn::Fallback(gone)) if gone == content("c")),
            "it came late"
        );
        assert_eq!(stage.model(), Some((5, 5, false)));
        assert!(matches!(stage.0.withdrawn(fifth, true), Some(Withdrawn::InService(_, Some(Task::GoWithout)))));
        assert_eq!(stage.state(), "empty");
    }

    #[test]
    fn in_a_pause_the_one_before_waits_for_its_end() {
        for released in [false, true] {
            let mut stage = Stage::new();
            stage.bring_proven("a");
            let second = stage.bring("b");
            if released {
                stage.0.released();
                assert!(stage.0.bring_back(stage.1).is_some());
            }
            // The pause is over, but the device is not free yet: that is like a pause.
            assert!(matches!(stage.0.withdrawn(second, !released), Some(Withdrawn::InService(_, None))));
            assert_eq!((stage.state(), stage.model()), ("released", Some((1, 1, true))));
            assert_eq!(stage.0.bring_back(stage.1).is_none(), released, "tried a moment ago");
            let task = stage.0.bring_back(stage.1 + BRING_BACK);
            assert_eq!(stage.load(task), (1, Why::PauseOver));
        }
    }
}
