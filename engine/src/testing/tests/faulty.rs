//! A small game that keeps all laws, and breaks one of them at a time.
//!
//! Players put stones on 2 × 3 cells; who fills a column wins. The second player's board is turned by 180°,
//! columns can be mirrored, and positions are packed.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::{
    game::{
        Action, ActionBits, ActionSet, Draw, Game, Notation, Outcome, Player,
        board::{Board, Mark, Pieces, Shape, Stone, StoneKind, cell_name, grid_point},
    },
    packing::{Packing, Source},
    testing::Law,
};

const CELLS: Action = 6;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Nothing,
    BeginsLate,
    OverAtTheStart,
    UnknownAction,
    SkipsPlies,
    OneMover,
    ChangesItsMind,
    PlaysElsewhere,
    ForgetsTheLastAction,
    UnequalHashes,
    UnequalToItself,
    TurnsOnce,
    TurnsSetsOtherwise,
    TurnsPriorsOtherwise,
    LeavesAnEntry,
    EncodesNoNumber,
    WritesOverNothing,
    TwoEncodingsOfOneShape,
    PacksOtherwise,
    PacksIntoWhatWasThere,
    NoGroup,
    NoIdentity,
    TransformsSetsOtherwise,
    TransformsPriorsOtherwise,
    TransformsEntriesOtherwise,
    LopsidedActions,
    LopsidedResults,
    OneNameForAll,
    StonesBesideTheBoard,
    MarksBesideTheBoard,
}

use Fault::*;

/// Every fault, and the law that it breaks.
pub(super) const FAULTS: [(Fault, Law); 29] = [
    (BeginsLate, Law::Start),
    (OverAtTheStart, Law::Start),
    (UnknownAction, Law::LegalActions),
    (SkipsPlies, Law::Turns),
    (OneMover, Law::Turns),
    (ChangesItsMind, Law::Outcome),
    (PlaysElsewhere, Law::Determinism),
    (ForgetsTheLastAction, Law::Position),
    (UnequalHashes, Law::Position),
    (UnequalToItself, Law::Position),
    (TurnsOnce, Law::Turning),
    (TurnsSetsOtherwise, Law::Turning),
    (TurnsPriorsOtherwise, Law::Turning),
    (LeavesAnEntry, Law::Encoding),
    (EncodesNoNumber, Law::Encoding),
    (WritesOverNothing, Law::Encoding),
    (TwoEncodingsOfOneShape, Law::Encoding),
    (PacksOtherwise, Law::Packing),
    (PacksIntoWhatWasThere, Law::Packing),
    (NoGroup, Law::Group),
    (NoIdentity, Law::Group),
    (TransformsSetsOtherwise, Law::Group),
    (TransformsPriorsOtherwise, Law::Group),
    (TransformsEntriesOtherwise, Law::Group),
    (LopsidedActions, Law::Symmetry),
    (LopsidedResults, Law::Symmetry),
    (OneNameForAll, Law::Notation),
    (StonesBesideTheBoard, Law::Notation),
    (MarksBesideTheBoard, Law::Notation),
];

#[derive(Clone, Debug)]
pub(super) struct Faulty {
    fault: Fault,
    /// Questions that were answered: what rules must not depend on.
    asked: Arc<AtomicU32>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    stones: [u8; 2],
    last: Action,
}

/// Mover first, turned.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    stones: [u8; 2],
    unseen: u32,
    odd: bool,
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.stones == other.stones
    }
}
impl Eq for View {}
impl PartialOrd for View {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for View {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        if self.odd { std::cmp::Ordering::Less } else { self.stones.cmp(&other.stones) }
    }
}
impl Hash for View {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.stones, self.unseen).hash(state);
    }
}

impl Faulty {
    pub(super) fn new(fault: Fault) -> Self {
        Self { fault, asked: Arc::default() }
    }

    fn is(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn count(&self) -> u32 {
        self.asked.fetch_add(1, Ordering::Relaxed)
    }

    fn image(symmetry: usize, cell: Action) -> Action {
        let (row, column) = (cell / 3, cell % 3);
        3 * row
            + match symmetry {
                0 => column,
                1 => 2 - column,
                _ => (column + 1) % 3,
            }
    }
}

fn cells(set: u8) -> impl Iterator<Item = Action> {
    (0..CELLS).filter(move |cell| set >> cell & 1 == 1)
}

fn turned(set: u8) -> u8 {
    set.reverse_bits() >> 2
}

impl Game for Faulty {
    type State = State;
    type Position = View;
    type Actions = ActionBits<1>;
    type Encoding = u8;

    fn start(&self) -> State {
        State::default()
    }
    fn policy_size(&self) -> usize {
        usize::from(CELLS)
    }
    fn ply(&self, state: &State) -> u32 {
        let stones = (state.stones[0] | state.stones[1]).count_ones();
        match self.fault {
            BeginsLate => stones + 1,
            SkipsPlies => 2 * stones,
            _ => stones,
        }
    }
    fn outcome(&self, state: &State) -> Option<Outcome> {
        let [first, second] = state.stones;
        if self.is(OverAtTheStart) && first == 0 {
            return Some(Outcome::Draw(Draw::Rule));
        }
        let full = first | second == 0b111_111;
        if full && self.is(ChangesItsMind) && self.count().is_multiple_of(2) {
            return None;
        }
        let has_column = |stones: u8| stones & stones >> 3 != 0;
        if has_column(first) || self.is(LopsidedResults) && first & 0b010_001 == 0b010_001 {
            Some(Outcome::Win(Player::First))
        } else if has_column(second) {
            Some(Outcome::Win(Player::Second))
        } else {
            full.then_some(Outcome::Draw(Draw::Rule))
        }
    }
    fn legal_actions(&self, state: &State) -> ActionBits<1> {
        let mut free = !(state.stones[0] | state.stones[1]) & 0b111_111;
        if self.is(LopsidedActions) && free.count_ones() > 3 {
            free &= !1;
        }
        if self.is(ForgetsTheLastAction) && free.count_ones() > 1 && free >> ((state.last + 1) % CELLS) & 1 == 1 {
            free ^= 1 << ((state.last + 1) % CELLS);
        }
        ActionBits([u64::from(free | u8::from(self.is(UnknownAction)) << CELLS)])
    }
    fn play(&self, state: &mut State, action: Action) {
        let mut action = action;
        if self.is(PlaysElsewhere) && self.count() % 40 == 39 {
            action = self.legal_actions(state).nth(0);
        }
        let mover = self.side_to_move(state);
        state.stones[mover.index()] |= 1 << action;
        state.last = action;
    }
    fn side_to_move(&self, state: &State) -> Player {
        if self.is(OneMover) { Player::First } else { Player::at_ply(self.ply(state)) }
    }

    fn position(&self, state: &State) -> View {
        let [first, second] = state.stones;
        let stones = match self.side_to_move(state) {
            Player::First => [first, second],
            Player::Second => [turned(second), turned(first)],
        };
        let unseen = if self.is(UnequalHashes) { self.count() } else { 0 };
        View { stones, unseen, odd: self.is(UnequalToItself) }
    }
    fn encodings(&self) -> Vec<u8> {
        if self.is(TwoEncodingsOfOneShape) { vec![0, 0] } else { vec![0, 1] }
    }
    fn encoding_name(&self, encoding: u8) -> &'static str {
        ["planes", "flat"][usize::from(encoding)]
    }
    fn input_shape(&self, encoding: u8) -> Vec<usize> {
        if encoding == 0 { vec![2, 2, 3] } else { vec![12] }
    }
    fn encode(&self, _: u8, position: &View, out: &mut [f32]) {
        let length = out.len() - usize::from(self.is(LeavesAnEntry));
        for (number, entry) in out[..length].iter_mut().enumerate() {
            *entry = f32::from(position.stones[number / 6] >> (number % 6) & 1);
        }
        if self.is(EncodesNoNumber) && position.stones[1] != 0 {
            out[0] = f32::INFINITY;
        }
    }
    fn encode_over(&self, encoding: u8, _: &View, position: &View, out: &mut [f32]) {
        if !self.is(WritesOverNothing) {
            self.encode(encoding, position, out);
        }
    }

    fn turn_action(&self, mover: Player, action: Action) -> Action {
        match mover {
            Player::First => action,
            Player::Second if self.is(TurnsOnce) => (action + 1) % CELLS,
            Player::Second => CELLS - 1 - action,
        }
    }
    fn turn_actions(&self, mover: Player, actions: &ActionBits<1>) -> ActionBits<1> {
        if self.is(TurnsSetsOtherwise) { *actions } else { actions.map(|action| self.turn_action(mover, action)) }
    }
    fn turn_priors(&self, mover: Player, _: &ActionBits<1>, priors: &mut [f32]) {
        if mover == Player::Second && !self.is(TurnsPriorsOtherwise) {
            priors.reverse();
        }
    }

    fn symmetries(&self) -> usize {
        if self.is(NoGroup) { 3 } else { 2 }
    }
    fn transform(&self, symmetry: usize, position: &View) -> View {
        let symmetry = if self.is(NoIdentity) { 1 } else { symmetry };
        let image = |set: u8| cells(set).fold(0, |image, cell| image | 1 << Self::image(symmetry, cell));
        View { stones: position.stones.map(image), ..*position }
    }
    fn transform_entry(&self, _: u8, symmetry: usize, entry: usize) -> usize {
        let cell = entry as Action % CELLS;
        let image = if self.is(TransformsEntriesOtherwise) { cell } else { Self::image(symmetry, cell) };
        entry - usize::from(cell) + usize::from(image)
    }
    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        Self::image(symmetry, action)
    }
    fn transform_actions(&self, symmetry: usize, actions: &ActionBits<1>) -> ActionBits<1> {
        if self.is(TransformsSetsOtherwise) { *actions } else { actions.map(|cell| Self::image(symmetry, cell)) }
    }
    fn transform_priors(&self, symmetry: usize, legal: &ActionBits<1>, priors: &mut [f32]) {
        if !self.is(TransformsPriorsOtherwise) {
            let images = legal.map(|cell| Self::image(symmetry, cell));
            let before = priors.to_vec();
            for (prior, cell) in priors.iter_mut().zip(legal.iter()) {
                *prior = before[images.rank(Self::image(symmetry, cell))];
            }
        }
    }

    fn packing(&self, encoding: u8) -> Option<Packing> {
        let sources = (0..12).map(|entry| Source::Bit(8 * (entry / 6) + entry % 6)).collect();
        (encoding == 0).then_some(Packing { bytes: 2, sources })
    }
    fn pack(&self, _: u8, position: &View, out: &mut [u8]) {
        for (byte, stones) in out.iter_mut().zip(position.stones) {
            match self.fault {
                PacksOtherwise => *byte = turned(stones),
                PacksIntoWhatWasThere => *byte |= stones,
                _ => *byte = stones,
            }
        }
    }
}

impl Notation for Faulty {
    fn action_name(&self, action: Action) -> String {
        if self.is(OneNameForAll) {
            return "here".to_owned();
        }
        cell_name(usize::from(action) / 3, usize::from(action) % 3)
    }
    fn board(&self) -> Board {
        Board::grid(2, 3, Shape::Square)
    }
    fn pieces(&self, state: &State) -> Pieces {
        let beside = usize::from(self.is(StonesBesideTheBoard));
        let stone = |player: Player, cell: Action| Stone {
            at: grid_point(usize::from(cell) / 3, usize::from(cell) % 3 + beside),
            player,
            kind: StoneKind::Disc,
        };
        let of = |player: Player| cells(state.stones[player.index()]).map(move |cell| stone(player, cell));
        Pieces { stones: Player::BOTH.into_iter().flat_map(of).collect(), ..Pieces::default() }
    }
    fn mark(&self, _: &State, action: Action) -> Mark {
        let beside = usize::from(self.is(MarksBesideTheBoard));
        Mark::Cell(grid_point(usize::from(action) / 3, usize::from(action) % 3 + beside))
    }
}
