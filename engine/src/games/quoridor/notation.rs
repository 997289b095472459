//! Actions and boards as text.
//!
//! Columns are letters from `a`, rows are numbers from 1 (row 0) downwards. A pawn move is its destination: `e2`. A wall is
//! its anchor, the cell above and left of its middle, with `v` or `h`: `e2v` stands right of `e2` and `e3`, `e2h` lies below
//! `e2` and `f2`.

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
        let mut text = String::from("   ");
        for col in 0..size {
            text.extend([' ', column_letter(col), ' ', ' ']);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        for row in 0..size {
            // Row or column −1 wraps to 255, where there is no wall.
            let above = row.wrapping_sub(1);
            let mut cells = format!("{:>2} ", row + 1);
            let mut gaps = String::from("   ");
            for col in 0..size {
                let before = col.wrapping_sub(1);
                let pawn = [Player::First, Player::Second].into_iter().find(|&p| state.pawn(p) == Cell { row, col });
                cells.extend([' ', pawn.map_or('·', |player| PAWNS[player.index()]), ' ']);
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
            text += &format!("{mark} {name} player to row {goal}, walls left: {walls}{status}\n");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_action_has_its_own_name() {
        let game = Quoridor::new(9, 10, None).unwrap();
        let names: HashSet<String> = (0..game.policy_size() as Action).map(|action| game.action_name(action)).collect();
        assert_eq!(names.len(), game.policy_size());
        assert_eq!(game.action_name(13), "e2");
        assert_eq!(game.action_name(81), "a1v");
        assert_eq!(game.action_name(208), "h8h");
    }

    #[test]
    fn boards_show_pawns_and_walls() {
        let game = Quoridor::new(5, 2, None).unwrap();
        let mut state = game.start();
        let actions: Vec<Action> = (0..game.policy_size() as Action).collect();
        for name in ["c2", "a1v", "c3h", "d5"] {
            let action = actions.iter().copied().find(|&action| game.action_name(action) == name);
            game.play(&mut state, action.unwrap());
        }
        let expected = "
    a   b   c   d   e
 1  · ┃ ·   ·   ·   ·
      ┃
 2  · ┃ ·   ▼   ·   ·

 3  ·   ·   ·   ·   ·
           ━━━━━━━
 4  ·   ·   ·   ·   ·

 5  ·   ·   ·   ▲   ·
▼ first player to row 5, walls left: 1, to move
▲ second player to row 1, walls left: 1
";
        assert_eq!(format!("\n{}", game.draw(&state)), expected);
    }
}
