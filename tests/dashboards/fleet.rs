//! A fleet under load.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{
    config::{Config, model},
    daemon::{Daemon, Running},
    prometheus::{free_address, get},
    wait,
};

/// A broker, a hub and two workers that play small games.
pub(crate) struct Fleet {
    dir: TempDir,
    _daemons: Vec<Running>,
    _broker: Broker,
    addresses: Vec<SocketAddr>,
}

impl Fleet {
    /// Starts `program` as the broker, and all others.
    pub(crate) fn start(mut program: Command) -> Self {
        let dir = TempDir::new().unwrap();
        let config = Config::QUICK.write(dir.path());
        let path = |name: &str| dir.path().join(name);
        let fleet = |args: &str| Daemon::new().flag("fleet").args(args).option("--dir", path("fleet"));
        let at = free_address();
        fleet(&format!("init --run r1 --listen {at}")).run().succeeded();
        let broker = program.arg("-c").arg(path("fleet/nats.conf")).stdin(Stdio::null());
        let broker = Broker(broker.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait::until("the broker", || TcpStream::connect(at).ok());
        fleet("init").run().succeeded();
        fleet("add-worker w1 w2").run().succeeded();

        fs::create_dir_all(path("models")).unwrap();
        let addresses = [free_address(), free_address(), free_address()];
        let hub = fleet(&format!("hub --http-listen {}", addresses[0]));
        let hub = hub.option("--models", path("models")).option("--ready", path("ready")).option("--config", &config);
        let mut daemons = vec![hub.start()];
        for (name, address) in ["w1", "w2"].into_iter().zip(&addresses[1..]) {
            let worker = Daemon::new().option("--config", &config).option("--fleet", format!("nats://{at}"));
            let worker = worker.option("--credentials", path(&format!("fleet/workers/{name}.worker")));
            let worker = worker.option("--fleet-dir", path(name)).option("--http-listen", address.to_string());
            daemons.push(worker.args("--device cpu").start());
        }
        let fleet = Self { dir, _daemons: daemons, _broker: broker, addresses: addresses.to_vec() };
        fleet.publish(1);
        wait::until("games of both workers", || {
            let metrics = get(fleet.addresses[0], "/metrics").ok()?;
            let came = |name: &str| {
                let row = format!("selfplayd_hub_games_total{{worker=\"{name}\"}} ");
                metrics.lines().any(|line| line.strip_prefix(&row).is_some_and(|games| games != "0"))
            };
            (came("w1") && came("w2")).then_some(())
        });
        fleet
    }

    /// The trainer makes a model.
    pub(crate) fn publish(&self, version: u32) {
        let models = self.dir.path().join("models");
        let network = models.join(format!("model_{version}.onnx"));
        fs::copy(model("b5w3_resnet_2x32.onnx"), &network).unwrap();
        fs::write(models.join("new"), format!("filename: {}\nversion: {version}\n", network.display())).unwrap();
        fs::rename(models.join("new"), models.join("latest.yaml")).unwrap();
    }

    /// Where hub and workers serve HTTP, the hub first.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

/// Killed when it is dropped.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
