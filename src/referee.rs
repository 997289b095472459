//! Matches beside play: is it learning, and may a new model serve?
//!
//! The data's way: the loader tells the [referee's actor](selfplay_actors::referee) of each model that serves, and with `promote = "gate"`
//! of each that is to; the actor lets [`Matches`] work for a moment at a time, on a thread of its own. Here it is decided what is
//! played next, one match after the other:
//!
//! - Every V-th model is *entered*: it is copied to `evaluation/` in the output directory, and plays the one entered before it, search
//!   without a network, and random moves. Each match that is over is a line of `evaluation/results.jsonl`. Ratings are fitted to all of
//!   them and published in [`Stats::standings`](selfplay_actors::stats::Stats), from where status, page and metrics have them.
//! - A candidate of the gate plays the model that serves. It is promoted if it scores half of the points or more. The model that serves
//!   is kept, and serves first after a restart.
//!
//! What must stay true:
//!
//! - Matches of both kinds take turns: neither waits for more than one match of the other.
//! - A match that began is played to its end, so that no trainer is too fast to be judged; of models to be rated the newest waits.
//! - What is over is on the disk, and a match that was broken off, by a stop, a crash or a panic, goes on from its last whole pair.
//! - A match that cannot be played is given up with a reason, and what is given up at the gate is let through: it fails open.
//! - Matches have evaluators of their own and no noise; nothing in them comes from play or goes there.
//!
//! Modules:
//!
//! - [`plan`]: what is asked for, and which models are due
//! - [`history`]: what matches came to, and what is to be played next
//! - [`folder`]: what is kept on the disk
//! - [`bout`]: one match
//! - [`mod@matches`]: all of them, one after the other

mod bout;
mod folder;
mod history;
mod matches;
mod plan;
#[cfg(test)]
mod tests;

use std::{path::Path, sync::Arc};

use selfplay_actors::{loader::ModelSource, referee::RefereeOptions, stats::Stats};

use self::{matches::Matches, plan::Plan};
use crate::{played::PlayedGame, settings::Settings};

/// What is played beside play, if `settings` ask for it. `source`: makes one evaluator of a model; `cores`: those of this process;
/// `on_gpu`: computing is done there.
pub(crate) fn options<G: PlayedGame>(
    settings: &Settings,
    game: &G,
    dir: &Path,
    source: Option<Box<dyn ModelSource<G>>>,
    (cores, on_gpu): (usize, bool),
    stats: Arc<Stats>,
) -> Option<RefereeOptions> {
    let source = source?;
    let plan = Plan::of(settings, dir);
    let gate = plan.gate;
    let mut matches = Matches::new(game.clone(), source, plan, stats);
    let first = if gate { matches.served_last() } else { None };
    let shares = plan::shares(settings, cores, on_gpu);
    Some(RefereeOptions { referee: Box::new(matches), shares, gate, first })
}
