//! Othello on 4 × 4, 6 × 6 and 8 × 8.
//!
//! Action: the square, row by row from the top, and size² to pass, which is legal when there is no square to play and only then.
//! The game ends when neither player has one; more stones win, as many are a draw. The first player is black. Nothing is turned
//! for the second player; the board has the eight symmetries of a square, of which four move the start.

use super::{
    ParameterError,
    grid::{Grid, stones, transform_cell_action, transform_plane_entry, write_plane},
};
use crate::game::{
    Action, ActionBits, Draw, Game, Notation, Outcome, Player,
    board::{Board, Mark, Pieces, Shape, StoneKind, cell_name},
};

/// The rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Othello {
    size: u8,
    all: u64,
    /// All but the first and the last column: stones that can be taken by a line that is not vertical.
    inner: u64,
}

/// Stones, and where the mover can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OthelloState {
    /// First player first: bit `size * row + column`.
    stones: [u64; 2],
    /// Squares that the mover can play; none: it passes.
    squares: u64,
    ply: u16,
    /// Neither player can play.
    over: bool,
}

/// The stones of both players, mover first: bit `size * row + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OthelloPosition([u64; 2]);

impl Othello {
    /// Its name in settings.
    pub const NAME: &str = "othello";
    /// Sizes of a board.
    pub const SIZES: [u32; 3] = [4, 6, 8];

    /// A board of `size` × `size` squares: 4, 6 or 8.
    ///
    /// # Errors
    /// For any other size.
    pub fn new(size: u32) -> Result<Self, ParameterError> {
        if !Self::SIZES.contains(&size) {
            let allowed = "4, 6 or 8".to_owned();
            return Err(ParameterError { game: Self::NAME, name: "size", value: size, allowed });
        }
        Ok(Self::of(size as u8))
    }

    fn of(size: u8) -> Self {
        let [all] = Grid { rows: size, columns: size }.all();
        let first = (0..size).fold(0, |column, row| column | 1 << (size * row));
        Self { size, all, inner: all & !first & !(first << (size - 1)) }
    }

    /// Squares a side.
    #[must_use]
    pub const fn size(&self) -> u8 {
        self.size
    }

    const fn grid(&self) -> Grid {
        Grid { rows: self.size, columns: self.size }
    }

    const fn pass(&self) -> Action {
        self.size as Action * self.size as Action
    }

    /// The steps of four of the directions (the others go back), and the stones that lines in them can take.
    const fn directions(&self, other: u64) -> [(u32, u64); 4] {
        let (size, inner) = (self.size as u32, other & self.inner);
        [(1, inner), (size, other), (size + 1, inner), (size - 1, inner)]
    }

    /// Squares from which `own` takes stones of `other`.
    fn squares(&self, own: u64, other: u64) -> u64 {
        let mut squares = 0;
        for (step, takes) in self.directions(other) {
            let [forth, back] = lines(own, takes, step);
            squares |= forth << step | back >> step;
        }
        squares & self.all & !(own | other)
    }

    /// Stones of `other` that a stone of `own` on `square` takes.
    fn taken(&self, own: u64, other: u64, square: u64) -> u64 {
        let mut taken = 0;
        for (step, takes) in self.directions(other) {
            let [forth, back] = lines(square, takes, step);
            // All of a line, if a stone of one's own ends it.
            taken |= forth & u64::from(own & forth << step != 0).wrapping_neg();
            taken |= back & u64::from(own & back >> step != 0).wrapping_neg();
        }
        taken
    }
}

/// The stones of `takes` in lines of up to six that begin next to `from`, forth and back along a direction.
///
/// Lines grow by one, then twice by two: as far as there are two more in a row (parallel prefix, as in chess programs).
const fn lines(from: u64, takes: u64, step: u32) -> [u64; 2] {
    let (mut forth, mut back) = (takes & from << step, takes & from >> step);
    (forth, back) = (forth | takes & forth << step, back | takes & back >> step);
    let (two_forth, two_back) = (takes & takes << step, takes & takes >> step);
    (forth, back) = (forth | two_forth & forth << (2 * step), back | two_back & back >> (2 * step));
    [forth | two_forth & forth << (2 * step), back | two_back & back >> (2 * step)]
}

impl Default for Othello {
    fn default() -> Self {
        Self::of(8)
    }
}

impl Game for Othello {
    type State = OthelloState;
    type Position = OthelloPosition;
    type Actions = ActionBits<2>;
    type Encoding = ();

    fn start(&self) -> OthelloState {
        let size = u32::from(self.size);
        let square = |row: u32, column: u32| 1 << (size * row + column);
        let middle = size / 2;
        let black = square(middle - 1, middle) | square(middle, middle - 1);
        let white = square(middle - 1, middle - 1) | square(middle, middle);
        OthelloState { stones: [black, white], squares: self.squares(black, white), ply: 0, over: false }
    }

    fn policy_size(&self) -> usize {
        usize::from(self.pass()) + 1
    }

    fn ply(&self, state: &OthelloState) -> u32 {
        state.ply.into()
    }

    fn outcome(&self, state: &OthelloState) -> Option<Outcome> {
        if !state.over {
            return None;
        }
        let [black, white] = state.stones.map(u64::count_ones);
        Some(match black.cmp(&white) {
            std::cmp::Ordering::Greater => Outcome::Win(Player::First),
            std::cmp::Ordering::Less => Outcome::Win(Player::Second),
            std::cmp::Ordering::Equal => Outcome::Draw(Draw::Rule),
        })
    }

    fn legal_actions(&self, state: &OthelloState) -> ActionBits<2> {
        let pass = u128::from(state.squares == 0) << self.pass();
        let legal = u128::from(state.squares) | pass;
        ActionBits([legal as u64, (legal >> 64) as u64])
    }

    fn play(&self, state: &mut OthelloState, action: Action) {
        let mover = Player::at_ply(state.ply.into());
        let (mut own, mut other) = (state.stones[mover.index()], state.stones[mover.opponent().index()]);
        state.ply += 1;
        if action != self.pass() {
            let square = 1 << action;
            let taken = self.taken(own, other, square);
            own |= square | taken;
            other &= !taken;
            state.stones[mover.index()] = own;
            state.stones[mover.opponent().index()] = other;
        }
        state.squares = self.squares(other, own);
        // After a pass the other player has a square: it would have been over otherwise.
        state.over = state.squares == 0 && self.squares(own, other) == 0;
    }

    fn position(&self, state: &OthelloState) -> OthelloPosition {
        let [first, second] = state.stones;
        match Player::at_ply(state.ply.into()) {
            Player::First => OthelloPosition([first, second]),
            Player::Second => OthelloPosition([second, first]),
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![2, self.size.into(), self.size.into()]
    }

    fn encode(&self, (): (), position: &OthelloPosition, out: &mut [f32]) {
        for (plane, stones) in out.chunks_exact_mut(self.grid().cells()).zip(position.0) {
            write_plane([stones], plane);
        }
    }

    fn symmetries(&self) -> usize {
        self.grid().symmetries()
    }

    fn transform(&self, symmetry: usize, position: &OthelloPosition) -> OthelloPosition {
        OthelloPosition(position.0.map(|stones| self.grid().transform(symmetry, [stones])[0]))
    }

    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        transform_plane_entry(self.grid(), symmetry, entry)
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        if action == self.pass() { action } else { transform_cell_action(self.grid(), symmetry, action) }
    }
}

impl Notation for Othello {
    fn action_name(&self, action: Action) -> String {
        if action == self.pass() {
            return "pass".to_owned();
        }
        let [row, column] = self.grid().place(action.into());
        cell_name(row, column)
    }

    fn board(&self) -> Board {
        Board::grid(self.size.into(), self.size.into(), Shape::Square)
    }

    fn pieces(&self, state: &OthelloState) -> Pieces {
        let sets = state.stones.map(|stones| [stones]);
        Pieces { stones: stones(sets, StoneKind::Disc, |cell| self.grid().point(cell)), ..Pieces::default() }
    }

    fn mark(&self, _: &OthelloState, action: Action) -> Mark {
        if action == self.pass() {
            return Mark::Word(self.action_name(action));
        }
        Mark::Cell(self.grid().point(action.into()))
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{game::ActionSet, testing::check_images};

    /// The stones taken, square by square along each of eight directions.
    fn taken_plainly(game: &Othello, [own, other]: [u64; 2], square: usize) -> u64 {
        let size = i32::from(game.size);
        let (row, column) = (square as i32 / size, square as i32 % size);
        let mut taken = 0;
        for (down, right) in [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)] {
            let mut line = 0u64;
            for step in 1.. {
                let (row, column) = (row + step * down, column + step * right);
                if !(0..size).contains(&row) || !(0..size).contains(&column) {
                    break;
                }
                let bit = 1u64 << (row * size + column);
                if own & bit != 0 {
                    taken |= line;
                }
                if other & bit == 0 {
                    break;
                }
                line |= bit;
            }
        }
        taken
    }

    #[test]
    fn squares_and_stones_taken_are_those_of_the_plain_rules() {
        for size in Othello::SIZES {
            let game = Othello::new(size).unwrap();
            let mut passes = 0;
            for seed in 0..100 {
                let (mut rng, mut state) = (ChaCha8Rng::seed_from_u64(seed), game.start());
                while game.outcome(&state).is_none() {
                    let mover = game.side_to_move(&state);
                    let [own, other] = [mover, mover.opponent()].map(|player| state.stones[player.index()]);
                    let free = |square: &usize| (own | other) >> square & 1 == 0;
                    let taken = |square: usize| taken_plainly(&game, [own, other], square);
                    let squares = (0..usize::from(game.pass())).filter(free).filter(|&square| taken(square) != 0);
                    let mut expected: Vec<Action> = squares.map(|square| square as Action).collect();
                    if expected.is_empty() {
                        passes += 1;
                        expected.push(game.pass());
                    }
                    let legal: Vec<Action> = game.legal_actions(&state).iter().collect();
                    assert_eq!(legal, expected);
                    let action = legal[rng.random_range(0..legal.len())];
                    let flipped = if action == game.pass() { 0 } else { taken(action.into()) };
                    game.play(&mut state, action);
                    assert_eq!(other & !state.stones[mover.opponent().index()], flipped);
                }
            }
            assert!(passes > 0, "{size}");
        }
    }

    #[test]
    fn the_rules_cannot_tell_a_turned_start() {
        for size in Othello::SIZES {
            let game = Othello::new(size).unwrap();
            let start = game.start();
            for symmetry in 0..8 {
                let OthelloPosition([black, white]) = game.transform(symmetry, &game.position(&start));
                let image = OthelloState { stones: [black, white], squares: game.squares(black, white), ..start };
                check_images(&game, symmetry, [&start, &image], 20).unwrap();
            }
        }
    }

    #[test]
    fn other_sizes_are_refused() {
        for size in [0, 2, 5, 10] {
            let message = Othello::new(size).unwrap_err().to_string();
            assert_eq!(message, format!("set up othello with size {size}: size must be 4, 6 or 8"));
        }
    }
}
