//! Gumbel's rule: sequential halving at the root, deterministic selection by improved policies below it.
//!
//! Danihelka et al. 2022, "Policy improvement by planning with Gumbel" (ICLR), algorithm 2. A few actions are drawn without
//! replacement by priors (the largest of Gumbel draw + logit); simulations halve them round by round, and the best of the most
//! visited is played. The policy target is what priors and values say together, not how visits fell.
//!
//! The actions of a round are independent of each other, so leaves gathered within a round cost nothing at the root. A gather
//! never crosses rounds.

#[cfg(test)]
mod tests;

use rand::Rng;
use rand_distr::{Distribution, Gumbel as Draw};

use super::{Decision, RootRule, Share, likeliest, playable};
use crate::{
    game::{ActionSet, Game},
    search::{
        choose::choose_action,
        halving::schedule,
        improved::LEAST_PRIOR,
        params::{Gumbel, Simulations},
        tree::{ROOT, Standing, Step, Tree},
    },
};

/// One of the actions drawn.
#[derive(Clone, Copy)]
struct Candidate {
    /// Of its edge at the root.
    slot: u16,
    /// Gumbel draw + logit.
    bias: f64,
    /// Visits that it had before those that the schedule divides.
    before: u32,
}

/// The rule, with what belongs to the move at hand.
pub(in crate::search) struct Halving {
    params: Gumbel,
    simulations: Simulations,
    /// Biases and ranks of actions that were not drawn, the largest bias last: they take the places of those that are proven lost.
    others: Vec<(f64, u16)>,
    /// Actions drawn, ascending.
    candidates: Vec<Candidate>,
    /// See [`schedule`].
    schedule: Vec<u32>,
    /// Simulations before those that the schedule divides.
    before: u32,
    /// Visits that the actions of the present round had before it.
    round: u32,
    /// Memory of selections below the root.
    weights: Vec<f64>,
}

impl Halving {
    pub(in crate::search) fn new(params: Gumbel, simulations: Simulations) -> Self {
        Self {
            params,
            simulations,
            others: Vec::new(),
            candidates: Vec::new(),
            schedule: Vec::new(),
            before: 0,
            round: 0,
            weights: Vec::new(),
        }
    }

    /// Takes the actions whose draw, one for each legal action, and logit are the largest together, and divides the simulations.
    fn begin<G: Game>(&mut self, tree: &mut Tree<G>, mut draw: impl FnMut() -> f64) {
        let priors = tree.priors_of(ROOT);
        let bias = |&prior: &f32| draw() + f64::from(prior).max(LEAST_PRIOR).ln();
        self.others.clear();
        self.others.extend(priors.iter().map(bias).zip(0..));
        // Of equals the lowest action is drawn first.
        self.others.sort_by(|one, other| one.0.total_cmp(&other.0).then(other.1.cmp(&one.1)));
        let simulations = self.simulations.at_root(priors.len()).saturating_sub(1);
        self.candidates.clear();
        self.divide(tree, simulations as usize);
    }

    /// Draws actions until there are as many as there may be, and divides simulations among them.
    fn divide<G: Game>(&mut self, tree: &mut Tree<G>, simulations: usize) {
        let most = self.params.actions.max(1) as usize;
        while self.candidates.len() < most
            && let Some((bias, rank)) = self.others.pop()
        {
            self.candidates.push(Candidate { slot: tree.open_root(rank), bias, before: 0 });
        }
        self.candidates.sort_unstable_by_key(|candidate| tree.root_edge(candidate.slot).rank);
        for candidate in &mut self.candidates {
            candidate.before = tree.root_edge(candidate.slot).effective_visits();
        }
        self.schedule = schedule(self.candidates.len(), simulations);
        (self.before, _) = tree.root_simulations();
    }

    /// The best of the actions that have had so many visits of the schedule and are not proven lost.
    fn best_of_round<G: Game>(&self, tree: &Tree<G>, round: u32) -> Option<u16> {
        let completed = tree.completed(ROOT, &self.params);
        let mut best = None;
        for candidate in &self.candidates {
            let edge = tree.root_edge(candidate.slot);
            if edge.effective_visits() - candidate.before != round || edge.is_lost() {
                continue;
            }
            let score = candidate.bias + completed.sigma(tree.completed_value(ROOT, candidate.slot, &completed));
            if best.is_none_or(|(best, _)| score > best) {
                best = Some((score, candidate.slot));
            }
        }
        best.map(|(_, slot)| slot)
    }
}

impl RootRule for Halving {
    /// The schedule counts visits from 0.
    const KEEPS_TREE: bool = false;

    fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng) {
        let gumbel = Draw::new(0.0, f64::from(self.params.scale)).ok().filter(|_| self.params.scale > 0.0);
        self.begin(tree, || gumbel.map_or(0.0, |gumbel| gumbel.sample(rng)));
    }

    fn select<G: Game>(&mut self, tree: &mut Tree<G>) -> Option<u16> {
        let (begun, in_flight) = tree.root_simulations();
        loop {
            let turn = (begun - self.before) as usize;
            let round = *self.schedule.get(turn)?;
            if in_flight > 0 && round != self.round {
                return None; // The actions of the next round depend on what is in flight.
            }
            self.round = round;
            let best = self.best_of_round(tree, round);
            let drawn = self.candidates.len();
            if best.is_some() || in_flight > 0 {
                return best;
            }
            // It is the turn of one that is proven lost: halving begins again without such, with the simulations that are left.
            self.candidates.retain(|candidate| !tree.root_edge(candidate.slot).is_lost());
            if self.candidates.len() == drawn {
                return None;
            }
            self.divide(tree, self.schedule.len() - turn);
        }
    }

    fn select_below<G: Game>(&mut self, tree: &mut Tree<G>, node: u32, _: u32, _: Step) -> Option<u16> {
        tree.select_improved(node, &self.params, &mut self.weights)
    }

    /// With a temperature, visits choose among the actions, as in AlphaZero.
    fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision {
        let (value, draw) = (tree.root_value() as f32, tree.root_draw());
        let Some(policy) = tree.improved_policy(ROOT, &self.params) else {
            return Decision { action: tree.node(ROOT).legal.nth(0), policy: Vec::new(), value, draw };
        };
        let share = |(action, visits, share): (_, _, f64)| Share { action, visits, probability: share as f32 };
        let policy: Vec<_> = policy.into_iter().map(share).collect();
        // Where the worth is proven, an action that attains it may be none of the candidates any more.
        let by_visits = if temperature > 0.0 || tree.is_proven() {
            choose_action(&playable(&tree.root_children()), temperature, rng)
        } else {
            None
        };
        let completed = tree.completed(ROOT, &self.params);
        let score = |candidate: &Candidate| {
            let q = tree.completed_value(ROOT, candidate.slot, &completed);
            (tree.root_edge(candidate.slot).visits - candidate.before, candidate.bias + completed.sigma(q))
        };
        // The first of equals, which is the lowest action.
        let better = |best: Option<(Candidate, (u32, f64))>, candidate: &Candidate| {
            let (visits, value) = score(candidate);
            let first = best.is_none_or(|(_, best)| visits > best.0 || visits == best.0 && value > best.1);
            if first { Some((*candidate, (visits, value))) } else { best }
        };
        let standing = tree.judge(ROOT);
        let playable = |candidate: &&Candidate| standing(tree.root_edge(candidate.slot)) == Standing::Best;
        let best = self.candidates.iter().filter(playable).fold(None, better);
        let action = by_visits.or_else(|| best.map(|(best, _)| tree.root_edge(best.slot).action));
        let action = action.or_else(|| likeliest(&policy));
        Decision { action: action.unwrap_or_else(|| tree.node(ROOT).legal.nth(0)), policy, value, draw }
    }
}
