//! Daemons under load.

use std::{fs, net::SocketAddr, path::PathBuf};

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Running},
    prometheus::{free_address, get},
    wait,
};

/// Daemons that play small games under load, and follow the models of a directory.
pub(crate) struct Site {
    dir: TempDir,
    daemons: Vec<(Running, SocketAddr)>,
}

impl Site {
    /// One daemon per device asked for.
    pub(crate) fn start(devices: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let config = Config { games: 8, ..Config::QUICK }.write(dir.path());
        fs::create_dir(dir.path().join("models")).unwrap();
        let mut site = Self { dir, daemons: Vec::new() };
        site.publish(1);
        for device in devices {
            let games = site.dir.path().join(format!("games-{device}"));
            fs::create_dir(&games).unwrap();
            let address = free_address();
            let daemon = Daemon::playing(&config, &games)
                .flag("--continuous")
                .option("--model-source", site.models())
                .option("--http-listen", address.to_string())
                .env("SELFPLAYD__INFERENCE__DEVICE", device)
                .option("--evaluate-every", "1")
                .env("SELFPLAYD__EVALUATION__GAMES", "2")
                .env("SELFPLAYD__EVALUATION__SIMULATIONS", "2")
                .env("SELFPLAYD__EVALUATION__SHARE", "0.5")
                .start();
            site.daemons.push((daemon, address));
        }
        for (_, address) in &site.daemons {
            wait::until("a game", || {
                let metrics = get(*address, "/metrics").ok()?;
                let written = metrics.lines().find_map(|line| line.strip_prefix("selfplayd_games_written_total "))?;
                (written != "0").then_some(())
            });
        }
        site
    }

    fn models(&self) -> PathBuf {
        self.dir.path().join("models")
    }

    /// The trainer makes a model: the first has learned nothing, all others the same, so that there are two to be rated.
    pub(crate) fn publish(&self, version: u32) {
        let hidden = self.models().join("new");
        let network = if version == 1 { "b5w3_resnet_2x32.onnx" } else { "b5w3_resnet_2x32_trained.onnx" };
        fs::copy(model(network), &hidden).unwrap();
        fs::rename(&hidden, self.models().join(format!("model_{version}.onnx"))).unwrap();
        let figures = serde_json::json!({
            "state": "training", "version": version, "step": 100 * version, "loss": 1.5, "policy_loss": 1.1, "value_loss": 0.4,
            "learning_rate": 0.001, "gradient_norm": 0.7, "window_rows": 2000, "rows": 5000, "samples_per_second": 900, "samples_per_row": 3.9,
        });
        fs::write(&hidden, figures.to_string()).unwrap();
        fs::rename(&hidden, self.models().join("trainer.json")).unwrap();
    }

    /// Where they serve HTTP.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.daemons.iter().map(|(_, address)| *address).collect()
    }
}
