//! The trainer's machine of a fleet, on this one: a folder with keys, a real server, and a hub.
//!
//! Everything listens on loopback alone. Keys are real, and so are certificates, by the lines of the guide.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::{
    command::{self, Running},
    nats, workspace,
};

/// How long anything may take, but games.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// What tells how certificates are made, and for which name of this machine they serve here.
pub(crate) const GUIDE: &str = "docs/fleet.md";
const HOST: &str = "localhost";
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the module.
pub(crate) struct Site {
    daemon: PathBuf,
    folder: PathBuf,
    url: String,
    monitor: String,
    server: Running,
}

impl Site {
    /// Makes a fleet in a folder that is there, starts its server, and adds workers. `certificates`: the folder of those with which
    /// connections are encrypted. `run`: how commands are run.
    pub(crate) fn start<S: AsRef<OsStr>>(
        daemon: &Path,
        folder: &Path,
        workers: &[S],
        certificates: Option<&Path>,
        run: fn(&mut Command) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let program = nats::server(false)?;
        let (broker, monitor) = (free_address()?, free_address()?);
        let fleet = |what| fleet(daemon, folder, what);
        let mut init = fleet("init");
        init.args(["--run", "r1", "--listen", &broker, "--monitor", &monitor]);
        let mut url = format!("nats://{broker}");
        if let Some(dir) = certificates {
            for (flag, file) in [("certificate", "server.pem"), ("key", "server.key"), ("authority", "authority.pem")] {
                init.arg(format!("--{flag}")).arg(dir.join(file));
            }
            init.args(["--host", HOST]);
            let port = broker.rsplit_once(':').map_or("", |(_, port)| port);
            url = format!("tls://{HOST}:{port}");
        }
        run(&mut init)?;
        let mut serve = command::command(program);
        let server = start(folder, "nats-server", serve.arg("-c").arg(folder.join("fleet/nats.conf")))?;
        wait_for("nats-server", folder, PATIENCE, || Ok(TcpStream::connect(&broker).ok().map(drop)))?;
        run(&mut fleet("init"))?;
        run(fleet("add-worker").args(workers))?;
        Ok(Self { daemon: daemon.to_owned(), folder: folder.to_owned(), url, monitor, server })
    }

    /// Where workers connect to.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The server.
    pub(crate) fn server(&self) -> &Running {
        &self.server
    }

    /// Folder of the workers' files.
    pub(crate) fn credentials(&self) -> PathBuf {
        self.folder.join("fleet/workers")
    }

    /// The file of a worker.
    pub(crate) fn worker_file(&self, name: &str) -> PathBuf {
        self.credentials().join(format!("{name}.worker"))
    }

    /// A command of `selfplayd fleet` on this fleet.
    pub(crate) fn fleet(&self, what: &str) -> Command {
        fleet(&self.daemon, &self.folder, what)
    }

    /// Starts what runs beside us, with a log of its own.
    pub(crate) fn start_beside(&self, name: &str, program: &mut Command) -> anyhow::Result<Running> {
        start(&self.folder, name, program)
    }

    /// Starts the hub with these arguments, and the address of its page.
    pub(crate) fn hub<S: AsRef<OsStr>>(&self, args: &[S]) -> anyhow::Result<(Running, String)> {
        let page = free_address()?;
        let hub = self.start_beside("hub", self.fleet("hub").args(args).args(["--http-listen", &page]))?;
        Ok((hub, format!("http://{page}")))
    }

    /// What a hub tells; nothing while it does not answer.
    pub(crate) fn status(&self, page: &str) -> Option<Value> {
        let status = ["fleet", "status", "--json", "--address", page];
        let answer = command::stdout(command::command(&self.daemon).args(status));
        answer.ok().and_then(|answer| serde_json::from_str::<Value>(&answer).ok())
    }

    /// Bytes that the server got from workers so far, as far as they are connected.
    pub(crate) fn bytes_from_workers(&self) -> anyhow::Result<u64> {
        let told: Value = serde_json::from_str(&get(&self.monitor, "/connz?limit=1024")?)?;
        let connections = told["connections"].as_array().context("the server tells of no connections")?;
        let of_worker = |of: &&Value| of["name"].as_str().is_some_and(|name| name.starts_with("selfplayd w"));
        Ok(connections.iter().filter(of_worker).filter_map(|of| of["in_bytes"].as_u64()).sum())
    }
}

/// Makes an authority and a certificate for this machine, by the lines of the guide, in a folder of their own within `folder`; nothing
/// where openssl is not installed.
pub(crate) fn certificates(folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !command::succeeds(command::command("openssl").arg("version")) {
        return Ok(None);
    }
    let dir = folder.join("certificates");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    command::stdout(command::command("sh").args(["-ec", &certificate_lines()?]).current_dir(&dir))?;
    Ok(Some(dir))
}

fn certificate_lines() -> anyhow::Result<String> {
    let guide = fs::read_to_string(workspace::root().join(GUIDE)).with_context(|| format!("cannot read {GUIDE}"))?;
    let block = guide.split("```\n").find(|block| block.starts_with("openssl "));
    block.map(str::to_owned).with_context(|| format!("{GUIDE} does not tell how certificates are made"))
}

fn fleet(daemon: &Path, folder: &Path, what: &str) -> Command {
    let mut fleet = command::command(daemon);
    fleet.args(["fleet", what, "--dir"]).arg(folder.join("fleet"));
    fleet
}

/// Starts what runs beside us; its log lies in `folder`.
fn start(folder: &Path, name: &str, program: &mut Command) -> anyhow::Result<Running> {
    let path = folder.join(format!("{name}.log"));
    let log = File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    program.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Running::start(program).with_context(|| format!("cannot start {name}"))
}

/// Asks again and again. `folder`: where logs tell why nothing comes.
pub(crate) fn wait_for<T>(
    what: &str,
    folder: &Path,
    patience: Duration,
    mut answer: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(answer) = answer()? {
            return Ok(answer);
        }
        if begun.elapsed() > patience {
            bail!("nothing came of {what} within {patience:?}: see the logs in {}", folder.display());
        }
        pause(LOOK_EVERY);
    }
}

/// Waits.
pub(crate) fn pause(length: Duration) {
    // Nothing is ever sent: a receiver is a timer that lints allow.
    let (_sender, never) = mpsc::channel::<()>();
    never.recv_timeout(length).ok();
}

/// An address on loopback that is free at this moment.
pub(crate) fn free_address() -> anyhow::Result<String> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).and_then(|free| free.local_addr()).context("no port is free")?.to_string())
}

/// What is served over HTTP at an address of this machine.
pub(crate) fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // The oldest version: the answer ends with the connection, and is in one piece.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(|| format!("{address} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer of HTTP")?;
    if !head.starts_with("HTTP/1.") || head.split(' ').nth(1) != Some("200") {
        bail!("{address}{path}: {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::TcpListener,
    };

    use super::{certificate_lines, free_address, get};

    #[test]
    fn the_guide_tells_how_certificates_are_made() {
        assert_eq!(certificate_lines().unwrap().matches("openssl ").count(), 3);
    }

    #[test]
    fn addresses_are_on_this_machine_alone() {
        let address: std::net::SocketAddr = free_address().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback() && address.port() > 0);
    }

    #[test]
    fn what_is_served_is_got_and_refusals_are_told() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let answers = ["HTTP/1.1 200 OK\r\nX: y\r\n\r\none\r\n\r\ntwo", "HTTP/1.1 404 Not Found\r\n\r\n"];
        let serving = std::thread::spawn(move || {
            answers.map(|answer| {
                let mut stream = server.accept().unwrap().0;
                // All that was asked: a connection that is closed with something unread is reset.
                let asked = BufReader::new(&stream).lines().map_while(Result::ok);
                assert!(asked.take_while(|line| !line.is_empty()).count() > 1);
                stream.write_all(answer.as_bytes()).unwrap();
            })
        });
        assert_eq!(get(&address, "/a").unwrap(), "one\r\n\r\ntwo");
        assert!(get(&address, "/b").unwrap_err().to_string().contains("404 Not Found"));
        serving.join().unwrap();
    }
}
