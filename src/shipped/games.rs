//! What each of the games says beside its rules.

use std::{ops::RangeInclusive, sync::Arc};

use selfplay_engine::{
    games::{
        breakthrough::Breakthrough,
        connect_four::ConnectFour,
        hex::Hex,
        mnk::Mnk,
        othello::Othello,
        quoridor::{Quoridor, QuoridorEncoding},
        tictactoe::TicTacToe,
    },
    solve::{Adjudicator, ConnectFourEndings, ConnectFourSolver, FilledBoards, Solver},
};

use crate::played::PlayedGame;

/// Positions of Connect Four that are looked at to solve one: a minute or less.
const MOST_NODES: u64 = 300_000_000;

impl PlayedGame for Quoridor {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        Some(Arc::new(*self))
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters =
            vec![("board_size", self.board_size().to_string()), ("max_walls", self.max_walls().to_string())];
        parameters.extend(self.max_steps().map(|steps| ("max_steps", steps.to_string())));
        parameters
    }

    /// mean(3, W), where W is the number of wall actions of an empty board (contract of the trainer): 3 pawn moves and W walls
    /// are the extremes.
    fn typical_actions(&self) -> f32 {
        let walls = if self.max_walls() == 0 { 0 } else { 2 * (u32::from(self.board_size()) - 1).pow(2) };
        (3 + walls) as f32 / 2.0
    }

    fn planes(&self, encoding: QuoridorEncoding) -> Vec<&'static str> {
        match encoding {
            QuoridorEncoding::Resnet => vec![
                "1 where a wall is, 0 elsewhere",
                "1 at the cell of the mover's pawn, 0 elsewhere",
                "1 at the cell of the opponent's pawn, 0 elsewhere",
                "everywhere the number of walls that the mover has left",
                "everywhere the number of walls that the opponent has left",
            ],
            QuoridorEncoding::Mlp => Vec::new(),
        }
    }

    fn policy_meaning(&self) -> &'static str {
        "pawn to cell (r, c): r·N + c; vertical wall at (r, c): N² + r·(N−1) + c; \
         horizontal wall at (r, c): N² + (N−1)² + r·(N−1) + c"
    }

    fn frame(&self) -> &'static str {
        "turned by 180 degrees for player 1"
    }

    fn most_plies(&self) -> Option<u32> {
        self.max_steps()
    }
}

impl PlayedGame for TicTacToe {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        Some(Arc::new(FilledBoards(Self)))
    }
    fn planes(&self, _: Self::Encoding) -> Vec<&'static str> {
        vec!["the mover's marks", "the opponent's marks"]
    }
    fn policy_meaning(&self) -> &'static str {
        "cell, row by row from the top"
    }
    fn most_plies(&self) -> Option<u32> {
        Some(9)
    }
}

impl PlayedGame for Mnk {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        Some(Arc::new(FilledBoards(*self)))
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        ["m", "n", "k"].into_iter().zip(self.sizes().map(|size| size.to_string())).collect()
    }
    fn planes(&self, (): ()) -> Vec<&'static str> {
        vec!["the mover's stones", "the opponent's stones"]
    }
    fn policy_meaning(&self) -> &'static str {
        "cell, row by row from the top"
    }
    fn most_plies(&self) -> Option<u32> {
        let [m, n, _] = self.sizes().map(u32::from);
        Some(m * n)
    }
}

impl PlayedGame for ConnectFour {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        Some(Arc::new(ConnectFourEndings(*self)))
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let [rows, columns] = self.sides().map(|side| side.to_string());
        vec![("rows", rows), ("columns", columns), ("length", self.length().to_string())]
    }
    fn solver(&self) -> Box<dyn Solver<Self>> {
        Box::new(ConnectFourSolver::new(*self, MOST_NODES))
    }
    /// On the usual board 12 to 30.
    fn plies_to_solve(&self) -> RangeInclusive<u32> {
        let cells = self.sides().map(u32::from).into_iter().product::<u32>();
        cells.saturating_sub(30)..=cells.saturating_sub(12)
    }
    /// Columns fill late.
    fn typical_actions(&self) -> f32 {
        self.sides()[1].into()
    }
    fn planes(&self, (): ()) -> Vec<&'static str> {
        vec!["the mover's stones", "the opponent's stones"]
    }
    fn policy_meaning(&self) -> &'static str {
        "column, from the left"
    }
    fn most_plies(&self) -> Option<u32> {
        Some(self.sides().map(u32::from).into_iter().product())
    }
}

impl PlayedGame for Othello {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size().to_string())]
    }
    /// About 8 on the usual board.
    fn typical_actions(&self) -> f32 {
        self.size().into()
    }
    fn planes(&self, (): ()) -> Vec<&'static str> {
        vec!["the mover's stones", "the opponent's stones"]
    }
    fn policy_meaning(&self) -> &'static str {
        "square, row by row from the top; size² is the pass"
    }
    /// Every square but the four in the middle is played, and between two of them a player passes at most once.
    fn most_plies(&self) -> Option<u32> {
        Some(2 * (u32::from(self.size()).pow(2) - 4))
    }
}

impl PlayedGame for Hex {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        Some(Arc::new(FilledBoards(*self)))
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![("size", self.size().to_string()), ("swap", self.swap().to_string())]
    }
    fn planes(&self, (): ()) -> Vec<&'static str> {
        let mut planes = vec!["the mover's stones, which connect the first row with the last", "the opponent's stones"];
        planes.extend(self.swap().then_some("everywhere 1 if the mover may swap, else 0"));
        planes
    }
    fn policy_meaning(&self) -> &'static str {
        "cell, row by row from the top"
    }
    fn frame(&self) -> &'static str {
        "mirrored on the long diagonal for player 1: (r, c) becomes (c, r)"
    }
    /// A swap is a ply that adds no stone.
    fn most_plies(&self) -> Option<u32> {
        Some(u32::from(self.size()).pow(2) + u32::from(self.swap()))
    }
}

impl PlayedGame for Breakthrough {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let [rows, columns] = self.sides().map(|side| side.to_string());
        vec![("rows", rows), ("columns", columns)]
    }
    /// Two pawns a column, each with up to three moves; about 24 on the usual board.
    fn typical_actions(&self) -> f32 {
        3.0 * f32::from(self.sides()[1])
    }
    fn planes(&self, (): ()) -> Vec<&'static str> {
        vec!["the mover's pawns, which walk to higher rows", "the opponent's pawns"]
    }
    fn policy_meaning(&self) -> &'static str {
        "((r·columns + c)·6 + direction)·2 + takes, with the pawn's cell (r, c)"
    }
    fn frame(&self) -> &'static str {
        "turned by 180 degrees for player 1"
    }
    /// Each ply takes a pawn a row further, and the first to reach the last row ends the game.
    fn most_plies(&self) -> Option<u32> {
        let [rows, columns] = self.sides().map(u32::from);
        // All pawns of a player to the row before the last: those of the first row, and of the second where there are two.
        let steps = if rows < 6 { rows - 2 } else { 2 * rows - 5 };
        Some(2 * columns * steps + 1)
    }
}
