//! What search variants differ in: how the root is prepared, which action is simulated next, and what move and policy come out.
//!
//! A variant is a [`RootRule`]. AlphaZero's stands here, Gumbel's in `gumbel`.

mod gumbel;

use rand::Rng;

use self::gumbel::Halving;
use super::{
    choose::choose_action,
    noise::with_noise,
    params::{Root, RootNoise, SearchParams},
    tree::{ROOT, Tree},
};
use crate::{
    evaluation::DrawChance,
    game::{Action, ActionSet, Game},
};

/// What the search of a move came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The action to play, game frame.
    pub action: Action,
    /// What the search says of the root's actions, in ascending order; those it says nothing of are left out.
    pub policy: Vec<Share>,
    /// Value of the root in [−1, 1], from the view of its mover.
    pub value: f32,
    /// How likely a draw is.
    pub draw: DrawChance,
}

/// What is said of one action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The action, game frame.
    pub action: Action,
    /// Visits of its child; 0 where there was no search.
    pub visits: u32,
    /// Its share of the policy: those of one position sum to 1.
    pub probability: f32,
}

/// What a search does at its root, and how it selects. For each move: `prepare` as soon as the root has its priors, `select` for
/// every simulation that goes through it, `select_below` for each further step, `decide` at the end.
pub(super) trait RootRule {
    /// Whether a move may begin with what the one before left, and go on with values of another model.
    const KEEPS_TREE: bool;

    /// Makes ready a root that was evaluated just now, or kept with its subtree from the move before.
    fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng);

    /// The slot of the root's edge that the next simulation takes. `None` when there is none to take before what is in flight
    /// has arrived, or none at all.
    fn select<G: Game>(&mut self, tree: &mut Tree<G>) -> Option<u16>;

    /// The same for an expanded node below, whose visits with those in flight are `visits`.
    fn select_below<G: Game>(&mut self, tree: &mut Tree<G>, node: u32, visits: u32) -> Option<u16>;

    /// What the simulations came to. `temperature`: 0 plays the best action, larger values others as well.
    fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision;
}

/// The rule of a search.
pub(super) enum Rule {
    Puct(Puct),
    Gumbel(Halving),
}

impl Rule {
    pub(super) fn new(params: &SearchParams) -> Self {
        match params.root {
            Root::Puct => Self::Puct(Puct { c_puct: params.c_puct, noise: params.noise }),
            Root::Gumbel(gumbel) => Self::Gumbel(Halving::new(gumbel, params.simulations)),
        }
    }

    pub(super) const fn keeps_tree(&self) -> bool {
        match self {
            Self::Puct(_) => Puct::KEEPS_TREE,
            Self::Gumbel(_) => Halving::KEEPS_TREE,
        }
    }

    /// See [`RootRule::prepare`].
    pub(super) fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng) {
        match self {
            Self::Puct(rule) => rule.prepare(tree, rng),
            Self::Gumbel(rule) => rule.prepare(tree, rng),
        }
    }

    /// See [`RootRule::decide`].
    pub(super) fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision {
        match self {
            Self::Puct(rule) => rule.decide(tree, temperature, rng),
            Self::Gumbel(rule) => rule.decide(tree, temperature, rng),
        }
    }
}

/// The rule of AlphaZero: noise on the priors, PUCT as below the root, visits as policy.
pub(super) struct Puct {
    c_puct: f32,
    noise: Option<RootNoise>,
}

impl RootRule for Puct {
    const KEEPS_TREE: bool = true;

    fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng) {
        if let Some(noise) = self.noise {
            tree.set_root_priors(|clean| with_noise(clean, noise, rng));
        }
    }

    fn select<G: Game>(&mut self, tree: &mut Tree<G>) -> Option<u16> {
        tree.select(ROOT, tree.root_effective_visits(), self.c_puct)
    }

    fn select_below<G: Game>(&mut self, tree: &mut Tree<G>, node: u32, visits: u32) -> Option<u16> {
        tree.select(node, visits, self.c_puct)
    }

    fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision {
        let visits = tree.root_children();
        let total: u32 = visits.iter().map(|&(_, visits)| visits).sum();
        // A search of one simulation has visited nothing.
        let action = choose_action(&visits, temperature, rng).unwrap_or_else(|| tree.node(ROOT).legal.nth(0));
        let share = |(action, visits)| Share { action, visits, probability: visits as f32 / total as f32 };
        Decision {
            action,
            policy: visits.into_iter().map(share).collect(),
            value: tree.root_value() as f32,
            draw: tree.root_draw(),
        }
    }
}
