//! What counting costs: the functions that count, with nothing else around them. For `selfplayd bench metrics`.

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use selfplay_engine::{
    Evaluations, Evaluator as _,
    evaluation::{EvaluatorEffort, UniformEvaluator},
    games::quoridor::Quoridor,
    replay::PlyRecord,
    search::{SearchParams, Simulations, SpareTree},
    selfplay::{Agent, PlaySettings, SelfPlayGame},
};

use crate::{
    batcher::Reason,
    cache::Counts,
    game::Meter,
    onnx::thread_cpu_seconds,
    stats::{Sampler, Snapshot, Stats},
    ticket::Origins,
};

/// Events between two looks at the clock.
const CHUNK: u64 = 1_000;

/// What happens again and again in play, and is counted each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A game asks for evaluations and gets them: one step of its actor, and two messages to the cache.
    Request,
    /// A batch leaves and is run.
    Batch,
    /// A move is chosen.
    Move,
}

impl Event {
    /// All of them. What is counted once per game or model is a thousand times as rare.
    pub const ALL: [Self; 3] = [Self::Request, Self::Batch, Self::Move];

    /// How often it happened.
    #[must_use]
    pub fn count(self, counts: &Snapshot) -> u64 {
        match self {
            Self::Request => counts.evaluation_requests,
            Self::Batch => counts.batches_total(),
            Self::Move => counts.moves,
        }
    }
}

/// Plays events on one thread.
pub struct Rehearsal {
    stats: Arc<Stats>,
    game: SelfPlayGame<Quoridor>,
    meter: Meter,
    sampler: Sampler,
    ply: PlyRecord<Quoridor>,
    evaluations: Evaluations,
}

impl Rehearsal {
    /// With the numbers of a real move on a 9×9 board, searched with 200 simulations; counts in `stats`.
    ///
    /// # Errors
    /// Never: the rules are sound.
    pub fn new(stats: &Arc<Stats>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let search = SearchParams {
            simulations: Simulations::PerMove(200),
            c_puct: 1.4,
            leaf_parallelism: 8,
            virtual_loss: 1,
            noise: None,
        };
        let settings = PlaySettings {
            search,
            temperature: 1.0,
            drop_t_on_step: None,
            tree_reuse: true,
            penalize_visited_states: false,
            symmetry: false,
            keep_evaluations: false,
            agents: [Agent::Search; 2],
        };
        let mut game = SelfPlayGame::new(Quoridor::new(9, 10, None)?, Arc::new(settings), 1, 0);
        let (mut leaves, mut spare, mut evaluations) = (Vec::new(), SpareTree::default(), Evaluations::default());
        let ply = loop {
            leaves.clear();
            game.advance(&mut leaves, &mut spare);
            if let Some(ply) = game.plies().first() {
                break ply.clone();
            }
            UniformEvaluator.evaluate(&leaves, &mut evaluations)?;
            game.apply(&evaluations, 1, 1);
        };
        Ok(Self { stats: stats.clone(), game, meter: Meter::new(stats), sampler: Sampler::default(), ply, evaluations })
    }

    /// CPU time of one event, in nanoseconds, when it is counted again and again for `duration`; time of the clock where the
    /// system does not tell.
    pub fn cost(&mut self, event: Event, duration: Duration) -> f64 {
        let (begun, cpu_begun, mut events) = (Instant::now(), thread_cpu_seconds(), 0);
        while begun.elapsed() < duration {
            (0..CHUNK).for_each(|_| self.play(event));
            events += CHUNK;
        }
        let cpu = thread_cpu_seconds().zip(cpu_begun).map(|(end, begin)| end - begin);
        cpu.unwrap_or_else(|| begun.elapsed().as_secs_f64()) * 1e9 / events as f64
    }

    /// Counts one event.
    fn play(&mut self, event: Event) {
        match event {
            Event::Request => {
                self.meter.advanced(&mut self.game, black_box(8));
                self.meter.asked();
                let begun = self.sampler.begin();
                self.stats.count_lookups(black_box(&Counts::default()));
                self.stats.lookup_ns.add_sampled(begun);
                self.stats.count_lookups(black_box(&Counts::default()));
                self.meter.answered();
                self.meter.evaluated(black_box(Origins::default()));
                self.meter.applied();
            }
            Event::Batch => {
                self.stats.count_departure(black_box(Reason::Full), black_box(Duration::from_micros(300)));
                self.stats.queue_leaves.set_count(black_box(7_usize));
                let (begun, encoded) = (Instant::now(), Instant::now());
                let effort = EvaluatorEffort { encode: encoded - begun, decode: encoded.elapsed(), padding: 0 };
                self.stats.count_batch(black_box(&self.evaluations), begun.elapsed(), effort);
            }
            Event::Move => {
                self.meter.searched(black_box(Default::default()));
                self.meter.played(1, black_box(&self.ply));
            }
        }
    }
}
