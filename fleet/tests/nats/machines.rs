//! A cluster's files on machines of their own: certificates, keys, and configurations that are not everywhere the same.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    slice,
};

use selfplay_fleet::{
    folder::{self, SYSTEM, Wanted},
    nats::{
        reload::reload,
        server::{HUB, Tls},
    },
};

use crate::{
    broker::{name, program},
    cluster::{Cluster, ON_THREE},
    setup::certificates,
    sides::{HubSide, Side, Trainer, names, settle, until},
};

fn with_certificates(dir: &Path) -> Wanted {
    let Tls { certificate, key } = certificates(dir).unwrap();
    let listen = Some("127.0.0.1:4222".to_owned());
    let authority = Some(dir.join("ca.pem"));
    Wanted { listen, certificate: Some(certificate), key: Some(key), authority, ..Wanted::default() }
}

/// Tells each server to read its configuration again; whether it is the folder's.
fn told(cluster: &Cluster) -> Vec<bool> {
    let tell = |broker: &folder::Broker| {
        let (text, mut said) = (fs::read_to_string(&broker.conf).unwrap(), None);
        until("the server is told", || {
            said = reload(&cluster.folder.dial_to(SYSTEM, slice::from_ref(broker)).unwrap(), &text).ok();
            said.is_some()
        });
        said.unwrap().is_current
    };
    cluster.folder.brokers().iter().map(tell).collect()
}

#[test]
fn servers_of_which_one_alone_knows_a_worker_do_no_harm() {
    let Some(mut cluster) = Cluster::start(&["w1"], with_certificates) else { return };
    assert_eq!(cluster.folder.plan().replicas, 3);
    assert!(cluster.folder.urls().iter().all(|url| url.starts_with("tls://127.0.0.1:")));
    cluster.prepare(ON_THREE);
    let ready = cluster.dir().join("ready");
    let mut hub = HubSide::open(&ready, cluster.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    let mut one = Side::open(cluster.dir(), "w1", cluster.worker("w1"));
    let mut played = vec![one.play(5, 2, 1_000)];
    settle(&mut [&mut one], &mut hub, &mut trainer);
    assert_eq!(told(&cluster), [true, true, true]);

    // A second worker, of whom the second server hears alone.
    let dir = cluster.folder.dir().to_owned();
    (cluster.folder, _) = folder::add(&dir, &[name("w2")]).unwrap();
    assert_eq!(told(&cluster), [false, false, false]);
    cluster.copy(1);
    assert_eq!(told(&cluster), [false, true, false]);
    let mut two = Side::open(cluster.dir(), "w2", cluster.worker("w2"));
    played.extend([one.play(5, 2, 1_000), two.play(5, 2, 1_000)]);
    settle(&mut [&mut one, &mut two], &mut hub, &mut trainer);
    assert!(two.link.health().to_string().contains("run-2 (nats-server"), "{}", two.link.health());
    (0..3).for_each(|server| cluster.copy(server));
    assert_eq!(told(&cluster), [true, true, true]);

    // The first is removed, and shut out when all have heard of it.
    (cluster.folder, _) = folder::remove(&dir, &[name("w1")]).unwrap();
    cluster.copy(0);
    assert_eq!(told(&cluster), [true, false, false]);
    (0..3).for_each(|server| cluster.copy(server));
    assert_eq!(told(&cluster), [true, true, true]);
    until("it is shut out", || !one.link.health().is_up() && one.link.health().refused > 0);
    played.push(two.play(3, 1, 500));
    settle(&mut [&mut two], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&played));
}

#[test]
fn a_server_without_the_clusters_secret_or_certificate_is_none_of_it() {
    let Some(mut cluster) = Cluster::start(&[], with_certificates) else { return };
    cluster.prepare(ON_THREE);
    cluster.kill(2);
    let conf = fs::read_to_string(cluster.machine(2).join("nats.conf")).unwrap();
    let secret = fs::read_to_string(cluster.folder.dir().join("keys/routes.nk")).unwrap();
    assert!(conf.contains(secret.trim()));
    let elsewhere = tempfile::tempdir().unwrap();
    certificates(elsewhere.path()).unwrap();
    let theirs = |file: &str| format!("\"{}\"", elsewhere.path().join(file).display());
    let of_others =
        conf.replace("\"certificate.pem\"", &theirs("server.pem")).replace("\"key.pem\"", &theirs("server.key"));
    for (stranger, word) in [
        (conf.replace(secret.trim(), "another"), "authorization"),
        (of_others.replace("\"authority.pem\"", &theirs("ca.pem")), "tls"),
    ] {
        fs::write(cluster.machine(2).join("stranger.conf"), stranger).unwrap();
        let log = cluster.machine(2).join("stranger.log");
        let file = fs::File::create(&log).unwrap();
        let mut server = Command::new(program().unwrap());
        server.args(["-c", "stranger.conf"]).current_dir(cluster.machine(2)).stdin(Stdio::null());
        let mut server = server.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let before = cluster.log(0).len();
        until("it is refused", || {
            let log = cluster.log(0)[before..].to_ascii_lowercase();
            log.lines().any(|line| line.contains("[err]") && line.contains(word))
        });
        server.kill().unwrap();
        server.wait().unwrap();
    }
    cluster.restart(2);
    cluster.whole();
}
