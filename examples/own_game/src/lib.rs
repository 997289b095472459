//! Domineering: the first player places dominoes upright, the second player across; one who has no room for another loses.
//!
//! Squares are bits of 64: row × 8 + column. A smaller board is the one of 8×8 with the squares outside covered from the start, so
//! that one network plays on all sizes.

use selfplayd::{
    PlayedGame,
    engine::{
        Action, ActionBits, Game, Outcome, Player,
        game::{
            Notation,
            board::{Board, Edge, Mark, Pieces, Point, Shape, Stone, StoneKind, cell_name, grid_point},
        },
    },
};

const SQUARES: u16 = 64;
/// All columns but the last.
const NOT_LAST: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// The rules on a board of one size.
#[derive(Clone, Debug)]
pub struct Domineering {
    size: u8,
    outside: u64,
}

/// What each player's dominoes cover.
pub type Covered = [u64; 2];

impl Domineering {
    /// With so many squares a side.
    ///
    /// # Panics
    /// Unless these are 2 to 8.
    #[must_use]
    pub fn new(size: u8) -> Self {
        assert!((2..=8).contains(&size), "a board of {size}x{size}: 2 to 8 are possible");
        let row = (1 << size) - 1;
        let inside = (0..size).fold(0, |rows, number| rows | row << (8 * number));
        Self { size, outside: !inside }
    }

    /// The squares that a domino can cover.
    fn free(&self, state: &Covered) -> u64 {
        !(self.outside | state[0] | state[1])
    }
}

/// Where an action begins, its upper or left square, and how far its other square is. The actions of the first player come first.
const fn domino(action: Action) -> (u16, u16) {
    (action % SQUARES, if action < SQUARES { 8 } else { 1 })
}

/// Rows become columns.
const fn transposed(mut squares: u64) -> u64 {
    // Hacker's Delight, 7-3: swaps bits within blocks of 2×2, then blocks within those of 4×4, then those.
    let mut swap = (squares ^ (squares >> 7)) & 0x00aa_00aa_00aa_00aa;
    squares ^= swap ^ (swap << 7);
    swap = (squares ^ (squares >> 14)) & 0x0000_cccc_0000_cccc;
    squares ^= swap ^ (swap << 14);
    swap = (squares ^ (squares >> 28)) & 0x0000_0000_f0f0_f0f0;
    squares ^ swap ^ (swap << 28)
}

impl Game for Domineering {
    type State = Covered;
    /// What is covered. The second player sees the board transposed, and so places dominoes upright as well.
    type Position = u64;
    type Actions = ActionBits<2>;
    type Encoding = ();

    fn policy_size(&self) -> usize {
        2 * usize::from(SQUARES)
    }

    fn start(&self) -> Covered {
        [0, 0]
    }

    fn ply(&self, state: &Covered) -> u32 {
        (state[0] | state[1]).count_ones() / 2
    }

    fn outcome(&self, state: &Covered) -> Option<Outcome> {
        let stuck = self.legal_actions(state) == ActionBits([0, 0]);
        stuck.then(|| Outcome::Win(self.side_to_move(state).opponent()))
    }

    fn legal_actions(&self, state: &Covered) -> ActionBits<2> {
        let free = self.free(state);
        match self.side_to_move(state) {
            Player::First => ActionBits([free & free >> 8, 0]),
            Player::Second => ActionBits([0, free & free >> 1 & NOT_LAST]),
        }
    }

    fn play(&self, state: &mut Covered, action: Action) {
        let (square, step) = domino(action);
        state[self.side_to_move(state).index()] |= (1 | 1 << step) << square;
    }

    fn position(&self, state: &Covered) -> u64 {
        let covered = !self.free(state);
        match self.side_to_move(state) {
            Player::First => covered,
            Player::Second => transposed(covered),
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![1, 8, 8]
    }

    fn encode(&self, (): (), covered: &u64, out: &mut [f32]) {
        for (square, entry) in out.iter_mut().enumerate() {
            *entry = (covered >> square & 1) as f32;
        }
    }

    fn turn_action(&self, mover: Player, action: Action) -> Action {
        let (square, mirrored) = (action % SQUARES, action % 8 * 8 + action % SQUARES / 8);
        match mover {
            Player::First => action,
            // The other way of lying, on the square that mirrors this one.
            Player::Second => (action - square) ^ SQUARES | mirrored,
        }
    }
}

fn middle(square: u16) -> Point {
    grid_point(usize::from(square / 8), usize::from(square % 8))
}

impl Notation for Domineering {
    /// The upper or left square, and how the domino lies: `c2v` upright, `c2h` across.
    fn action_name(&self, action: Action) -> String {
        let (square, step) = domino(action);
        let lies = if step == 8 { 'v' } else { 'h' };
        format!("{}{lies}", cell_name(usize::from(square / 8), usize::from(square % 8)))
    }

    fn board(&self) -> Board {
        Board::grid(self.size.into(), self.size.into(), Shape::Square)
    }

    fn pieces(&self, state: &Covered) -> Pieces {
        let mut pieces = Pieces::default();
        for (player, step) in Player::BOTH.into_iter().zip([8, 1]) {
            let mut left = state[player.index()];
            // The first square that is left is the upper or left one of its domino.
            while left != 0 {
                let square = left.trailing_zeros() as u16;
                let ends = [middle(square), middle(square + step)];
                pieces.stones.extend(ends.map(|at| Stone { at, player, kind: StoneKind::Disc }));
                pieces.walls.push(Edge { from: ends[0], to: ends[1], player: Some(player) });
                left &= !((1 | 1 << step) << square);
            }
        }
        pieces
    }

    fn mark(&self, _: &Covered, action: Action) -> Mark {
        let (square, step) = domino(action);
        Mark::Wall { from: middle(square), to: middle(square + step) }
    }
}

impl PlayedGame for Domineering {
    fn name(&self) -> &'static str {
        "domineering"
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size.to_string())]
    }

    fn typical_actions(&self) -> f32 {
        f32::from(self.size * (self.size - 1)) / 2.0
    }
}
