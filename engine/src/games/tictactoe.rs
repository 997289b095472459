//! Tic-tac-toe: the smallest game, with states of four bytes.

use super::grid::{Grid, stones, transform_cell_action, transform_plane_entry, write_plane};
use crate::{
    game::{
        Action, ActionBits, Draw, Game, Notation, Outcome, Player,
        board::{Board, Mark, Pieces, Shape, StoneKind, cell_name},
    },
    packing::{Packing, Source},
};

/// Cells of every row, column and diagonal, bit `3 * row + col`.
const LINES: [u16; 8] =
    [0b111, 0b111_000, 0b111_000_000, 0b001_001_001, 0b010_010_010, 0b100_100_100, 0b100_010_001, 0b001_010_100];

const FULL: u16 = 0b111_111_111;

const GRID: Grid = Grid { rows: 3, columns: 3 };

/// The rules. Action `3 * row + col` marks that cell; nothing can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TicTacToe;

/// The cells that each player has marked, bit `3 * row + col`. As a state, first player first; as a position, mover first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marks([u16; 2]);

/// The only layout of network input: the mover's marks, then the opponent's, 3 × 3 each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MarkPlanes;

impl TicTacToe {
    /// Its name in settings.
    pub const NAME: &str = "tic_tac_toe";
}

impl Game for TicTacToe {
    type State = Marks;
    type Position = Marks;
    type Actions = ActionBits<1>;
    type Encoding = MarkPlanes;

    fn start(&self) -> Marks {
        Marks::default()
    }

    fn policy_size(&self) -> usize {
        9
    }

    fn ply(&self, state: &Marks) -> u32 {
        (state.0[0] | state.0[1]).count_ones()
    }

    fn outcome(&self, state: &Marks) -> Option<Outcome> {
        let winner = Player::BOTH.into_iter().find(|player| {
            let marks = state.0[player.index()];
            LINES.iter().any(|line| marks & line == *line)
        });
        winner.map(Outcome::Win).or_else(|| (state.0[0] | state.0[1] == FULL).then_some(Outcome::Draw(Draw::Rule)))
    }

    fn legal_actions(&self, state: &Marks) -> ActionBits<1> {
        ActionBits([u64::from(FULL & !(state.0[0] | state.0[1]))])
    }

    fn play(&self, state: &mut Marks, action: Action) {
        let mover = self.side_to_move(state);
        state.0[mover.index()] |= 1 << action;
    }

    fn position(&self, state: &Marks) -> Marks {
        let mover = self.side_to_move(state);
        Marks([state.0[mover.index()], state.0[mover.opponent().index()]])
    }

    fn symmetries(&self) -> usize {
        GRID.symmetries()
    }

    fn transform(&self, symmetry: usize, position: &Marks) -> Marks {
        Marks(position.0.map(|cells| GRID.transform(symmetry, [u64::from(cells)])[0] as u16))
    }

    fn transform_entry(&self, _encoding: MarkPlanes, symmetry: usize, entry: usize) -> usize {
        transform_plane_entry(GRID, symmetry, entry)
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        transform_cell_action(GRID, symmetry, action)
    }

    fn encoding_name(&self, _encoding: MarkPlanes) -> &'static str {
        "marks"
    }

    fn input_shape(&self, _encoding: MarkPlanes) -> Vec<usize> {
        vec![2, 3, 3]
    }

    fn encode(&self, _encoding: MarkPlanes, position: &Marks, out: &mut [f32]) {
        for (plane, marks) in out.chunks_exact_mut(9).zip(position.0) {
            write_plane([u64::from(marks)], plane);
        }
    }

    fn packing(&self, _encoding: MarkPlanes) -> Option<Packing> {
        // Two bytes for each player's nine marks.
        let sources = (0..18).map(|entry| Source::Bit(16 * (entry / 9) + entry % 9)).collect();
        Some(Packing { bytes: 4, sources })
    }

    fn pack(&self, _encoding: MarkPlanes, position: &Marks, out: &mut [u8]) {
        for (bytes, marks) in out.chunks_exact_mut(2).zip(position.0) {
            bytes.copy_from_slice(&marks.to_le_bytes());
        }
    }
}

impl Notation for TicTacToe {
    fn action_name(&self, action: Action) -> String {
        cell_name(usize::from(action) / 3, usize::from(action) % 3)
    }

    fn board(&self) -> Board {
        Board::grid(3, 3, Shape::Square)
    }

    fn pieces(&self, state: &Marks) -> Pieces {
        let stones = stones(state.0.map(|cells| [u64::from(cells)]), StoneKind::Sign, |cell| GRID.point(cell));
        Pieces { stones, ..Pieces::default() }
    }

    fn mark(&self, _: &Marks, action: Action) -> Mark {
        Mark::Cell(GRID.point(usize::from(action)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::games::perft::perft;

    #[test]
    fn action_sequences_match_the_known_counts() {
        let counts: Vec<u64> = (1..=9).map(|depth| perft(&TicTacToe, &TicTacToe.start(), depth)).collect();
        assert_eq!(counts, [9, 72, 504, 3024, 15_120, 54_720, 148_176, 200_448, 127_872]);
    }

    #[test]
    fn what_is_packed_unpacks_to_the_planes() {
        let mut state = TicTacToe.start();
        let packing = TicTacToe.packing(MarkPlanes).unwrap();
        for action in [4, 8, 0, 2, 5] {
            TicTacToe.play(&mut state, action);
            let position = TicTacToe.position(&state);
            let (mut planes, mut unpacked, mut packed) = ([f32::NAN; 18], [f32::NAN; 18], [0xff; 4]);
            TicTacToe.encode(MarkPlanes, &position, &mut planes);
            TicTacToe.pack(MarkPlanes, &position, &mut packed);
            packing.unpack(&packed, &mut unpacked);
            assert_eq!(unpacked, planes);
        }
    }

    #[test]
    fn a_line_wins_and_a_full_board_is_a_draw() {
        let play = |actions: &[Action]| {
            let mut state = TicTacToe.start();
            for &action in actions {
                assert_eq!(TicTacToe.outcome(&state), None);
                TicTacToe.play(&mut state, action);
            }
            state
        };
        assert_eq!(TicTacToe.outcome(&play(&[0, 3, 1, 4, 2])), Some(Outcome::Win(Player::First)));
        let full = play(&[0, 1, 2, 4, 3, 5, 7, 6, 8]);
        assert_eq!(TicTacToe.outcome(&full), Some(Outcome::Draw(Draw::Rule)));
        assert_eq!(TicTacToe.draw(&full), "  a b c\n1 x o x\n2 x o o\n3 o x x\ndraw\n");
    }
}
