//! The same search once more, without any of the means that make it fast: what it must agree with, visit for visit.

use std::collections::HashMap;

use super::*;
use crate::{
    evaluation::EvaluateError,
    search::noise::{tempered, with_noise},
};

/// What was counted of a node. Values are from the first player's view.
#[derive(Clone, Copy, Default)]
struct Counts {
    visits: u32,
    in_flight: u32,
    value: f64,
}

/// A tree whose nodes are named by the actions that lead to them.
struct Plain<G: Game> {
    game: G,
    start: G::State,
    params: SearchParams,
    counts: HashMap<Vec<Action>, Counts>,
    priors: HashMap<Vec<Action>, Vec<f32>>,
}

impl<G: Game> Plain<G> {
    fn state(&self, path: &[Action]) -> G::State {
        let mut state = self.start.clone();
        path.iter().for_each(|&action| self.game.play(&mut state, action));
        state
    }

    fn counts(&self, path: &[Action]) -> Counts {
        self.counts.get(path).copied().unwrap_or_default()
    }

    fn select(&self, path: &[Action]) -> Action {
        let state = self.state(path);
        let sign = Outcome::Win(self.game.side_to_move(&state)).value_for(Player::First);
        let own = self.counts(path);
        let Root::Puct(puct) = self.params.root else { panic!("it knows PUCT alone") };
        let visits = f64::from(own.visits + own.in_flight);
        let growth = |Growth { by, base }| f64::from(by) * ((visits + f64::from(base) + 1.0) / f64::from(base)).ln();
        let exploration = (f64::from(self.params.c_puct) + puct.growth.map_or(0.0, growth)) * visits.sqrt();
        let first_play = match if path.is_empty() { puct.first_play_at_root } else { puct.first_play } {
            FirstPlay::Absolute(value) => f64::from(value),
            FirstPlay::Reduction(reduction) => {
                let actions = self.game.legal_actions(&state);
                let visited = actions.iter().zip(&self.priors[path]);
                let visited = visited.filter(|&(action, _)| self.counts(&[path, &[action]].concat()).visits > 0);
                let share: f64 = visited.map(|(_, &prior)| f64::from(prior)).sum();
                f64::from(sign) * own.value / f64::from(own.visits) - f64::from(reduction) * share.sqrt()
            }
        };
        let forced = if path.is_empty() { f64::from(puct.forced_playouts) } else { 0.0 };
        for (action, &prior) in self.game.legal_actions(&state).iter().zip(&self.priors[path]) {
            let child = self.counts(&[path, &[action]].concat());
            let own = f64::from(child.visits + child.in_flight);
            if child.visits > 0 && own.powi(2) < forced * f64::from(prior) * visits {
                return action;
            }
        }
        let mut best = (f64::NEG_INFINITY, 0);
        for (action, &prior) in self.game.legal_actions(&state).iter().zip(&self.priors[path]) {
            let child = self.counts(&[path, &[action]].concat());
            let lost = match self.params.in_flight {
                InFlight::Visits => 0,
                InFlight::Losses(_) => child.in_flight,
            };
            let won = f64::from(sign) * child.value - f64::from(lost);
            let q = if child.visits + lost == 0 { first_play } else { won / f64::from(child.visits + lost) };
            let score = q + exploration * (f64::from(prior) / (1.0 + f64::from(child.visits + child.in_flight)));
            if score > best.0 {
                best = (score, action);
            }
        }
        best.1
    }

    /// Changes the counts of a node and all before it.
    fn change(&mut self, path: &[Action], change: impl Fn(&mut Counts)) {
        (0..=path.len()).for_each(|length| change(self.counts.entry(path[..length].to_vec()).or_default()));
    }

    fn back_up(&mut self, path: &[Action], value: f32) {
        self.change(path, |counts| {
            counts.visits += 1;
            counts.value += f64::from(value);
        });
    }

    fn search(&mut self, n: u32, evaluator: &mut impl Evaluator<G>) {
        let mut left = n;
        while left > 0 {
            let mut waiting: Vec<Vec<Action>> = Vec::new();
            while left > 0 && waiting.len() < self.params.leaf_parallelism as usize {
                let mut path = Vec::new();
                while self.priors.contains_key(&path) {
                    path.push(self.select(&path));
                }
                if waiting.contains(&path) && self.params.in_flight == InFlight::Visits {
                    break;
                }
                left -= 1;
                if let Some(outcome) = self.game.outcome(&self.state(&path)) {
                    self.back_up(&path, outcome.value_for(Player::First));
                    continue;
                }
                let in_flight = self.params.in_flight.visits();
                self.change(&path, |counts| counts.in_flight += in_flight);
                waiting.push(path);
                if self.priors.is_empty() {
                    break;
                }
            }
            for path in waiting {
                let state = self.state(&path);
                let legal = self.game.legal_actions(&state);
                let mut evaluations = Evaluations::default();
                evaluator.evaluate(&[Leaf::new(&self.game, &state, &legal)], &mut evaluations).unwrap();
                let mover = self.game.side_to_move(&state);
                let mut priors = evaluations.get(0).priors.to_vec();
                self.game.turn_priors(mover, &legal, &mut priors);
                if let (Root::Puct(puct), true) = (self.params.root, path.is_empty()) {
                    priors = tempered(&priors, puct.policy_temperature).into_owned();
                }
                if let Some(noise) = self.params.noise.filter(|_| path.is_empty()) {
                    priors = with_noise(&priors, noise, &mut noise_rng(0));
                }
                self.priors.insert(path.clone(), priors);
                let in_flight = self.params.in_flight.visits();
                self.change(&path, |counts| counts.in_flight -= in_flight);
                self.back_up(&path, evaluations.get(0).value * Outcome::Win(mover).value_for(Player::First));
            }
        }
    }

    /// Visits of the root's children, in ascending order of actions.
    fn visits(&self) -> Vec<(Action, u32)> {
        let children = self.counts.iter().filter(|(path, _)| path.len() == 1);
        let mut visits: Vec<_> = children.map(|(path, counts)| (path[0], counts.visits)).collect();
        visits.sort_unstable();
        visits
    }
}

fn check<G: Game>(game: &G, actions: &[Action], params: SearchParams, evaluator: &mut impl Evaluator<G>) {
    let Simulations::PerMove(n) = params.simulations else { panic!("n is fixed here") };
    let start = state_after(game, actions);
    let mut search = Search::new(game.clone(), params, false);
    search.begin(&start, &mut noise_rng(0));
    finish(&mut search, evaluator, &mut noise_rng(0));

    let mut plain = Plain { game: game.clone(), start, params, counts: HashMap::new(), priors: HashMap::new() };
    plain.search(n, evaluator);
    assert_eq!(search.visits(), plain.visits());
    // All of the tree, not its first level alone.
    for portrait in search.tree.portraits(None) {
        for (action, visits, _) in portrait.edges {
            assert_eq!(visits, plain.counts(&[portrait.path.as_slice(), &[action]].concat()).visits);
        }
    }
}

/// Value 0 and priors that are powers of two: equal scores come up all the time, in any order of visits.
struct Ties<E>(E);

impl<G: Game, E: Evaluator<G>> Evaluator<G> for Ties<E> {
    fn evaluate(&mut self, leaves: &[Leaf<G>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let mut evaluations = Evaluations::default();
        self.0.evaluate(leaves, &mut evaluations)?;
        out.clear();
        for evaluation in evaluations.iter() {
            let average = 1.0 / evaluation.priors.len() as f32;
            out.push(0.0, evaluation.priors.iter().map(|&prior| if prior > average { 0.5 } else { 0.25 }));
        }
        Ok(())
    }
}

fn check_with_all<G: Game>(game: &G, actions: &[Action], params: SearchParams) {
    check(game, actions, params, &mut hash(game));
    check(game, actions, params, &mut UniformEvaluator);
    check(game, actions, params, &mut Ties(hash(game)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn quoridor_is_searched_as_the_plain_search_does(params in any_params(), walls in 0u32..3, steps in 4u32..12) {
        check_with_all(&quoridor(3, walls, Some(steps)), &[], params);
        // Too far from any win to tell scores apart.
        check(&quoridor(5, 0, None), &[], params, &mut Ties(hash(&quoridor(5, 0, None))));
    }

    #[test]
    fn tic_tac_toe_is_searched_as_the_plain_search_does(params in any_params(), first in 0u16..9) {
        check_with_all(&TicTacToe, &[first], params);
    }
}
