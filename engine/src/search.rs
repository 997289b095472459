//! Leaf-parallel PUCT search, split at the evaluation: *gather* picks leaves, *apply* takes their evaluations.
//!
//! No thread, channel or clock lives here. A caller alternates:
//!
//! ```text
//! begin ─▶ gather ──leaves──▶ (the evaluator) ──evaluations──▶ apply ─▶ gather … until gather leaves nothing to ask
//! ```
//!
//! Files, low to high: [`params`] (what can be set), `arena` (memory), `select` (vectorised maxima), `edges` (statistics of visited
//! actions), `tree` (nodes with their priors and edges), `noise` (Dirichlet), `gather` ([`Search`] itself).

mod arena;
mod edges;
mod gather;
mod noise;
pub mod params;
mod select;
mod tree;

pub use gather::{LeafCounts, MoveEffort, Search, SearchEffort, SpareTree};
pub use params::{RootNoise, SearchParams, Simulations};
pub use tree::TreeSize;
