//! Actions and boards as text.
//!
//! Columns are letters from `a`, rows are numbers from 1 (row 0) downwards. A pawn move is its destination: `e2`. A wall is
//! its anchor, the cell above and left of its middle, with `v` or `h`: `e2v` stands right of `e2` and `e3`, `e2h` lies below
//! `e2` and `f2`.

use std::fmt::Write as _;

use super::{
    Quoridor, QuoridorState,
    board::{Cell, Move, Orientation},
};
use crate::game::{Action, Game, Notation, Outcome, Player};

/// The pawns point the way they walk.
const PAWNS: [char; 2] = ['▼', '▲'];

fn column_letter(col: u8) -> char {
    char::from(b'a' + col)
}

fn cell_name(cell: Cell) -> String {
    format!("{}{}", column_letter(cell.col), cell.row + 1)
}

impl Notation for Quoridor {
    fn action_name(&self, action: Action) -> String {
        match self.geometry.decode(action) {
            Move::Pawn(cell) => cell_name(cell),
            Move::Wall(Orientation::Vertical, anchor) => cell_name(anchor) + "v",
            Move::Wall(Orientation::Horizontal, anchor) => cell_name(anchor) + "h",
        }
    }

    fn draw(&self, state: &QuoridorState) -> String {
        let size = self.board_size();
        let wall =
            |orientation, row: u8, col: u8| row < size && col < size && state.has_wall(orientation, Cell { row, col });
        let mut text = String::from("  ");
        for col in 0..size {
            text.extend([' ', ' ', ' ', column_letter(col)]);
        }
        text.push('\n');
        for row in 0..size {
            // Row or column −1 wraps to 255, where there is no wall.
            let above = row.wrapping_sub(1);
            let mut cells = format!("{:>2} ", row + 1);
            let mut gaps = String::from("   ");
            for col in 0..size {
                let before = col.wrapping_sub(1);
                let pawn = [Player::First, Player::Second].into_iter().find(|&p| state.pawn(p) == Cell { row, col });
                cells.extend([' ', ' ', pawn.map_or('·', |player| PAWNS[player.index()])]);
                let east = wall(Orientation::Vertical, row, col) || wall(Orientation::Vertical, above, col);
                cells.push(if east { '┃' } else { ' ' });

                let south = wall(Orientation::Horizontal, row, col) || wall(Orientation::Horizontal, row, before);
                gaps.push_str(if south { "━━━" } else { "   " });
                gaps.push(if wall(Orientation::Vertical, row, col) {
                    '┃'
                } else if wall(Orientation::Horizontal, row, col) {
                    '━'
                } else {
                    ' '
                });
            }
            text += cells.trim_end();
            text.push('\n');
            if row + 1 < size {
                text += gaps.trim_end();
                text.push('\n');
            }
        }
        for player in [Player::First, Player::Second] {
            let (name, mark) = (["first", "second"][player.index()], PAWNS[player.index()]);
            let status = match self.outcome(state) {
                Some(Outcome::Win(winner)) if winner == player => ", won",
                Some(Outcome::Draw) => ", draw",
                None if self.side_to_move(state) == player => ", to move",
                _ => "",
            };
            let goal = self.goal_row(player) + 1;
            let walls = state.walls_left(player);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{mark} {name} player to row {goal}, walls left: {walls}{status}");
        }
        text
    }
}
