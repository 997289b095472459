//! What is kept of a tree when its root moves on.

use super::{NO_NODE, Tree, seen_by};
use crate::game::{Action, Game};

impl<G: Game> Tree<G> {
    /// Copies the subtree behind the root's `action` into `into` (emptied first), where it becomes the tree, with every visit,
    /// value and prior it had. False, and `into` is left empty, when there is no tree or that action was never evaluated.
    pub(in crate::search) fn copy_subtree(&self, action: Action, into: &mut Self) -> bool {
        into.clear();
        let Some(root) = self.nodes.first() else { return false };
        let Some(edge) = self.edges.iter(root.edges).find(|edge| edge.action == action && edge.child != NO_NODE) else {
            return false;
        };
        if !self.node(edge.child).status.has_priors() {
            return false;
        }
        into.root_visits = edge.visits;
        into.root_value_sum = seen_by(root.mover, edge.value_sum);
        into.copy_node(self, edge.child);
        // Breadth first: copied nodes still hold the old tree's block and child numbers until their turn comes.
        let mut next = 0;
        while next < into.nodes.len() {
            let block = into.edges.copy_block(&self.edges, into.nodes[next].edges);
            into.nodes[next].edges = block;
            for index in block.range() {
                let child = into.edges.get(index).child;
                if child != NO_NODE {
                    let child = into.copy_node(self, child);
                    into.edges.set_child(index, child);
                }
            }
            next += 1;
        }
        true
    }

    /// Becomes what `other` is but for the visited positions, in its own memory.
    pub(in crate::search) fn refill(&mut self, other: &Self) {
        self.nodes.refill(&other.nodes);
        self.priors.refill(&other.priors);
        self.edges.refill(&other.edges);
        self.draws.refill(&other.draws);
        self.proofs.refill(&other.proofs);
        self.expanded = other.expanded;
        self.root_visits = other.root_visits;
        self.root_in_flight = other.root_in_flight;
        self.root_value_sum = other.root_value_sum;
        self.root_clean_priors.clone_from(&other.root_clean_priors);
    }

    fn copy_node(&mut self, from: &Self, index: u32) -> u32 {
        let mut node = from.node(index).clone();
        let range = from.prior_range(index);
        if node.status.has_priors() {
            self.expanded += 1;
            node.priors = self.priors.len() as u32 + 1;
            self.priors.extend_from_slice(&from.priors[range.start - 1..range.end]);
        }
        self.nodes.push(node);
        self.draws.copy_node(&from.draws, index);
        self.proofs.copy_node(&from.proofs, index);
        (self.nodes.len() - 1) as u32
    }
}
