//! What a server must have, how it is told of keys, and servers that cannot be used.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use selfplay_fleet::nats::{
    Bell, Dial, NatsWorker,
    assets::{self, Done, Plan},
    keys::Key,
    server::{ADMIN, HUB, Server, Tls, configuration},
};

use crate::{
    broker::{Broker, PLAN, name, program},
    sides::{HubSide, Side, Trainer, names, settle, until},
};

#[test]
fn a_server_is_prepared_once_and_says_what_is_changed() {
    let Some(broker) = Broker::bare(&["w1"], |_| None) else { return };
    let changes = broker.prepare(PLAN);
    assert!(changes.len() == 6 && changes.iter().all(|change| change.done == Done::Made), "{changes:?}");
    let changes = broker.prepare(PLAN);
    assert!(changes.iter().all(|change| change.done == Done::Nothing), "{changes:?}");
    let changes = broker.prepare(Plan { games: 32 << 20, ..PLAN });
    let told: Vec<_> = changes.iter().filter(|change| change.done != Done::Nothing).map(ToString::to_string).collect();
    assert_eq!(told, ["stream GAMES: changed: max_bytes 67108864 -> 33554432"]);
}

#[test]
fn a_server_that_cannot_be_prepared_is_told_with_what_helps() {
    let Some(broker) = Broker::bare(&["w1"], |_| None) else { return };
    let too_large = assets::prepare(&broker.dial(ADMIN), Plan { games: 1 << 40, ..PLAN }).unwrap_err().to_string();
    assert!(too_large.contains("stream GAMES") && too_large.contains("larger max_file_store"), "{too_large}");
    let replicas = assets::prepare(&broker.dial(ADMIN), Plan { replicas: 3, ..PLAN }).unwrap_err().to_string();
    assert!(replicas.contains("stream GAMES: the server refuses"), "{replicas}");
    let stranger = broker.dial_with(ADMIN, Key::generate().unwrap());
    let refusal = assets::prepare(&stranger, PLAN).unwrap_err().to_string();
    assert!(refusal.contains("authorization violation"), "{refusal}");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = Dial::new(&[format!("nats://{gone}")], None, &name(ADMIN), broker.key(ADMIN)).unwrap();
    let refusal = assets::prepare(&nowhere, PLAN).unwrap_err().to_string();
    assert!(refusal.starts_with(&format!("connect to nats://{gone}")), "{refusal}");
}

#[test]
fn configurations_are_ones_that_the_server_takes() {
    let Some(broker) = Broker::bare(&["w1", "w-2", "_"], |_| None) else { return };
    let tls = certificates(broker.dir()).unwrap();
    let dir = broker.dir().join("odd \"dir\" \\ {#");
    fs::create_dir(&dir).unwrap();
    let odd = |tls: &Tls| {
        let (certificate, key) = (dir.join("s.pem"), dir.join("s.key"));
        fs::copy(&tls.certificate, &certificate).unwrap();
        fs::copy(&tls.key, &key).unwrap();
        Tls { certificate, key }
    };
    for tls in [None, Some(odd(&tls))] {
        let server = Server {
            name: "n1".to_owned(),
            listen: "0.0.0.0:4222".to_owned(),
            monitor: Some("127.0.0.1:8222".to_owned()),
            store: dir.join("store"),
            max_store: 50_000_000_000,
            tls,
            cluster: None,
        };
        let conf = broker.dir().join("other.conf");
        fs::write(&conf, configuration(&server, &broker.members()).unwrap()).unwrap();
        let checked = Command::new(program().unwrap()).arg("-t").arg("-c").arg(&conf).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}

/// An authority, and a certificate for this machine that it has signed.
pub(crate) fn certificates(dir: &Path) -> Option<Tls> {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let tls = Tls { certificate: dir.join("server.pem"), key: dir.join("server.key") };
    fs::write(dir.join("ca.pem"), authority.pem()).unwrap();
    fs::write(&tls.certificate, certificate.pem()).unwrap();
    fs::write(&tls.key, key.serialize_pem()).unwrap();
    Some(tls)
}

#[test]
fn games_come_through_an_encrypted_connection_and_a_strangers_server_is_told() {
    let Some(broker) = Broker::bare(&["w1"], certificates) else { return };
    broker.prepare(PLAN);
    let ready = broker.dir().join("ready");
    let mut side = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    let played = side.play(10, 2, 1_000);
    settle(&mut [&mut side], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&[played]));
    drop(side);
    // Whose authority is not known.
    let dial = Dial::new(&[broker.url()], None, &name("w1"), broker.key("w1")).unwrap();
    let link = NatsWorker::connect(dial, &name("run"), &name("w1"), Bell::silent()).unwrap();
    until("it is told", || link.health().trouble.is_some_and(|(_, what)| what.contains("certificate")));
    assert_eq!(link.health().connects, 0);
}

#[test]
fn a_connection_that_is_to_be_encrypted_is_never_plain() {
    let Some(broker) = Broker::start(&["w1"]) else { return };
    let url = broker.url().replace("nats://", "tls://");
    let dial = Dial::new(&[url], None, &name("w1"), broker.key("w1")).unwrap();
    let link = NatsWorker::connect(dial, &name("run"), &name("w1"), Bell::silent()).unwrap();
    until("it is told", || link.health().trouble.is_some());
    assert!(link.health().connects == 0, "{}", link.health());
}

#[test]
fn an_old_server_is_refused_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // All that a client asks of a server before it is used.
    let serve = |mut stream: TcpStream| {
        let info = r#"{"server_id":"X","server_name":"old","version":"2.9.10","proto":1,"go":"go1","host":"127.0.0.1","port":1,"headers":true,"max_payload":1048576,"jetstream":true,"auth_required":true,"nonce":"abc"}"#;
        write!(stream, "INFO {info}\r\n").ok();
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            if line.starts_with("PING") {
                stream.write_all(b"PONG\r\n").ok();
            }
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    let dial = || Dial::new(&[format!("nats://{address}")], None, &name("w1"), Key::generate().unwrap()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut side = Side::open(place.path(), "w1", dial());
    side.play(1, 1, 100);
    until("it is told", || {
        side.step();
        side.link.health().to_string().contains("version 2.11 at least")
    });
    assert_eq!(side.worker.counts().sent, 0);
    let health = side.link.health();
    assert!(!health.is_up() && health.to_string().contains("old (nats-server 2.9.10)"), "{health}");
    let refusal = assets::prepare(&dial(), PLAN).unwrap_err().to_string();
    assert!(refusal.contains("nats-server 2.9.10") && refusal.contains("install a newer nats-server"), "{refusal}");
}
