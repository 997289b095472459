//! How self-play games are played.

use super::{early::ResignSettings, opening::OpeningSettings, rows::RowSettings, soft::SoftResign};
use crate::search::SearchParams;

/// Who chooses the actions of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// The tree search.
    Search,
    /// The network without search: its most likely action.
    Raw,
    /// Evenly among the legal actions.
    Random,
}

/// How games are played: the same for all games of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaySettings {
    /// The search of [`Agent::Search`].
    pub search: SearchParams,
    /// Actions are chosen with probability proportional to visits^(1/temperature); 0 takes the most visited.
    pub temperature: f32,
    /// How that changes from ply to ply.
    pub temperature_decay: Option<Decay>,
    /// From this ply on the temperature is 0.
    pub drop_t_on_step: Option<u32>,
    /// Keep the chosen action's subtree for the next move, where the search has a use for it.
    pub tree_reuse: bool,
    /// Subtract 1 from the score of actions that lead to a position this game has visited. Turns tree reuse off.
    pub penalize_visited_states: bool,
    /// How games begin.
    pub opening: OpeningSettings,
    /// Where decided games get less effort.
    pub soft_resign: Option<SoftResign>,
    /// Where players may resign.
    pub resign: Option<ResignSettings>,
    /// Which plies teach a policy, and how much.
    pub rows: RowSettings,
    /// Ask a position and its symmetric images as one.
    pub symmetry: bool,
    /// Agents of the first and the second player.
    pub agents: [Agent; 2],
}

/// How a value changes from ply to ply: v(t) = end + (start − end) · ½^(t / halflife), as KataGo's temperatures do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decay {
    /// What it comes to in the end.
    pub end: f32,
    /// Plies that take it half of the way, above 0.
    pub halflife: f32,
}

impl PlaySettings {
    /// The temperature of a ply.
    pub(super) fn temperature_at(&self, ply: u32) -> f32 {
        let start = self.temperature;
        match self.temperature_decay {
            _ if self.drop_t_on_step.is_some_and(|step| ply >= step) => 0.0,
            Some(Decay { end, halflife }) => end + (start - end) * 0.5f32.powf(ply as f32 / halflife),
            None => start,
        }
    }
}
