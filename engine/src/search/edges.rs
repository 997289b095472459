//! Statistics of the actions that search has tried, in small blocks, one block per node.
//!
//! Only tried ("open") actions have an entry; an untried one costs its prior and nothing else. What selection reads (`q`, `u`)
//! lies apart from what backup writes, each contiguous per block, so that selection is one multiply-add per entry.

use super::arena::Arena;
use crate::game::Action;

/// No node: the action is open but its child has not been made yet.
pub(super) const NO_NODE: u32 = u32::MAX;

/// One open action of a node.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Edge {
    /// Sum of backed-up values from the view of the node's mover, without what is in flight.
    pub(super) value_sum: f64,
    /// Simulations backed up through this edge.
    pub(super) visits: u32,
    /// What gathered paths whose evaluation is still to come count for. Kept apart, so that removing them is exact.
    pub(super) in_flight: u32,
    /// The node behind it.
    pub(super) child: u32,
    /// Prior of the action; at the root with noise.
    pub(super) prior: f32,
    /// The action, game frame.
    pub(super) action: Action,
    /// Its rank among the node's legal actions.
    pub(super) rank: u16,
    /// 1 for a child whose position the game has visited before, when such are penalised; infinite for one that is proven lost for
    /// the node's mover, unless all are; else 0.
    pub(super) penalty: f32,
}

impl Edge {
    /// Whether it is proven lost, so that it is not selected.
    pub(super) fn is_lost(&self) -> bool {
        self.penalty == f32::INFINITY
    }

    /// Visits with those in flight counted in.
    pub(super) fn effective_visits(&self) -> u32 {
        self.visits + self.in_flight
    }

    /// Mean value, with what is in flight as lost games where `losses` has all bits set and without it where it has none; 0 while
    /// there is nothing to take the mean of ([`Edges::set_first_play`]). Less the penalty.
    fn q(&self, losses: u32) -> f64 {
        let lost = self.in_flight & losses;
        let visits = self.visits + lost;
        let mean = if visits == 0 { 0.0 } else { (self.value_sum - f64::from(lost)) / f64::from(visits) };
        mean - f64::from(self.penalty)
    }

    fn u(&self) -> f64 {
        f64::from(self.prior) / (1.0 + f64::from(self.effective_visits()))
    }
}

/// Where a node's edges lie. Empty until the first is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Block {
    start: u32,
    len: u16,
    capacity: u16,
}

impl Block {
    pub(super) fn len(self) -> usize {
        usize::from(self.len)
    }

    /// Index of the edge in slot `slot`. Slots stay; indices change when the block grows.
    pub(super) fn at(self, slot: u16) -> usize {
        self.start as usize + usize::from(slot)
    }

    pub(super) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len()
    }
}

/// All blocks of a tree. Outgrown blocks are used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    q: Arena<f64>,
    u: Arena<f64>,
    edges: Arena<Edge>,
    /// Starts of outgrown blocks by the binary logarithm of their capacity.
    free: Vec<Vec<u32>>,
    /// See [`Edge::q`]: a mask, so that the innermost loop has no branch for it.
    losses: u32,
}

const SMALLEST_BLOCK: u16 = 2;

impl Edges {
    /// `losses`: what is in flight counts as lost games; otherwise it leaves mean values alone.
    pub(super) fn new(losses: bool) -> Self {
        Self { losses: if losses { u32::MAX } else { 0 }, ..Self::default() }
    }

    pub(super) fn clear(&mut self) {
        self.q.clear();
        self.u.clear();
        self.edges.clear();
        self.free.iter_mut().for_each(Vec::clear);
    }

    /// Empties it and keeps of its memory what a search like the last one will need.
    pub(super) fn restart(&mut self) {
        self.q.refill(&[]);
        self.u.refill(&[]);
        self.edges.refill(&[]);
        self.clear();
    }

    /// Gives back memory beyond what is in use.
    pub(super) fn shrink(&mut self) {
        self.q.shrink_to_fit();
        self.u.shrink_to_fit();
        self.edges.shrink_to_fit();
        self.free.iter_mut().for_each(Vec::shrink_to_fit);
    }

    /// Bytes held for entries in use or free for use.
    pub(super) fn bytes(&self) -> usize {
        self.edges.len() * (size_of::<Edge>() + 2 * size_of::<f64>())
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.edges.capacity()
    }

    pub(super) fn get(&self, index: usize) -> &Edge {
        &self.edges[index]
    }

    /// Mean value as selection sees it.
    pub(super) fn q(&self, index: usize) -> f64 {
        self.q[index]
    }

    /// What selection sees of a block: mean values and priors / (1 + visits), slot by slot.
    pub(super) fn scores(&self, block: Block) -> (&[f64], &[f64]) {
        (&self.q[block.range()], &self.u[block.range()])
    }

    pub(super) fn iter(&self, block: Block) -> std::slice::Iter<'_, Edge> {
        self.edges[block.range()].iter()
    }

    /// Changes an edge and brings what selection sees up to date.
    pub(super) fn update(&mut self, index: usize, change: impl FnOnce(&mut Edge)) {
        let edge = &mut self.edges[index];
        change(edge);
        self.q[index] = edge.q(self.losses);
        self.u[index] = edge.u();
    }

    /// Makes `value` what selection sees of a block's edges that there is no mean value of. Any change of such an edge takes that back.
    pub(super) fn set_first_play(&mut self, block: Block, value: f64) {
        for index in block.range() {
            let edge = &self.edges[index];
            if edge.visits + (edge.in_flight & self.losses) == 0 {
                self.q[index] = value - f64::from(edge.penalty);
            }
        }
    }

    /// Says which node is behind an edge.
    pub(super) fn set_child(&mut self, index: usize, child: u32) {
        self.edges[index].child = child;
    }

    /// Copies a block of another tree, as it is.
    pub(super) fn copy_block(&mut self, from: &Self, block: Block) -> Block {
        if block.capacity == 0 {
            return block;
        }
        let copy = Block { start: self.allocate(block.capacity), ..block };
        self.q[copy.range()].copy_from_slice(&from.q[block.range()]);
        self.u[copy.range()].copy_from_slice(&from.u[block.range()]);
        self.edges[copy.range()].copy_from_slice(&from.edges[block.range()]);
        copy
    }

    /// Becomes what `other` is, in its own memory.
    pub(super) fn refill(&mut self, other: &Self) {
        self.q.refill(&other.q);
        self.u.refill(&other.u);
        self.edges.refill(&other.edges);
        self.free.clone_from(&other.free);
    }

    /// Appends an edge to `block` and returns its slot. The block may move.
    pub(super) fn push(&mut self, block: &mut Block, edge: Edge) -> u16 {
        if block.len == block.capacity {
            self.grow(block);
        }
        let slot = block.len;
        block.len += 1;
        self.update(block.at(slot), |place| *place = edge);
        slot
    }

    fn grow(&mut self, block: &mut Block) {
        let capacity = if block.capacity == 0 { SMALLEST_BLOCK } else { block.capacity * 2 };
        let start = self.allocate(capacity);
        let (from, to) = (block.range(), start as usize);
        self.q.copy_within(from.clone(), to);
        self.u.copy_within(from.clone(), to);
        self.edges.copy_within(from, to);
        if block.capacity > 0 {
            self.free[block.capacity.ilog2() as usize].push(block.start);
        }
        *block = Block { start, len: block.len, capacity };
    }

    fn allocate(&mut self, capacity: u16) -> u32 {
        let class = capacity.ilog2() as usize;
        if self.free.len() <= class {
            self.free.resize_with(class + 1, Vec::new);
        }
        if let Some(start) = self.free[class].pop() {
            return start;
        }
        const UNUSED: Edge = Edge {
            value_sum: 0.0,
            visits: 0,
            in_flight: 0,
            child: NO_NODE,
            prior: 0.0,
            action: 0,
            rank: 0,
            penalty: 0.0,
        };
        let start = self.edges.len();
        let end = start + usize::from(capacity);
        self.q.resize(end, 0.0);
        self.u.resize(end, 0.0);
        self.edges.resize(end, UNUSED);
        start as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(action: Action) -> Edge {
        Edge { value_sum: 0.0, visits: 0, in_flight: 0, child: NO_NODE, prior: 0.5, action, rank: action, penalty: 0.0 }
    }

    #[test]
    fn slots_keep_their_edge_while_blocks_grow_and_reuse_space() {
        let mut edges = Edges::default();
        let mut blocks = [Block::default(); 3];
        for block in &mut blocks {
            for action in 0..100 {
                assert_eq!(edges.push(block, edge(action)), action);
            }
        }
        for block in blocks {
            let actions: Vec<_> = edges.iter(block).map(|edge| edge.action).collect();
            assert_eq!(actions, (0..100).collect::<Vec<_>>());
        }
        // The first block leaves 2 + 4 + … + 64 places behind, in which the other two grow up to their last 128.
        assert_eq!(edges.edges.len(), (2 + 4 + 8 + 16 + 32 + 64) + 3 * 128);
    }

    #[test]
    fn what_is_in_flight_counts_as_losses_or_as_visits_and_leaves_no_trace() {
        for (losses, q) in [(true, (0.1 + 0.2 - 3.0) / 5.0), (false, (0.1 + 0.2) / 2.0)] {
            let mut edges = Edges::new(losses);
            let mut block = Block::default();
            let slot = edges.push(&mut block, edge(0));
            edges.update(block.at(slot), |edge| {
                edge.value_sum = 0.1 + 0.2;
                edge.visits = 2;
            });
            let before = (edges.q[0], edges.u[0], edges.edges[0]);
            edges.update(0, |edge| edge.in_flight += 3);
            assert_eq!((edges.q[0], edges.u[0]), (q, 0.5 / 6.0));
            edges.update(0, |edge| edge.in_flight -= 3);
            assert_eq!((edges.q[0], edges.u[0], edges.edges[0]), before);
        }
    }

    #[test]
    fn what_untried_actions_count_for_reaches_edges_without_a_mean_value_alone() {
        for (losses, in_flight) in [(true, -1.0), (false, 0.5)] {
            let mut edges = Edges::new(losses);
            let mut block = Block::default();
            edges.push(&mut block, edge(0));
            edges.push(&mut block, Edge { penalty: 1.0, ..edge(1) });
            edges.push(&mut block, Edge { in_flight: 1, ..edge(2) });
            edges.push(&mut block, Edge { visits: 2, value_sum: 0.5, ..edge(3) });
            edges.set_first_play(block, 0.5);
            assert_eq!(edges.scores(block).0, [0.5, -0.5, in_flight, 0.25]);
        }
    }

    #[test]
    fn an_edge_that_is_only_in_flight_has_lost_or_the_value_of_an_untried_one() {
        for (losses, q) in [(true, -1.0), (false, 0.0)] {
            let mut edges = Edges::new(losses);
            edges.push(&mut Block::default(), Edge { in_flight: 1, ..edge(0) });
            assert_eq!((edges.q[0], edges.u[0]), (q, 0.5 / 2.0));
        }
    }
}
