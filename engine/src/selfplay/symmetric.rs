//! Symmetry between a game's search and the evaluator.
//!
//! A position and its images are asked as one, the least of them, and the priors of that are brought back to the position. The
//! least one is asked whether or not anything is known of any, so that a game follows from what the network says of positions,
//! and not from who asked what before.

use crate::{
    evaluation::{Evaluations, Leaf},
    game::Game,
};

/// Asks the least image of each leaf of a gather, and brings the answers back to the leaves.
pub(super) struct Symmetric<G: Game> {
    /// Of each leaf of the gather at hand: the symmetry that made it what is asked, and its own legal actions.
    turned: Vec<(usize, G::Actions)>,
    /// The answers, brought back.
    evaluations: Evaluations,
    /// Leaves that were not asked as they were gathered, since the game began.
    mirrored: u64,
}

impl<G: Game> Symmetric<G> {
    pub(super) fn new() -> Self {
        Self { turned: Vec::new(), evaluations: Evaluations::default(), mirrored: 0 }
    }

    /// Puts in place of the leaves of a gather what is asked instead.
    pub(super) fn turn(&mut self, game: &G, leaves: &mut [Leaf<G>]) {
        self.turned.clear();
        for leaf in leaves {
            let legal = leaf.legal;
            let symmetry;
            (*leaf, symmetry) = leaf.canonical(game);
            self.mirrored += u64::from(symmetry != 0);
            self.turned.push((symmetry, legal));
        }
    }

    /// The evaluations of the leaves of the gather, from those of what was asked.
    pub(super) fn turn_back(&mut self, game: &G, answers: &Evaluations) -> &Evaluations {
        self.evaluations.clear();
        // The search checks that there are as many answers as leaves.
        for ((symmetry, legal), answer) in self.turned.iter().zip(answers.iter()) {
            let priors = self.evaluations.push(answer.worth(), answer.priors.iter().copied());
            if *symmetry != 0 {
                game.transform_priors(*symmetry, legal, priors);
            }
        }
        &self.evaluations
    }

    pub(super) const fn mirrored(&self) -> u64 {
        self.mirrored
    }
}
