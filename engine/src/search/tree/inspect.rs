//! What tests see of a tree.

use super::{Edge, NO_NODE, Node, ROOT, Status, Tree, seen_by};
use crate::{
    game::{Action, ActionSet, Game},
    search::proofs::Bounds,
};

/// What was backed up to one node and, on the way, to its children. Values are from the first player's view.
pub(crate) struct Sums<'a, G: Game> {
    pub(crate) node: &'a Node<G>,
    pub(crate) visits: u32,
    pub(crate) value: f64,
    pub(crate) children_visits: u32,
    pub(crate) children_value: f64,
}

/// Everything selection knows of a node, and where it is. Equal trees have equal portraits, whatever their memory looks like.
#[derive(Debug, PartialEq)]
pub(crate) struct Portrait {
    /// Actions that lead here from where the portrait began.
    pub(crate) path: Vec<Action>,
    pub(crate) status: Status,
    pub(crate) priors: Vec<f32>,
    /// Action, visits and sum of values of the open edges in ascending order of actions.
    pub(crate) edges: Vec<(Action, u32, f64)>,
}

impl<G: Game> Tree<G> {
    /// The edge in this slot of this node.
    pub(crate) fn edge_in(&self, node: u32, slot: u16) -> &Edge {
        self.edges.get(self.node(node).edges.at(slot))
    }

    /// What is proven of a node, from its mover's view.
    pub(in crate::search) fn bounds(&self, node: u32) -> Bounds {
        self.proofs.of(node).seen_by(self.node(node).mover)
    }

    /// Edges of a node.
    pub(in crate::search) fn edges_of(&self, node: u32) -> &[Edge] {
        self.edges.iter(self.node(node).edges).as_slice()
    }

    /// Nodes, priors and edges that there is memory for.
    pub(crate) fn room(&self) -> [usize; 3] {
        [self.nodes.capacity(), self.priors.capacity(), self.edges.room()]
    }

    /// What is in flight at the root, and in all edges together; nothing may be once all gathered leaves are answered.
    pub(crate) fn in_flight(&self) -> (u32, u32) {
        let edges = self.nodes.iter().flat_map(|node| self.edges.iter(node.edges));
        (self.root_in_flight, edges.map(|edge| edge.in_flight).sum())
    }

    /// What was backed up, node by node.
    pub(crate) fn sums(&self) -> Vec<Sums<'_, G>> {
        let mut own = vec![(0, 0.0); self.nodes.len()];
        own[ROOT as usize] = (self.root_visits, self.root_value_sum);
        for node in self.nodes.iter() {
            for edge in self.edges.iter(node.edges).filter(|edge| edge.child != NO_NODE) {
                own[edge.child as usize] = (edge.visits, seen_by(node.mover, edge.value_sum));
            }
        }
        let sums = |(node, (visits, value)): (_, _)| {
            let node: &Node<G> = node;
            let edges = || self.edges.iter(node.edges);
            let children_value: f64 = edges().map(|edge| edge.value_sum).sum();
            Sums {
                node,
                visits,
                value,
                children_visits: edges().map(|edge| edge.visits).sum(),
                children_value: seen_by(node.mover, children_value),
            }
        };
        self.nodes.iter().zip(own).map(sums).collect()
    }

    /// The root's priors as selection sees them.
    pub(crate) fn root_priors(&self) -> Vec<f32> {
        self.priors_of(ROOT)
    }

    fn known_priors_of(&self, node: u32) -> Vec<f32> {
        if self.node(node).status.has_priors() { self.priors_of(node) } else { Vec::new() }
    }

    /// Portraits of the root or its child behind `action`, and of the nodes below; none without that node.
    pub(crate) fn portraits(&self, action: Option<Action>) -> Vec<Portrait> {
        let root = self.nodes.first();
        let behind = |root: &Node<G>, action| {
            self.edges.iter(root.edges).find(|edge| edge.action == action).map(|edge| edge.child)
        };
        let top = root.and_then(|root| action.map_or(Some(ROOT), |action| behind(root, action)));
        let mut portraits = Vec::new();
        let mut left: Vec<(Vec<Action>, u32)> = top.map(|top| (Vec::new(), top)).into_iter().collect();
        while let Some((path, node)) = left.pop() {
            let mut edges: Vec<&Edge> = self.edges.iter(self.node(node).edges).collect();
            edges.sort_unstable_by_key(|edge| edge.action);
            assert!(edges.iter().all(|edge| self.node(node).legal.nth(usize::from(edge.rank)) == edge.action));
            for edge in edges.iter().filter(|edge| edge.child != NO_NODE) {
                left.push(([path.as_slice(), &[edge.action]].concat(), edge.child));
            }
            portraits.push(Portrait {
                path,
                status: self.node(node).status,
                priors: self.known_priors_of(node),
                edges: edges.into_iter().map(|edge| (edge.action, edge.visits, edge.value_sum)).collect(),
            });
        }
        portraits
    }
}
