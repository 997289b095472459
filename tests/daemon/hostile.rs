//! Requests that no well-meaning client sends: the daemon answers them, or does not, and plays on.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
};

use crate::{
    ask::{Reply, connect, get, plays_on, post, request, send},
    daemon::{Running, Signal},
    http::{listening, trainer},
    trainer::Trainer,
    wait,
};

const JSON: &str = "Content-Type: application/json\r\n";

fn started() -> (Trainer, Running, SocketAddr) {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    plays_on(address);
    (trainer, daemon, address)
}

/// It has not been told to stop, answers and plays; and when it is told, it ends well.
fn unharmed(daemon: Running, address: SocketAddr) {
    plays_on(address);
    assert_eq!(get(address, "/v1/status").json()["control_state"]["draining"], false);
    assert_eq!(get(address, "/healthz").status, 200);
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn commands_in_disguise_are_not_obeyed() {
    let (_trainer, daemon, address) = started();
    let post = |more: &str| post(address, "/v1/drain", more);
    post("Host: evil.example\r\n").fails(421, "this daemon is not known as evil.example");
    post("Host: localhost\r\nHost: evil.example\r\n").fails(400, "there are two Host headers");
    post("Origin: http://evil.example\r\n").fails(403, "a page of another origin");
    post("Origin: null\r\n").fails(403, "a page of another origin");
    post("Sec-Fetch-Site: cross-site\r\n").fails(403, "a page of another site");
    let ask =
        |method: &str, path: &str, more: &str, body: &str| send(address, request(method, path, more, body)).unwrap();
    for (path, body) in [("/v1/drain", "{}"), ("/v1/settings", r#"{"log.level": "debug"}"#)] {
        ask("POST", path, "", body).fails(415, "not said to be JSON");
        ask("POST", path, "Content-Type: text/plain\r\n", body).fails(415, "not said to be JSON");
    }
    ask("POST", "/v1/drain", JSON, "{\"now\": true}").fails(400, "now is no argument");
    ask("POST", "/v1/drain", JSON, "[]").fails(400, "not a JSON object");
    ask("POST", "/v1/settings", JSON, &"[".repeat(60_000)).fails(400, "not a JSON object");
    ask("POST", "/v1/settings", JSON, "").fails(400, "there are no settings");

    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "DRAIN"] {
        let reply = ask(method, "/v1/drain", "X-HTTP-Method-Override: POST\r\nOrigin: http://evil.example\r\n", "");
        assert_eq!(reply.status, 405, "{method}: {reply:?}");
        assert!(!reply.head.contains("access-control"), "{reply:?}");
    }
    assert_eq!(ask("POST", "/v1/status", "", "").status, 405);
    for path in ["/V1/DRAIN", "/v1/drain/", "//v1/drain", "/v1/./drain", "/v1%2fdrain", "/v1/drain%00"] {
        assert_eq!(ask("POST", path, "", "").status, 404, "{path}");
    }
    unharmed(daemon, address);
}

#[test]
fn names_of_files_lead_nowhere() {
    let (_trainer, daemon, address) = started();
    for path in [
        "/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/page.css/../../../Cargo.toml",
        "/..%5c..%5cetc%5cpasswd",
        "/v1/recent/..%2f..%2f..%2fetc%2fpasswd",
        "/v1/games/..%2f..%2fstatus",
        "/v1/games/-1",
        "/v1/games/18446744073709551616",
        "/v1/recent/%ff%fe",
    ] {
        let reply = get(address, path);
        assert!([400, 404].contains(&reply.status) && !reply.body.contains("root:"), "{path}: {reply:?}");
    }
    unharmed(daemon, address);
}

#[test]
fn what_is_too_large_is_not_read() {
    let (_trainer, daemon, address) = started();
    let body = "x".repeat((64 << 10) + 1);
    send(address, request("POST", "/v1/settings", JSON, &body)).unwrap().fails(413, "more than 65536 bytes");
    // The daemon does not wait for what was only promised.
    let promised = request("POST", "/v1/settings", &format!("{JSON}Content-Length: 1000000000000\r\n"), "");
    send(address, promised).unwrap().fails(413, "more than 65536 bytes");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let chunks =
        request("POST", "/v1/settings", &format!("{JSON}Transfer-Encoding: chunked\r\n"), "") + &chunk.repeat(5);
    send(address, chunks).unwrap().fails(413, "more than 65536 bytes");

    let refused = |text: &str| {
        // Others are cut off without a word.
        if let Ok(Reply { status, .. }) = send(address, text) {
            assert!([400, 414, 431].contains(&status), "{status}");
        }
    };
    refused(&request("GET", "/healthz", &format!("X-Long: {}\r\n", "x".repeat(1 << 20)), ""));
    refused(&request("GET", "/healthz", &"X-Many: x\r\n".repeat(1000), ""));
    refused(&request("GET", &format!("/{}", "x".repeat(1 << 20)), "", ""));
    refused("\r\n\r\n\r\n");
    refused("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}");
    refused("GET / HTTP/9.9\r\n\r\n");
    refused("GET /healthz HTTP/1.1\r\n\r\n");
    refused("POST /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n");
    refused("POST /v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx");
    unharmed(daemon, address);
}

#[test]
fn a_slow_client_is_cut_off_and_no_other_notices() {
    let (_trainer, daemon, address) = started();
    let mut head = connect(address);
    head.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").unwrap();
    let mut body = connect(address);
    body.write_all(request("POST", "/v1/drain", &format!("{JSON}Content-Length: 2\r\n"), "").as_bytes()).unwrap();
    body.write_all(b"{").unwrap();
    let mut silent = connect(address);
    assert_eq!(get(address, "/healthz").status, 200);

    for (slow, answer) in [(&mut head, ""), (&mut silent, ""), (&mut body, "HTTP/1.1 408")] {
        let mut text = String::new();
        slow.read_to_string(&mut text).expect("the daemon ends it in time");
        assert!(text.starts_with(answer), "{text}");
    }
    unharmed(daemon, address);
}

/// Connections on which nothing is asked, or only half of it.
#[test]
fn connections_that_ask_for_nothing_keep_nobody_out() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).args("--http-metrics-listen 127.0.0.1:0").start();
    let address = daemon.serves("status and control");
    let numbers = daemon.serves("metrics");
    // A page that is open stays so.
    let mut events = connect(address);
    events.write_all(request("GET", "/v1/events", "", "").as_bytes()).unwrap();
    let mut begun = [0; 12];
    events.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let mut idle = Vec::new();
    for place in [address, numbers] {
        for _ in 0..200 {
            let mut half_open = connect(place);
            // Those that came first are cut off meanwhile.
            half_open.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc").ok();
            idle.push(half_open);
        }
        assert_eq!(get(place, "/healthz").status, 200);
    }
    assert_eq!(get(numbers, "/metrics").status, 200);
    let mut lines = BufReader::new(events).lines().map(Result::unwrap);
    // Those that were on their way, and some more.
    let statuses = lines.by_ref().filter(|line| line == "event: status").take(3).count();
    assert_eq!(statuses, 3);
    drop((idle, lines));
    unharmed(daemon, address);
}

/// Requests whose bodies never end are being answered.
#[test]
fn too_many_callers_at_work_are_told_so() {
    let (_trainer, daemon, address) = started();
    let at_work = || {
        let mut body = connect(address);
        // Who is one too many may be cut off before that.
        body.write_all(request("POST", "/v1/drain", &format!("{JSON}Content-Length: 2\r\n"), "").as_bytes()).ok();
        body
    };
    // All at once: each is answered after ten seconds.
    let mut slow: Vec<_> = (0..64).map(|_| at_work()).collect();
    let busy = wait::until("a caller too many", || {
        slow.push(at_work());
        send(address, request("GET", "/healthz", "", "")).ok().filter(|reply| reply.status == 503)
    });
    busy.fails(503, "too many connections");
    drop(slow);
    wait::until("room", || send(address, request("GET", "/healthz", "", "")).ok().filter(|reply| reply.status == 200));
    unharmed(daemon, address);
}

#[test]
fn readers_of_events_leave_room_for_others() {
    let (_trainer, daemon, address) = started();
    let mut readers = Vec::new();
    let refused = wait::until("a reader too many", || {
        let mut reader = connect(address);
        reader.write_all(request("GET", "/v1/events", "", "").as_bytes()).unwrap();
        let mut status = [0; 12];
        reader.read_exact(&mut status).unwrap();
        readers.push(reader);
        (&status != b"HTTP/1.1 200").then_some(status)
    });
    assert_eq!((&refused, readers.len()), (b"HTTP/1.1 503", 17));
    unharmed(daemon, address);
}
