//! What a board looks like, as few kinds of shapes: text, pictures and the page draw every game from that.
//!
//! As JSON, which a page reads, the names are those of the fields and variants in lower case: a point is `[x, y]`, a cell
//! `{"at": [0, 0], "shape": "square", "tone": "plain"}`, a mark `{"cell": [0, 0]}` or `{"word": "pass"}`.
//!
//! A unit is the distance of two neighbouring cells. `x` counts rightwards and `y` downwards from the middle of the first cell.

use serde::{Deserialize, Serialize};

use super::Player;

/// The middle of a shape or an end of a line: x, y.
pub type Point = [f32; 2];

/// What is the same in all positions of a game.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// Where stones can stand.
    pub cells: Vec<Cell>,
    /// Borders that mean something, such as the sides that a player has to connect.
    pub edges: Vec<Edge>,
    /// Letters and numbers beside the board.
    pub labels: Vec<Label>,
}

/// A place for a stone.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its middle.
    pub at: Point,
    /// How it looks.
    pub shape: Shape,
    /// How it differs from others.
    pub tone: Tone,
}

/// The outline of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A square that touches its neighbours.
    Square,
    /// A square with gaps around it, in which walls can stand.
    Tile,
    /// A hexagon with a corner on top that touches its neighbours.
    Hexagon,
    /// A round hole in a plate.
    Hole,
}

/// Kinds of cells on one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// A cell like most.
    Plain,
    /// Every second cell of a chequered board.
    Dark,
    /// Where a player wants to go.
    Goal,
}

/// A line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Where it begins.
    pub from: Point,
    /// Where it ends.
    pub to: Point,
    /// Whose it is, if of one player.
    pub player: Option<Player>,
}

/// A short text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Its middle.
    pub at: Point,
    /// The text.
    pub text: String,
}

/// What stands on a board in one position.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pieces {
    /// Stones, pawns, marks of players.
    pub stones: Vec<Stone>,
    /// Walls.
    pub walls: Vec<Edge>,
    /// What each player has beside the board, such as `3 walls left`; empty where that is nothing.
    pub beside: [String; 2],
}

/// Something of a player's on a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stone {
    /// The middle of its cell.
    pub at: Point,
    /// Whose it is.
    pub player: Player,
    /// How it looks.
    pub kind: StoneKind,
}

/// How stones look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoneKind {
    /// Round and filled.
    Disc,
    /// A cross for the first player, a ring for the second.
    Sign,
    /// A pawn that walks downwards for the first player and upwards for the second.
    Pawn,
}

/// Where an action takes place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// On a cell.
    Cell(Point),
    /// From a cell to another.
    Step {
        /// The cell that is left.
        from: Point,
        /// The cell that is entered.
        to: Point,
    },
    /// Along a line, where a wall is placed.
    Wall {
        /// Where it begins.
        from: Point,
        /// Where it ends.
        to: Point,
    },
    /// Nowhere, such as a pass: its name stands beside the board.
    Word(String),
}

/// A column as people write it: `a` is 0.
#[must_use]
pub fn column_letter(column: usize) -> char {
    char::from(b'a' + column as u8)
}

/// A cell of a grid as people write it: a letter for the column, then the row from 1: `c2` is column 2 of row 1.
#[must_use]
pub fn cell_name(row: usize, column: usize) -> String {
    format!("{}{}", column_letter(column), row + 1)
}

/// The middle of a cell of a grid of squares.
#[must_use]
pub fn grid_point(row: usize, column: usize) -> Point {
    [column as f32, row as f32]
}

impl Board {
    /// `rows` × `columns` cells with letters above the columns and numbers before the rows, row by row from the top, as
    /// [`cell_name`] names them.
    #[must_use]
    pub fn grid(rows: usize, columns: usize, shape: Shape) -> Self {
        let cells = (0..rows * columns).map(|cell| Cell {
            at: grid_point(cell / columns, cell % columns),
            shape,
            tone: Tone::Plain,
        });
        let letters =
            (0..columns).map(|column| Label { at: [column as f32, -1.0], text: column_letter(column).to_string() });
        let numbers = (0..rows).map(|row| Label { at: [-1.0, row as f32], text: (row + 1).to_string() });
        Self { cells: cells.collect(), edges: Vec::new(), labels: letters.chain(numbers).collect() }
    }

    /// The board as lines of text: cells as dots, stones as signs, each at its place; lines and walls are left out.
    #[must_use]
    pub fn text(&self, pieces: &Pieces) -> String {
        let cells = self.cells.iter().map(|cell| (cell.at, "·".to_owned()));
        let stones = pieces.stones.iter().map(|stone| (stone.at, stone.sign().to_string()));
        let labels = self.labels.iter().map(|label| (label.at, label.text.clone()));
        let texts: Vec<(Point, String)> = cells.chain(labels).chain(stones).collect();

        let mut heights: Vec<f32> = texts.iter().map(|&([_, y], _)| y).collect();
        heights.sort_by(f32::total_cmp);
        heights.dedup();
        // Two characters a unit, so that rows of hexagons can be shifted by half of one. A text ends at its place.
        let left = texts.iter().map(|([x, _], text)| (2.0 * x).round() as i32 - text.chars().count() as i32).min();
        let mut lines = vec![Vec::<char>::new(); heights.len()];
        for ([x, y], text) in &texts {
            let line = &mut lines[heights.partition_point(|height| height < y)];
            let end = ((2.0 * x).round() as i32 - left.unwrap_or(0)) as usize;
            if line.len() < end {
                line.resize(end, ' ');
            }
            let start = end - text.chars().count();
            line[start..end].iter_mut().zip(text.chars()).for_each(|(place, letter)| *place = letter);
        }
        lines.into_iter().map(|line| line.into_iter().collect::<String>() + "\n").collect()
    }
}

impl Stone {
    /// The stone in text.
    #[must_use]
    pub const fn sign(&self) -> char {
        match (self.kind, self.player) {
            (StoneKind::Disc, Player::First) => '●',
            (StoneKind::Disc, Player::Second) => '○',
            (StoneKind::Sign, Player::First) => 'x',
            (StoneKind::Sign, Player::Second) => 'o',
            (StoneKind::Pawn, Player::First) => '▼',
            (StoneKind::Pawn, Player::Second) => '▲',
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_every_shape_at_its_place() {
        let board = Board::grid(2, 3, Shape::Square);
        let stone = |row, column, player| Stone { at: grid_point(row, column), player, kind: StoneKind::Sign };
        let pieces =
            Pieces { stones: vec![stone(0, 1, Player::First), stone(1, 2, Player::Second)], ..Pieces::default() };
        assert_eq!(board.text(&pieces), "  a b c\n1 · x ·\n2 · · o\n");
        assert_eq!(Board::default().text(&Pieces::default()), "");
    }

    #[test]
    fn shapes_are_plain_json() {
        let at = [0.0, 1.5];
        let cell = Cell { at, shape: Shape::Hexagon, tone: Tone::Goal };
        let edge = Edge { from: at, to: at, player: Some(Player::Second) };
        let stone = Stone { at, player: Player::First, kind: StoneKind::Disc };
        fn json(value: &impl Serialize) -> String {
            serde_json::to_string(value).unwrap()
        }
        assert_eq!(json(&cell), r#"{"at":[0.0,1.5],"shape":"hexagon","tone":"goal"}"#);
        assert_eq!(json(&edge), r#"{"from":[0.0,1.5],"to":[0.0,1.5],"player":"second"}"#);
        assert_eq!(json(&stone), r#"{"at":[0.0,1.5],"player":"first","kind":"disc"}"#);
        assert_eq!(json(&Mark::Cell(at)), r#"{"cell":[0.0,1.5]}"#);
        assert_eq!(json(&Mark::Step { from: at, to: at }), r#"{"step":{"from":[0.0,1.5],"to":[0.0,1.5]}}"#);
        assert_eq!(json(&Mark::Word("pass".to_owned())), r#"{"word":"pass"}"#);
    }

    #[test]
    fn shifted_rows_and_long_numbers_stay_in_line() {
        let mut board = Board::grid(10, 2, Shape::Hexagon);
        for cell in &mut board.cells {
            cell.at[0] += cell.at[1] / 2.0;
        }
        let text = board.text(&Pieces::default());
        assert!(text.starts_with("   a b\n 1 · ·\n 2  · ·\n"), "{text}");
        assert!(text.ends_with("\n10          · ·\n"), "{text}");
    }
}
