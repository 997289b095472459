//! How likely a draw is, averaged through a tree as values are, where the network says so.

use super::arena::Arena;
use crate::evaluation::DrawChance;

/// For each node of a tree, in the order of the nodes, the sum of the draw probabilities of all simulations that went through it.
///
/// Nothing is kept of a network that does not say how likely a draw is. An answer of such a network in a tree that began with
/// another one makes the sums on its path unknown.
#[derive(Clone, Default)]
pub(super) struct DrawSums {
    sums: Arena<f64>,
    kept: bool,
}

impl DrawSums {
    /// Whether sums are kept at all.
    pub(super) const fn are_kept(&self) -> bool {
        self.kept
    }

    /// Keeps sums from now on, for a tree that has nothing but its root.
    pub(super) fn keep(&mut self) {
        self.kept = true;
        self.sums.clear();
        self.sums.push(0.0);
    }

    /// One more node, without simulations.
    pub(super) fn add_node(&mut self) {
        if self.kept {
            self.sums.push(0.0);
        }
    }

    /// One simulation through `node`, at whose end a draw has this probability; or what its sum lacks.
    pub(super) fn add(&mut self, node: u32, probability: f64) {
        if let Some(sum) = self.sums.get_mut(node as usize) {
            *sum += probability;
        }
    }

    /// The sum of all simulations through `node`.
    pub(super) fn of(&self, node: u32) -> f64 {
        self.sums.get(node as usize).copied().unwrap_or_default()
    }

    /// The mean of the simulations through `node`, of which there were so many.
    pub(super) fn mean(&self, node: u32, visits: u32) -> DrawChance {
        let sum = self.sums.get(node as usize).filter(|_| visits > 0);
        // Rounding must not make it more than certain.
        sum.map_or(DrawChance::UNKNOWN, |sum| DrawChance::new((sum / f64::from(visits)).clamp(0.0, 1.0) as f32))
    }

    /// One more node, with the sum of a node of another tree.
    pub(super) fn copy_node(&mut self, from: &Self, node: u32) {
        self.kept = from.kept;
        if self.kept {
            self.sums.push(from.sums[node as usize]);
        }
    }

    /// Keeps no sums, but the memory.
    pub(super) fn clear(&mut self) {
        self.sums.clear();
        self.kept = false;
    }

    /// Keeps no sums, and of the memory what a search like the last one will need.
    pub(super) fn restart(&mut self) {
        self.sums.refill(&[]);
        self.clear();
    }

    /// Becomes what `other` is, in its own memory.
    pub(super) fn refill(&mut self, other: &Self) {
        self.sums.refill(&other.sums);
        self.kept = other.kept;
    }

    /// Gives back memory beyond what is in use.
    pub(super) fn shrink(&mut self) {
        self.sums.shrink_to_fit();
    }

    /// Bytes in use.
    pub(super) fn bytes(&self) -> usize {
        self.sums.len() * size_of::<f64>()
    }
}
