//! What a daemon says over HTTP, and who may tell it what.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::PathBuf,
};

use serde_json::Value;

use crate::{
    ask::{Reply, connect, get, plays_on, post, request, send, status, through},
    config::Config,
    daemon::{Daemon, Running, Signal},
    trainer::{Scalar, Trainer},
    wait,
};

/// Games of about a second.
const STEADY: Config = Config { board: 5, walls: 3, simulations: 400, games: 2, network: "resnet" };

/// A daemon that listens at a port of its own.
pub(crate) fn listening(trainer: &Trainer) -> Daemon {
    trainer.daemon().args("--evaluator hash --http-listen 127.0.0.1:0")
}

/// A trainer with a model.
pub(crate) fn trainer() -> Trainer {
    let trainer = Trainer::new(STEADY);
    trainer.publish_network(3, Scalar::Plain);
    trainer
}

/// A file with a token that only its owner can read.
pub(crate) fn token(trainer: &Trainer, token: &str) -> PathBuf {
    let file = trainer.ready().with_file_name("token");
    fs::write(&file, token).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

fn end(daemon: Running) {
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

/// The paths of all fields of a status, as its reference writes them.
fn fields(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(_) if ["totals", "threads[].shares"].contains(&path) => drop(into.insert(format!("{path}.*"))),
        Value::Object(inner) => {
            let dot = if path.is_empty() { "" } else { "." };
            inner.iter().for_each(|(name, inner)| fields(inner, &format!("{path}{dot}{name}"), into));
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| fields(item, &format!("{path}[]"), into));
        }
        Value::Array(items) if items.is_empty() => {}
        Value::Array(_) => drop(into.insert(format!("{path}[]"))),
        // Null may stand for a number or for all there is below.
        Value::Null => {}
        _ => drop(into.insert(path.to_owned())),
    }
}

/// Gives a command until the daemon is far enough to obey it.
fn obeys(command: impl Fn() -> Reply) {
    wait::until("a daemon that obeys", || {
        let reply = command();
        assert!(matches!(reply.status, 202 | 503), "{}", reply.head);
        (reply.status == 202).then_some(())
    });
}

#[test]
fn a_daemon_that_plays_answers_everything() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    let status = status(address, "a game", |status| {
        status["games"]["finished"].as_u64() > Some(0) && status["rates"]["evaluations_per_s"].as_f64() > Some(0.0)
    });
    assert_eq!((&status["schema"], &status["pid"]), (&2.into(), &daemon.id().into()));
    assert!(status["seed"].as_str().unwrap().parse::<u64>().is_ok(), "{status}");
    assert_eq!((&status["state"], &status["mode"]), (&"playing".into(), &"continuous".into()));
    assert_eq!(
        (&status["health"]["ok"], &status["ready"]["ok"], &status["control"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert_eq!((&status["model"]["version"], &status["model"]["swaps"][0]["outcome"]), (&3.into(), &"served".into()));
    assert_eq!((&status["games"]["target"], &status["device"]["requested"]), (&2.into(), &"auto".into()));
    assert!(status["children"].as_array().unwrap().iter().any(|child| child["name"] == "writer"), "{status}");
    let reference = include_str!("../../docs/status.md");
    let mut told = BTreeSet::new();
    fields(&status, "", &mut told);
    let untold: Vec<_> = told.iter().filter(|field| !reference.contains(&format!("| `{field}` |"))).collect();
    assert!(told.len() > 60 && untold.is_empty(), "{untold:?} are not in docs/status.md");

    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            (get(address, path).status, get(address, path).body),
            (200, r#"{"ok":true,"reasons":[]}"#.to_owned())
        );
    }
    let metrics = get(address, "/metrics");
    assert!(metrics.status == 200 && metrics.head.contains("content-type: text/plain; version=0.0.4"), "{metrics:?}");
    let games = get(address, "/v1/games").json();
    assert_eq!(games["rules"], "quoridor(board_size=5,max_walls=3,max_steps=50)");
    assert_eq!(games["board"]["cells"].as_array().map(Vec::len), Some(25));
    assert!(get(address, "/v1/recent").json()["games"].is_array());
    let page = get(address, "/v1/games?offset=1&limit=1").json();
    assert_eq!(page["offset"], 1);
    assert!(page["games"].as_array().unwrap().len() <= 1 && page["total"].as_u64() <= Some(2), "{page}");
    for wrong in ["limit=many", "limit=-1", "offset=0&page=3"] {
        get(address, &format!("/v1/games?{wrong}")).fails(400, "query");
    }

    for (path, media_type) in [("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")] {
        let file = get(address, path);
        assert!(file.status == 200 && file.head.contains(&format!("content-type: {media_type}")), "{file:?}");
        assert!(file.head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{file:?}");
        assert!(file.head.contains("x-content-type-options: nosniff") && file.head.contains("no-store"), "{file:?}");
    }
    get(address, "/v1/games/7000").fails(404, "no game is in play at slot 7000");
    get(address, "/v1/games/first").fails(404, "no game is in play at slot first");
    get(address, "/v1/recent/nothing").fails(404, "no game nothing ended lately");
    get(address, "/v2/status").fails(404, "there is nothing at /v2/status");
    get(address, "/v1/drain").fails(405, "/v1/drain does not take GET");
    end(daemon);
}

#[test]
fn events_begin_with_the_status_and_end_with_the_daemon() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    let mut stream = connect(address);
    stream.write_all(request("GET", "/v1/events", "", "").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.eq_ignore_ascii_case("content-type: text/event-stream")));
    let mut next = |event: &str| {
        lines.find(|line| *line == format!("event: {event}")).unwrap();
        let data = lines.next().unwrap();
        serde_json::from_str::<Value>(data.strip_prefix("data: ").unwrap()).unwrap()
    };
    let first = next("status");
    assert_eq!((&first["schema"], &first["control"]), (&2.into(), &true.into()));
    let second = next("status");
    assert!(second["uptime_seconds"].as_f64() > first["uptime_seconds"].as_f64());
    trainer.publish_network(4, Scalar::Plain);
    let swap = std::iter::repeat_with(|| next("swap")).find(|swap| swap["version"] == 4).unwrap();
    assert_eq!(swap["outcome"], "served");
    daemon.signal(Signal::TERM);
    assert!(lines.any(|line| line == "0"), "the last chunk");
    daemon.wait().succeeded();
}

#[test]
fn without_a_model_it_is_healthy_and_not_ready() {
    let trainer = Trainer::new(STEADY);
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    status(address, "the wait for a model", |status| status["state"] == "waiting_for_model");
    let ready = get(address, "/readyz");
    assert_eq!((ready.status, &ready.json()["reasons"][0]), (503, &"there is no model yet".into()));
    assert_eq!(get(address, "/healthz").status, 200);
    assert_eq!(get(address, "/v1/status").json()["model"]["version"], Value::Null);
    trainer.publish_network(1, Scalar::Plain);
    status(address, "a model", |status| status["ready"]["ok"] == true && status["model"]["version"] == 1);
    end(daemon);
}

#[test]
fn a_disk_that_is_too_full_is_named_with_what_it_lacks() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).env("SELFPLAYD__OUTPUT__MIN_FREE", "1000000GB").start();
    let address = daemon.serves("status and control");
    let status = status(address, "the lack of room", |status| status["state"] == "writer_blocked");
    let reason = status["ready"]["reasons"][0].as_str().unwrap();
    let dir = trainer.ready().display().to_string();
    assert!(reason.starts_with(&format!("{dir} has ")) && reason.contains(" free and needs 909.5 TiB"), "{reason}");
    end(daemon);
}

#[test]
fn it_can_be_told_to_end_again_and_again() {
    let trainer = Trainer::new(Config::SLOW);
    trainer.publish_network(0, Scalar::Plain);
    let mut daemon = listening(&trainer).args("--grace-seconds 600").start();
    let address = daemon.serves("status and control");
    status(address, "games in play", |status| status["games"]["active"] == 2);
    for _ in 0..2 {
        let drain = post(address, "/v1/drain", "");
        assert_eq!((drain.status, &drain.json()["accepted"]), (202, &true.into()), "{drain:?}");
        assert_eq!(drain.json()["state"]["draining"], true);
    }
    let status = status(address, "the end", |status| status["state"] == "draining");
    assert_eq!(status["ready"]["reasons"][0], "it is draining: no new games start");
    assert_eq!((get(address, "/readyz").status, get(address, "/healthz").status), (503, 200));
    daemon.says("POST /v1/drain");
    drop(daemon);

    let trainer = self::trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    plays_on(address);
    assert_eq!(
        send(address, request("POST", "/v1/drain", "Content-Type: application/json\r\n", "{}")).unwrap().status,
        202
    );
    daemon.wait().succeeded().said(&["POST /v1/drain"]);
}

#[test]
fn when_the_usual_port_is_taken_the_next_one_is_used() {
    let trainer = trainer();
    let mut daemons: Vec<_> = (0..2).map(|_| trainer.daemon().args("--evaluator hash").start()).collect();
    let ports: BTreeSet<_> = daemons
        .iter_mut()
        .map(|daemon| {
            let address = daemon.serves("status and control");
            assert_eq!(get(address, "/v1/status").json()["pid"], daemon.id());
            address.port()
        })
        .collect();
    assert!(ports.len() == 2 && ports.iter().all(|port| (9466..9566).contains(port)), "{ports:?}");
    daemons.into_iter().for_each(end);
}

#[test]
fn an_address_that_was_asked_for_is_had_or_refused() {
    let trainer = trainer();
    let mut first = listening(&trainer).start();
    let taken = first.serves("status and control").to_string();
    let second = trainer.daemon().args("--evaluator hash").option("--http-listen", &taken).run();
    second.exited_with(78).said(&["failed to listen at http.listen", &taken, "Address already in use"]);
    // The port that is the default as well does not move once it was asked for. Another may have it already.
    let usual = std::net::TcpListener::bind("127.0.0.1:9466");
    let second = trainer.daemon().args("--evaluator hash --http-listen 127.0.0.1:9466").run();
    second.exited_with(78).said(&["failed to listen at http.listen 127.0.0.1:9466"]);
    drop(usual);
    let open = trainer.daemon().args("--evaluator hash --http-listen 0.0.0.0:0").run();
    open.exited_with(78).said(&["http.listen", "unless http.token_file says who may control the daemon"]);
    end(first);

    let mut silent = trainer.daemon().args("--evaluator hash --http-listen none").start();
    silent.says("selfplayd starts");
    silent.signal(Signal::TERM);
    assert!(!silent.wait().succeeded().log.contains("url=http"), "nothing listens");
}

#[test]
fn with_a_token_only_its_holders_control() {
    let trainer = trainer();
    let file = token(&trainer, "0123456789abcdef\n");
    let daemon = trainer.daemon().args("--evaluator hash --http-listen 0.0.0.0:0 --http-metrics-listen 127.0.0.1:0");
    let mut daemon = daemon.option("--http-token-file", file).start();
    let address = ([127, 0, 0, 1], daemon.serves("status and control").port()).into();
    let numbers = daemon.serves("metrics");
    plays_on(address);
    assert_eq!(get(address, "/v1/status").json()["control"], false);
    post(address, "/v1/drain", "").fails(401, "this needs a token");
    assert!(post(address, "/v1/drain", "").head.contains("www-authenticate: bearer"));
    let wrong =
        ["Bearer 0123456789abcdee", "Bearer 0123456789abcdef0", "Bearer 0123456789abcde", "Basic 0123456789abcdef"];
    for shown in wrong {
        let reply = post(address, "/v1/drain", &format!("Authorization: {shown}\r\n"));
        assert_eq!(reply.status, 401, "{shown}: {reply:?}");
    }
    let metrics = get(address, "/metrics").body;
    for (reason, count) in [("wrong_token", 3), ("no_token", 3), ("not_local", 0)] {
        let line = format!("selfplayd_http_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    // Numbers are for everybody, whatever they call the daemon, and they are all there is.
    assert_eq!((get(numbers, "/metrics").status, get(numbers, "/healthz").status), (200, 200));
    let by_name = send(numbers, request("GET", "/metrics", "Host: gpu-1.example.org:9466\r\n", "")).unwrap();
    assert_eq!(by_name.status, 200, "{by_name:?}");
    for path in ["/v1/status", "/", "/v1/events", "/v1/games"] {
        get(numbers, path).fails(404, "there is nothing at");
    }
    assert_eq!(post(numbers, "/v1/drain", "Authorization: Bearer 0123456789abcdef\r\n").status, 404);

    let right = "Authorization: Bearer 0123456789abcdef\r\n";
    assert_eq!(send(address, request("GET", "/v1/status", right, "")).unwrap().json()["control"], true);
    obeys(|| post(address, "/v1/drain", right));
    let ended = daemon.wait().succeeded();
    assert!(!ended.log.contains("0123456789abcdef"), "the token is in the log:\n{}", ended.log);
}

#[test]
fn the_unix_socket_is_this_users_alone_and_leaves_no_trace() {
    let trainer = trainer();
    let socket = trainer.ready().with_file_name("socket");
    let file = token(&trainer, "0123456789abcdef");
    let daemon = || {
        let daemon = trainer.daemon().args("--evaluator hash --http-listen none").option("--http-token-file", &file);
        daemon.option("--http-socket", &socket)
    };
    let mut first = daemon().start();
    first.says("status and control socket=");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let status = through(&socket, "GET", "/v1/status").json();
    assert_eq!((&status["pid"], &status["control"]), (&first.id().into(), &true.into()));
    daemon().run().exited_with(78).said(&["failed to listen at http.socket", "another process listens there"]);
    first.signal(Signal::KILL);
    first.wait();
    assert!(socket.exists(), "who is killed cleans up nothing");

    let mut second = daemon().start();
    second.says("status and control socket=");
    assert_eq!(through(&socket, "GET", "/v1/status").json()["pid"], second.id());
    obeys(|| through(&socket, "POST", "/v1/drain"));
    second.wait().succeeded();
    assert!(!socket.exists());
    assert_eq!(
        fs::read_dir(socket.parent().unwrap())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("socket"))
            .count(),
        0
    );
}

#[test]
fn reading_can_be_for_holders_of_the_token_too() {
    let trainer = trainer();
    let file = token(&trainer, "0123456789abcdef");
    let daemon = listening(&trainer).args("--http-metrics-listen 127.0.0.1:0").option("--http-token-file", file);
    let mut daemon = daemon.env("SELFPLAYD__HTTP__TOKEN_FOR_READS", "true").start();
    let (address, numbers) = (daemon.serves("status and control"), daemon.serves("metrics"));
    let right = "Authorization: Bearer 0123456789abcdef\r\n";
    for path in ["/v1/status", "/v1/games", "/v1/events", "/metrics", "/healthz", "/nothing"] {
        get(address, path).fails(401, "this needs a token");
        let head = send(address, request("HEAD", path, "", "")).unwrap();
        assert_eq!(head.status, 401, "{path}: {head:?}");
        let wrong = send(address, request("GET", path, "Authorization: Bearer 0123456789abcdee\r\n", "")).unwrap();
        wrong.fails(401, "the token is wrong");
    }
    // The page tells nothing before it is given the token.
    assert_eq!((get(address, "/").status, get(address, "/page.js").status), (200, 200));
    assert_eq!(get(numbers, "/metrics").status, 200);
    let status = send(address, request("GET", "/v1/status", right, "")).unwrap();
    assert_eq!((status.status, &status.json()["control"]), (200, &true.into()));
    end(daemon);

    let without = listening(&trainer).env("SELFPLAYD__HTTP__TOKEN_FOR_READS", "true").run();
    without.exited_with(78).said(&["http.token_for_reads = true", "unless http.token_file says which token"]);
}

#[test]
fn who_comes_through_a_proxy_may_look_and_the_log_says_who_steered() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    plays_on(address);
    for sign in ["Forwarded: for=192.0.2.7", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "Via: 1.1 p"] {
        let status = send(address, request("GET", "/v1/status", &format!("{sign}\r\n"), "")).unwrap();
        assert_eq!((status.status, &status.json()["control"]), (200, &false.into()), "{sign}");
        post(address, "/v1/pause", &format!("{sign}\r\n")).fails(403, "came through a proxy");
    }
    // As health checks of old ask.
    assert_eq!(send(address, "GET /healthz HTTP/1.0\r\n\r\n").unwrap().status, 200);

    post(address, "/v1/pause", "User-Agent: night shift/1.0\r\n");
    let line = daemon.says_for_the(1, "told over HTTP");
    assert!(line.contains("/v1/pause") && line.contains("127.0.0.1:") && line.contains("night shift/1.0"), "{line}");
    let body = r#"{"search.temperature": 0.5}"#;
    send(address, request("POST", "/v1/settings", "Content-Type: application/json\r\n", body)).unwrap();
    let line = daemon.says_for_the(2, "told over HTTP");
    assert!(line.contains("/v1/settings") && line.contains("changed=1"), "{line}");
    end(daemon);

    let socket = trainer.ready().with_file_name("socket");
    let mut daemon =
        trainer.daemon().args("--evaluator hash --http-listen none").option("--http-socket", &socket).start();
    daemon.says("status and control socket=");
    obeys(|| through(&socket, "POST", "/v1/drain"));
    let user = fs::metadata(&socket).unwrap().uid();
    daemon.wait().succeeded().said(&[&format!("POST /v1/drain by user {user} at the Unix socket")]);
}
