//! What search and encoding need of a two-player, zero-sum, perfect-information game.
//!
//! Modules, low to high:
//!
//! - `actions`: sets of actions
//! - `outcome`: players, and how games end
//! - [`board`]: what a board looks like, as shapes
//! - `notation`: what people see of a game

mod actions;
pub mod board;
mod notation;
mod outcome;

use std::{fmt::Debug, hash::Hash};

pub use self::{
    actions::{ActionBits, ActionSet},
    notation::Notation,
    outcome::{Draw, Outcome, Player},
};
use crate::packing::Packing;

/// Index into the policy vector: one number per move the network can name.
pub type Action = u16;

/// The rules of one game with fixed settings (board size, step limit, …), and how a network sees its positions.
///
/// The players move in turn, the first one at even plies. A player who cannot move passes, if the rules know of that, by an
/// action for it.
///
/// Two frames exist. In the *game frame* actions mean the same squares for both players; search, action choice and records
/// live there. In the *network frame* the board may be turned so that the mover always plays in the same direction; network
/// input, network output, caches and stored training rows live there. For a game without such a turn the two are equal.
///
/// Every game says its rules and what the network sees of a position. All else has defaults: one encoding, a board that is
/// never turned and has no symmetries, planes that are not packed. How boards and moves are written and drawn for people is in
/// [`Notation`]. [`check_game`](crate::testing::check_game) finds out whether a game keeps the laws that are stated here; a game
/// which does is played, searched, stored and resumed as the games of this crate are.
///
/// # Example
///
/// Tic-tac-toe, whole:
///
/// ```
/// use selfplay_engine::{Action, ActionBits, Draw, Game, Outcome, Player, testing::check_game};
///
/// #[derive(Clone, Debug)]
/// struct TicTacToe;
///
/// /// Marks of two players in octal digits, one a row. As a state first player first, as a position mover first.
/// type Marks = [u16; 2];
///
/// const LINES: [u16; 8] = [0o700, 0o070, 0o007, 0o444, 0o222, 0o111, 0o421, 0o124];
///
/// impl Game for TicTacToe {
///     type State = Marks;
///     type Position = Marks;
///     type Actions = ActionBits<1>;
///     type Encoding = ();
///
///     fn policy_size(&self) -> usize {
///         9
///     }
///     fn start(&self) -> Marks {
///         [0, 0]
///     }
///     fn ply(&self, state: &Marks) -> u32 {
///         (state[0] | state[1]).count_ones()
///     }
///     fn outcome(&self, state: &Marks) -> Option<Outcome> {
///         let has_line = |player: &Player| LINES.iter().any(|line| state[player.index()] & line == *line);
///         let winner = Player::BOTH.into_iter().find(has_line).map(Outcome::Win);
///         winner.or_else(|| (self.ply(state) == 9).then_some(Outcome::Draw(Draw::Rule)))
///     }
///     fn legal_actions(&self, state: &Marks) -> ActionBits<1> {
///         ActionBits([u64::from(!(state[0] | state[1]) & 0o777)])
///     }
///     fn play(&self, state: &mut Marks, action: Action) {
///         state[self.side_to_move(state).index()] |= 1 << action;
///     }
///     fn position(&self, state: &Marks) -> Marks {
///         let mover = self.side_to_move(state);
///         [state[mover.index()], state[mover.opponent().index()]]
///     }
///     fn input_shape(&self, (): ()) -> Vec<usize> {
///         vec![2, 3, 3]
///     }
///     fn encode(&self, (): (), position: &Marks, out: &mut [f32]) {
///         for (number, entry) in out.iter_mut().enumerate() {
///             *entry = f32::from(position[number / 9] >> (number % 9) & 1);
///         }
///     }
/// }
///
/// check_game(&TicTacToe, 1000).unwrap();
/// ```
pub trait Game: Clone + Debug + Send + Sync + Unpin + 'static {
    /// Everything the rules need to go on from here, with whatever makes that fast. Held by every tree node.
    type State: Clone + Debug + Send + Unpin + 'static;
    /// What the network sees of a state and nothing else (no ply counter), in the network frame. Small; equal positions have
    /// equal legal actions and evaluations, so it is the key of the evaluation cache. Where the rules or the network look back
    /// at earlier positions, what they need of those is part of it.
    ///
    /// Their order has no meaning but to tell which of several symmetric positions stands for all ([`Game::symmetries`]).
    type Position: Copy + Ord + Hash + Debug + Send + Sync + Unpin + 'static;
    /// A set of this game's actions: [`ActionBits`] with a word for every 64 of them.
    type Actions: ActionSet;
    /// A way to lay a position out as network input; `()` where there is only one.
    type Encoding: Copy + Default + Eq + Debug + Send + Sync + Unpin + 'static;

    // What every game says: the rules,

    /// The state before the first ply.
    fn start(&self) -> Self::State;
    /// Length of the policy vector: actions are `0..policy_size()`.
    fn policy_size(&self) -> usize;
    /// Plies played since the start.
    fn ply(&self, state: &Self::State) -> u32;
    /// How the game ended, or `None` while it goes on.
    fn outcome(&self, state: &Self::State) -> Option<Outcome>;
    /// Legal actions of the side to move in the game frame. Meaningful only while [`Game::outcome`] is `None`.
    fn legal_actions(&self, state: &Self::State) -> Self::Actions;
    /// Plays a legal action given in the game frame. An illegal one is a bug of the caller and may panic or corrupt `state`.
    fn play(&self, state: &mut Self::State, action: Action);

    // and what the network sees.

    /// What the network sees of `state`.
    fn position(&self, state: &Self::State) -> Self::Position;
    /// Shape of one encoded position, without the batch dimension.
    fn input_shape(&self, encoding: Self::Encoding) -> Vec<usize>;
    /// Writes a position as network input in C order, overwriting all of `out` (product of [`Game::input_shape`] elements).
    fn encode(&self, encoding: Self::Encoding, position: &Self::Position, out: &mut [f32]);

    // What has defaults.

    /// Who moves next. Replay files, and all that reads them, rely on the players moving in turn: leave it as it is.
    fn side_to_move(&self, state: &Self::State) -> Player {
        Player::at_ply(self.ply(state))
    }

    /// Every encoding this game has. Their input shapes differ, so that a model's own input shape chooses one.
    fn encodings(&self) -> Vec<Self::Encoding> {
        vec![Self::Encoding::default()]
    }
    /// Name of an encoding for messages and settings, such as `resnet`.
    fn encoding_name(&self, encoding: Self::Encoding) -> &'static str {
        let _ = encoding;
        "planes"
    }
    /// Writes a position over `before`, which `out` holds as [`Game::encode`] has written it: the same result, and for a game of
    /// which most of the input is the same in all positions with much less to write.
    fn encode_over(
        &self,
        encoding: Self::Encoding,
        before: &Self::Position,
        position: &Self::Position,
        out: &mut [f32],
    ) {
        let _ = before;
        self.encode(encoding, position, out);
    }

    /// Turns an action of `mover` from the game frame into the network frame or back: an involution. By default the frames are
    /// one.
    fn turn_action(&self, mover: Player, action: Action) -> Action {
        let _ = mover;
        action
    }
    /// Turns a set of actions as [`Game::turn_action`] turns each member; to be overridden only where that can be faster.
    fn turn_actions(&self, mover: Player, actions: &Self::Actions) -> Self::Actions {
        actions.map(|action| self.turn_action(mover, action))
    }
    /// Reorders priors over the legal actions of `mover`, in place, from ascending network-frame order to ascending game-frame
    /// order. `legal` is in the game frame and has as many members as there are priors. To be overridden only for speed.
    fn turn_priors(&self, mover: Player, legal: &Self::Actions, priors: &mut [f32]) {
        actions::reorder(legal, priors, |action| self.turn_action(mover, action));
    }

    /// Size of the group of symmetries under which the rules and the network's view are the same: 1 for none (as here), 2 for a
    /// board that can be mirrored, up to 8 for a square one that can be turned and mirrored. A symmetry is a number below; 0
    /// changes nothing, and any two of them in a row are a third.
    ///
    /// The rules cannot tell an image from its position: legal actions, successors and the outcome of the one are images of those
    /// of the other.
    fn symmetries(&self) -> usize {
        1
    }
    /// The image of a position.
    fn transform(&self, symmetry: usize, position: &Self::Position) -> Self::Position {
        let _ = symmetry;
        *position
    }
    /// The image of an action, network frame.
    fn transform_action(&self, symmetry: usize, action: Action) -> Action {
        let _ = symmetry;
        action
    }
    /// Where an entry of a position's input stands in the input of the position's image:
    /// `encode(transform(position))[transform_entry(entry)]` is `encode(position)[entry]`. Trainers are told it, to turn and mirror
    /// what they learn from; play has no use for it.
    fn transform_entry(&self, encoding: Self::Encoding, symmetry: usize, entry: usize) -> usize {
        let _ = (encoding, symmetry);
        entry
    }
    /// The images of a set of actions, as of each member; to be overridden only where that can be faster.
    fn transform_actions(&self, symmetry: usize, actions: &Self::Actions) -> Self::Actions {
        actions.map(|action| self.transform_action(symmetry, action))
    }
    /// Reorders priors over the actions in `legal`, in place, from the ascending order of their images to their own ascending
    /// order: what a network said of an image becomes what it says of the position. To be overridden only for speed.
    fn transform_priors(&self, symmetry: usize, legal: &Self::Actions, priors: &mut [f32]) {
        actions::reorder(legal, priors, |action| self.transform_action(symmetry, action));
    }

    /// How positions of one encoding can be packed into few bytes, for devices that expand them by themselves. `None`: they
    /// travel as [`Game::encode`] writes them.
    fn packing(&self, encoding: Self::Encoding) -> Option<Packing> {
        let _ = encoding;
        None
    }
    /// Writes a position as [`Game::packing`] describes it, overwriting all of `out`. Asked only of games that have a packing.
    fn pack(&self, encoding: Self::Encoding, position: &Self::Position, out: &mut [u8]) {
        let _ = (encoding, position);
        out.fill(0);
    }
}
