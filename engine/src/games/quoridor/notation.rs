//! Actions and boards as text.
//!
//! Columns are letters from `a`, rows are numbers from 1 (row 0) downwards. A pawn move is its destination: `e2`. A wall is
//! its anchor, the cell above and left of its middle, with `v` or `h`: `e2v` stands right of `e2` and `e3`, `e2h` lies below
//! `e2` and `f2`.

use super::{
    Quoridor, QuoridorState,
    board::{Cell, Move, Orientation},
};
use crate::game::{
    Action, Game, Notation, Outcome, Player,
    board::{Board, Edge, Mark, Pieces, Point, Shape, Stone, StoneKind, Tone, grid_point},
};

/// The pawns point the way they walk.
const PAWNS: [char; 2] = ['▼', '▲'];

fn column_letter(col: u8) -> char {
    char::from(b'a' + col)
}

fn cell_name(cell: Cell) -> String {
    format!("{}{}", column_letter(cell.col), cell.row + 1)
}

fn point(cell: Cell) -> Point {
    grid_point(usize::from(cell.row), usize::from(cell.col))
}

/// Both ends of a wall: it lies between cells and is as long as two of them, less the gap.
fn wall_ends(orientation: Orientation, anchor: Cell) -> [Point; 2] {
    const HALF: f32 = 0.9;
    let [x, y] = point(anchor).map(|middle| middle + 0.5);
    match orientation {
        Orientation::Vertical => [[x, y - HALF], [x, y + HALF]],
        Orientation::Horizontal => [[x - HALF, y], [x + HALF, y]],
    }
}

impl Notation for Quoridor {
    fn board(&self) -> Board {
        let size = usize::from(self.board_size());
        let mut board = Board::grid(size, size, Shape::Tile);
        for cell in &mut board.cells {
            if cell.at[1] == 0.0 || cell.at[1] == (size - 1) as f32 {
                cell.tone = Tone::Goal;
            }
        }
        board
    }

    fn pieces(&self, state: &QuoridorState) -> Pieces {
        let stones = Player::BOTH.map(|player| Stone { at: point(state.pawn(player)), player, kind: StoneKind::Pawn });
        let mut walls = Vec::new();
        for orientation in [Orientation::Vertical, Orientation::Horizontal] {
            for index in 0..(self.board_size() - 1).pow(2) {
                let anchor = Cell { row: index / (self.board_size() - 1), col: index % (self.board_size() - 1) };
                if state.has_wall(orientation, anchor) {
                    let [from, to] = wall_ends(orientation, anchor);
                    walls.push(Edge { from, to, player: None });
                }
            }
        }
        let beside = Player::BOTH.map(|player| match state.walls_left(player) {
            1 => "1 wall left".to_owned(),
            left => format!("{left} walls left"),
        });
        Pieces { stones: stones.to_vec(), walls, beside }
    }

    fn mark(&self, state: &QuoridorState, action: Action) -> Mark {
        match self.geometry.decode(action) {
            Move::Pawn(cell) => Mark::Step { from: point(state.pawn(state.mover())), to: point(cell) },
            Move::Wall(orientation, anchor) => {
                let [from, to] = wall_ends(orientation, anchor);
                Mark::Wall { from, to }
            }
        }
    }

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
                Some(Outcome::Draw(_)) => ", draw",
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
    fn walls_are_drawn_where_they_are_marked() {
        let game = Quoridor::new(5, 2, None).unwrap();
        let mut state = game.start();
        let wall = (25..41).map(|action| (game.action_name(action), action)).find(|(name, _)| name == "b3v");
        let (_, wall) = wall.unwrap();
        assert_eq!(game.mark(&state, wall), Mark::Wall { from: [1.5, 1.6], to: [1.5, 3.4] });
        game.play(&mut state, wall);
        let pieces = game.pieces(&state);
        assert_eq!(pieces.walls, [Edge { from: [1.5, 1.6], to: [1.5, 3.4], player: None }]);
        assert_eq!(pieces.stones.iter().map(|stone| stone.at).collect::<Vec<_>>(), [[2.0, 0.0], [2.0, 4.0]]);
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
