//! Many positions asked at once: of the network alone, and by searches side by side.

use std::{
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use anyhow::{anyhow, ensure};
use rand::Rng;
use selfplay_engine::{
    Action, ActionSet, Evaluations, Evaluator, Game, Leaf, Player,
    search::{Gathered, Search, SearchParams},
    selfplay::{Purpose, ply_rng},
};

use super::{positions::Solved, progress::Progress};
use crate::exit::failed;

/// Searches of one thread: enough for the largest batches that are worth making, few enough for their trees.
const SIDE_BY_SIDE: usize = 256;

/// What came out for one position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Found {
    /// The move, game frame.
    pub action: Action,
    /// The position's value in [−1, 1] for its mover.
    pub value: f32,
}

/// Positions to ask about.
pub(super) struct Questions<'a, G: Game> {
    pub game: &'a G,
    pub positions: &'a [Solved],
    /// Whether the least of a position's images is asked in its place.
    pub symmetry: bool,
    /// Of what searches leave to chance: which of the moves visited most is played.
    pub seed: u64,
}

/// Positions that are still to be asked about, as one thread sees them.
type Queue<'a> = &'a mut dyn Iterator<Item = usize>;

/// A search that goes on.
struct Running<G: Game, R: Rng> {
    position: usize,
    search: Search<G>,
    rng: R,
    /// Its leaves among those asked at the moment.
    asked: Option<(Gathered, Range<usize>)>,
}

impl<G: Game> Questions<'_, G> {
    /// The network's most likely move and its value.
    pub(super) fn alone(
        &self,
        evaluators: &mut [Box<dyn Evaluator<G>>],
        progress: &Progress,
    ) -> anyhow::Result<Vec<Found>> {
        self.on_all_threads(evaluators, |evaluator, next| {
            let mut found = Vec::new();
            let mut evaluations = Evaluations::default();
            loop {
                let positions: Vec<usize> = next.take(SIDE_BY_SIDE).collect();
                if positions.is_empty() {
                    return Ok(found);
                }
                let leaf = |&position: &usize| {
                    let state = self.positions[position].state(self.game);
                    Leaf::new(self.game, &state, &self.game.legal_actions(&state))
                };
                let leaves: Vec<_> = positions.iter().map(leaf).collect();
                self.evaluate(evaluator, &leaves, &mut evaluations)?;
                for (position, (leaf, evaluation)) in positions.into_iter().zip(leaves.iter().zip(evaluations.iter())) {
                    let mover = Player::at_ply(self.positions[position].moves.len() as u32);
                    // Of equal ones the lowest, as a raw agent plays.
                    let best = leaf
                        .legal
                        .iter()
                        .zip(evaluation.priors)
                        .reduce(|best, other| if other.1 > best.1 { other } else { best });
                    let (action, _) = best.ok_or_else(|| anyhow!("a position without a legal action"))?;
                    found.push((
                        position,
                        Found { action: self.game.turn_action(mover, action), value: evaluation.value },
                    ));
                    progress.one_more();
                }
            }
        })
    }

    /// The move and value of a search of every position. A search that visits no move, of one simulation, plays what the network
    /// `alone` does.
    pub(super) fn search(
        &self,
        evaluators: &mut [Box<dyn Evaluator<G>>],
        params: SearchParams,
        alone: &[Found],
        progress: &Progress,
    ) -> anyhow::Result<Vec<Found>> {
        self.on_all_threads(evaluators, |evaluator, next| {
            let mut found = Vec::new();
            let (mut leaves, mut evaluations, mut its) = (Vec::new(), Evaluations::default(), Evaluations::default());
            let mut running = Vec::new();
            loop {
                running.extend(next.take(SIDE_BY_SIDE - running.len()).map(|position| {
                    let mut search = Search::new(self.game.clone(), params, false);
                    let mut rng = ply_rng(self.seed, position as u64, 0, Purpose::Choice);
                    search.begin(&self.positions[position].state(self.game), &mut rng);
                    Running { position, search, rng, asked: None }
                }));
                if running.is_empty() {
                    return Ok(found);
                }
                leaves.clear();
                running.retain_mut(|Running { position, search, rng, asked }| {
                    let first = leaves.len();
                    *asked = search.gather(&mut leaves).map(|gathered| (gathered, first..leaves.len()));
                    if asked.is_none() {
                        let decision = search.decide(0.0, rng);
                        let action = if search.visits().is_empty() { alone[*position].action } else { decision.action };
                        found.push((*position, Found { action, value: decision.value }));
                        progress.one_more();
                    }
                    asked.is_some()
                });
                if leaves.is_empty() {
                    continue; // All of them have ended.
                }
                self.evaluate(evaluator, &leaves, &mut evaluations)?;
                for Running { search, rng, asked, .. } in &mut running {
                    let Some((gathered, places)) = asked.take() else { continue };
                    its.clear();
                    for place in places {
                        let evaluation = evaluations.get(place);
                        its.push(evaluation.worth(), evaluation.priors.iter().copied());
                    }
                    search.apply(gathered, &its, rng);
                }
            }
        })
    }

    /// Runs `work` once for each evaluator, each on a thread of its own; they take positions from one queue. What they found, in
    /// the positions' order.
    fn on_all_threads(
        &self,
        evaluators: &mut [Box<dyn Evaluator<G>>],
        work: impl Fn(&mut dyn Evaluator<G>, Queue<'_>) -> anyhow::Result<Vec<(usize, Found)>> + Sync,
    ) -> anyhow::Result<Vec<Found>> {
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::with_capacity(self.positions.len()));
        let (next, found_here, work) = (&next, &found, &work);
        let run = |evaluator: &mut Box<dyn Evaluator<G>>| {
            let mut queue = std::iter::from_fn(|| {
                let position = next.fetch_add(1, Relaxed);
                (position < self.positions.len()).then_some(position)
            });
            let its = work(evaluator.as_mut(), &mut queue)?;
            found_here.lock().map_err(|_| anyhow!("a thread that searched panicked"))?.extend(its);
            anyhow::Ok(())
        };
        thread::scope(|scope| {
            let threads: Vec<_> = evaluators.iter_mut().map(|evaluator| scope.spawn(move || run(evaluator))).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|_| Err(anyhow!("a thread that searched panicked")))
            };
            threads.into_iter().try_for_each(join)
        })?;
        let mut found = found.into_inner().map_err(|_| anyhow!("a thread that searched panicked"))?;
        found.sort_unstable_by_key(|&(position, _)| position);
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    /// Evaluates leaves, or the least of the images of each.
    fn evaluate(
        &self,
        evaluator: &mut dyn Evaluator<G>,
        leaves: &[Leaf<G>],
        out: &mut Evaluations,
    ) -> anyhow::Result<()> {
        let mut answers = Evaluations::default();
        let images: Vec<_> = match self.symmetry {
            true => leaves.iter().map(|leaf| leaf.canonical(self.game)).collect(),
            false => leaves.iter().map(|leaf| (*leaf, 0)).collect(),
        };
        let asked: Vec<_> = images.iter().map(|&(image, _)| image).collect();
        evaluator.evaluate(&asked, &mut answers).map_err(failed)?;
        if let Some((place, flaw)) = answers.flaws().first() {
            return Err(anyhow!(
                "the network answers with numbers that are not finite (value {}) for {:?}",
                flaw.value,
                asked[*place].position
            ));
        }
        ensure!(answers.len() == leaves.len(), "{} positions were asked, and {} answered", leaves.len(), answers.len());
        out.clear();
        for ((leaf, (_, symmetry)), answer) in leaves.iter().zip(&images).zip(answers.iter()) {
            let priors = out.push(answer.worth(), answer.priors.iter().copied());
            if *symmetry != 0 {
                self.game.transform_priors(*symmetry, &leaf.legal, priors);
            }
        }
        Ok(())
    }
}
