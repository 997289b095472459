//! A real Prometheus, with the configuration and the rules of this repository, but faster.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    files::{self, list},
    wait,
};

/// The job of `prometheus.yml`.
pub(crate) const JOB: &str = "selfplayd";

/// An address on loopback that is free at this moment.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap()
}

/// The body of the answer to `GET target`, if it is 200.
pub(crate) fn get(address: SocketAddr, target: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // With 1.0, the end of the connection is the end of the body.
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::InvalidData)?;
    let ok = head.split(' ').nth(1) == Some("200");
    if ok { Ok(body.to_owned()) } else { Err(io::Error::other(answer)) }
}

/// A Prometheus that was started. Dropped, it is killed.
pub(crate) struct Prometheus {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Prometheus {
    /// Starts `program`, which scrapes `daemons` every second.
    pub(crate) fn start(mut program: Command, daemons: &[SocketAddr]) -> Self {
        let dir = TempDir::new().unwrap();
        let config = files::read("dashboards/prometheus.yml");
        let faster = config.replace("_interval: 15s", "_interval: 1s");
        assert_eq!(faster.matches("_interval: 1s").count(), 2, "{config}");
        fs::write(dir.path().join("prometheus.yml"), faster).unwrap();
        fs::create_dir(dir.path().join("targets")).unwrap();
        let targets: Vec<_> = daemons.iter().map(ToString::to_string).collect();
        let targets = json!([{ "targets": targets }]).to_string();
        fs::write(dir.path().join("targets/tested.yml"), targets).unwrap();
        fs::create_dir(dir.path().join("rules")).unwrap();
        let rules = files::read(files::RULES).replace("interval: 1m", "interval: 1s");
        fs::write(dir.path().join("rules/tested.rules.yml"), rules).unwrap();

        let address = free_address();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = program
            .current_dir(dir.path())
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let prometheus = Self { child, address, dir };
        wait::until("Prometheus", || get(address, "/-/ready").ok());
        prometheus
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Rules that could not be evaluated, with the reason.
    pub(crate) fn failing_rules(&self) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&get(self.address, "/api/v1/rules").unwrap()).unwrap();
        let rules = list(&answer["data"], "groups").iter().flat_map(|group| list(group, "rules"));
        rules.filter(|rule| rule["health"] != "ok").cloned().collect()
    }

    /// The values that `expr` has now, one per time series.
    ///
    /// # Panics
    /// When Prometheus does not accept it.
    pub(crate) fn ask(&self, expr: &str) -> Vec<f64> {
        let encoded: String = expr.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = get(self.address, &format!("/api/v1/query?query={encoded}"));
        let answer: Value = serde_json::from_str(&answer.unwrap_or_else(|error| panic!("{expr}: {error}"))).unwrap();
        let series = answer["data"]["result"].as_array().unwrap();
        // A vector; a scalar is a pair of time and value.
        let values = series.iter().filter_map(|series| series["value"][1].as_str());
        values.map(|value| value.parse().unwrap_or(f64::NAN)).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
