//! Every game but Quoridor as one type. The compiler makes all of the daemon once for each type of game that it is called with,
//! so that seven would take several times as long to build. This one asks which game it is at each call, which takes a nanosecond, and
//! its states are as large as the largest of them.

#![expect(clippy::unit_arg, reason = "what is `()` for most games is a type of its own for one")]

use std::{ops::RangeInclusive, sync::Arc};

use selfplay_engine::{
    Action, ActionBits, Game, Outcome, Player,
    game::{
        Notation,
        board::{Board, Mark, Pieces},
    },
    games::{
        breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello,
        tictactoe::TicTacToe,
    },
    packing::Packing,
    solve::{Adjudicator, Class, Exhaustive, SolveError, Solver},
};

use crate::played::{MOST_POSITIONS, PlayedGame};

/// Words of the largest set of actions, which is that of Breakthrough.
const WORDS: usize = 12;

/// One type of a game's for each game.
macro_rules! one_of_each {
    ($(#[$about:meta])* $name:ident: $kind:ident) => {
        $(#[$about])*
        pub(crate) enum $name {
            TicTacToe(<TicTacToe as Game>::$kind),
            Mnk(<Mnk as Game>::$kind),
            ConnectFour(<ConnectFour as Game>::$kind),
            Othello(<Othello as Game>::$kind),
            Hex(<Hex as Game>::$kind),
            Breakthrough(<Breakthrough as Game>::$kind),
        }
    };
}

/// One of the games.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    TicTacToe(TicTacToe),
    Mnk(Mnk),
    ConnectFour(ConnectFour),
    Othello(Othello),
    Hex(Hex),
    Breakthrough(Breakthrough),
}

one_of_each! {
    /// A state of one of them.
    #[derive(Clone, Debug)]
    OtherState: State
}

one_of_each! {
    /// A position of one of them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    OtherPosition: Position
}

/// Does something with the game, with a state or a position that must be of the same one, and with what makes such a thing of its own
/// one of all.
macro_rules! with {
    ($this:expr, $game:ident => $work:expr) => {
        match $this {
            Other::TicTacToe($game) => $work,
            Other::Mnk($game) => $work,
            Other::ConnectFour($game) => $work,
            Other::Othello($game) => $work,
            Other::Hex($game) => $work,
            Other::Breakthrough($game) => $work,
        }
    };
    ($this:expr, $game:ident, $kind:ident($its:ident) = $of:expr => $work:expr) => {
        match ($this, $of) {
            (Other::TicTacToe($game), $kind::TicTacToe($its)) => $work,
            (Other::Mnk($game), $kind::Mnk($its)) => $work,
            (Other::ConnectFour($game), $kind::ConnectFour($its)) => $work,
            (Other::Othello($game), $kind::Othello($its)) => $work,
            (Other::Hex($game), $kind::Hex($its)) => $work,
            (Other::Breakthrough($game), $kind::Breakthrough($its)) => $work,
            _ => unreachable!("what is of one game is given to another"),
        }
    };
}

fn widened<const N: usize>(ActionBits(few): ActionBits<N>) -> ActionBits<WORDS> {
    let mut all = [0; WORDS];
    all[..N].copy_from_slice(&few);
    ActionBits(all)
}

/// The set as the game has it, whose actions are all in its words.
fn narrowed<const N: usize>(ActionBits(all): &ActionBits<WORDS>) -> ActionBits<N> {
    let mut few = [0; N];
    few.copy_from_slice(&all[..N]);
    ActionBits(few)
}

impl Game for Other {
    type State = OtherState;
    type Position = OtherPosition;
    type Actions = ActionBits<WORDS>;
    type Encoding = ();

    fn start(&self) -> OtherState {
        match self {
            Self::TicTacToe(game) => OtherState::TicTacToe(game.start()),
            Self::Mnk(game) => OtherState::Mnk(game.start()),
            Self::ConnectFour(game) => OtherState::ConnectFour(game.start()),
            Self::Othello(game) => OtherState::Othello(game.start()),
            Self::Hex(game) => OtherState::Hex(game.start()),
            Self::Breakthrough(game) => OtherState::Breakthrough(game.start()),
        }
    }

    fn policy_size(&self) -> usize {
        with!(self, game => game.policy_size())
    }

    fn ply(&self, state: &OtherState) -> u32 {
        with!(self, game, OtherState(state) = state => game.ply(state))
    }

    fn outcome(&self, state: &OtherState) -> Option<Outcome> {
        with!(self, game, OtherState(state) = state => game.outcome(state))
    }

    fn legal_actions(&self, state: &OtherState) -> ActionBits<WORDS> {
        with!(self, game, OtherState(state) = state => widened(game.legal_actions(state)))
    }

    fn play(&self, state: &mut OtherState, action: Action) {
        with!(self, game, OtherState(state) = state => game.play(state, action));
    }

    fn position(&self, state: &OtherState) -> OtherPosition {
        match (self, state) {
            (Self::TicTacToe(game), OtherState::TicTacToe(state)) => OtherPosition::TicTacToe(game.position(state)),
            (Self::Mnk(game), OtherState::Mnk(state)) => OtherPosition::Mnk(game.position(state)),
            (Self::ConnectFour(game), OtherState::ConnectFour(state)) => {
                OtherPosition::ConnectFour(game.position(state))
            }
            (Self::Othello(game), OtherState::Othello(state)) => OtherPosition::Othello(game.position(state)),
            (Self::Hex(game), OtherState::Hex(state)) => OtherPosition::Hex(game.position(state)),
            (Self::Breakthrough(game), OtherState::Breakthrough(state)) => {
                OtherPosition::Breakthrough(game.position(state))
            }
            _ => unreachable!("a state of one game is given to another"),
        }
    }

    fn input_shape(&self, (): ()) -> Vec<usize> {
        with!(self, game => game.input_shape(Default::default()))
    }

    fn encode(&self, (): (), position: &OtherPosition, out: &mut [f32]) {
        with!(self, game, OtherPosition(position) = position => game.encode(Default::default(), position, out));
    }

    fn encoding_name(&self, (): ()) -> &'static str {
        with!(self, game => game.encoding_name(Default::default()))
    }

    fn turn_action(&self, mover: Player, action: Action) -> Action {
        with!(self, game => game.turn_action(mover, action))
    }

    fn turn_actions(&self, mover: Player, actions: &ActionBits<WORDS>) -> ActionBits<WORDS> {
        with!(self, game => widened(game.turn_actions(mover, &narrowed(actions))))
    }

    fn turn_priors(&self, mover: Player, legal: &ActionBits<WORDS>, priors: &mut [f32]) {
        with!(self, game => game.turn_priors(mover, &narrowed(legal), priors));
    }

    fn symmetries(&self) -> usize {
        with!(self, game => game.symmetries())
    }

    fn transform(&self, symmetry: usize, position: &OtherPosition) -> OtherPosition {
        match (self, position) {
            (Self::TicTacToe(game), OtherPosition::TicTacToe(position)) => {
                OtherPosition::TicTacToe(game.transform(symmetry, position))
            }
            (Self::Mnk(game), OtherPosition::Mnk(position)) => OtherPosition::Mnk(game.transform(symmetry, position)),
            (Self::ConnectFour(game), OtherPosition::ConnectFour(position)) => {
                OtherPosition::ConnectFour(game.transform(symmetry, position))
            }
            (Self::Othello(game), OtherPosition::Othello(position)) => {
                OtherPosition::Othello(game.transform(symmetry, position))
            }
            (Self::Hex(game), OtherPosition::Hex(position)) => OtherPosition::Hex(game.transform(symmetry, position)),
            (Self::Breakthrough(game), OtherPosition::Breakthrough(position)) => {
                OtherPosition::Breakthrough(game.transform(symmetry, position))
            }
            _ => unreachable!("a position of one game is given to another"),
        }
    }

    fn transform_entry(&self, (): (), symmetry: usize, entry: usize) -> usize {
        with!(self, game => game.transform_entry(Default::default(), symmetry, entry))
    }

    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        with!(self, game => game.transform_action(symmetry, action))
    }

    fn transform_actions(&self, symmetry: usize, actions: &ActionBits<WORDS>) -> ActionBits<WORDS> {
        with!(self, game => widened(game.transform_actions(symmetry, &narrowed(actions))))
    }

    fn transform_priors(&self, symmetry: usize, legal: &ActionBits<WORDS>, priors: &mut [f32]) {
        with!(self, game => game.transform_priors(symmetry, &narrowed(legal), priors));
    }

    fn packing(&self, (): ()) -> Option<Packing> {
        with!(self, game => game.packing(Default::default()))
    }

    fn pack(&self, (): (), position: &OtherPosition, out: &mut [u8]) {
        with!(self, game, OtherPosition(position) = position => game.pack(Default::default(), position, out));
    }
}

impl Notation for Other {
    fn action_name(&self, action: Action) -> String {
        with!(self, game => game.action_name(action))
    }

    fn board(&self) -> Board {
        with!(self, game => game.board())
    }

    fn pieces(&self, state: &OtherState) -> Pieces {
        with!(self, game, OtherState(state) = state => game.pieces(state))
    }

    fn mark(&self, state: &OtherState, action: Action) -> Mark {
        with!(self, game, OtherState(state) = state => game.mark(state, action))
    }

    fn draw(&self, state: &OtherState) -> String {
        with!(self, game, OtherState(state) = state => game.draw(state))
    }
}

impl PlayedGame for Other {
    fn name(&self) -> &'static str {
        with!(self, game => game.name())
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        with!(self, game => game.parameters())
    }

    fn typical_actions(&self) -> f32 {
        with!(self, game => game.typical_actions())
    }

    fn planes(&self, (): ()) -> Vec<&'static str> {
        with!(self, game => game.planes(Default::default()))
    }

    fn policy_meaning(&self) -> &'static str {
        with!(self, game => game.policy_meaning())
    }

    fn frame(&self) -> &'static str {
        with!(self, game => game.frame())
    }

    fn most_plies(&self) -> Option<u32> {
        with!(self, game => game.most_plies())
    }

    fn solver(&self) -> Box<dyn Solver<Self>> {
        match self {
            Self::ConnectFour(its) => Box::new(OfConnectFour { game: self.clone(), solver: its.solver() }),
            _ => Box::new(Exhaustive::new(self.clone(), MOST_POSITIONS)),
        }
    }

    fn adjudicator(&self) -> Option<Arc<dyn Adjudicator<Self>>> {
        let knows = with!(self, game => game.adjudicator().is_some());
        knows.then(|| Arc::new(OneOfAll(self.clone())) as Arc<dyn Adjudicator<Self>>)
    }

    fn plies_to_solve(&self) -> RangeInclusive<u32> {
        with!(self, game => game.plies_to_solve())
    }
}

/// The adjudicator of the game, for that game as one of all.
#[derive(Debug)]
struct OneOfAll(Other);

impl Adjudicator<Other> for OneOfAll {
    fn verdict(&self, state: &OtherState) -> Option<Outcome> {
        let Self(game) = self;
        with!(game, game, OtherState(state) = state => game.adjudicator()?.verdict(state))
    }
}

/// The solver of Connect Four, for that game as one of all.
struct OfConnectFour {
    game: Other,
    solver: Box<dyn Solver<ConnectFour>>,
}

impl Solver<Other> for OfConnectFour {
    fn class(&mut self, state: &OtherState) -> Result<Class, SolveError> {
        let OtherState::ConnectFour(state) = state else { unreachable!("a state of one game is given to another") };
        self.solver.class(state)
    }

    fn game(&self) -> &Other {
        &self.game
    }
}

#[cfg(test)]
mod tests {
    use selfplay_engine::testing::check_game;

    use super::*;

    #[test]
    fn each_game_keeps_the_laws_as_one_of_all() {
        let games = [
            Other::TicTacToe(TicTacToe),
            Other::Mnk(Mnk::new(5, 4, 4).unwrap()),
            Other::ConnectFour(ConnectFour::new(4, 5, 3).unwrap()),
            Other::Othello(Othello::new(4).unwrap()),
            Other::Hex(Hex::new(4, true).unwrap()),
            Other::Breakthrough(Breakthrough::new(5, 4).unwrap()),
        ];
        for game in games {
            check_game(&game, 20).unwrap();
        }
    }
}
