//! Reference values of Gumbel's rule, made with mctx (`tests/data/README.md`).

use serde::Deserialize;

use super::params::Gumbel;

/// All of them.
#[derive(Deserialize)]
pub(super) struct Vectors {
    /// By m and n.
    pub(super) considered_visits: std::collections::BTreeMap<usize, std::collections::BTreeMap<usize, Considered>>,
    pub(super) q_completion: Vec<Completion>,
    pub(super) interior_sequences: Vec<Interior>,
    pub(super) root_bandits: Vec<Bandit>,
    pub(super) tictactoe_searches: Searches,
}

#[derive(Deserialize)]
pub(super) struct Considered {
    /// The visits considered, and how many simulations in a row.
    pub(super) runs: Vec<(u32, usize)>,
    /// If the order of actions never changes.
    pub(super) visits_by_rank: Vec<u32>,
}

/// How values become σ.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Scale {
    c_scale: f32,
    c_visit: f32,
    rescale_min_max: bool,
    #[serde(default)]
    pub(super) q_mapped_to_0_1: bool,
}

#[derive(Deserialize)]
pub(super) struct Completion {
    pub(super) name: String,
    pub(super) priors: Vec<f64>,
    pub(super) q: Vec<f64>,
    pub(super) visits: Vec<u32>,
    pub(super) raw_value: f64,
    pub(super) v_mix: f64,
    pub(super) variants: Vec<Variant>,
}

#[derive(Deserialize)]
pub(super) struct Variant {
    #[serde(flatten)]
    pub(super) scale: Scale,
    pub(super) sigma: Vec<f64>,
    pub(super) improved_policy: Vec<f64>,
    pub(super) interior_choice: u16,
}

#[derive(Deserialize)]
pub(super) struct Interior {
    #[serde(flatten)]
    pub(super) scale: Scale,
    pub(super) priors: Vec<f32>,
    pub(super) fixed_q: Vec<f64>,
    pub(super) raw_value: f32,
    pub(super) choices: Vec<u16>,
    pub(super) visits: Vec<u32>,
}

#[derive(Deserialize)]
pub(super) struct Bandit {
    #[serde(flatten)]
    pub(super) scale: Scale,
    pub(super) n: u32,
    pub(super) m: u32,
    pub(super) priors: Vec<f32>,
    pub(super) gumbel: Vec<f64>,
    pub(super) fixed_q: Vec<f64>,
    pub(super) raw_value: f32,
    pub(super) choices: Vec<u16>,
    pub(super) visits: Vec<u32>,
    pub(super) played: u16,
    pub(super) improved_policy: Vec<f64>,
}

#[derive(Deserialize)]
pub(super) struct Searches {
    pub(super) cases: Vec<Searched>,
}

#[derive(Deserialize)]
pub(super) struct Searched {
    #[serde(flatten)]
    pub(super) scale: Scale,
    /// 0 empty, 1 the mover's, 2 the other's.
    pub(super) board: [u8; 9],
    pub(super) n: u32,
    pub(super) m: u32,
    pub(super) visits: [u32; 9],
    pub(super) q: [f64; 9],
    pub(super) root_value: f64,
    pub(super) improved_policy: [f64; 9],
    pub(super) played: u16,
}

impl Vectors {
    pub(super) fn read() -> Self {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/gumbel_vectors.json"));
        serde_json::from_str(text).unwrap()
    }
}

impl Scale {
    /// Our settings. Values in [−1, 1] that are not mapped to [0, 1] count twice as much, and are shifted by what no policy sees.
    pub(super) fn params(self, m: u32) -> Gumbel {
        let twice = if self.rescale_min_max || self.q_mapped_to_0_1 { 1.0 } else { 2.0 };
        let c_scale = self.c_scale * twice;
        Gumbel { actions: m, c_visit: self.c_visit, c_scale, stretch: self.rescale_min_max, scale: 0.0 }
    }

    /// That shift of σ, where the most visited action has `most` visits.
    pub(super) fn shift(self, most: u32) -> f64 {
        let plain = !self.rescale_min_max && !self.q_mapped_to_0_1;
        if plain { f64::from(self.c_scale) * (f64::from(self.c_visit) + f64::from(most)) } else { 0.0 }
    }
}
