//! Which game is played, by which rules, and what tells games that are made alike from others.

use selfplay_actors::onnx::{Precision, PrecisionRequest};
use selfplay_engine::games::{
    breakthrough::Breakthrough, connect_four::ConnectFour, hex::Hex, mnk::Mnk, othello::Othello, quoridor::Quoridor,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Counted, FirstPlay, InFlight, NoiseShape, PlaySettings, Root, SearchSettings, Settings};
use crate::{
    played::{self, Facts},
    shipped::AnyGame,
};

/// `[game]`: which game is played, and the rules of Quoridor.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GameSettings {
    /// Which one.
    pub name: String,
    /// Cells per side, 3..=9.
    pub board_size: u8,
    /// Walls each player starts with, 0..=64.
    pub max_walls: u8,
    /// Plies of both players after which the game is a draw, ≥ 1; `None` for no limit.
    pub max_steps: Option<u32>,
}

/// `[mnk]`: the rules of m,n,k.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MnkSettings {
    /// Columns, 2..=19.
    pub m: u32,
    /// Rows, 2..=19.
    pub n: u32,
    /// Stones in a row that win, 2 to the longer side.
    pub k: u32,
}

/// `[connect_four]`: the rules of Connect Four.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectFourSettings {
    /// Rows, 2..=8.
    pub rows: u32,
    /// Columns, 2..=8.
    pub columns: u32,
    /// Stones in a line that win, 2 to the longer side.
    pub length: u32,
}

/// `[othello]`: the rules of Othello.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OthelloSettings {
    /// Squares a side: 4, 6 or 8.
    pub size: u32,
}

/// `[hex]`: the rules of Hex.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HexSettings {
    /// Cells a side, 3..=13.
    pub size: u32,
    /// The second player may take over the first stone.
    pub swap: bool,
}

/// `[breakthrough]`: the rules of Breakthrough.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BreakthroughSettings {
    /// Rows, 4..=8.
    pub rows: u32,
    /// Columns, 4..=8.
    pub columns: u32,
}

impl SearchSettings {
    /// Simulations of a move, or of an ordinary one where they depend on the number of legal actions.
    pub(crate) fn usual_simulations(&self) -> u32 {
        self.mcts_n.unwrap_or(self.mcts_k.saturating_mul(10))
    }

    /// Most leaves at a time that cost no strength that matches have shown, whatever paths in flight count for: with lost games a
    /// network of 5x5 Quoridor lost 50 Elo with 4 of 100 simulations, and 102 with 8 (docs/strength.md).
    pub(crate) fn harmless_leaves(&self) -> u32 {
        (self.usual_simulations() / 100).max(1)
    }
}

impl PlaySettings {
    /// What begins and ends games otherwise than the rules do, where anything does.
    fn tell_beginnings_and_ends(&self, determining: &mut serde_json::Value) {
        if self.opening_random_plies > 0 || self.opening_policy_plies > 0.0 {
            determining["opening"] = json!([self.opening_random_plies, self.opening_policy_plies]);
        }
        if self.adjudicate {
            determining["adjudicate"] = true.into();
        }
        if self.soft_resign {
            determining["soft_resign"] =
                json!([self.soft_resign_value, self.soft_resign_simulations, self.soft_resign_weight]);
        }
        if self.resign {
            determining["resign"] = json!([self.resign_played_on, self.resign_most_wrong]);
        }
    }
}

impl Settings {
    /// K: leaves gathered from one tree before waiting. One where it is left open, as choices made on older values cost strength;
    /// whatever the number of games, which must not change them.
    pub(crate) fn leaf_parallelism(&self) -> u32 {
        self.search.leaf_parallelism.unwrap_or(1)
    }

    /// Whether the game is Quoridor, whose rules have no section of their own.
    pub(crate) fn of_quoridor(&self) -> bool {
        self.game.name == Quoridor::NAME
    }

    /// The game that is played.
    ///
    /// # Errors
    /// When its parameters make no sense together.
    pub(crate) fn chosen_game(&self) -> anyhow::Result<AnyGame> {
        let &GameSettings { ref name, board_size, max_walls, max_steps } = &self.game;
        if self.of_quoridor() {
            return Ok(AnyGame::Quoridor(Quoridor::new(board_size.into(), max_walls.into(), max_steps)?));
        }
        let rules = self.rules();
        AnyGame::named(name, |parameter| Ok(rules[parameter].to_string()))
    }

    /// What is known of that game; of settings that have been checked.
    pub(crate) fn facts(&self) -> Facts {
        self.chosen_game().expect("settings are checked before they are used").facts()
    }

    /// The parameters of the game that is played.
    fn rules(&self) -> serde_json::Value {
        let GameSettings { name, board_size, max_walls, max_steps } = &self.game;
        match &**name {
            Quoridor::NAME => json!({ "board_size": board_size, "max_walls": max_walls, "max_steps": max_steps }),
            Mnk::NAME => json!(self.mnk),
            ConnectFour::NAME => json!(self.connect_four),
            Othello::NAME => json!(self.othello),
            Hex::NAME => json!(self.hex),
            Breakthrough::NAME => json!(self.breakthrough),
            _ => played::own().filter(|own| own.name == name).map_or(json!({}), |own| json!(own.title)),
        }
    }

    /// Drops what makes no difference to games, of options that searches had not at first.
    fn drop_idle_options(&self, search: &mut serde_json::Map<String, serde_json::Value>) {
        let its = &self.search;
        let puct = its.root == Root::Puct;
        let noise = puct && its.noise_epsilon > 0.0;
        let below = its.fpu == FirstPlay::Reduction || its.fpu_value != 0.0;
        for (in_use, keys) in [
            (puct && its.c_puct_growth > 0.0, &["c_puct_growth", "c_puct_base"][..]),
            (puct && (below || its.fpu_root.is_some()), &["fpu", "fpu_value"]),
            (puct && its.fpu_root.is_some(), &["fpu_root", "fpu_root_value"]),
            (puct && its.root_policy_temperature != 1.0, &["root_policy_temperature"]),
            (puct && its.forced_playouts > 0.0, &["forced_playouts"]),
            (noise && its.noise_shape == NoiseShape::Shaped, &["noise_shape"]),
            (its.temperature_halflife.is_some(), &["temperature_halflife", "temperature_end"]),
            (puct && its.tree_reuse && its.n_counts == Counted::Visits, &["n_counts"]),
        ] {
            search.retain(|key, _| in_use || !keys.contains(&key.as_str()));
        }
    }

    /// Sixteen hexadecimal digits that are equal exactly if games are made by the same rules, search and players. Paths,
    /// threads, batches, cache and the seed do not enter it: they do not change what a game is drawn from. Symmetry and the
    /// network's precision do.
    pub(crate) fn games_hash(&self) -> String {
        let search = SearchSettings { leaf_parallelism: Some(self.leaf_parallelism()), ..self.search.clone() };
        let mut determining = json!({
            "game": self.game.name,
            "rules": self.rules(),
            "search": search,
            "agent": self.play.agent,
            "p2": self.play.p2,
            "evaluator": self.inference.evaluator,
        });
        if let Some(search) = determining["search"].as_object_mut() {
            // Only where games depend on it: with one leaf at a time nothing is selected while a path is in flight. And lost games are
            // what paths in flight counted for before there was such a setting.
            if self.leaf_parallelism() == 1
                || self.search.in_flight == InFlight::Loss
                || self.search.root == Root::Gumbel
            {
                search.remove("in_flight");
            }
            if !self.search.solver {
                search.remove("solver");
            }
            if self.search.root == Root::Puct {
                search.retain(|key, _| key != "root" && !key.starts_with("gumbel_"));
            }
            self.drop_idle_options(search);
        }
        self.play.tell_beginnings_and_ends(&mut determining);
        if self.cache.symmetry {
            // Likewise.
            determining["symmetry"] = true.into();
        }
        if self.play.full_search_share < 1.0 {
            determining["full_search_share"] = self.play.full_search_share.into();
            determining["cheap_simulations"] = self.play.cheap_simulations.into();
        }
        if self.play.policy_surprise > 0.0 {
            determining["policy_surprise"] = self.play.policy_surprise.into();
        }
        // "auto" changes numbers no more than the device does, and belongs to no other games than fp32.
        if let PrecisionRequest::Only(precision) = self.inference.precision
            && precision != Precision::Fp32
        {
            determining["precision"] = precision.to_string().into();
        }
        let digest = Sha256::digest(determining.to_string());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
