//! How moves are searched and chosen.

use serde::{Deserialize, Serialize};

/// `[search]`: how moves are searched and chosen.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchSettings {
    /// Simulations per move, ≥ 2 for the search agent; `None`: `mcts_k` says.
    pub mcts_n: Option<u32>,
    /// Simulations per move for each legal action at the root, ≥ 1; used while `mcts_n` is `None`.
    pub mcts_k: u32,
    /// How a search selects, and what becomes its policy.
    pub root: Root,
    /// Weight of priors against values in PUCT, > 0.
    pub c_puct: f32,
    /// Most actions that Gumbel's rule draws, 1..=1024.
    pub gumbel_m: u32,
    /// Visits that values weigh as if the most visited action had them besides, ≥ 0.
    pub gumbel_c_visit: f32,
    /// Weight of values against logits, > 0.
    pub gumbel_c_scale: f32,
    /// Stretch the values of a node's actions over their whole range.
    pub gumbel_rescale: bool,
    /// Scale of the Gumbel draws, 0..=10.
    pub gumbel_scale: f32,
    /// How that weight grows with visits, 0..=1000; 0: not at all.
    pub c_puct_growth: f32,
    /// Visits until such growth shows, > 0.
    pub c_puct_base: f32,
    /// What moves without visits count for.
    pub fpu: FirstPlay,
    /// The value, or the factor of the reduction, -1..=1.
    pub fpu_value: f32,
    /// The same at the root; `None`: as below it.
    pub fpu_root: Option<FirstPlay>,
    /// Its value, -1..=1; only where `fpu_root` is given.
    pub fpu_root_value: f32,
    /// The root's priors become P^(1/T) before noise, 0.1..=10.
    pub root_policy_temperature: f32,
    /// k of forced playouts, 0..=100; 0: none.
    pub forced_playouts: f32,
    /// Share of noise in the root's priors, 0..=1.
    pub noise_epsilon: f32,
    /// Concentration of that noise, > 0; `None`: from the board (contract §4).
    pub noise_alpha: Option<f32>,
    /// How that is shared out.
    pub noise_shape: NoiseShape,
    /// Moves are drawn with probability visits^(1/T), ≥ 0; 0 is greedy.
    pub temperature: f32,
    /// First ply (from 0) with temperature 0; `None`: never.
    pub drop_t_on_step: Option<u32>,
    /// Plies in which the temperature goes half of the way to `temperature_end`, > 0; `None`: it stays.
    pub temperature_halflife: Option<f32>,
    /// What it comes to, 0..=100.
    pub temperature_end: f32,
    /// Subtract 1 from the score of moves to positions already seen in this game.
    pub penalize_visited_states: bool,
    /// K: leaves gathered from one tree before waiting, 1..=1024 and ≤ `mcts_n`; `None`: [`super::Settings::leaf_parallelism`] says.
    pub leaf_parallelism: Option<u32>,
    /// What gathered paths count for until their evaluations arrive.
    pub in_flight: InFlight,
    /// Losses counted along a gathered path, 0..=1000; only where paths in flight count for losses.
    pub virtual_loss: u32,
    /// What simulations count where a subtree is kept.
    pub n_counts: Counted,
    /// Keep the chosen move's subtree.
    pub tree_reuse: bool,
    /// Prove what positions are worth by finished games.
    pub solver: bool,
}

/// How a search selects, and what becomes its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Root {
    /// PUCT throughout; visits.
    Puct,
    /// Sequential halving, and improved policies below it; the improved policy.
    Gumbel,
}

/// What moves without visits count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FirstPlay {
    /// For a fixed value.
    Absolute,
    /// For less than their position, the more of it was visited.
    Reduction,
}

/// How noise is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NoiseShape {
    /// Evenly.
    Even,
    /// Half of it to moves whose priors stand out.
    Shaped,
}

/// What the simulations of a move count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// Those done for it.
    Playouts,
    /// The visits of its root.
    Visits,
}

/// What a gathered path counts for until its evaluation arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InFlight {
    /// For a visit.
    Visits,
    /// For `virtual_loss` lost games.
    Loss,
}
