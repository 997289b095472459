//! What is to be played beside play, as settings say, and which models are due.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use selfplay_actors::referee::Shares;
use selfplay_engine::{
    matches::{Mover, Seat},
    search::Simulations,
};

use super::{bout::Terms, folder, history::Model};
use crate::{
    daemon::agents::terms,
    settings::{Agent, EvaluationSettings, Opponent, Promote, Settings},
};

/// How long matches are played before they rest.
const MOMENT: Duration = Duration::from_millis(30);

/// What is to be played.
pub(super) struct Plan {
    /// Every so many versions a model is rated.
    pub every: Option<u32>,
    pub pairs: u64,
    pub gate_pairs: u64,
    pub terms: Terms,
    /// The folder.
    pub dir: PathBuf,
    /// No model but the first serves without a match.
    pub gate: bool,
    /// How long it may work at a time.
    pub moment: Duration,
}

impl Plan {
    /// Of `settings`, for games that go to `dir`.
    pub(super) fn of(settings: &Settings, dir: &Path) -> Self {
        let &EvaluationSettings { every_versions: every, games, gate_games, promote, .. } = &settings.evaluation;
        let pairs = |games: u32| u64::from(games.div_ceil(2));
        Self {
            every,
            pairs: pairs(games),
            gate_pairs: pairs(gate_games),
            terms: terms_of(settings),
            dir: dir.join(folder::NAME),
            gate: promote == Promote::Gate,
            moment: MOMENT,
        }
    }
}

/// How much of the machine matches may take: of the CPU time of `cores`, or of the time of a GPU.
pub(super) fn shares(settings: &Settings, cores: usize, on_gpu: bool) -> Shares {
    let &EvaluationSettings { share, gate_share, .. } = &settings.evaluation;
    let of_the_machine = if on_gpu { 1.0 } else { cores as f64 };
    Shares { rate: share * of_the_machine, urgent: share.max(gate_share) * of_the_machine, elsewhere: on_gpu }
}

/// How matches are played: as play is, with a number of simulations of their own and nothing that is drawn.
fn terms_of(settings: &Settings) -> Terms {
    let mut settings = settings.clone();
    let simulations = settings.evaluation.simulations;
    settings.search.mcts_n = Some(simulations);
    settings.search.leaf_parallelism = settings.search.leaf_parallelism.map(|leaves| leaves.min(simulations));
    (settings.search.noise_epsilon, settings.search.noise_alpha) = (0.0, None);
    (settings.search.temperature, settings.search.drop_t_on_step) = (0.0, None);
    (settings.play.agent, settings.play.p2) = (Agent::Search, Opponent::Same);
    // What shapes training data alone does not tell matches apart.
    (settings.play.full_search_share, settings.play.policy_surprise) = (1.0, 0.0);
    settings.play.cheap_simulations = None;
    let play = terms(&settings).settings;
    debug_assert!(play.search.simulations == Simulations::PerMove(simulations));
    let seat = Seat {
        mover: Mover::Search,
        search: play.search,
        tree_reuse: play.tree_reuse,
        penalize_visited_states: play.penalize_visited_states,
        open_ended: false,
    };
    let opening_plies = settings.evaluation.opening_plies;
    Terms { seat, opening_plies, name: format!("{}-{opening_plies}", settings.games_hash()) }
}

/// Which models are due to be rated.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Version of the last that was.
    pub last: Option<i64>,
    /// Contents of the last model, and how many came after the last that was due.
    pub newest: String,
    since: u32,
}

impl Due {
    /// Whether the next model is, of which every `every`-th is.
    pub(super) fn is(&mut self, model: &Model, every: u32) -> bool {
        if self.newest != model.content {
            self.newest.clone_from(&model.content);
            self.since += 1;
        }
        let far = self.last.is_none_or(|last| model.version.abs_diff(last) >= every.into());
        if far || self.since >= every {
            (self.last, self.since) = (Some(model.version), 0);
            return true;
        }
        false
    }
}
