//! A toy game whose positions can panic, a model whose answers name it, and dice that roll the same again for the same seed.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    sync::Once,
};

use selfplay_engine::{
    Action, ActionBits, Evaluations, Evaluator, Game, Leaf, Outcome,
    evaluation::{EvaluateError, mix},
};

use crate::{
    supervision::panic_text,
    testing::{Numbers, value},
};

/// Random numbers that follow from a seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    fn roll(&mut self) -> u64 {
        self.0 = mix(self.0);
        self.0
    }

    /// Evenly among `0..count`.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        self.roll() % count
    }

    /// True once in `every` times; never for 0.
    pub(super) fn once_in(&mut self, every: u64) -> bool {
        every > 0 && self.below(every) == 0
    }

    pub(super) fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    pub(super) fn seed(&mut self) -> u64 {
        self.roll()
    }
}

/// The payload of every panic that is part of the plan, but for one of the pool's own.
struct Planned;

/// What the pool says of a model with too few evaluators.
const TOO_FEW: &str = "one evaluator per inference thread";

/// Panics as planned, without a word on stderr.
pub(super) fn panic_as_planned() -> ! {
    std::panic::resume_unwind(Box::new(Planned))
}

/// Runs `work`; false when it panicked as planned. Any other panic goes on.
pub(super) fn survives(work: impl FnOnce()) -> bool {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    disarm();
    match outcome {
        Ok(()) => true,
        Err(payload) if payload.is::<Planned>() || panic_text(&*payload).contains(TOO_FEW) => false,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Keeps the pool's own panic off stderr.
pub(super) fn expect_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let other = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic_text(panic.payload()).contains(TOO_FEW) {
                other(panic);
            }
        }));
    });
}

thread_local! {
    /// Hashes of positions until one panics; 0: none will.
    static FUSE: Cell<u64> = const { Cell::new(0) };
}

/// The so-many-th position hashed from here on panics.
pub(super) fn arm(hashes: u64) {
    FUSE.set(hashes);
}

/// Whether a fuse was armed and has not gone off; takes it away.
pub(super) fn disarm() -> bool {
    FUSE.replace(0) > 0
}

/// A position: a number that may panic when it is hashed, and so anywhere in the cache's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot(pub(super) u16);

impl Hash for Spot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match FUSE.get() {
            0 => {}
            1 => {
                FUSE.set(0);
                panic_as_planned();
            }
            left => FUSE.set(left - 1),
        }
        self.0.hash(state);
    }
}

/// [`Numbers`] with other positions.
#[derive(Clone, Debug)]
pub(super) struct Toy;

pub(super) fn leaf(position: u16) -> Leaf<Toy> {
    Leaf { position: Spot(position), legal: Numbers.legal_actions(&position) }
}

/// The prior that a model gives a position's only action.
pub(super) fn prior(generation: u64, position: u16) -> f32 {
    value(generation, position) + 0.5
}

/// How often a model's batches go wrong: once in so many times each; 0 for never.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ModelFaults {
    pub(super) fails: u64,
    pub(super) panics: u64,
    pub(super) forgets: u64,
    /// Per position.
    pub(super) flaws: u64,
}

/// Model number `generation`: its answers tell it from any other.
pub(super) struct ToyModel {
    pub(super) generation: u64,
    pub(super) faults: ModelFaults,
    pub(super) dice: Dice,
}

impl Evaluator<Toy> for ToyModel {
    fn evaluate(&mut self, leaves: &[Leaf<Toy>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let ModelFaults { fails, panics, forgets, flaws } = self.faults;
        if self.dice.once_in(panics) {
            panic_as_planned();
        }
        if self.dice.once_in(fails) {
            return Err(EvaluateError::Backend("no luck".to_owned()));
        }
        let kept = leaves.len() - usize::from(self.dice.once_in(forgets));
        for leaf in &leaves[..kept] {
            let position = leaf.position.0;
            if self.dice.once_in(flaws) {
                // The output names position and model, so that a report of it can be checked.
                let logits = [f32::from(position), self.generation as f32];
                out.push_logits(f32::NAN, &logits, &leaf.legal);
            } else {
                out.push(value(self.generation, position), [prior(self.generation, position)]);
            }
        }
        Ok(())
    }
}

impl Game for Toy {
    type State = u16;
    type Position = Spot;
    type Actions = ActionBits<1>;
    type Encoding = ();

    fn start(&self) -> u16 {
        0
    }
    fn policy_size(&self) -> usize {
        1
    }
    fn ply(&self, state: &u16) -> u32 {
        Numbers.ply(state)
    }
    fn outcome(&self, _: &u16) -> Option<Outcome> {
        None
    }
    fn legal_actions(&self, state: &u16) -> ActionBits<1> {
        Numbers.legal_actions(state)
    }
    fn play(&self, state: &mut u16, _: Action) {
        *state += 1;
    }
    fn position(&self, state: &u16) -> Spot {
        Spot(*state)
    }
    fn encoding_name(&self, (): ()) -> &'static str {
        "number"
    }
    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![1]
    }
    fn encode(&self, (): (), position: &Spot, out: &mut [f32]) {
        out[0] = f32::from(position.0);
    }
}
