//! The rules said again as plainly as possible, to check the fast ones: a grid of shut edges and a flood per candidate wall.

use super::{
    Quoridor, QuoridorState,
    board::{Cell, Orientation},
};
use crate::game::{Action, ActionBits, ActionSet, Game};

/// Whether two neighbouring cells are parted by a wall of `walls`.
fn parted(walls: &[(Orientation, Cell)], from: Cell, to: Cell) -> bool {
    let (row, col) = (from.row.min(to.row), from.col.min(to.col));
    walls.iter().any(|&(orientation, anchor)| match orientation {
        Orientation::Vertical => {
            from.row == to.row && anchor.col == col && (anchor.row == row || anchor.row + 1 == row)
        }
        Orientation::Horizontal => {
            from.col == to.col && anchor.row == row && (anchor.col == col || anchor.col + 1 == col)
        }
    })
}

/// The cell one step in a direction, unless border or wall is in the way.
fn step(size: u8, walls: &[(Orientation, Cell)], from: Cell, (rows, cols): (i8, i8)) -> Option<Cell> {
    let to = Cell { row: from.row.checked_add_signed(rows)?, col: from.col.checked_add_signed(cols)? };
    (to.row < size && to.col < size && !parted(walls, from, to)).then_some(to)
}

const DIRECTIONS: [(i8, i8); 4] = [(1, 0), (-1, 0), (0, 1), (0, -1)];

fn reaches(size: u8, walls: &[(Orientation, Cell)], pawn: Cell, goal_row: u8) -> bool {
    let mut seen = vec![pawn];
    let mut next = 0;
    while let Some(&cell) = seen.get(next) {
        next += 1;
        if cell.row == goal_row {
            return true;
        }
        for direction in DIRECTIONS {
            if let Some(to) = step(size, walls, cell, direction)
                && !seen.contains(&to)
            {
                seen.push(to);
            }
        }
    }
    false
}

fn conflict((orientation, anchor): (Orientation, Cell), (other, at): (Orientation, Cell)) -> bool {
    let (rows, cols) = (anchor.row.abs_diff(at.row), anchor.col.abs_diff(at.col));
    match (orientation, other) {
        (Orientation::Vertical, Orientation::Vertical) => cols == 0 && rows < 2,
        (Orientation::Horizontal, Orientation::Horizontal) => rows == 0 && cols < 2,
        _ => rows == 0 && cols == 0,
    }
}

/// What [`Game::legal_actions`] must return.
pub(super) fn legal_actions(game: &Quoridor, state: &QuoridorState) -> ActionBits<4> {
    let size = game.board_size();
    let mover = game.side_to_move(state);
    let (pawn, opponent) = (state.pawn(mover), state.pawn(mover.opponent()));
    let all_walls = || {
        [Orientation::Vertical, Orientation::Horizontal].into_iter().flat_map(move |orientation| {
            (0..size - 1).flat_map(move |row| (0..size - 1).map(move |col| (orientation, Cell { row, col })))
        })
    };
    let mut walls: Vec<_> = all_walls().filter(|&(orientation, anchor)| state.has_wall(orientation, anchor)).collect();
    let mut legal = ActionBits::default();

    let mut add_move = |cell: Cell| legal.insert(Action::from(cell.row) * Action::from(size) + Action::from(cell.col));
    for direction in DIRECTIONS {
        match step(size, &walls, pawn, direction) {
            Some(to) if to != opponent => add_move(to),
            Some(_) => {
                if let Some(behind) = step(size, &walls, opponent, direction) {
                    add_move(behind);
                } else {
                    let sideways = [(direction.1, direction.0), (-direction.1, -direction.0)];
                    sideways.into_iter().filter_map(|side| step(size, &walls, opponent, side)).for_each(&mut add_move);
                }
            }
            None => {}
        }
    }

    if state.walls_left(mover) > 0 {
        for (index, wall) in all_walls().enumerate() {
            if walls.iter().any(|&standing| conflict(wall, standing)) {
                continue;
            }
            walls.push(wall);
            let open = [(pawn, mover), (opponent, mover.opponent())]
                .into_iter()
                .all(|(cell, player)| reaches(size, &walls, cell, game.goal_row(player)));
            if open {
                legal.insert(Action::from(size) * Action::from(size) + index as Action);
            }
            walls.pop();
        }
    }
    legal
}
