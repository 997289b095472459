//! How many games are played, by whom, and how they begin and end.

use serde::{Deserialize, Serialize};

/// `[play]`: how many games are played, and by whom.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaySettings {
    /// Games in play at once in this process, ≥ 1; `None`: as many as keep the device busy.
    pub games_per_process: Option<u32>,
    /// Games of batch mode, ≥ 1.
    pub num_games: u64,
    /// Identical processes that share the machine, ≥ 1.
    pub processes: u32,
    /// Threads that advance games, ≥ 1; `None`: from the cores.
    pub threads: Option<u32>,
    /// Seed of all random choices, below 2^63 so that every file format can hold it; `None`: draw one below 2^63 and log it.
    pub seed: Option<u64>,
    /// Who plays the second player.
    pub p2: Opponent,
    /// How our moves are chosen.
    pub agent: Agent,
    /// Share of moves with a search of full size, above 0 to 1.
    pub full_search_share: f32,
    /// Simulations of the others, ≥ 2; `None`: a sixth of a full search.
    pub cheap_simulations: Option<u32>,
    /// Share of a game's weights that goes by surprise, 0..=1.
    pub policy_surprise: f32,
    /// Most random plies at the begin of a game, 0..=1000.
    pub opening_random_plies: u32,
    /// Mean number of plies after those that the network's policy alone draws, 0..=1000.
    pub opening_policy_plies: f32,
    /// End games where their result under perfect play is known.
    pub adjudicate: bool,
    /// Less effort in decided games.
    pub soft_resign: bool,
    /// The value from which on, 0..=0.99.
    pub soft_resign_value: f32,
    /// Simulations of a move in a game that is as good as over, ≥ 2.
    pub soft_resign_simulations: u32,
    /// Weight of such a move, 0..=1.
    pub soft_resign_weight: f32,
    /// Players resign.
    pub resign: bool,
    /// Share of games in which no one does, 0.01..=1.
    pub resign_played_on: f32,
    /// Largest share of those in which resigning would have been wrong, 0..=1.
    pub resign_most_wrong: f32,
    /// Log every move.
    pub trace: bool,
}

impl PlaySettings {
    /// Games that are in play at once when play begins.
    pub(crate) fn games(&self) -> u32 {
        /// Enough for batches of eight on four threads.
        const FIRST: u32 = 32;
        self.games_per_process.unwrap_or(FIRST)
    }
}

/// Who plays the second player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Opponent {
    /// The same agent as the first player.
    Same,
    /// A uniformly random legal move.
    Random,
}

/// How moves are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Agent {
    /// By search.
    Search,
    /// From the network's policy alone.
    Raw,
}
