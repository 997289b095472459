//! What is counted of a game in play: per step of its actor and per move.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use selfplay_engine::{
    Game, Outcome, Player,
    replay::{Ending, GameRecord, PlyRecord},
    search::{LeafCounts, MoveEffort},
    selfplay::{NEVER_RESIGNS, SelfPlayGame},
};

use crate::{
    stats::{Sampler, Share, Stats},
    ticket::Origins,
};

/// Plies after which a game is said to be endless: the longest sensible ones of the largest board have a third of that.
pub(crate) const ENDLESS_PLIES: usize = 1000;

/// Counts one run of a game, from its begin or a resumption on.
pub(crate) struct Meter {
    stats: Arc<Stats>,
    /// Simulations that are counted, or will be when their evaluations are there.
    seen: LeafCounts,
    /// Leaves that were asked as images of theirs, and are counted.
    mirrored: u64,
    /// Simulations that wait for evaluations of their own.
    waiting: u64,
    /// When the move at hand began.
    begun: Instant,
    sampler: Sampler,
    /// When the last step was over, of a pass from one request to the next that is timed.
    clock: Option<Instant>,
    request: Share,
    tree_bytes: Share,
    tree_nodes: Share,
    endless: Share,
}

impl Meter {
    /// Of a game that begins now.
    pub(crate) fn new(stats: &Arc<Stats>) -> Self {
        Self {
            stats: stats.clone(),
            seen: LeafCounts::default(),
            mirrored: 0,
            waiting: 0,
            begun: Instant::now(),
            sampler: Sampler::default(),
            clock: None,
            request: Share::new(stats, |stats| &stats.requests_in_flight),
            tree_bytes: Share::new(stats, |stats| &stats.tree_bytes),
            tree_nodes: Share::new(stats, |stats| &stats.nodes_in_play),
            endless: Share::new(stats, |stats| &stats.endless_games),
        }
    }

    /// The game went on, and asks for the evaluations of `asked` leaves.
    pub(crate) fn advanced<G: Game>(&mut self, game: &mut SelfPlayGame<G>, asked: usize) {
        self.clock = self.stats.gather_ns.add_sampled(self.clock);
        let (leaves, seen) = (game.counts(), self.seen);
        self.stats.mirrored_leaves.add(game.mirrored() - self.mirrored);
        self.mirrored = game.mirrored();
        self.stats.simulations_duplicate.add(leaves.duplicate - seen.duplicate);
        self.stats.simulations_terminal.add(leaves.won + leaves.drawn - seen.won - seen.drawn);
        self.stats.simulations_step_limit.add(leaves.limited - seen.limited);
        self.stats.simulations_proven.add(leaves.proven - seen.proven);
        // Without a search nothing waits.
        self.waiting = if game.is_searching() { asked as u64 } else { 0 };
        self.seen = leaves;
        let tree = game.tree_size();
        self.tree_bytes.set(tree.bytes);
        self.tree_nodes.set(tree.nodes);
        game.take_searched().for_each(|effort| self.searched(effort));
    }

    /// Another move of it was searched to the end.
    pub(crate) fn searched(&self, effort: MoveEffort) {
        self.stats.tree_nodes.record(effort.nodes as f64);
        self.stats.search_depth.record(effort.depth_sum as f64 / effort.simulations.max(1) as f64);
        self.stats.reused_visits.add(effort.reused_visits.into());
        self.stats.proven_moves.add(effort.proven.into());
    }

    /// Another ply of it is over, the one of this number, from 1.
    pub(crate) fn played<G: Game>(&mut self, number: usize, ply: &PlyRecord<G>) {
        if number >= ENDLESS_PLIES {
            self.endless.set(1);
        }
        let now = Instant::now();
        let begun = std::mem::replace(&mut self.begun, now);
        self.stats.moves.add(1);
        self.stats.last_progress.set(SystemTime::now());
        if ply.is_searched() {
            self.stats.search_duration.record((now - begun).as_secs_f64());
            self.stats.root_entropy.record(ply.policy_entropy());
            self.stats.root_top_move_share.record(ply.top_share());
        }
    }

    /// A request for evaluations is out.
    pub(crate) fn asked(&mut self) {
        self.stats.evaluation_requests.add(1);
        self.request.set(1);
        self.clock = self.sampler.begin();
    }

    /// The cache had the evaluations of `leaves` leaves at hand.
    pub(crate) fn found(&mut self, leaves: usize) {
        self.clock = self.stats.lookup_ns.add_sampled(self.clock);
        self.stats.evaluation_requests.add(1);
        self.evaluated(Origins { cached: leaves as u64, joined: 0 });
    }

    /// It was answered, whatever the answer.
    pub(crate) fn answered(&mut self) {
        self.request.set(0);
        if let Some(asked) = self.clock {
            let now = Instant::now();
            self.stats.ticket_latency.record((now - asked).as_secs_f64());
            self.clock = Some(now);
        }
    }

    /// Its evaluations are in the tree.
    pub(crate) fn applied(&mut self) {
        self.clock = self.stats.apply_ns.add_sampled(self.clock);
    }

    /// Its evaluations can be used.
    pub(crate) fn evaluated(&mut self, Origins { cached, joined }: Origins) {
        let waiting = std::mem::take(&mut self.waiting);
        let cached = cached.min(waiting);
        let joined = joined.min(waiting - cached);
        self.stats.simulations_cache.add(cached);
        self.stats.simulations_in_flight.add(joined);
        self.stats.simulations_network.add(waiting - cached - joined);
    }
}

impl Stats {
    /// A game was played to its end that began, or went on, at `begun`.
    pub(crate) fn count_finished<G: Game>(&self, record: &GameRecord<G>, begun: Instant) {
        self.games_finished.add(1);
        self.game_plies.record(record.plies.len() as f64);
        self.game_duration.record(begun.elapsed().as_secs_f64());
        let results = match record.outcome {
            Outcome::Win(Player::First) => &self.games_won_first,
            Outcome::Win(Player::Second) => &self.games_won_second,
            Outcome::Draw(_) => &self.games_drawn,
        };
        results.add(1);
        match record.ending {
            Ending::Rules => {}
            Ending::Adjudicated => self.games_adjudicated.add(1),
            Ending::Resigned => self.games_resigned.add(1),
        }
        if let Some(resign) = record.resign.filter(|resign| resign.no_resign && resign.threshold > NEVER_RESIGNS) {
            let resigns = resign.would_resign_ply.and_then(|ply| record.plies.get(ply as usize));
            match resigns.map(|ply| record.outcome.value_for(ply.player) < 0.0) {
                None => self.played_on_unneeded.add(1),
                Some(true) => self.played_on_right.add(1),
                Some(false) => self.played_on_wrong.add(1),
            }
        }
    }
}
