//! What a game asks of the network, between its search and the evaluator: fewer leaves than were gathered, or others.
//!
//! **Symmetry**: a position and its images are asked as one, the least of them, and the priors of that are brought back to the
//! position. The least one is asked whether or not anything is known of any, so that a game follows from what the network says
//! of positions, and not from who asked what before.
//!
//! **Kept evaluations**: a search that starts with an empty tree meets most of the nodes of the search before. What the network
//! said of them is kept ([`Kept`]) and need not be asked. That changes nothing but who answers: the search gathers its K leaves
//! with virtual losses on, whether or not they are known, and a leaf that is known waits with the others until the answer to
//! those that are not is there. Then all are applied together, in the order of the gather. So the search sees the same leaves
//! and the same evaluations at the same moments as one that asks for everything, and makes the same tree, by induction over
//! gathers. (Expanding a known leaf on the spot would not: the next selection of the same gather would descend below it.) When
//! all leaves of a gather are known, no request is made.
//!
//! All evaluations of one gather are of one model. If the answer to a request is by another model than the leaves that were
//! known, these are forgotten and the request is made again; only leaves that this answer did not hold are in it.

use super::kept::{Kept, Model, Place};
use crate::{
    evaluation::{Evaluations, Leaf},
    game::Game,
};

/// A leaf of the gather at hand.
struct Gathered<G: Game> {
    /// As it is asked.
    leaf: Leaf<G>,
    /// The symmetry that made it of what the search gathered.
    symmetry: usize,
    /// Legal actions of what the search gathered.
    legal: G::Actions,
    /// What was kept of it.
    known: Option<Place>,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// The search gets it as it is.
    AsGiven,
    /// The search gets [`Asking::merged`].
    Merged,
    /// The search gets nothing yet: [`Asking::ask`] comes first.
    AskAgain,
}

/// How the leaves of a game's searches came by their evaluations, as far as the game itself can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedCounts {
    /// Leaves that an evaluation was kept of.
    pub kept: u64,
    /// Leaves that were asked as images of theirs.
    pub mirrored: u64,
}

/// Turns the leaves of a gather into what is asked of the network, and its answers into evaluations of the leaves.
pub(super) struct Asking<G: Game> {
    symmetry: bool,
    kept: Option<Kept<G>>,
    gather: Vec<Gathered<G>>,
    /// Leaves of the gather that were asked, those of requests made again among them.
    asked: usize,
    merged: Evaluations,
    counts: AskedCounts,
}

impl<G: Game> Asking<G> {
    /// `symmetry`: ask a position and its images as one; `keep`: keep evaluations.
    pub(super) fn new(symmetry: bool, keep: bool) -> Self {
        Self {
            symmetry,
            kept: keep.then(Kept::new),
            gather: Vec::new(),
            asked: 0,
            merged: Evaluations::default(),
            counts: AskedCounts::default(),
        }
    }

    /// Takes up a gather, the leaves from place `first` on, and leaves there those that must be asked. False when there are none.
    pub(super) fn take_up(&mut self, game: &G, leaves: &mut Vec<Leaf<G>>, first: usize) -> bool {
        if !self.symmetry && self.kept.is_none() {
            return true;
        }
        self.gather.clear();
        self.asked = 0;
        let symmetry = self.symmetry;
        self.gather.extend(leaves.drain(first..).map(|leaf| {
            let legal = leaf.legal;
            let (leaf, symmetry) = if symmetry { leaf.canonical(game) } else { (leaf, 0) };
            Gathered { leaf, symmetry, legal, known: None }
        }));
        self.ask(leaves)
    }

    /// Appends the leaves of the gather that must be asked. False when there are none.
    pub(super) fn ask(&mut self, leaves: &mut Vec<Leaf<G>>) -> bool {
        let before = leaves.len();
        for gathered in &mut self.gather {
            gathered.known = self.kept.as_mut().and_then(|kept| kept.find(&gathered.leaf.position));
            if gathered.known.is_none() {
                self.counts.mirrored += u64::from(gathered.symmetry != 0);
                leaves.push(gathered.leaf);
            }
        }
        self.asked += leaves.len() - before;
        leaves.len() > before
    }

    /// Takes the answer to what was asked.
    pub(super) fn settle(&mut self, game: &G, evaluations: &Evaluations, model: Model) -> Settled {
        if !self.symmetry && self.kept.is_none() {
            return Settled::AsGiven;
        }
        if let Some(kept) = &mut self.kept {
            let other = kept.renew(model);
            let asked = self.gather.iter().filter(|gathered| gathered.known.is_none());
            for (gathered, evaluation) in asked.zip(evaluations.iter()) {
                kept.put(gathered.leaf.position, evaluation);
            }
            if other && self.gather.iter().any(|gathered| gathered.known.is_some()) {
                return Settled::AskAgain;
            }
        }
        self.merge(game, evaluations);
        Settled::Merged
    }

    /// Puts the evaluations of a gather together of which everything is known, and says who made them.
    pub(super) fn settle_known(&mut self, game: &G) -> Option<Model> {
        let model = self.kept.as_ref()?.model()?;
        self.merge(game, &Evaluations::default());
        Some(model)
    }

    fn merge(&mut self, game: &G, evaluations: &Evaluations) {
        self.merged.clear();
        let mut answers = evaluations.iter();
        for Gathered { symmetry, legal, known, .. } in &self.gather {
            let kept = known.and_then(|place| Some(self.kept.as_ref()?.get(place)));
            // As many answers as leaves were asked: the search checks the sum.
            let Some(evaluation) = kept.or_else(|| answers.next()) else { break };
            let priors = self.merged.push(evaluation.value, evaluation.priors.iter().copied());
            if *symmetry != 0 {
                game.transform_priors(*symmetry, legal, priors);
            }
        }
        self.counts.kept += self.gather.len().saturating_sub(self.asked) as u64;
    }

    /// What [`Settled::Merged`] speaks of; for a moment, so that the game can be lent to the search.
    pub(super) const fn merged(&mut self) -> &mut Evaluations {
        &mut self.merged
    }

    /// The model with this number is in service: nothing that another one said is used from here on.
    pub(super) fn model_in_service(&mut self, generation: u64) {
        if let Some(kept) = &mut self.kept {
            kept.forget_unless(generation);
        }
    }

    /// The search of a move is over.
    pub(super) fn next_search(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.next_search();
        }
    }

    /// Since the game began.
    pub(super) const fn counts(&self) -> AskedCounts {
        self.counts
    }

    /// Bytes of the evaluations that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::bytes)
    }
}
