//! Leaf-parallel tree search, by PUCT or by Gumbel's rule, split at the evaluation: *gather* picks leaves, *apply* takes their evaluations.
//!
//! No thread, channel or clock lives here. A caller alternates:
//!
//! ```text
//! begin ─▶ gather ──leaves──▶ (the evaluator) ──evaluations──▶ apply ─▶ gather … until gather leaves nothing to ask ─▶ decide
//! ```
//!
//! Files, low to high: [`params`] (what can be set), `arena` (memory), `select` (vectorised maxima), `edges` (statistics of visited
//! actions), `draws` (how likely a draw is), `proofs` (what is proven), `tree` (nodes with their priors and edges), `noise` (what becomes of the root's priors), `choose` (the action to
//! play), `improved` (policies improved by values), `halving` (a schedule), `pruning` (visits that were forced, taken
//! out again), `root` (what search variants differ in), `gather`
//! ([`Search`] itself).

mod arena;
mod choose;
mod draws;
mod edges;
mod gather;
mod halving;
mod improved;
mod noise;
pub mod params;
mod proofs;
mod pruning;
mod root;
mod select;
mod tree;
#[cfg(test)]
mod vectors;

pub(crate) use choose::choose_action;
pub use gather::{Gathered, LeafCounts, MoveEffort, RootNotes, Search, SearchEffort, SpareTree};
pub use params::{
    Counted, FirstPlay, Growth, Gumbel, InFlight, NoiseShape, Puct, Root, RootNoise, SearchParams, Simulations,
};
pub use root::{Decision, Share};
pub use tree::TreeSize;
