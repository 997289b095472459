//! The record of one finished game.

use serde::{Deserialize, Serialize};

use crate::{
    evaluation::{DrawChance, Leaf},
    game::{Action, Game, Outcome, Player},
    search::{Decision, MoveEffort, RootNotes, SearchEffort, Share},
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

/// How a ply was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlyKind {
    /// Without a search: by the network alone, or at random.
    #[default]
    NoSearch,
    /// By a search of full size.
    Full,
    /// By a search with fewer simulations, which is no policy target.
    Cheap,
    /// Before the game that teaches begins.
    Opening,
}

impl PlyKind {
    /// Every kind; its place is its number in files.
    pub const ALL: [Self; 4] = [Self::NoSearch, Self::Full, Self::Cheap, Self::Opening];
}

/// What else is known of a ply: for trainers that choose what to learn from. Values are from the mover's view, and NaN where they
/// are not known.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PlyNotes {
    /// How it was found.
    pub kind: PlyKind,
    /// Weight as a policy target, at least 0, usually 1; with 0 it is none.
    pub weight: f32,
    /// Simulations of its search, without those kept from an earlier move.
    pub simulations: u32,
    /// The search drew at its root: noise on the priors, or Gumbel's draws.
    pub noise: bool,
    /// Values of more than one model are mixed in it.
    pub mixed: bool,
    /// The search proved its value.
    pub proven: bool,
    /// What the network says of the position by itself.
    pub raw_value: f32,
    /// Mean value of the best action: the one with the most visits, the largest value, the lowest number.
    pub best_value: f32,
    /// Mean value of the action played.
    pub played_value: f32,
    /// Kullback-Leibler divergence of the policy target from the network's policy, which has no noise, in nats.
    pub divergence: f32,
}

impl PlyNotes {
    /// Of a ply of which no more is known than whether there is a search behind it.
    #[must_use]
    pub const fn unknown(searched: bool) -> Self {
        Self {
            kind: if searched { PlyKind::Full } else { PlyKind::NoSearch },
            weight: 1.0,
            simulations: 0,
            noise: false,
            mixed: false,
            proven: false,
            raw_value: f32::NAN,
            best_value: f32::NAN,
            played_value: f32::NAN,
            divergence: f32::NAN,
        }
    }

    /// Of a ply with a search of full size, with all values of one model and nothing drawn at the root.
    pub(crate) fn of_search(effort: MoveEffort, root: RootNotes) -> Self {
        let RootNotes { raw_value, best_value, played_value, divergence } = root;
        Self {
            simulations: u32::try_from(effort.simulations).unwrap_or(u32::MAX),
            proven: effort.proven,
            raw_value,
            best_value,
            played_value,
            divergence,
            ..Self::unknown(true)
        }
    }
}

impl PartialEq for PlyNotes {
    /// Two that are not known are equal.
    fn eq(&self, other: &Self) -> bool {
        let told = |notes: &Self| {
            let &Self { kind, weight, simulations, noise, mixed, proven, .. } = notes;
            let values = [weight, notes.raw_value, notes.best_value, notes.played_value, notes.divergence];
            (
                kind,
                simulations,
                noise,
                mixed,
                proven,
                values.map(|value| if value.is_nan() { u32::MAX } else { value.to_bits() }),
            )
        };
        told(self) == told(other)
    }
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
    /// What else is known of it.
    pub notes: PlyNotes,
}

impl<G: Game> Clone for PlyRecord<G> {
    fn clone(&self) -> Self {
        Self { targets: self.targets.clone(), ..*self }
    }
}

impl<G: Game> PlyRecord<G> {
    /// What was decided in `state`.
    pub(crate) fn new(game: &G, state: &G::State, decision: Decision, model_version: i64, notes: PlyNotes) -> Self {
        let Decision { action, policy, value, draw } = decision;
        let player = game.side_to_move(state);
        let target = |Share { action, visits, probability }| Target {
            action: game.turn_action(player, action),
            visits,
            probability,
        };
        let said = policy.into_iter().filter(|share| share.visits > 0 || share.probability > 0.0);
        Self {
            leaf: Leaf::new(game, state, &game.legal_actions(state)),
            player,
            action,
            targets: said.map(target).collect(),
            root_value: value,
            root_draw: draw,
            model_version,
            notes,
        }
    }

    /// Whether it is a policy target, and so a row of the arrays that trainers sample from.
    #[must_use]
    pub fn is_row(&self) -> bool {
        self.notes.weight > 0.0
    }

    /// Whether there is a search behind it.
    #[must_use]
    pub fn is_searched(&self) -> bool {
        self.targets.iter().any(|target| target.visits > 0)
    }

    /// What the mover thinks of the position after a search: its value, or that of the best action where that is more. Nothing
    /// without a search.
    #[must_use]
    pub fn worth_to_mover(&self) -> Option<f32> {
        matches!(self.notes.kind, PlyKind::Full | PlyKind::Cheap).then(|| self.root_value.max(self.notes.best_value))
    }

    /// Whether the mover thinks less of it than that.
    #[must_use]
    pub fn is_worth_less(&self, threshold: f32) -> bool {
        self.worth_to_mover().is_some_and(|worth| worth < threshold)
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

/// What a game tells of resigning: for finding out how often it would be wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResignNotes {
    /// It was to be played to its end, whatever its values.
    pub no_resign: bool,
    /// The first ply at which its mover would have resigned, if any.
    pub would_resign_ply: Option<u32>,
    /// The value below which a player resigns.
    pub threshold: f32,
}

/// What ended a game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// The rules.
    #[default]
    Rules,
    /// Its result under perfect play was known.
    Adjudicated,
    /// A player who resigned.
    Resigned,
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
    /// What ended it.
    pub ending: Ending,
    /// What its searches amounted to; after a resumption, since then.
    pub effort: SearchEffort,
    /// Where players may resign: what it tells of that.
    pub resign: Option<ResignNotes>,
}

impl<G: Game> GameRecord<G> {
    /// The plies that are policy targets.
    pub fn rows(&self) -> impl Iterator<Item = &PlyRecord<G>> {
        self.plies.iter().filter(|ply| ply.is_row())
    }

    /// Plies that were played before the game that teaches began.
    #[must_use]
    pub fn opening_plies(&self) -> usize {
        self.plies.iter().take_while(|ply| ply.notes.kind == PlyKind::Opening).count()
    }

    /// Why the game ended, in the words of replay files.
    #[must_use]
    pub const fn end_reason(&self) -> &'static str {
        match self.ending {
            Ending::Rules => self.outcome.end_reason(),
            Ending::Adjudicated => "adjudicated",
            Ending::Resigned => "resigned",
        }
    }

    /// The least that a player thought of its position who then did not lose, 1 at most: resigning there would have been wrong.
    #[must_use]
    pub fn lowest_unbeaten(&self) -> f32 {
        let unbeaten = self.plies.iter().filter(|ply| self.outcome.value_for(ply.player) >= 0.0);
        unbeaten.filter_map(PlyRecord::worth_to_mover).fold(1.0, f32::min)
    }

    /// Whether it is known of any ply how likely a draw was.
    #[must_use]
    pub fn says_draws(&self) -> bool {
        self.plies.iter().any(|ply| ply.root_draw.known().is_some())
    }
}
