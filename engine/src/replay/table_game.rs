//! A game for tests: its positions are the rows of a table of planes, and nothing else about it is real.

use std::sync::Arc;

use super::record::{Ending, GameRecord, PlyNotes, PlyRecord, Target};
use crate::{
    evaluation::{DrawChance, Leaf},
    game::{Action, ActionBits, ActionSet, Game, Outcome, Player},
    search::SearchEffort,
};

/// Actions of a [`TableGame`].
pub(super) type Actions = ActionBits<4>;

/// Positions are numbers of rows of `planes`; the second player's actions are turned by the permutation `turn`.
#[derive(Clone, Debug)]
pub(super) struct TableGame {
    /// Shape of one position's input.
    pub(super) shape: Vec<usize>,
    /// One encoded position after the other.
    pub(super) planes: Arc<Vec<f32>>,
    /// Network-frame action of each game-frame action of the second player: an involution.
    pub(super) turn: Arc<Vec<Action>>,
}

impl TableGame {
    /// `positions` positions of shape (2, 3) with entries that differ, and `actions` actions that turn end for end.
    pub(super) fn counting(positions: usize, actions: u16) -> Self {
        Self {
            shape: vec![2, 3],
            planes: Arc::new((0..positions * 6).map(|entry| entry as f32 * 0.5).collect()),
            turn: Arc::new((0..actions).rev().collect()),
        }
    }

    /// A game that the first player wins, with the plies' legal actions and targets (network frame). The first target is
    /// played.
    pub(super) fn record(&self, plies: &[(Vec<Action>, Vec<Target>)]) -> GameRecord<Self> {
        let plies = plies.iter().enumerate().map(|(row, (legal, targets))| {
            let player = Player::at_ply(row as u32);
            let mut set = Actions::default();
            legal.iter().for_each(|&action| set.insert(action));
            PlyRecord {
                leaf: Leaf { position: row as u32, legal: set },
                player,
                action: self.turn_action(player, targets[0].action),
                targets: targets.clone(),
                root_value: 0.25 - row as f32,
                root_draw: DrawChance::UNKNOWN,
                model_version: 40 + row as i64,
                notes: PlyNotes::unknown(true),
            }
        });
        GameRecord {
            index: 3,
            seed: u64::MAX,
            model_version: 40,
            plies: plies.collect(),
            outcome: Outcome::Win(Player::First),
            ending: Ending::Rules,
            effort: SearchEffort::default(),
            resign: None,
        }
    }
}

/// A share of the policy.
pub(super) fn target(action: Action, visits: u32, probability: f32) -> Target {
    Target { action, visits, probability }
}

/// Three plies with five actions; every row is one the trainer can use.
pub(super) fn small_game() -> (TableGame, GameRecord<TableGame>) {
    let game = TableGame::counting(3, 5);
    let record = game.record(&[
        (vec![0, 1, 4], vec![target(4, 3, 0.75), target(0, 1, 0.25)]),
        (vec![1, 2], vec![target(1, 8, 1.0)]),
        (vec![0, 1, 2, 3, 4], vec![target(2, 1, 0.5), target(3, 1, 0.5)]),
    ]);
    (game, record)
}

impl Game for TableGame {
    type State = u32;
    type Position = u32;
    type Actions = Actions;
    type Encoding = ();

    fn start(&self) -> u32 {
        0
    }
    fn policy_size(&self) -> usize {
        self.turn.len()
    }
    fn ply(&self, state: &u32) -> u32 {
        *state
    }
    fn outcome(&self, _: &u32) -> Option<Outcome> {
        None
    }
    fn legal_actions(&self, _: &u32) -> Actions {
        Actions::default()
    }
    fn play(&self, state: &mut u32, _: Action) {
        *state += 1;
    }
    fn position(&self, state: &u32) -> u32 {
        *state
    }
    fn turn_action(&self, mover: Player, action: Action) -> Action {
        match mover {
            Player::First => action,
            Player::Second => self.turn[usize::from(action)],
        }
    }
    fn input_shape(&self, (): ()) -> Vec<usize> {
        self.shape.clone()
    }
    fn encode(&self, (): (), position: &u32, out: &mut [f32]) {
        let start = *position as usize * out.len();
        out.copy_from_slice(&self.planes[start..start + out.len()]);
    }
}
