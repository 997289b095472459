//! What search variants differ in: how the root is prepared, which action is simulated next, and what move and policy come out.
//!
//! A variant is a [`RootRule`]. AlphaZero's stands here, Gumbel's in `gumbel`.

mod gumbel;

use rand::Rng;

use self::gumbel::Halving;
use super::{
    choose::choose_action,
    noise::{tempered, with_noise},
    params::{FirstPlay, Puct, Root, RootNoise, SearchParams},
    pruning::wanted,
    tree::{Child, ROOT, Standing, Step, Tree, Tried},
};
use crate::{
    evaluation::DrawChance,
    game::{Action, ActionSet, Game},
};

/// What the search of a move came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The action to play, game frame.
    pub action: Action,
    /// What the search says of the root's actions, in ascending order; those it says nothing of are left out.
    pub policy: Vec<Share>,
    /// Value of the root in [−1, 1], from the view of its mover.
    pub value: f32,
    /// How likely a draw is.
    pub draw: DrawChance,
}

/// What is said of one action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The action, game frame.
    pub action: Action,
    /// Visits of its child; 0 where there was no search.
    pub visits: u32,
    /// Its share of the policy: those of one position sum to 1.
    pub probability: f32,
}

/// What a search does at its root, and how it selects. For each move: `prepare` as soon as the root has its priors, `select` for
/// every simulation that goes through it, `select_below` for each further step, `decide` at the end.
pub(super) trait RootRule {
    /// Whether a move may begin with what the one before left, and go on with values of another model.
    const KEEPS_TREE: bool;

    /// Makes ready a root that was evaluated just now, or kept with its subtree from the move before.
    fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng);

    /// The slot of the root's edge that the next simulation takes. `None` when there is none to take before what is in flight
    /// has arrived, or none at all.
    fn select<G: Game>(&mut self, tree: &mut Tree<G>) -> Option<u16>;

    /// The same for an expanded node below, whose visits with those in flight are `visits` and which was reached by `step`.
    fn select_below<G: Game>(&mut self, tree: &mut Tree<G>, node: u32, visits: u32, step: Step) -> Option<u16>;

    /// What the simulations came to. `temperature`: 0 plays the best action, larger values others as well.
    fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision;
}

/// The rule of a search.
pub(super) enum Rule {
    Puct(ByVisits),
    Gumbel(Halving),
}

impl Rule {
    pub(super) fn new(params: &SearchParams) -> Self {
        match params.root {
            Root::Puct(options) => Self::Puct(ByVisits::new(params.c_puct, params.noise, options)),
            Root::Gumbel(gumbel) => Self::Gumbel(Halving::new(gumbel, params.simulations)),
        }
    }

    pub(super) const fn keeps_tree(&self) -> bool {
        match self {
            Self::Puct(_) => ByVisits::KEEPS_TREE,
            Self::Gumbel(_) => Halving::KEEPS_TREE,
        }
    }

    /// See [`RootRule::prepare`].
    pub(super) fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng) {
        match self {
            Self::Puct(rule) => rule.prepare(tree, rng),
            Self::Gumbel(rule) => rule.prepare(tree, rng),
        }
    }

    /// See [`RootRule::decide`].
    pub(super) fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision {
        match self {
            Self::Puct(rule) => rule.decide(tree, temperature, rng),
            Self::Gumbel(rule) => rule.decide(tree, temperature, rng),
        }
    }
}

/// The rule of AlphaZero: noise on the priors, PUCT as below the root, visits as policy.
pub(super) struct ByVisits {
    c_puct: f32,
    noise: Option<RootNoise>,
    options: Puct,
    /// What untried actions count for at the root and below it, where that is to be found out for each selection: not where they
    /// count for a draw, which is what edges hold.
    first_play: [Option<FirstPlay>; 2],
}

impl ByVisits {
    fn new(c_puct: f32, noise: Option<RootNoise>, options: Puct) -> Self {
        let first_play =
            [options.first_play_at_root, options.first_play].map(|it| Some(it).filter(|it| *it != FirstPlay::DRAW));
        Self { c_puct, noise, options, first_play }
    }

    /// The visits that count of those of the root's children: none of what is proven worse, and of the others none that were spent because
    /// they were forced.
    fn counted<G: Game>(&self, tree: &Tree<G>, children: &[Child]) -> Vec<u32> {
        let sound = |child: &Child| child.standing >= Standing::Sound;
        if self.options.forced_playouts <= 0.0 {
            return children.iter().map(|child| if sound(child) { child.visits } else { 0 }).collect();
        }
        let tried: Vec<Tried> = tree
            .root_tried()
            .into_iter()
            .zip(children)
            .filter(|(_, child)| sound(child))
            .map(|(tried, _)| tried)
            .collect();
        let visits = tree.root_effective_visits();
        let mut wanted = wanted(&tried, self.weight(visits) * f64::from(visits).sqrt()).into_iter();
        children.iter().map(|child| if sound(child) { wanted.next().unwrap_or(0) } else { 0 }).collect()
    }

    /// The weight of priors in a position with this many visits.
    fn weight(&self, visits: u32) -> f64 {
        f64::from(self.c_puct) + self.options.growth.map_or(0.0, |growth| growth.after(visits))
    }
}

impl RootRule for ByVisits {
    const KEEPS_TREE: bool = true;

    fn prepare<G: Game>(&mut self, tree: &mut Tree<G>, rng: &mut impl Rng) {
        let (temperature, noise) = (self.options.policy_temperature, self.noise);
        if temperature == 1.0 && noise.is_none() {
            return;
        }
        tree.set_root_priors(|clean| {
            let priors = tempered(clean, temperature);
            match noise {
                Some(noise) => with_noise(&priors, noise, rng),
                None => priors.into_owned(),
            }
        });
    }

    fn select<G: Game>(&mut self, tree: &mut Tree<G>) -> Option<u16> {
        let forced = self.options.forced_playouts;
        if forced > 0.0
            && let Some(slot) = tree.neglected(forced.into())
        {
            return Some(slot);
        }
        let visits = tree.root_effective_visits();
        let first_play = self.first_play[0].map_or(0.0, |rule| tree.count_untried(ROOT, rule, Tree::root_value));
        tree.select(ROOT, visits, self.weight(visits), first_play)
    }

    fn select_below<G: Game>(&mut self, tree: &mut Tree<G>, node: u32, visits: u32, step: Step) -> Option<u16> {
        let value = |tree: &Tree<G>| tree.value_behind(step);
        let first_play = self.first_play[1].map_or(0.0, |rule| tree.count_untried(node, rule, value));
        tree.select(node, visits, self.weight(visits), first_play)
    }

    fn decide<G: Game>(&self, tree: &Tree<G>, temperature: f32, rng: &mut impl Rng) -> Decision {
        let children = tree.root_children();
        let counted = self.counted(tree, &children);
        let total: u32 = counted.iter().sum();
        let share = |(child, &counted): (&Child, &u32)| {
            let probability = if counted > 0 { counted as f32 / total as f32 } else { 0.0 };
            Share { action: child.action, visits: child.visits, probability }
        };
        let mut policy: Vec<_> = children.iter().zip(&counted).map(share).collect();
        if total == 0 && !children.is_empty() {
            // All that was visited is lost: what was not is all that is left.
            let hope = |(action, probability)| Share { action, visits: 0, probability };
            policy.extend(tree.hopes().into_iter().map(hope));
            policy.sort_unstable_by_key(|share| share.action);
        }
        let counted =
            children.iter().zip(counted).map(|(child, visits)| Child { visits, ..*child }).collect::<Vec<_>>();
        let action = choose_action(&playable(&counted), temperature, rng)
            .or_else(|| choose_action(&playable(&children), temperature, rng))
            .or_else(|| likeliest(&policy));
        Decision {
            // A search of one simulation has visited nothing.
            action: action.unwrap_or_else(|| tree.node(ROOT).legal.nth(0)),
            policy,
            value: tree.root_value() as f32,
            draw: tree.root_draw(),
        }
    }
}

/// Visits of the actions that may be played.
fn playable(children: &[Child]) -> Vec<(Action, u32)> {
    let best = children.iter().filter(|child| child.standing == Standing::Best);
    best.map(|child| (child.action, child.visits)).collect()
}

/// The first of the actions with the largest share.
fn likeliest(policy: &[Share]) -> Option<Action> {
    let larger = |best: Share, next: &Share| if next.probability > best.probability { *next } else { best };
    let (first, rest) = policy.split_first()?;
    Some(rest.iter().fold(*first, larger).action)
}
