//! Proofs in the tree: how they follow from finished games, what they make of values, and what they say of the root's actions.

use super::{Edge, NO_NODE, ROOT, Status, Step, Tree, seen_by};
use crate::{
    evaluation::DrawChance,
    game::{Action, ActionSet, Game, Outcome, Player},
    search::proofs::Bounds,
    solve::Class,
};

/// A child of the root that was visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::search) struct Child {
    pub(in crate::search) action: Action,
    pub(in crate::search) visits: u32,
    pub(in crate::search) standing: Standing,
}

/// What proofs say of an action; without them all are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::search) enum Standing {
    /// Proven lost while another is not; or not proven to be worth what the position is: has no place in the policy.
    Worse,
    /// As good as any other as far as is proven, but for the time that the game takes.
    Sound,
    /// May be played: of actions that are proven to win those that win soonest, of lost ones those that lose latest.
    Best,
}

impl<G: Game> Tree<G> {
    /// What a node is worth, from the first player's view, once that is proven by what follows it.
    fn proven(&self, node: u32) -> Option<Class> {
        if self.node(node).status == Status::Proven { self.proofs.of(node).proven() } else { None }
    }

    /// Whether the root's worth is proven.
    pub(in crate::search) fn is_proven(&self) -> bool {
        self.nodes.first().is_some_and(|root| root.status == Status::Proven)
    }

    /// Concludes what can be concluded from the finished game at the end of `path`, whose visit was backed up. What is proven now has
    /// its exact value from here on, and its ancestors have the mean that they would have if that had been known all along.
    pub(in crate::search) fn conclude(&mut self, path: &[Step], outcome: Outcome) {
        let Some(&last) = path.last() else { return };
        let leaf = self.child_behind(last);
        if self.proofs.of(leaf).proven().is_some() {
            return; // It was here before.
        }
        self.proofs.set(leaf, Bounds::ended(Class::of_outcome(outcome, Player::First)));
        for (place, &step) in path.iter().enumerate().rev() {
            let mover = self.node(step.node).mover;
            let child = self.proofs.of(self.child_behind(step)).seen_by(mover);
            if child.high == Class::Loss {
                // Below every other score.
                self.edges.update(self.node(step.node).edges.at(step.slot), |edge| edge.penalty = f32::INFINITY);
            }
            let bounds = self.bounds_of_choices(step.node).seen_by(mover);
            let before = self.proofs.of(step.node);
            if (bounds.low, bounds.high) == (before.low, before.high) {
                return;
            }
            self.proofs.set(step.node, bounds);
            if let Some(class) = bounds.proven() {
                self.settle(step.node, &path[..place], class);
            }
        }
    }

    fn child_behind(&self, step: Step) -> u32 {
        self.edges.get(self.node(step.node).edges.at(step.slot)).child
    }

    /// What its children prove of a node, from its mover's view.
    fn bounds_of_choices(&self, index: u32) -> Bounds {
        let node = self.node(index);
        let known = || self.edges.iter(node.edges).filter(|edge| edge.child != NO_NODE);
        let all = known().count() == usize::from(node.legal_len);
        Bounds::of_choices(known().map(|edge| self.proofs.of(edge.child).seen_by(node.mover)), all)
    }

    /// The node at the end of `path` is worth `class` to the first player.
    fn settle(&mut self, index: u32, path: &[Step], class: Class) {
        let node = &mut self.nodes[index as usize];
        node.status = Status::Proven;
        if seen_by(node.mover, class.value().into()) < 0.0 {
            // All its actions lose: none is worse than another.
            for edge in node.edges.range() {
                self.edges.update(edge, |edge| edge.penalty = 0.0);
            }
        }
        let exact = f64::from(class.value());
        let Some((&last, before)) = path.split_last() else {
            self.root_value_sum = exact * f64::from(self.root_visits);
            self.draws.add(ROOT, f64::from(self.root_visits) * draw(class) - self.draws.of(ROOT));
            return;
        };
        let parent = self.node(last.node);
        let (place, mover) = (parent.edges.at(last.slot), parent.mover);
        let edge = self.edges.get(place);
        let visits = f64::from(edge.visits);
        let more = visits * exact - seen_by(mover, edge.value_sum);
        self.edges.update(place, |edge| edge.value_sum = visits * seen_by(mover, exact));
        let more_draws = visits * draw(class) - self.draws.of(index);
        self.draws.add(index, more_draws);
        for &step in before {
            let node = self.node(step.node);
            let (place, mover) = (node.edges.at(step.slot), node.mover);
            self.edges.update(place, |edge| edge.value_sum += seen_by(mover, more));
            self.draws.add(self.child_behind(step), more_draws);
        }
        self.root_value_sum += more;
        self.draws.add(ROOT, more_draws);
    }

    /// Counts one simulation along `path`, which came to a proven node.
    pub(in crate::search) fn back_up_proven(&mut self, path: &[Step], node: u32) {
        let Some(class) = self.proven(node) else { return };
        self.back_up(path, class.value().into(), 0);
        self.back_up_draw(path, || draw(class));
    }

    /// As [`Tree::back_up`] and [`Tree::back_up_draw`], of a path that was gathered before some of its nodes were proven: these
    /// and what is above them get what is proven.
    pub(in crate::search) fn back_up_known(
        &mut self,
        path: &[Step],
        mut value: f64,
        mut chance: DrawChance,
        in_flight: u32,
    ) {
        let exact = |class: Class| (f64::from(class.value()), DrawChance::new(draw(class) as f32));
        for &step in path.iter().rev() {
            let child = self.child_behind(step);
            if let Some(class) = self.proven(child) {
                (value, chance) = exact(class);
            }
            self.draws.add(child, chance.or_nan().into());
            self.count(step, value, in_flight);
        }
        if let Some(class) = self.proven(ROOT) {
            (value, chance) = exact(class);
        }
        self.draws.add(ROOT, chance.or_nan().into());
        self.count_at_root(value, in_flight);
    }

    /// The slot to take instead of `slot`: an action that nothing is proven of, if `slot` is proven lost and there is one. Its
    /// prior is 0, else it would have been selected.
    pub(super) fn spare_the_lost(&mut self, index: u32, slot: u16) -> u16 {
        let node = self.node(index);
        if !self.edges.get(node.edges.at(slot)).is_lost() {
            return slot;
        }
        let untried = self.priors[self.prior_range(index)].iter().position(|&prior| prior >= 0.0);
        untried.map_or(slot, |rank| self.open(index, rank as u16, 0.0))
    }

    /// Children of the root with visits, in ascending order of actions.
    pub(in crate::search) fn root_children(&self) -> Vec<Child> {
        let judge = self.judge(ROOT);
        let edges = self.edges.iter(self.node(ROOT).edges).filter(|edge| edge.visits > 0);
        let child = |edge: &Edge| Child { action: edge.action, visits: edge.visits, standing: judge(edge) };
        let mut children: Vec<_> = edges.map(child).collect();
        children.sort_unstable_by_key(|child| child.action);
        children
    }

    /// Says how the actions of a node stand.
    pub(in crate::search) fn judge(&self, index: u32) -> impl Fn(&Edge) -> Standing + '_ {
        let node = self.node(index);
        let (proven, plies) = (self.proven(index), self.proofs.of(index).plies);
        let worth = proven.map(|class| Bounds::ended(class).seen_by(node.mover).low);
        move |edge| {
            let bounds = match edge.child {
                NO_NODE => Bounds::UNKNOWN,
                child => self.proofs.of(child).seen_by(node.mover),
            };
            match worth {
                None if bounds.high == Class::Loss => Standing::Worse,
                Some(class) if bounds.low != class => Standing::Worse,
                // The node is one ply further from the end.
                Some(Class::Win | Class::Loss) if bounds.plies.saturating_add(1) != plies => Standing::Sound,
                _ => Standing::Best,
            }
        }
    }

    /// What priors say of the root's actions that are not proven lost, where all that were visited are; in ascending order of actions.
    pub(in crate::search) fn hopes(&self) -> Vec<(Action, f32)> {
        let mut priors = self.priors_of(ROOT);
        let root = self.node(ROOT);
        for edge in self.edges.iter(root.edges).filter(|edge| edge.is_lost()) {
            priors[usize::from(edge.rank)] = OUT;
        }
        let left = || root.legal.iter().zip(&priors).filter(|&(_, &prior)| prior != OUT);
        let (count, sum) = (left().count() as f32, left().map(|(_, &prior)| prior).sum::<f32>());
        let share = |prior: f32| if sum > 0.0 { prior / sum } else { 1.0 / count };
        left().map(|(action, &prior)| (action, share(prior))).collect()
    }
}

/// Stands in the place of a lost action's prior.
const OUT: f32 = -1.0;

/// How likely a draw is, where that is known.
const fn draw(class: Class) -> f64 {
    match class {
        Class::Draw => 1.0,
        Class::Loss | Class::Win => 0.0,
    }
}
