//! Quoridor on boards of 3 to 9 cells a side.
//!
//! The first player starts in the middle of row 0 and wins on the last row, the second the other way round; rows count
//! downwards and columns rightwards from 0. Policy indices, for a board of N × N cells: `row * N + col` of the destination
//! of a pawn, then (N−1)² vertical walls, then (N−1)² horizontal walls, both by the row and column of the cell above and left
//! of the wall's middle (its *anchor*). The network frame turns the board by 180° for the second player, so that the mover
//! always walks downwards.
//!
//! Modules, low to high:
//!
//! - `board`: cells, walls as bitboards, where a pawn can go, policy indices
//! - `paths`: which walls would shut a pawn in, for all walls at once
//! - `encoding`: positions as network input
//! - `packing`: the same as few bytes
//! - `notation`: actions and boards as text
//! - `endgame`: what positions are worth once no wall can follow

mod board;
mod encoding;
mod endgame;
mod notation;
#[cfg(test)]
mod oracle;
mod packing;
mod paths;
#[cfg(test)]
mod tests;

use std::hash::{Hash, Hasher};

use thiserror::Error;

pub(crate) use self::endgame::Endgame;
pub use self::{
    board::{Cell, Orientation},
    encoding::QuoridorEncoding,
};
use self::{
    board::{Geometry, Move, Walls},
    paths::Paths,
};
use super::reverse_rows;
use crate::{
    game::{Action, ActionBits, Draw, Game, Outcome, Player},
    packing::Packing,
};

/// Smallest board: one wall must fit in the row it blocks with a gap beside it.
const MIN_BOARD_SIZE: u32 = 3;
/// Largest board: its 8 × 8 anchors fill one 64-bit word.
const MAX_BOARD_SIZE: u32 = 9;
/// Most walls of a player: the count is one byte, in the position as in the conformance vectors.
const MAX_WALLS: u32 = 255;

/// A setting which Quoridor cannot be played with.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RulesError {
    /// The board is too small or too large.
    #[error("set up a board of {0} cells a side: board_size must be {MIN_BOARD_SIZE} to {MAX_BOARD_SIZE}")]
    BoardSize(u32),
    /// More walls than can be counted.
    #[error("give each player {0} walls: max_walls must be 0 to {MAX_WALLS}")]
    MaxWalls(u32),
    /// A game that would be over before it began.
    #[error("play a game of 0 steps: max_steps must be at least 1, or absent for no limit")]
    MaxSteps,
}

/// The rules of Quoridor with a board size, a number of walls and a step limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoridor {
    geometry: Geometry,
    max_walls: u8,
    max_steps: Option<u32>,
}

/// A position in the game frame, with what is needed to find its legal walls without a search. 160 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuoridorState {
    walls: Walls,
    paths: Paths,
    ply: u32,
    pawns: [Cell; 2],
    walls_left: [u8; 2],
}

/// What the network sees of a position, in the network frame: the mover walks downwards. 24 bytes.
///
/// Neither the ply nor the side to move is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuoridorPosition {
    walls: Walls,
    /// Mover first, as in all pairs here.
    pawns: [Cell; 2],
    walls_left: [u8; 2],
}

impl Quoridor {
    /// Its name in settings.
    pub const NAME: &str = "quoridor";

    /// Rules for a board of `board_size` × `board_size` cells (3 to 9) with `max_walls` walls a player (0 to 255).
    ///
    /// Without a winner the game is a draw after `max_steps` plies of both players together; `None` sets no limit.
    ///
    /// # Errors
    /// When a setting is out of range; the message says what is allowed.
    pub fn new(board_size: u32, max_walls: u32, max_steps: Option<u32>) -> Result<Self, RulesError> {
        if !(MIN_BOARD_SIZE..=MAX_BOARD_SIZE).contains(&board_size) {
            return Err(RulesError::BoardSize(board_size));
        }
        if max_walls > MAX_WALLS {
            return Err(RulesError::MaxWalls(max_walls));
        }
        if max_steps == Some(0) {
            return Err(RulesError::MaxSteps);
        }
        Ok(Self { geometry: Geometry::new(board_size as u8), max_walls: max_walls as u8, max_steps })
    }

    /// Cells a side.
    #[must_use]
    pub const fn board_size(&self) -> u8 {
        self.geometry.size
    }

    /// Walls of each player at the start.
    #[must_use]
    pub const fn max_walls(&self) -> u8 {
        self.max_walls
    }

    /// Plies of both players after which a game without a winner is a draw.
    #[must_use]
    pub const fn max_steps(&self) -> Option<u32> {
        self.max_steps
    }

    /// Row that wins for `player`, game frame.
    const fn goal_row(&self, player: Player) -> u8 {
        match player {
            Player::First => self.geometry.size - 1,
            Player::Second => 0,
        }
    }
}

impl Hash for QuoridorPosition {
    /// Three words: a hash of each small field by itself would take most of the time of a look-up.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [mover, opponent] = self.pawns;
        let [walls, opponents_walls] = self.walls_left;
        let rest = [mover.row, mover.col, opponent.row, opponent.col, walls, opponents_walls, 0, 0];
        state.write_u64(self.walls.vertical);
        state.write_u64(self.walls.horizontal);
        state.write_u64(u64::from_le_bytes(rest));
    }
}

impl QuoridorState {
    /// Where the pawn of `player` stands.
    #[must_use]
    pub const fn pawn(&self, player: Player) -> Cell {
        self.pawns[player.index()]
    }

    /// Walls that `player` has not placed yet.
    #[must_use]
    pub const fn walls_left(&self, player: Player) -> u8 {
        self.walls_left[player.index()]
    }

    /// Whether a wall stands whose middle is below and right of `anchor`.
    #[must_use]
    pub const fn has_wall(&self, orientation: Orientation, anchor: Cell) -> bool {
        self.walls.contains(orientation, anchor)
    }

    const fn mover(&self) -> Player {
        Player::at_ply(self.ply)
    }
}

impl Game for Quoridor {
    type State = QuoridorState;
    type Position = QuoridorPosition;
    type Actions = ActionBits<4>;
    type Encoding = QuoridorEncoding;

    fn start(&self) -> QuoridorState {
        let (size, col) = (self.geometry.size, self.geometry.size / 2);
        let pawns = [Cell { row: 0, col }, Cell { row: size - 1, col }];
        QuoridorState {
            walls: Walls::default(),
            paths: Paths::without_walls(&self.geometry, pawns),
            ply: 0,
            pawns,
            walls_left: [self.max_walls; 2],
        }
    }

    fn policy_size(&self) -> usize {
        self.geometry.policy_size()
    }

    fn ply(&self, state: &QuoridorState) -> u32 {
        state.ply
    }

    fn outcome(&self, state: &QuoridorState) -> Option<Outcome> {
        let winner = [Player::First, Player::Second]
            .into_iter()
            .find(|&player| state.pawns[player.index()].row == self.goal_row(player));
        if let Some(winner) = winner {
            return Some(Outcome::Win(winner));
        }
        self.max_steps.is_some_and(|limit| state.ply >= limit).then_some(Outcome::Draw(Draw::StepLimit))
    }

    fn legal_actions(&self, state: &QuoridorState) -> ActionBits<4> {
        let mover = state.mover();
        let pawn = state.pawns[mover.index()];
        let opponent = state.pawns[mover.opponent().index()];
        let moves = state.walls.pawn_moves(&self.geometry, pawn, opponent);
        let walls = if state.walls_left[mover.index()] == 0 {
            Walls::default()
        } else {
            let blocking = state.paths.blocking_walls(&self.geometry);
            let free = state.walls.placeable(&self.geometry);
            Walls { vertical: free.vertical & !blocking.vertical, horizontal: free.horizontal & !blocking.horizontal }
        };
        self.geometry.action_set(moves, walls)
    }

    fn play(&self, state: &mut QuoridorState, action: Action) {
        let mover = state.mover();
        match self.geometry.decode(action) {
            Move::Pawn(to) => {
                let from = state.pawns[mover.index()];
                let opponent = state.pawns[mover.opponent().index()];
                state.paths.move_pawn(&self.geometry, mover, from, opponent, to);
                state.pawns[mover.index()] = to;
            }
            Move::Wall(orientation, anchor) => {
                state.paths.place_wall(&self.geometry, orientation, anchor);
                state.walls.insert(orientation, anchor);
                state.walls_left[mover.index()] -= 1;
            }
        }
        state.ply += 1;
    }

    fn position(&self, state: &QuoridorState) -> QuoridorPosition {
        let QuoridorState { walls, pawns: [first, second], walls_left: [first_left, second_left], .. } = *state;
        match state.mover() {
            Player::First => QuoridorPosition { walls, pawns: [first, second], walls_left: [first_left, second_left] },
            Player::Second => QuoridorPosition {
                walls: walls.turned(&self.geometry),
                pawns: [second, first].map(|cell| self.geometry.turn_cell(cell)),
                walls_left: [second_left, first_left],
            },
        }
    }

    fn turn_action(&self, mover: Player, action: Action) -> Action {
        match mover {
            Player::First => action,
            Player::Second => self.geometry.turn_action(action),
        }
    }

    fn turn_actions(&self, mover: Player, actions: &ActionBits<4>) -> ActionBits<4> {
        match mover {
            Player::First => *actions,
            Player::Second => self.geometry.turn_actions(actions),
        }
    }

    fn turn_priors(&self, mover: Player, legal: &ActionBits<4>, priors: &mut [f32]) {
        if mover == Player::First {
            return;
        }
        // A half turn reverses the order of the cells, of the vertical and of the horizontal walls, each on its own.
        let [moves, vertical, _] = self.geometry.counts(legal);
        let (moves, walls) = priors.split_at_mut(moves);
        let (vertical, horizontal) = walls.split_at_mut(vertical);
        moves.reverse();
        vertical.reverse();
        horizontal.reverse();
    }

    /// Left and right can be exchanged.
    fn symmetries(&self) -> usize {
        2
    }

    fn transform(&self, symmetry: usize, position: &QuoridorPosition) -> QuoridorPosition {
        if symmetry == 0 {
            return *position;
        }
        QuoridorPosition {
            walls: position.walls.mirrored(&self.geometry),
            pawns: position.pawns.map(|cell| self.geometry.mirror_cell(cell)),
            walls_left: position.walls_left,
        }
    }

    fn transform_entry(&self, encoding: QuoridorEncoding, symmetry: usize, entry: usize) -> usize {
        if symmetry == 0 { entry } else { encoding.mirror_entry(&self.geometry, entry) }
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        if symmetry == 0 { action } else { self.geometry.mirror_action(action) }
    }

    fn transform_actions(&self, symmetry: usize, actions: &ActionBits<4>) -> ActionBits<4> {
        if symmetry == 0 { *actions } else { self.geometry.mirror_actions(actions) }
    }

    fn transform_priors(&self, symmetry: usize, legal: &ActionBits<4>, priors: &mut [f32]) {
        if symmetry != 0 {
            reverse_rows(priors, self.geometry.row_counts(legal));
        }
    }

    fn encodings(&self) -> Vec<QuoridorEncoding> {
        vec![QuoridorEncoding::Resnet, QuoridorEncoding::Mlp]
    }

    fn encoding_name(&self, encoding: QuoridorEncoding) -> &'static str {
        encoding.name()
    }

    fn input_shape(&self, encoding: QuoridorEncoding) -> Vec<usize> {
        encoding.shape(&self.geometry)
    }

    fn encode(&self, encoding: QuoridorEncoding, position: &QuoridorPosition, out: &mut [f32]) {
        encoding.encode(&self.geometry, position, out);
    }

    fn encode_over(
        &self,
        encoding: QuoridorEncoding,
        before: &QuoridorPosition,
        position: &QuoridorPosition,
        out: &mut [f32],
    ) {
        encoding.encode_over(&self.geometry, before, position, out);
    }

    fn packing(&self, encoding: QuoridorEncoding) -> Option<Packing> {
        Some(encoding.packing(&self.geometry))
    }

    fn pack(&self, encoding: QuoridorEncoding, position: &QuoridorPosition, out: &mut [u8]) {
        encoding.pack(&self.geometry, position, out);
    }
}
