//! What people see of a game.

use super::{
    Action, Draw, Game, Outcome, Player,
    board::{Board, Mark, Pieces},
};

/// How a game's actions and boards are written and drawn for people: traces, text boards, pictures, the page. Search needs none
/// of it, and all of it has defaults: an action is called by its number, and there is nothing to draw.
///
/// A game describes its board once, as shapes; text, pictures and the page are made from that.
pub trait Notation: Game {
    /// Short name of an action in the game frame, such as `e2` or `c4h`; every action has its own.
    fn action_name(&self, action: Action) -> String {
        action.to_string()
    }

    /// What is the same in all positions: cells, borders, letters and numbers.
    fn board(&self) -> Board {
        Board::default()
    }

    /// What stands on the board, game frame.
    fn pieces(&self, state: &Self::State) -> Pieces {
        let _ = state;
        Pieces::default()
    }

    /// Where on the board a legal action takes place, game frame: for the move played last, and for what a search thinks of
    /// moves. `state` is the position before it.
    fn mark(&self, state: &Self::State, action: Action) -> Mark {
        let _ = state;
        Mark::Word(self.action_name(action))
    }

    /// The position as lines of text, game frame.
    fn draw(&self, state: &Self::State) -> String {
        let status = match self.outcome(state) {
            None => format!("{} player to move", name(self.side_to_move(state))),
            Some(Outcome::Win(winner)) => format!("{} player won", name(winner)),
            Some(Outcome::Draw(Draw::Rule)) => "draw".to_owned(),
            Some(Outcome::Draw(Draw::StepLimit)) => "draw by the step limit".to_owned(),
            Some(Outcome::Draw(Draw::NoLegalAction)) => "draw without a legal action".to_owned(),
        };
        format!("{}{status}\n", self.board().text(&self.pieces(state)))
    }
}

const fn name(player: Player) -> &'static str {
    match player {
        Player::First => "first",
        Player::Second => "second",
    }
}
