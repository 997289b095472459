//! The trainer's settings and the models of these tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A model of `tests/data/models`.
pub(crate) fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models").join(name)
}

/// The resolved `config.yaml` of a training run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) board: u32,
    pub(crate) walls: u32,
    /// Simulations per move.
    pub(crate) simulations: u32,
    /// Games at once.
    pub(crate) games: u32,
    pub(crate) network: &'static str,
}

impl Config {
    /// Games that end within a fraction of a second, for `b5w3_resnet_2x32.onnx`.
    pub(crate) const QUICK: Self = Self { board: 5, walls: 3, simulations: 20, games: 4, network: "resnet" };
    /// Games that outlast every test.
    pub(crate) const SLOW: Self = Self { board: 9, walls: 10, simulations: 1_000_000, games: 2, network: "resnet" };
    /// Plies after which a game is a draw.
    pub(crate) const MAX_STEPS: u32 = 50;

    /// The file as the trainer writes it: what was set, no nulls, its own sections too.
    pub(crate) fn yaml(self) -> String {
        let Self { board, walls, simulations, games, network } = self;
        let max_steps = Self::MAX_STEPS;
        format!(
            "run_id: e2e\n\
             quoridor:\n  board_size: {board}\n  max_walls: {walls}\n  max_steps: {max_steps}\n\
             alphazero:\n  \
               network:\n    type: {network}\n    num_blocks: 2\n    num_channels: 32\n    \
                 mask_training_predictions: true\n  \
               mcts_n: {simulations}\n  mcts_c_puct: 1.2\n\
             self_play:\n  num_workers: 1\n  parallel_games: {games}\n  program: rust\n  \
               rust_selfplay_binary: /usr/local/bin/selfplayd\n  \
               alphazero:\n    mcts_noise_epsilon: 0.25\n\
             training:\n  games_per_training_step: 9.5\n  learning_rate: 0.001\n  batch_size: 64\n  \
               weight_decay: 0.0001\n  replay_buffer_size: 1000\n  save_onnx: true\n  finish_after: 3 models\n\
             benchmarks:\n- every: 5 models\n  jobs:\n  - type: dumb_score\n"
        )
    }

    /// Writes it into `dir`.
    pub(crate) fn write(self, dir: &Path) -> PathBuf {
        let path = dir.join("config.yaml");
        fs::write(&path, self.yaml()).unwrap();
        path
    }
}
