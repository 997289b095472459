//! What can be set about a search.

use std::fmt;

/// How many simulations a move gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simulations {
    /// This many, whatever the position (`mcts_n`).
    PerMove(u32),
    /// This many times the number of legal actions at the root (`mcts_k`), but at least 2: a single simulation evaluates the
    /// root and visits none of its children.
    PerLegalAction(u32),
}

impl Simulations {
    /// Simulations for a root with `legal` legal actions.
    #[must_use]
    pub fn at_root(self, legal: usize) -> u32 {
        match self {
            Self::PerMove(n) => n,
            Self::PerLegalAction(k) => k.saturating_mul(legal as u32).max(2),
        }
    }
}

/// Dirichlet noise on the root's priors: P' = (1 − ε) P + ε Dir(α) (Silver et al. 2017, "Mastering the game of Go without
/// human knowledge", Methods).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RootNoise {
    /// ε in (0, 1]: share of the noise.
    pub epsilon: f32,
    /// α > 0, on average over the actions: small values put the noise on few of them.
    pub alpha: f32,
    /// How α is shared out.
    pub shape: NoiseShape,
}

/// How the α of noise is shared out among the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoiseShape {
    /// Evenly.
    Even,
    /// Half of it evenly, half to actions whose priors stand out, by how far their logarithms do, with all priors above 1% taken for 1%:
    /// likelier moves get a larger share of the noise, and the favourites no more than others (KataGo's shaped noise).
    Shaped,
}

/// What an action without visits counts for, in [−1, 1] from the view of the player who would choose it. All such actions of a position
/// count for the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FirstPlay {
    /// For this.
    Absolute(f32),
    /// For what its position is worth by the search so far, less this times the square root of the share that visited actions
    /// have in the priors: the more likely moves were looked at, the less is hoped of the others (Leela Chess Zero, KataGo).
    Reduction(f32),
}

impl FirstPlay {
    /// A drawn game's: AlphaGo Zero's, which costs no work.
    pub const DRAW: Self = Self::Absolute(0.0);
}

impl fmt::Display for FirstPlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Absolute(value) => write!(f, "{value}"),
            Self::Reduction(0.0) => f.write_str("their position's value"),
            Self::Reduction(r) => write!(f, "their position's value - {r} √P"),
        }
    }
}

/// How the weight of priors grows with the visits N of a position: by `by` · ln((N + `base` + 1) / `base`), as in AlphaZero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Above 0.
    pub by: f32,
    /// Above 0: visits that it takes until the growth shows.
    pub base: f32,
}

impl Growth {
    /// What is added to the weight.
    pub(super) fn after(self, visits: u32) -> f64 {
        let base = f64::from(self.base);
        f64::from(self.by) * ((f64::from(visits) + base + 1.0) / base).ln()
    }
}

/// What n simulations of a move count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Those done for it.
    Playouts,
    /// All visits of the root, those that a kept tree brings along included; one at least is done for the move.
    Visits,
}

/// What a path that was gathered counts for until its evaluation arrives: it keeps the leaves of one gather apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlight {
    /// For one visit of each of its edges, whose mean value stays what it is; that of an edge without any other visit is what an
    /// untried action has (Liu et al. 2020, "Watch the unobserved", in PUCT's form). A gather ends where another path would come
    /// to a position that waits already: to count one answer several times costs far more strength (docs/strength.md). Both as
    /// Leela Chess Zero does in self-play.
    Visits,
    /// For this many lost games of each of its edges. A second path to a position shares its answer.
    Losses(u32),
}

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visits => f.write_str("visits"),
            Self::Losses(1) => f.write_str("1 loss"),
            Self::Losses(losses) => write!(f, "{losses} losses"),
        }
    }
}

impl InFlight {
    /// Visits that one path adds.
    pub(super) fn visits(self) -> u32 {
        match self {
            Self::Visits => 1,
            Self::Losses(losses) => losses,
        }
    }
}

/// How a search selects, and what it makes of what it found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    /// AlphaZero's: PUCT throughout, noise on the root's priors, visits as policy.
    Puct(Puct),
    /// Gumbel's: sequential halving at the root, improved policies below it and as policy.
    Gumbel(Gumbel),
}

impl Root {
    /// PUCT without any of its options.
    pub const PUCT: Self = Self::Puct(Puct::PLAIN);
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Puct(puct) => puct.fmt(f),
            Self::Gumbel(gumbel) => write!(f, "Gumbel's rule with m = {}", gumbel.actions),
        }
    }
}

/// The options of PUCT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Puct {
    /// What untried actions count for below the root.
    pub first_play: FirstPlay,
    /// What they count for at the root.
    pub first_play_at_root: FirstPlay,
    /// How `c_puct` grows with visits; `None`: not at all.
    pub growth: Option<Growth>,
    /// T > 0: the root's priors become P^(1/T), before noise. Above 1 they are flatter than the network's; 1 leaves them alone.
    pub policy_temperature: f32,
    /// What n counts where a tree is kept.
    pub counted: Counted,
    /// k ≥ 0: actions of the root that were visited get √(k P N) visits at least, N being the root's, so that what noise made likely is
    /// looked at; visits that a search would not have spent in retrospect are then taken out of the policy and the choice of the move
    /// (Wu 2019, "Accelerating self-play learning in Go", section 3.2, where k = 2). 0: nothing is forced and nothing taken out.
    pub forced_playouts: f32,
}

impl Puct {
    /// None of them: the trainer's.
    pub const PLAIN: Self = Self {
        first_play: FirstPlay::DRAW,
        first_play_at_root: FirstPlay::DRAW,
        growth: None,
        policy_temperature: 1.0,
        counted: Counted::Playouts,
        forced_playouts: 0.0,
    };
}

impl fmt::Display for Puct {
    /// Of the options, those that are in use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PUCT")?;
        if self.first_play != FirstPlay::DRAW {
            write!(f, ", untried moves count {}", self.first_play)?;
        }
        if self.first_play_at_root != self.first_play {
            write!(f, ", at the root {}", self.first_play_at_root)?;
        }
        if let Some(Growth { by, base }) = self.growth {
            write!(f, ", c_puct + {by} ln((N + {base} + 1) / {base})")?;
        }
        if self.policy_temperature != 1.0 {
            write!(f, ", root policy temperature {}", self.policy_temperature)?;
        }
        if self.counted == Counted::Visits {
            f.write_str(", kept visits counted")?;
        }
        if self.forced_playouts > 0.0 {
            write!(f, ", playouts forced with k = {} and pruned", self.forced_playouts)?;
        }
        Ok(())
    }
}

/// The settings of Gumbel's rule (Danihelka et al. 2022, "Policy improvement by planning with Gumbel").
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gumbel {
    /// m ≥ 1: most actions that are drawn at the root. At most half as many as simulations lets halving begin.
    pub actions: u32,
    /// c_visit ≥ 0: visits of the most visited action that values weigh as if it had besides.
    pub c_visit: f32,
    /// c_scale > 0: weight of values against logits. Values are taken from [−1, 1] to [0, 1].
    pub c_scale: f32,
    /// Stretch the values of a node's actions over all of [0, 1], so that small differences count as large ones do.
    pub stretch: bool,
    /// Scale of the Gumbel draws, ≥ 0: 1 for self-play, 0 for the same search every time.
    pub scale: f32,
}

impl Default for Gumbel {
    /// The paper's for board games.
    fn default() -> Self {
        Self { actions: 16, c_visit: 50.0, c_scale: 1.0, stretch: false, scale: 1.0 }
    }
}

/// The settings of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchParams {
    /// Simulations per move. On a fresh root the root's own evaluation is the first of them, so its children's visits sum to
    /// n − 1. On a root kept by tree reuse all n are new, unless [`Puct::counted`] says otherwise: its children's visits sum to n plus
    /// the visits kept.
    pub simulations: Simulations,
    /// c in Q + c P √N / (1 + n): the weight of priors against values. Above 0; 1 to 5 are usual. Of [`Root::Puct`], whose [`Growth`] adds to it.
    pub c_puct: f32,
    /// K: most leaves gathered before waiting for their evaluations. 1 is the sequential search.
    pub leaf_parallelism: u32,
    /// What gathered paths count for until their evaluations arrive: for visits with [`Root::Gumbel`], whatever stands here.
    pub in_flight: InFlight,
    /// Noise at the root; `None` for a deterministic search. Not with [`Root::Gumbel`], which draws by itself.
    pub noise: Option<RootNoise>,
    /// How it selects, and what comes out.
    pub root: Root,
    /// Proves by finished games what positions are worth: those are searched no further, actions that are proven lost are not
    /// selected, and the search of a move ends with a proof.
    pub solver: bool,
}

impl SearchParams {
    /// Whether it draws at the root: noise, or Gumbel's draws.
    #[must_use]
    pub fn draws(&self) -> bool {
        match self.root {
            Root::Puct(_) => self.noise.is_some(),
            Root::Gumbel(gumbel) => gumbel.scale > 0.0,
        }
    }

    /// The same search with nothing left to chance and nothing forced, as strong as it can be: for matches, and for moves that teach no
    /// policy.
    #[must_use]
    pub const fn without_chance(self) -> Self {
        let root = match self.root {
            Root::Gumbel(gumbel) => Root::Gumbel(Gumbel { scale: 0.0, ..gumbel }),
            Root::Puct(puct) => Root::Puct(Puct { forced_playouts: 0.0, ..puct }),
        };
        Self { noise: None, root, ..self }
    }
    /// The same with nothing done at its root that is not done below: for moves that teach no policy, and are to be played well.
    #[must_use]
    pub const fn without_exploration(self) -> Self {
        let quiet = self.without_chance();
        match quiet.root {
            Root::Puct(puct) => {
                let root = Root::Puct(Puct { first_play_at_root: puct.first_play, policy_temperature: 1.0, ..puct });
                Self { root, ..quiet }
            }
            Root::Gumbel(_) => quiet,
        }
    }
}
