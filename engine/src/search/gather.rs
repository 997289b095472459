//! One game's search: gather leaves, apply their evaluations, move the root.

mod notes;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use rand::Rng;

pub use self::notes::RootNotes;
use super::{
    params::{Counted, InFlight, Puct, Root, SearchParams},
    root::{Decision, RootRule, Rule},
    tree::{ROOT, Status, Step, Tree, TreeSize},
};
use crate::{
    evaluation::{DrawChance, Evaluations, Leaf},
    game::{Action, ActionSet, Draw, Game, Outcome, Player},
};

/// Simulations by how their leaf got its value, summed over the life of a [`Search`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeafCounts {
    /// A new position, which the answer to the leaves evaluates.
    pub evaluated: u64,
    /// A position already gathered and waiting: it shares that evaluation. Only where paths in flight count for lost games.
    pub duplicate: u64,
    /// A finished game with a winner.
    pub won: u64,
    /// A draw, but for the step limit.
    pub drawn: u64,
    /// A game that reached the step limit.
    pub limited: u64,
    /// A position whose worth was proven before.
    pub proven: u64,
}

impl LeafCounts {
    /// All simulations.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.evaluated + self.duplicate + self.won + self.drawn + self.limited + self.proven
    }
}

/// What the searches of a game amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchEffort {
    /// Simulations by kind.
    pub leaves: LeafCounts,
    /// Sum over all simulations of the plies between root and leaf.
    pub depth_sum: u64,
    /// The largest of them.
    pub depth_max: u32,
    /// Sum over all searched moves of the tree's nodes at the move's end.
    pub nodes: u64,
    /// The same of nodes that were evaluated.
    pub expanded: u64,
    /// Moves whose search ended with a proof of what they are worth.
    pub proven_moves: u64,
}

/// What the search of one move amounted to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveEffort {
    /// Simulations of this move.
    pub simulations: u64,
    /// Sum over them of the plies between root and leaf.
    pub depth_sum: u64,
    /// Nodes of the tree at the end.
    pub nodes: usize,
    /// Visits that the root had when the search began.
    pub reused_visits: u32,
    /// Whether it ended with a proof of what the position is worth.
    pub proven: bool,
}

/// Leaves were gathered whose evaluations [`Search::apply`] must get before anything else is done.
#[derive(Debug)]
#[must_use = "the leaves wait for Search::apply"]
pub struct Gathered(());

/// A gathered path that waits for the evaluation of its last node.
struct Pending {
    node: u32,
    /// Place of its leaf among those asked.
    leaf: usize,
    /// Its steps end here in `Search::steps` and begin where the one before ends.
    end: usize,
    /// The visits that it counts for until then.
    in_flight: u32,
}

/// The search of one game, kept from move to move.
pub struct Search<G: Game> {
    game: G,
    params: SearchParams,
    rule: Rule,
    tree: Tree<G>,
    /// Simulations still to start for this move.
    left: u32,
    pending: Vec<Pending>,
    steps: Vec<Step>,
    effort: SearchEffort,
    /// What the effort was, and how often the root had been visited, when the search of this move began.
    begun: (SearchEffort, u32),
}

impl<G: Game> Search<G> {
    /// A search without a root yet; `penalize_visited`: subtract 1 from the score of actions that lead to a position this game
    /// has visited.
    pub fn new(game: G, mut params: SearchParams, penalize_visited: bool) -> Self {
        if matches!(params.root, Root::Gumbel(_)) {
            params.in_flight = InFlight::Visits; // Its schedule counts paths.
        }
        let losses = matches!(params.in_flight, InFlight::Losses(_));
        let mut tree = Tree::new(losses, game.policy_size(), params.solver);
        tree.visited = penalize_visited.then(HashSet::new);
        let effort = SearchEffort::default();
        Self {
            game,
            params,
            rule: Rule::new(&params),
            tree,
            left: 0,
            pending: Vec::new(),
            steps: Vec::new(),
            effort,
            begun: (effort, 0),
        }
    }

    /// Searches by `params` from the next move on. Which rule selects, what paths in flight count for, and whether proofs are sought
    /// stays as it is.
    pub fn use_params(&mut self, params: SearchParams) {
        debug_assert!(self.pending.is_empty());
        let SearchParams { in_flight, solver, .. } = self.params;
        self.params = SearchParams { in_flight, solver, ..params };
        self.rule = Rule::new(&self.params);
    }

    /// Starts the search of a move: on the tree that [`Search::advance`] kept for this very state, else on a fresh root. The root is
    /// prepared anew in either case, with draws from `rng`.
    ///
    /// `state` must not be a finished game.
    pub fn begin(&mut self, state: &G::State, rng: &mut impl Rng) {
        debug_assert!(self.pending.is_empty());
        self.note_visited(state);
        // A kept subtree was opened before this position counted as visited.
        if self.tree.visited.is_some() || !self.rule.keeps_tree() {
            self.tree.restart();
        }
        let same = |kept: &G::State| {
            self.game.ply(kept) == self.game.ply(state) && self.game.position(kept) == self.game.position(state)
        };
        if !self.tree.nodes.first().is_some_and(|root| same(&root.state)) {
            self.tree.restart();
        }
        if self.tree.nodes.is_empty() {
            self.tree.add_node(&self.game, state.clone());
        } else {
            self.rule.prepare(&mut self.tree, rng);
        }
        self.left = self.simulations();
        self.stop_if_proven();
        self.begun = (self.effort, self.tree.root_visits);
    }

    /// Whether a move may begin with what the one before left, and go on when another network answers than before.
    #[must_use]
    pub const fn keeps_tree(&self) -> bool {
        self.rule.keeps_tree()
    }

    /// Counts `state` as visited by the game, where such positions are penalised. [`Search::begin`] does so by itself.
    pub fn note_visited(&mut self, state: &G::State) {
        if let Some(visited) = &mut self.tree.visited {
            visited.insert((self.game.position(state), self.game.side_to_move(state)));
        }
    }

    /// What this move gets, on the root at hand.
    fn simulations(&self) -> u32 {
        let n = self.params.simulations.at_root(self.tree.node(ROOT).legal.len());
        match self.params.root {
            Root::Puct(Puct { counted: Counted::Visits, .. }) => n.saturating_sub(self.tree.root_visits).max(1),
            Root::Puct(_) | Root::Gumbel(_) => n,
        }
    }

    /// Lets the search of a move go on with as many simulations as its settings say, whatever it has had: for a search that is to end when
    /// its caller has had enough. Whether there is anything left to find out: not where the worth is proven. Nothing for Gumbel's rule,
    /// which divides a number of simulations that it knows from the start.
    pub fn go_on(&mut self) -> bool {
        debug_assert!(self.pending.is_empty() && matches!(self.rule, Rule::Puct(_)));
        self.left = self.params.simulations.at_root(self.tree.node(ROOT).legal.len());
        self.stop_if_proven();
        self.left > 0
    }

    /// Picks leaves to evaluate and appends them to `leaves`: at most K paths are out at a time. Two of them may end in the same new
    /// position, which is asked once, where paths in flight count for lost games ([`InFlight`]); otherwise the gather ends there.
    /// Simulations that end in a finished game, or where the worth is proven, are counted at once and ask nothing.
    ///
    /// `None`, and nothing appended, means that this move's search is complete.
    pub fn gather(&mut self, leaves: &mut Vec<Leaf<G>>) -> Option<Gathered> {
        debug_assert!(self.pending.is_empty(), "apply answers a gather before the next one");
        let first = leaves.len();
        let k = self.params.leaf_parallelism.max(1) as usize;
        while self.left > 0 && self.pending.len() < k {
            let start = self.steps.len();
            let Some(node) = self.select_leaf() else {
                self.steps.truncate(start);
                break;
            };
            let known = self.pending.iter().find(|pending| pending.node == node).map(|pending| pending.leaf);
            if known.is_some() && self.params.in_flight == InFlight::Visits {
                self.steps.truncate(start);
                break;
            }
            self.left -= 1;
            let depth = self.steps.len() - start;
            self.effort.depth_sum += depth as u64;
            self.effort.depth_max = self.effort.depth_max.max(depth as u32);
            match self.tree.node(node).status {
                Status::Ended(outcome) => {
                    self.count_ended(outcome, start);
                    continue;
                }
                Status::Proven => {
                    self.effort.leaves.proven += 1;
                    self.tree.back_up_proven(&self.steps[start..], node);
                    self.steps.truncate(start);
                    continue;
                }
                Status::Pending | Status::Expanded => {}
            }
            match known {
                Some(_) => self.effort.leaves.duplicate += 1,
                None => self.effort.leaves.evaluated += 1,
            }
            let leaf = known.unwrap_or_else(|| {
                let node = self.tree.node(node);
                leaves.push(Leaf::new(&self.game, &node.state, &node.legal));
                leaves.len() - 1 - first
            });
            // After the last leaf of a gather nothing is selected until all are answered.
            let last = self.left == 0 || self.pending.len() + 1 == k;
            let in_flight = if last { 0 } else { self.params.in_flight.visits() };
            if in_flight > 0 {
                self.tree.add_in_flight(&self.steps[start..], in_flight);
            }
            self.pending.push(Pending { node, leaf, end: self.steps.len(), in_flight });
            if node == ROOT {
                break; // Nothing can be selected below a root without priors.
            }
        }
        (!self.pending.is_empty()).then_some(Gathered(()))
    }

    fn count_ended(&mut self, outcome: Outcome, start: usize) {
        match outcome {
            Outcome::Win(_) => self.effort.leaves.won += 1,
            Outcome::Draw(Draw::StepLimit) => self.effort.leaves.limited += 1,
            Outcome::Draw(_) => self.effort.leaves.drawn += 1,
        }
        let path = &self.steps[start..];
        self.tree.back_up(path, f64::from(outcome.value_for(Player::First)), 0);
        self.tree.back_up_draw(path, || f64::from(u8::from(matches!(outcome, Outcome::Draw(_)))));
        if self.params.solver {
            self.tree.conclude(path, outcome);
            self.stop_if_proven();
        }
        self.steps.truncate(start);
    }

    /// Spends no simulations on a root whose worth is proven.
    fn stop_if_proven(&mut self) {
        if self.tree.is_proven() {
            self.left = 0;
        }
    }

    /// Walks from the root to a node without priors and appends its path to `steps`.
    fn select_leaf(&mut self) -> Option<u32> {
        if self.tree.node(ROOT).status != Status::Expanded {
            return Some(ROOT);
        }
        let Self { rule, game, tree, steps, .. } = self;
        match rule {
            Rule::Puct(rule) => walk(rule, game, tree, steps),
            Rule::Gumbel(rule) => walk(rule, game, tree, steps),
        }
    }

    /// Takes the evaluations of the leaves of the last gather, in their order: expands each new position once and
    /// backs up every path, which no longer counts as in flight, in the order of selection. `rng` is drawn from only when the root gets its priors.
    ///
    /// Panics when the number of evaluations is not the number of leaves asked.
    pub fn apply(&mut self, _: Gathered, evaluations: &Evaluations, rng: &mut impl Rng) {
        let asked = self.pending.iter().map(|pending| pending.leaf + 1).max().unwrap_or(0);
        assert_eq!(evaluations.len(), asked, "one evaluation per leaf of the last gather");
        let mut start = 0;
        for pending in &self.pending {
            let evaluation = evaluations.get(pending.leaf);
            let node = self.tree.node(pending.node);
            let value = match node.mover {
                Player::First => f64::from(evaluation.value),
                Player::Second => -f64::from(evaluation.value),
            };
            if node.status == Status::Pending {
                self.tree.expand(&self.game, pending.node, evaluation);
                if pending.node == ROOT {
                    if evaluation.draw.known().is_some() {
                        self.tree.keep_draws();
                    }
                    self.rule.prepare(&mut self.tree, rng);
                }
            }
            // The root's own expansion is a path without steps; it counted as in flight all the same.
            let path = &self.steps[start..pending.end];
            if self.params.solver {
                self.tree.back_up_known(path, value, evaluation.draw, pending.in_flight);
            } else {
                self.tree.back_up(path, value, pending.in_flight);
                self.tree.back_up_draw(path, || evaluation.draw.or_nan().into());
            }
            start = pending.end;
        }
        self.pending.clear();
        self.steps.clear();
    }

    /// What the search of this move came to; `rng` chooses among its actions unless `temperature` is 0 and one is the best.
    pub fn decide(&self, temperature: f32, rng: &mut impl Rng) -> Decision {
        self.rule.decide(&self.tree, temperature, rng)
    }

    /// Visits of the root's children in ascending order of actions (game frame), children without visits left out. On a fresh
    /// root they sum to n − 1, on one kept by tree reuse to the visits kept plus n, or as on a fresh one ([`Counted`]).
    #[must_use]
    pub fn visits(&self) -> Vec<(Action, u32)> {
        self.tree.root_children().into_iter().map(|child| (child.action, child.visits)).collect()
    }

    /// Mean value of the root's simulations, in [−1, 1] from the view of its mover.
    #[must_use]
    pub fn root_value(&self) -> f32 {
        self.tree.root_value() as f32
    }

    /// How likely a draw is: mean of the root's simulations, a finished game counted as what it is. Unknown where a network with a
    /// say in it does not tell.
    #[must_use]
    pub fn root_draw(&self) -> DrawChance {
        self.tree.root_draw()
    }

    /// Simulations by kind since the search was made.
    #[must_use]
    pub fn counts(&self) -> LeafCounts {
        self.effort.leaves
    }

    /// All that was done since the search was made.
    #[must_use]
    pub fn effort(&self) -> SearchEffort {
        self.effort
    }

    /// Ends the search of a move, and tells what it amounted to: what it made of the tree enters its effort.
    pub fn end(&mut self) -> MoveEffort {
        let size = self.tree.size();
        self.effort.nodes += size.nodes as u64;
        self.effort.expanded += size.expanded as u64;
        let proven = self.tree.is_proven();
        self.effort.proven_moves += u64::from(proven);
        let (before, reused_visits) = self.begun;
        MoveEffort {
            simulations: self.effort.leaves.total() - before.leaves.total(),
            depth_sum: self.effort.depth_sum - before.depth_sum,
            nodes: size.nodes,
            reused_visits,
            proven,
        }
    }

    /// Gives back the memory that the tree needed once and does not need now. It will need much of it again: for those who have
    /// too little memory.
    pub fn shrink(&mut self) {
        self.tree.shrink();
    }

    /// Nodes and bytes of the tree.
    #[must_use]
    pub fn size(&self) -> TreeSize {
        self.tree.size()
    }

    /// Makes the child behind `action` the root and keeps its subtree, copied by way of `spare` into the memory of the tree that
    /// it was part of. An action that was never evaluated leaves no tree, and without a tree there is nothing to keep; nor does
    /// a search keep anything that has no use for it.
    pub fn advance(&mut self, action: Action, spare: &mut SpareTree<G>) {
        debug_assert!(self.pending.is_empty(), "apply answers a gather before the root moves on");
        if !self.keeps_tree() {
            return self.forget();
        }
        self.left = 0;
        self.tree.copy_subtree(action, &mut spare.0);
        self.tree.refill(&spare.0);
    }

    /// Forgets the tree and what it waits for: the next move starts from a fresh root. Needed when the tree's values come from
    /// another network.
    pub fn forget(&mut self) {
        self.left = 0;
        self.pending.clear();
        self.steps.clear();
        self.tree.restart();
    }
}

#[cfg(test)]
impl<G: Game> Search<G> {
    pub(super) fn tree(&mut self) -> &mut Tree<G> {
        &mut self.tree
    }
}

/// See [`Search::select_leaf`]: made for each rule, so that no step asks which it is.
fn walk<G: Game>(rule: &mut impl RootRule, game: &G, tree: &mut Tree<G>, steps: &mut Vec<Step>) -> Option<u32> {
    let mut step = Step { node: ROOT, slot: rule.select(tree)? };
    loop {
        steps.push(step);
        let (node, visits) = tree.descend(game, step);
        if tree.node(node).status != Status::Expanded {
            return Some(node);
        }
        step = Step { node, slot: rule.select_below(tree, node, visits, step)? };
    }
}

/// Memory for one more tree, through which tree reuse copies what it keeps. One is enough for all games of a thread.
pub struct SpareTree<G: Game>(Tree<G>);

impl<G: Game> Default for SpareTree<G> {
    fn default() -> Self {
        Self(Tree::new(false, 0, false))
    }
}
