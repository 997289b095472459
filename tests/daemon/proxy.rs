//! The daemon behind the proxies that `configs/proxy` shows, as far as they are installed.

use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{
    ask::through_with,
    daemon::Signal,
    http::{listening, token, trainer},
    wait,
};

const TOKEN: &str = "Authorization: Bearer 0123456789abcdef\r\n";

/// A program on `PATH`, or where Debian has those of the administrator; says so where it is not installed.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no {name} on PATH (Debian: apt-get install {name})");
    }
    found
}

/// A file of `configs/proxy` in which each of `changes` is made, once.
fn changed(name: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/proxy").join(name);
    let shipped = fs::read_to_string(path).unwrap();
    changes.iter().fold(shipped, |text, (from, to)| {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        text.replace(from, to)
    })
}

/// A proxy, killed when it is dropped.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Who holds the token reads and controls through the proxy that `start` makes of a directory and the daemon's address; who does
/// not may do neither.
///
/// The log names `named` as who paused.
fn stands_between(named: &str, start: impl Fn(&Path, &str) -> Command) {
    let trainer = trainer();
    let file = token(&trainer, "0123456789abcdef");
    let daemon = listening(&trainer).option("--http-token-file", file).env("SELFPLAYD__HTTP__TOKEN_FOR_READS", "true");
    let mut daemon = daemon.env("SELFPLAYD__HTTP__ALLOWED_HOSTS", "play.example.org").start();
    let address = daemon.serves("status and control");
    let dir = tempfile::TempDir::new().unwrap();
    let mut command = start(dir.path(), &address.to_string());
    let _proxy = Proxy(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let socket = dir.path().join("socket");
    wait::until("the proxy", || UnixStream::connect(&socket).ok());
    let ask = |method: &str, path: &str, more: &str| {
        through_with(&socket, method, path, &format!("Host: play.example.org\r\n{more}"))
    };
    assert_eq!(ask("GET", "/", "").status, 200);
    for path in ["/v1/status", "/metrics", "/v1/events"] {
        ask("GET", path, "").fails(401, "this needs a token");
    }
    let status = ask("GET", "/v1/status", TOKEN);
    assert_eq!(
        (status.status, &status.json()["pid"], &status.json()["control"]),
        (200, &daemon.id().into(), &true.into())
    );
    ask("POST", "/v1/pause", "").fails(401, "this needs a token");
    // As the page in a browser sends it.
    let page = format!("{TOKEN}Origin: https://play.example.org\r\nSec-Fetch-Site: same-origin\r\n");
    wait::until("a daemon that obeys", || (ask("POST", "/v1/pause", &page).status == 202).then_some(()));
    daemon.says("told over HTTP");
    let line = daemon.says_for_the(1, "told over HTTP");
    assert!(line.contains("/v1/pause") && line.contains(named), "for whom: {line}");
    ask("POST", "/v1/resume", &format!("{TOKEN}Origin: https://evil.example\r\n")).fails(403, "another origin");
    assert_eq!(ask("POST", "/v1/resume", &page).status, 202);
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn nginx_as_it_is_shown() {
    let Some(nginx) = program("nginx") else { return };
    stands_between(" for ", |dir, address| {
        let listen = format!("listen unix:{};", dir.join("socket").display());
        let server = changed(
            "nginx.conf",
            &[
                ("server 127.0.0.1:9466;", &format!("server {address};")),
                ("listen 443 ssl;", &listen),
                ("ssl_certificate     ", "# "),
                ("ssl_certificate_key ", "# "),
            ],
        );
        let dirs = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let dirs = dirs.map(|name| format!("{name}_temp_path {}/{name};\n", dir.display())).concat();
        let (pid, conf) = (dir.join("pid"), dir.join("nginx.conf"));
        let main = format!(
            "daemon off; master_process off; pid {};\nevents {{}}\nhttp {{ access_log off; {dirs}{server} }}\n",
            pid.display()
        );
        fs::write(&conf, main).unwrap();
        let mut command = Command::new(&nginx);
        command.arg("-e").arg("stderr").arg("-p").arg(dir).arg("-c").arg(&conf);
        command
    });
}

#[test]
fn caddy_as_it_is_shown() {
    let Some(caddy) = program("caddy") else { return };
    // Caddy names no client that came by a Unix socket.
    stands_between("by=", |dir, address| {
        let bind = format!("http://play.example.org {{\n\tbind unix/{}\n", dir.join("socket").display());
        let site = changed("Caddyfile", &[("play.example.org {", &bind), ("127.0.0.1:9466", address)]);
        let conf = dir.join("Caddyfile");
        fs::write(&conf, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}")).unwrap();
        let mut command = Command::new(&caddy);
        command.arg("run").arg("--adapter").arg("caddyfile").arg("--config").arg(&conf).env("HOME", dir);
        command
    });
}
