//! Quoridor with rules that panic at chosen calls.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use selfplay_engine::{
    Action, ActionBits, Game, Outcome, Player,
    games::quoridor::{Quoridor, QuoridorEncoding, QuoridorPosition, QuoridorState},
};

/// Which calls of which rule panic, counted over all games from 1.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) start: Vec<u64>,
    pub(crate) play: Vec<u64>,
    pub(crate) legal_actions: Vec<u64>,
    /// With an evaluator that encodes nothing, only the writer calls it.
    pub(crate) encode: Vec<u64>,
    /// The positions made by these calls panic when they are first hashed, which only the cache does.
    pub(crate) hashed_position: Vec<u64>,
    /// Every call of `play` panics from this one on.
    pub(crate) play_from: Option<u64>,
}

#[derive(Debug, Default)]
struct Calls {
    start: AtomicU64,
    play: AtomicU64,
    legal_actions: AtomicU64,
    encode: AtomicU64,
    position: AtomicU64,
}

/// A position that panics the first time it, or a copy of it, is hashed while its trap is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FragilePosition {
    position: QuoridorPosition,
    trap: Option<&'static AtomicBool>,
}

impl PartialEq for FragilePosition {
    fn eq(&self, other: &Self) -> bool {
        self.position == other.position
    }
}

impl Eq for FragilePosition {}

impl PartialOrd for FragilePosition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for FragilePosition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.position.cmp(&other.position)
    }
}

impl Hash for FragilePosition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        assert!(!self.trap.is_some_and(|trap| trap.swap(false, Ordering::Relaxed)), "as planned: hashed");
        self.position.hash(state);
    }
}

/// Plays by the rules of Quoridor, and panics at the calls that a test chose.
#[derive(Clone, Debug)]
pub(crate) struct Fragile {
    game: Quoridor,
    faults: Arc<Faults>,
    calls: Arc<Calls>,
}

impl Fragile {
    pub(crate) fn new(game: Quoridor, faults: Faults) -> Self {
        Self { game, faults: Arc::new(faults), calls: Arc::default() }
    }
}

/// Counts a call and panics if it is one of those.
fn call(calls: &AtomicU64, faults: &[u64]) -> u64 {
    let number = calls.fetch_add(1, Ordering::Relaxed) + 1;
    assert!(!faults.contains(&number), "as planned: call {number}");
    number
}

impl Game for Fragile {
    type State = QuoridorState;
    type Position = FragilePosition;
    type Actions = ActionBits<4>;
    type Encoding = QuoridorEncoding;

    fn start(&self) -> QuoridorState {
        call(&self.calls.start, &self.faults.start);
        self.game.start()
    }
    fn play(&self, state: &mut QuoridorState, action: Action) {
        let number = call(&self.calls.play, &self.faults.play);
        assert!(self.faults.play_from.is_none_or(|from| number < from), "as planned: call {number}");
        self.game.play(state, action);
    }
    fn legal_actions(&self, state: &QuoridorState) -> ActionBits<4> {
        call(&self.calls.legal_actions, &self.faults.legal_actions);
        self.game.legal_actions(state)
    }
    fn policy_size(&self) -> usize {
        self.game.policy_size()
    }
    fn side_to_move(&self, state: &QuoridorState) -> Player {
        self.game.side_to_move(state)
    }
    fn ply(&self, state: &QuoridorState) -> u32 {
        self.game.ply(state)
    }
    fn outcome(&self, state: &QuoridorState) -> Option<Outcome> {
        self.game.outcome(state)
    }
    fn position(&self, state: &QuoridorState) -> FragilePosition {
        let number = self.calls.position.fetch_add(1, Ordering::Relaxed) + 1;
        let trapped = self.faults.hashed_position.contains(&number);
        let trap = trapped.then(|| &*Box::leak(Box::new(AtomicBool::new(true))));
        FragilePosition { position: self.game.position(state), trap }
    }
    fn turn_action(&self, mover: Player, action: Action) -> Action {
        self.game.turn_action(mover, action)
    }
    fn turn_actions(&self, mover: Player, actions: &ActionBits<4>) -> ActionBits<4> {
        self.game.turn_actions(mover, actions)
    }
    fn turn_priors(&self, mover: Player, legal: &ActionBits<4>, priors: &mut [f32]) {
        self.game.turn_priors(mover, legal, priors);
    }
    fn encodings(&self) -> Vec<QuoridorEncoding> {
        self.game.encodings()
    }
    fn encoding_name(&self, encoding: QuoridorEncoding) -> &'static str {
        self.game.encoding_name(encoding)
    }
    fn input_shape(&self, encoding: QuoridorEncoding) -> Vec<usize> {
        self.game.input_shape(encoding)
    }
    fn encode(&self, encoding: QuoridorEncoding, position: &FragilePosition, out: &mut [f32]) {
        call(&self.calls.encode, &self.faults.encode);
        self.game.encode(encoding, &position.position, out);
    }
}
