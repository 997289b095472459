//! What each of the games says beside its rules.

use std::{ops::RangeInclusive, sync::Arc};

use selfplay_engine::{
    games::{
        breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello,
        quoridor::Quoridor, tictactoe::TicTacToe,
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
}

impl PlayedGame for TicTacToe {
    fn name(&self) -> &'static str {
        Self::NAME
    }
    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        Some(Arc::new(FilledBoards(Self)))
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
}
