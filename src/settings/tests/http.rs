//! What is said about where to listen and who may control.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn listening(at: &str) -> Given {
    given().playable().trainer(TRAINER).flag("--http-listen", "http.listen", at)
}

/// With a token file of this content and mode.
fn with_token(given: Given, content: &str, mode: u32) -> Given {
    let path = given.file("token", content);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let path = path.display().to_string();
    given.flag("--http-token-file", "http.token_file", &path)
}

#[test]
fn control_off_this_machine_needs_a_token() {
    for at in ["0.0.0.0:9466", "127.0.0.1:9466,192.0.2.1:80", "[::]:1"] {
        let message = listening(at).message();
        assert!(message.contains("(flag --http-listen): must be an address of this machine only"), "{message}");
        assert!(message.contains("unless http.token_file says who may control the daemon"), "{message}");
        with_token(listening(at), "0123456789abcdef\n", 0o600).settings();
    }
    for at in ["none", "127.0.0.1:0", "[::1]:9466,localhost:1"] {
        listening(at).settings();
    }
    // Numbers are no secret and steer nothing.
    listening("none").flag("--http-metrics-listen", "http.metrics_listen", "0.0.0.0:9466").settings();
}

#[test]
fn token_files_that_are_none_are_told_with_the_remedy() {
    let said = |content: &str, mode| with_token(listening("none"), content, mode).message();
    for (message, because) in [
        (said("", 0o600), "but it is empty: it must hold a token, such as the output of `openssl rand -hex 32`"),
        (said("secret", 0o600), "but it holds a token that is too short to be secret: it must have at least 16"),
        (
            said("0123456789abcdef", 0o644),
            "but it can be read or changed by everybody on this machine: chmod 600 run/token",
        ),
        (
            listening("none").flag("--http-token-file", "http.token_file", "/nowhere/token").message(),
            "but it cannot be read: No such file or directory",
        ),
    ] {
        assert!(message.contains("must be a file with a token, ") && message.contains(because), "{message}");
    }
}

#[test]
fn places_to_listen_at_are_addresses_and_short_paths() {
    for (key, value, must) in [
        ("http.listen", "9466", r#"an address of IP and port such as "127.0.0.1:9466" or several separated by commas"#),
        ("http.metrics_listen", "everywhere:80", "an address of IP and port"),
        ("http.allowed_hosts", "*", r#"a host name such as "gpu-1.lan" or several separated by commas"#),
        ("http.socket", &"s".repeat(108), "a path of at most 107 bytes"),
    ] {
        let message = listening("none").flag("--it", key, value).message();
        assert!(message.contains(key) && message.contains(&format!("must be {must}")), "{message}");
    }
    let settings = listening("none").flag("--it", "http.allowed_hosts", "A.lan, b").settings().http;
    assert_eq!(
        (settings.listen, settings.allowed_hosts.unwrap().to_vec()),
        (None, vec!["a.lan".to_owned(), "b".to_owned()])
    );
}
