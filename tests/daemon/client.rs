//! `selfplayd status` and the like beside a daemon that plays.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{
    ask::{plays_on, status},
    daemon::{Daemon, Ended},
    http::{listening, trainer},
};

/// What the commands exit with when the daemon would not, and when there is none.
const REFUSED: i32 = 1;
const UNREACHABLE: i32 = 69;

#[test]
fn a_daemon_tells_how_it_is_and_ends_when_it_is_told_to() {
    let trainer = trainer();
    let mut daemon = listening(&trainer).start();
    let address = daemon.serves("status and control");
    status(address, "a game", |status| status["games"]["finished"].as_u64() > Some(0));
    let run = |command: &str| Daemon::new().args(command).option("--address", format!("http://{address}")).run();

    let table = run("status").succeeded().out;
    let head = format!("selfplayd {}, process {}, up ", env!("CARGO_PKG_VERSION"), daemon.id());
    assert!(table.starts_with(&head), "{table}");
    for line in [
        "state        playing",
        "healthy      yes",
        "ready        yes",
        "model        version 3, for ",
        " of 2 in play",
    ] {
        assert!(table.contains(line), "{line:?} is missing in:\n{table}");
    }
    let json: Value = serde_json::from_str(&run("status --json").succeeded().out).unwrap();
    assert_eq!((&json["schema"], &json["pid"]), (&2.into(), &daemon.id().into()));

    assert!(run("games").succeeded().out.contains("games of quoridor(board_size=5,max_walls=3,max_steps=50) in play"));
    let json: Value = serde_json::from_str(&run("games --json").succeeded().out).unwrap();
    assert!(json["games"].is_array(), "{json}");

    assert_eq!(run("drain").succeeded().out, "accepted: the daemon ends when the games in play are over\n");
    daemon.wait().succeeded().said(&["POST /v1/drain"]);
    run("status").exited_with(UNREACHABLE).said(&[
        &format!("no daemon answers (Connection refused (os error 111)) at http://{address}"),
        "Name the place with --address or --socket",
    ]);
}

#[test]
fn a_token_or_the_socket_opens_what_is_closed() {
    let trainer = trainer();
    let place = |name: &str| trainer.ready().with_file_name(name);
    let (file, wrong, socket) = (place("token"), place("wrong"), place("socket"));
    for (file, token) in [(&file, "0123456789abcdef"), (&wrong, "fedcba9876543210")] {
        fs::write(file, token).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let daemon = listening(&trainer).option("--http-token-file", &file).option("--http-socket", &socket);
    let mut daemon = daemon.start();
    let address = daemon.serves("status and control");
    plays_on(address);
    let run = |command: &str| Daemon::new().args(command).option("--address", format!("http://{address}"));
    let refused =
        |daemon: Daemon, why: &str| -> Ended { daemon.run().exited_with(REFUSED).said(&["the daemon refused: ", why]) };
    assert_eq!(refused(run("drain"), "this needs a token").out, "");
    refused(run("drain").option("--token-file", &wrong), "the token is wrong");
    let json: Value = serde_json::from_str(&refused(run("drain --json"), "this needs a token").out).unwrap();
    assert_eq!(json["error"], "this needs a token");

    let json = run("status --json").option("--token-file", &file).run().succeeded().out;
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["control"], true);
    Daemon::new().args("status").option("--socket", &socket).run().succeeded();
    Daemon::new().args("drain").option("--socket", &socket).run().succeeded();
    daemon.wait().succeeded();
    let gone = Daemon::new().args("status").option("--socket", &socket).run().exited_with(UNREACHABLE);
    gone.said(&[&format!("no daemon answers (No such file or directory (os error 2)) at {}", socket.display())]);
}

#[test]
fn what_cannot_be_asked_is_said() {
    Daemon::new()
        .args("status --address http://a/b")
        .run()
        .exited_with(78)
        .said(&["--address http://a/b: must be a URL"]);
    Daemon::new().args("status --address http://a --socket b").run().exited_with(2).said(&["cannot be used with"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let other = std::thread::spawn(move || {
        let (mut caller, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut caller, b"220 mail.example ESMTP\r\n").unwrap();
    });
    let ended = Daemon::new().args("status").option("--address", address).run().exited_with(UNREACHABLE);
    ended.said(&["what listens is no daemon of this version"]);
    other.join().unwrap();
}
