//! The record of one finished game.

use crate::{
    evaluation::{DrawChance, Leaf},
    game::{Action, Game, Outcome, Player},
    search::SearchEffort,
};

/// What the search said of one action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// The action, network frame.
    pub action: Action,
    /// Visits of the action's child at the root; 0 for agents that do not search.
    pub visits: u32,
    /// Its share of the training policy. The shares of one ply sum to 1.
    pub probability: f32,
}

/// One ply: the position before it, what was found there and what was played.
#[derive(Debug)]
pub struct PlyRecord<G: Game> {
    /// The position before the ply and its legal actions, network frame.
    pub leaf: Leaf<G>,
    /// Who moved.
    pub player: Player,
    /// The action played, game frame.
    pub action: Action,
    /// The training policy: actions with a probability above 0 or visits, in any order.
    pub targets: Vec<Target>,
    /// Value of the position by the search (or the network, or 0 for a random mover), from the mover's view.
    pub root_value: f32,
    /// How likely a draw is: by the search, or the network, as the value; the same from either player's view.
    pub root_draw: DrawChance,
    /// Version of the newest model whose evaluations chose the action.
    pub model_version: i64,
}

impl<G: Game> Clone for PlyRecord<G> {
    fn clone(&self) -> Self {
        Self { targets: self.targets.clone(), ..*self }
    }
}

impl<G: Game> PlyRecord<G> {
    /// Whether there is a search behind it.
    #[must_use]
    pub fn is_searched(&self) -> bool {
        self.targets.iter().any(|target| target.visits > 0)
    }

    /// Entropy of the training policy, in nats.
    #[must_use]
    pub fn policy_entropy(&self) -> f64 {
        -self.shares().filter(|&share| share > 0.0).map(|share| share * share.ln()).sum::<f64>()
    }

    /// Largest share of the training policy.
    #[must_use]
    pub fn top_share(&self) -> f64 {
        self.shares().fold(0.0, f64::max)
    }

    fn shares(&self) -> impl Iterator<Item = f64> {
        self.targets.iter().map(|target| f64::from(target.probability))
    }
}

/// A finished game.
#[derive(Clone, Debug)]
pub struct GameRecord<G: Game> {
    /// Number of the game within its process and seed, from 0.
    pub index: u64,
    /// The process's seed: with `index` it fixes all randomness of the game.
    pub seed: u64,
    /// Version of the model that served when the game began.
    pub model_version: i64,
    /// All plies in order; ply t was played by the player with index t % 2.
    pub plies: Vec<PlyRecord<G>>,
    /// The result, and why it ended with that.
    pub outcome: Outcome,
    /// What its searches amounted to; after a resumption, since then.
    pub effort: SearchEffort,
}

impl<G: Game> GameRecord<G> {
    /// Whether it is known of any ply how likely a draw was.
    #[must_use]
    pub fn says_draws(&self) -> bool {
        self.plies.iter().any(|ply| ply.root_draw.known().is_some())
    }
}
