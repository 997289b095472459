//! The search tree of one game: nodes, their priors and edges, in arenas that are reused from move to move.
//!
//! An unvisited action costs four bytes, its prior. A node keeps the best of its untried priors at hand: all untried actions
//! of a node count for one value and have no visits, so among them only that one can win the selection.

mod improved;
#[cfg(test)]
mod inspect;
mod proofs;
mod reuse;
mod told;

use std::collections::HashSet;

use super::{
    arena::Arena,
    draws::DrawSums,
    edges::{Block, Edge, Edges, NO_NODE},
    params::FirstPlay,
    proofs::Proofs,
    select::{best_score, first_max, places_of},
};
use crate::{
    evaluation::{DrawChance, Evaluation},
    game::{ActionSet, Draw, Game, Outcome, Player},
};

pub(super) use proofs::{Child, Standing};
pub(super) use told::Tried;

/// The root is always the first node.
pub(super) const ROOT: u32 = 0;

/// Up to this many edges are compared one by one; more are worth vectors.
const FEW_EDGES: usize = 8;

/// Stands in the place of an opened action's prior, below every real one.
const OPENED: f32 = -1.0;

/// Stands in the place of the best untried action's rank until selection asks for it: of most nodes it never does.
const NOT_SOUGHT: u16 = u16::MAX;

/// What is known of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Status {
    /// Waits for its evaluation.
    Pending,
    /// Evaluated, has priors.
    Expanded,
    /// As `Expanded`; and what it is worth is proven by what follows it, so that nothing below is of interest.
    Proven,
    /// The game is over here.
    Ended(Outcome),
}

impl Status {
    /// Whether it was evaluated.
    pub(super) fn has_priors(self) -> bool {
        matches!(self, Self::Expanded | Self::Proven)
    }
}

#[derive(Clone)]
pub(super) struct Node<G: Game> {
    pub(super) state: G::State,
    /// Legal actions, game frame; empty when the game is over.
    pub(super) legal: G::Actions,
    pub(super) edges: Block,
    /// Start of the node's priors, one per legal action in ascending order; `OPENED` for actions that have an edge. The network's
    /// value of the node, from its mover's view, stands before them.
    priors: u32,
    best_untried: f32,
    best_untried_rank: u16,
    legal_len: u16,
    pub(super) mover: Player,
    pub(super) status: Status,
    /// Whether the edges are in ascending order of their actions.
    ascending: bool,
}

/// A step of a path: the edge in this slot of this node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) node: u32,
    pub(super) slot: u16,
}

/// How large a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeSize {
    /// Nodes, the root included.
    pub nodes: usize,
    /// Nodes that were evaluated.
    pub expanded: usize,
    /// Bytes of nodes, priors and edges (spare capacity of the arenas left out).
    pub bytes: usize,
}

pub(super) struct Tree<G: Game> {
    pub(super) nodes: Arena<Node<G>>,
    priors: Arena<f32>,
    edges: Edges,
    draws: DrawSums,
    proofs: Proofs,
    /// Actions of the game, legal or not.
    policy_size: usize,
    /// Nodes with priors.
    expanded: usize,
    /// Simulations through the root, its own expansion included.
    pub(super) root_visits: u32,
    /// What gathered paths count for at the root until their evaluations arrive.
    root_in_flight: u32,
    /// Sum of values backed up to the root, from the first player's view.
    root_value_sum: f64,
    /// The root's priors without noise; empty until noise was added.
    root_clean_priors: Vec<f32>,
    /// Positions whose repetition is penalised; `None` when that is off.
    pub(super) visited: Option<HashSet<(G::Position, Player)>>,
}

impl<G: Game> Tree<G> {
    /// `losses`: what is in flight counts as lost games; otherwise as visits that leave mean values alone. `proves`: what finished games
    /// prove is kept.
    pub(super) fn new(losses: bool, policy_size: usize, proves: bool) -> Self {
        Self {
            nodes: Arena::default(),
            priors: Arena::default(),
            edges: Edges::new(losses),
            draws: DrawSums::default(),
            proofs: Proofs::new(proves),
            policy_size,
            expanded: 0,
            root_visits: 0,
            root_in_flight: 0,
            root_value_sum: 0.0,
            root_clean_priors: Vec::new(),
            visited: None,
        }
    }

    /// Empties the tree and keeps its memory and the visited positions.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.priors.clear();
        self.edges.clear();
        self.draws.clear();
        self.proofs.clear();
        self.expanded = 0;
        self.root_visits = 0;
        self.root_in_flight = 0;
        self.root_value_sum = 0.0;
        self.root_clean_priors.clear();
    }

    /// Empties the tree and keeps the visited positions, and of its memory what a search like the last one will need.
    pub(super) fn restart(&mut self) {
        self.nodes.refill(&[]);
        self.priors.refill(&[]);
        self.edges.restart();
        self.draws.restart();
        self.proofs.restart();
        self.clear();
    }

    /// Gives back memory beyond what is in use.
    pub(super) fn shrink(&mut self) {
        self.nodes.shrink_to_fit();
        self.priors.shrink_to_fit();
        self.edges.shrink();
        self.draws.shrink();
        self.proofs.shrink();
    }

    pub(super) fn size(&self) -> TreeSize {
        let bytes = self.nodes.len() * size_of::<Node<G>>() + self.priors.len() * size_of::<f32>();
        let bytes = bytes + self.edges.bytes() + self.draws.bytes() + self.proofs.bytes();
        TreeSize { nodes: self.nodes.len(), expanded: self.expanded, bytes }
    }

    pub(super) fn add_node(&mut self, game: &G, state: G::State) -> u32 {
        let mover = game.side_to_move(&state);
        let mut legal = G::Actions::default();
        let status = match game.outcome(&state) {
            Some(outcome) => Status::Ended(outcome),
            None => {
                legal = game.legal_actions(&state);
                match legal.is_empty() {
                    true => Status::Ended(Outcome::Draw(Draw::NoLegalAction)),
                    false => Status::Pending,
                }
            }
        };
        self.nodes.push(Node {
            state,
            legal,
            edges: Block::default(),
            priors: 0,
            best_untried: 0.0,
            best_untried_rank: NOT_SOUGHT,
            legal_len: legal.len() as u16,
            mover,
            status,
            ascending: true,
        });
        self.draws.add_node();
        self.proofs.add_node();
        (self.nodes.len() - 1) as u32
    }

    pub(super) fn node(&self, node: u32) -> &Node<G> {
        &self.nodes[node as usize]
    }

    /// Gives a pending node its priors, and what the network says it is worth.
    pub(super) fn expand(&mut self, game: &G, index: u32, evaluation: Evaluation<'_>) {
        let node = &mut self.nodes[index as usize];
        debug_assert_eq!(node.status, Status::Pending);
        debug_assert_eq!(evaluation.priors.len(), usize::from(node.legal_len));
        self.expanded += 1;
        node.status = Status::Expanded;
        self.priors.push(evaluation.value);
        node.priors = self.priors.len() as u32;
        self.priors.extend_from_slice(evaluation.priors);
        game.turn_priors(node.mover, &node.legal, &mut self.priors[node.priors as usize..]);
        if self.visited.is_some() {
            self.open_visited(game, index);
        }
    }

    fn prior_range(&self, node: u32) -> std::ops::Range<usize> {
        let node = self.node(node);
        node.priors as usize..node.priors as usize + usize::from(node.legal_len)
    }

    fn find_best_untried(&mut self, node: u32) {
        let best = first_max(&self.priors[self.prior_range(node)], 0.0);
        let node = &mut self.nodes[node as usize];
        (node.best_untried_rank, node.best_untried) = best.map_or((0, 0.0), |(rank, prior)| (rank as u16, prior));
    }

    /// Opens every action that leads to a position the game has visited: selection then sees its penalty.
    fn open_visited(&mut self, game: &G, index: u32) {
        let Some(visited) = self.visited.take() else { return };
        let node = self.node(index).clone();
        for (rank, action) in node.legal.iter().enumerate() {
            let mut state = node.state.clone();
            game.play(&mut state, action);
            if visited.contains(&(game.position(&state), game.side_to_move(&state))) {
                self.open(index, rank as u16, 1.0);
            }
        }
        self.visited = Some(visited);
    }

    fn open(&mut self, index: u32, rank: u16, penalty: f32) -> u16 {
        let node = &mut self.nodes[index as usize];
        let prior = &mut self.priors[node.priors as usize + usize::from(rank)];
        node.ascending &= self.edges.iter(node.edges).last().is_none_or(|last| last.rank < rank);
        let edge = Edge {
            value_sum: 0.0,
            visits: 0,
            in_flight: 0,
            child: NO_NODE,
            prior: *prior,
            action: node.legal.nth(usize::from(rank)),
            rank,
            penalty,
        };
        *prior = OPENED;
        node.best_untried_rank = NOT_SOUGHT;
        self.edges.push(&mut node.edges, edge)
    }

    /// What untried actions of an expanded node count for, which its open actions without visits then do as well. `value`: of the node, from
    /// its mover's view, where that matters.
    pub(super) fn count_untried(&mut self, index: u32, rule: FirstPlay, value: impl FnOnce(&Self) -> f64) -> f64 {
        let block = self.node(index).edges;
        let first_play = match rule {
            FirstPlay::Absolute(value) => f64::from(value),
            FirstPlay::Reduction(reduction) => {
                let visited = self.edges.iter(block).filter(|edge| edge.visits > 0);
                let share: f64 = visited.map(|edge| f64::from(edge.prior)).sum();
                value(self) - f64::from(reduction) * share.sqrt()
            }
        };
        self.edges.set_first_play(block, first_play);
        first_play
    }

    /// Mean of the values backed up to the node that a step of a path leads to, from its mover's view; it must have visits.
    pub(super) fn value_behind(&self, step: Step) -> f64 {
        let parent = self.node(step.node);
        let edge = self.edges.get(parent.edges.at(step.slot));
        let value = seen_by(parent.mover, edge.value_sum) / f64::from(edge.visits);
        seen_by(self.node(edge.child).mover, value)
    }

    /// The slot with the highest PUCT score, lowest action first among equals; opens it if it is untried.
    ///
    /// `visits` is the node's own count with what is in flight, `first_play` what untried actions count for. `None` when no action
    /// has a prior above 0.
    pub(super) fn select(&mut self, index: u32, visits: u32, c_puct: f64, first_play: f64) -> Option<u16> {
        let exploration = c_puct * f64::from(visits.max(1)).sqrt();
        if self.node(index).best_untried_rank == NOT_SOUGHT {
            self.find_best_untried(index);
        }
        let node = &self.nodes[index as usize];
        let tried = self.best_tried(node, exploration);
        let (rank, prior) = (node.best_untried_rank, node.best_untried);
        if prior <= 0.0 {
            let (score, slot) = tried?;
            return Some(if score == f64::NEG_INFINITY { self.spare_the_lost(index, slot) } else { slot });
        }
        let untried = first_play + exploration * f64::from(prior);
        if let Some((score, slot)) = tried
            && (score > untried || score == untried && self.edges.get(node.edges.at(slot)).rank < rank)
        {
            return Some(slot);
        }
        Some(self.open(index, rank, 0.0))
    }

    /// The best score among a node's edges and the slot of the lowest action that has it.
    fn best_tried(&self, node: &Node<G>, exploration: f64) -> Option<(f64, u16)> {
        let (q, u) = self.edges.scores(node.edges);
        let action = |slot: usize| self.edges.get(node.edges.at(slot as u16)).action;
        if q.len() <= FEW_EDGES {
            let mut best = None;
            for (slot, (q, u)) in q.iter().zip(u).enumerate() {
                let score = q + exploration * u;
                let better = best.is_none_or(|(best, at)| {
                    score > best || score == best && !node.ascending && action(slot) < action(at)
                });
                if better {
                    best = Some((score, slot));
                }
            }
            return best.map(|(score, slot)| (score, slot as u16));
        }
        let best = best_score(q, u, exploration);
        let mut slots = places_of(best, q, u, exploration);
        let slot = if node.ascending { slots.next() } else { slots.min_by_key(|&slot| action(slot)) }?;
        Some((best, slot as u16))
    }

    /// The node behind an edge, made when there is none yet, and the visits of the edge with those in flight.
    pub(super) fn descend(&mut self, game: &G, step: Step) -> (u32, u32) {
        let parent = self.node(step.node);
        let index = parent.edges.at(step.slot);
        let edge = *self.edges.get(index);
        if edge.child != NO_NODE {
            return (edge.child, edge.effective_visits());
        }
        let mut state = parent.state.clone();
        game.play(&mut state, edge.action);
        let child = self.add_node(game, state);
        self.edges.set_child(index, child);
        (child, edge.effective_visits())
    }

    /// The slot of the root's action of this rank, which is opened if it is not open yet.
    pub(super) fn open_root(&mut self, rank: u16) -> u16 {
        let open = self.edges.iter(self.node(ROOT).edges).position(|edge| edge.rank == rank);
        open.map_or_else(|| self.open(ROOT, rank, 0.0), |slot| slot as u16)
    }

    /// The edge in this slot of the root.
    pub(super) fn root_edge(&self, slot: u16) -> &Edge {
        self.edges.get(self.node(ROOT).edges.at(slot))
    }

    /// Simulations that went on from the root, those in flight included, and paths in flight at the root.
    pub(super) fn root_simulations(&self) -> (u32, u32) {
        let edges = self.edges.iter(self.node(ROOT).edges);
        (edges.map(Edge::effective_visits).sum(), self.root_in_flight)
    }

    /// The priors of an expanded node, actions ascending; at the root with noise.
    pub(super) fn priors_of(&self, node: u32) -> Vec<f32> {
        let mut priors = self.priors[self.prior_range(node)].to_vec();
        for edge in self.edges.iter(self.node(node).edges) {
            priors[usize::from(edge.rank)] = edge.prior;
        }
        priors
    }

    pub(super) fn root_effective_visits(&self) -> u32 {
        self.root_visits + self.root_in_flight
    }

    /// Counts a gathered path as `visits` in flight.
    pub(super) fn add_in_flight(&mut self, path: &[Step], visits: u32) {
        self.root_in_flight += visits;
        for step in path {
            let index = self.node(step.node).edges.at(step.slot);
            self.edges.update(index, |edge| edge.in_flight += visits);
        }
    }

    /// Counts one simulation along `path`, which counted as `in_flight` visits until now. `value` is from the first player's view.
    pub(super) fn back_up(&mut self, path: &[Step], value: f64, in_flight: u32) {
        self.count_at_root(value, in_flight);
        for &step in path {
            self.count(step, value, in_flight);
        }
    }

    fn count_at_root(&mut self, value: f64, in_flight: u32) {
        self.root_in_flight -= in_flight;
        self.root_visits += 1;
        self.root_value_sum += value;
    }

    fn count(&mut self, step: Step, value: f64, in_flight: u32) {
        let node = self.node(step.node);
        let index = node.edges.at(step.slot);
        let value = seen_by(node.mover, value);
        self.edges.update(index, |edge| {
            edge.in_flight -= in_flight;
            edge.visits += 1;
            edge.value_sum += value;
        });
    }

    /// Keeps from now on how likely draws are: the root, which is all there is, was evaluated by a network that says so.
    pub(super) fn keep_draws(&mut self) {
        debug_assert_eq!(self.nodes.len(), 1);
        self.draws.keep();
    }

    /// Adds to one simulation along `path`, which is backed up, how likely a draw is at its end.
    pub(super) fn back_up_draw(&mut self, path: &[Step], probability: impl FnOnce() -> f64) {
        if !self.draws.are_kept() {
            return;
        }
        let probability = probability();
        self.draws.add(ROOT, probability);
        for step in path {
            let child = self.edges.get(self.node(step.node).edges.at(step.slot)).child;
            self.draws.add(child, probability);
        }
    }

    /// Mean of how likely a draw is, over the simulations through the root.
    pub(super) fn root_draw(&self) -> DrawChance {
        self.draws.mean(ROOT, self.root_visits)
    }

    /// Mean of the values backed up to the root, from its mover's view; 0 before the first.
    pub(super) fn root_value(&self) -> f64 {
        if self.root_visits == 0 {
            return 0.0;
        }
        seen_by(self.node(ROOT).mover, self.root_value_sum) / f64::from(self.root_visits)
    }

    /// Replaces the expanded root's priors by `noisy(clean priors)`. The clean ones are kept: a second call starts from them.
    pub(super) fn set_root_priors(&mut self, noisy: impl FnOnce(&[f32]) -> Vec<f32>) {
        let range = self.prior_range(ROOT);
        let block = self.node(ROOT).edges;
        if self.root_clean_priors.is_empty() {
            self.root_clean_priors.extend_from_slice(&self.priors[range.clone()]);
            for edge in self.edges.iter(block) {
                self.root_clean_priors[usize::from(edge.rank)] = edge.prior;
            }
        }
        self.priors[range.clone()].copy_from_slice(&noisy(&self.root_clean_priors));
        for index in block.range() {
            let prior = &mut self.priors[range.start + usize::from(self.edges.get(index).rank)];
            let noisy = std::mem::replace(prior, OPENED);
            self.edges.update(index, |edge| edge.prior = noisy);
        }
        self.nodes[ROOT as usize].best_untried_rank = NOT_SOUGHT;
    }
}

/// Turns a value between the first player's view and `player`'s.
fn seen_by(player: Player, value: f64) -> f64 {
    match player {
        Player::First => value,
        Player::Second => -value,
    }
}
