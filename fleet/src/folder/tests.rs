use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use super::*;

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn names(all: &[&str]) -> Vec<Name> {
    all.iter().map(|&one| name(one)).collect()
}

fn wanted() -> Wanted {
    Wanted {
        run: Some(name("r1")),
        max_games_bytes: Some(1 << 30),
        max_models_bytes: Some(1 << 29),
        ..Wanted::default()
    }
}

fn made(dir: &Path) -> Folder {
    init(dir, &wanted()).unwrap().0
}

/// The configuration of its only server.
fn conf(folder: &Folder) -> PathBuf {
    folder.brokers()[0].conf.clone()
}

fn told(changes: &[Change]) -> Vec<String> {
    changes.iter().filter(|change| change.done != Done::Nothing).map(ToString::to_string).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

/// Every file of a folder, with what it holds.
fn files_of(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_of(&path));
        } else {
            found.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// An authority, and a certificate for these hosts that it has signed.
fn certificates(dir: &Path, hosts: &[&str]) -> Wanted {
    certificates_for(dir, hosts, &[])
}

/// The same, to be used for this alone if anything is said.
fn certificates_for(dir: &Path, hosts: &[&str], uses: &[ExtendedKeyUsagePurpose]) -> Wanted {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let hosts: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.extended_key_usages = uses.to_vec();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let write = |file: &str, text: &str| {
        fs::write(dir.join(file), text).unwrap();
        Some(dir.join(file))
    };
    Wanted {
        certificate: write("server.pem", &certificate.pem()),
        key: write("server.key", &key.serialize_pem()),
        authority: write("ca.pem", &authority.pem()),
        ..wanted()
    }
}

#[test]
fn thousands_of_workers_are_no_more_than_can_be_read() {
    let place = tempfile::tempdir().unwrap();
    made(place.path());
    let path = place.path().join(CONFIG);
    let mut text = fs::read_to_string(&path).unwrap();
    for number in 0..5_000 {
        text += &format!("w{number} = \"{}\"\n", Key::generate().unwrap().public());
    }
    fs::write(&path, text).unwrap();
    let changed = told(&init(place.path(), &wanted()).unwrap().1);
    assert!(changed.contains(&"nats.conf: changed".to_owned()), "{changed:?}");
    assert!(fs::metadata(place.path().join("nats.conf")).unwrap().len() > 2_000_000);
    let (folder, changes) = init(place.path(), &wanted()).unwrap();
    assert_eq!((told(&changes), folder.workers().count()), (Vec::new(), 5_000));
}

#[test]
fn a_fleet_is_made_once_and_is_then_as_it_must_be() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("a/fleet");
    let (folder, changes) = init(&dir, &wanted()).unwrap();
    let assets: Vec<_> = changes.iter().map(ToString::to_string).collect();
    let made = |asset: &str| format!("{asset}: made");
    let keys = ["admin", "publisher", "collector", "system"].map(|key| made(&format!("keys/{key}.nk")));
    assert_eq!(assets, [keys.to_vec(), vec![made("fleet.toml"), made("nats.conf")]].concat());
    assert_eq!(folder.urls(), ["nats://127.0.0.1:4222"]);
    assert_eq!((folder.plan().games, folder.plan().models), (1 << 30, 1 << 29));
    for (path, text) in files_of(&dir) {
        let secret = path.parent() == Some(&dir.join("keys"));
        assert_eq!(mode(&path), if secret { 0o600 } else { 0o644 }, "{}", path.display());
        assert_eq!(text.lines().any(|line| line.starts_with("SU")), secret, "{text}");
    }
    assert_eq!((mode(&dir.join("keys")), mode(&dir.join("workers"))), (0o700, 0o700));
    let before = files_of(&dir);
    // With the same words, and with none: what is not said stays.
    for again in [wanted(), Wanted::default()] {
        let (same, changes) = init(&dir, &again).unwrap();
        assert!(same == folder && changes.iter().all(|change| change.done == Done::Nothing), "{changes:?}");
    }
    assert_eq!(files_of(&dir), before);
    assert_eq!(Folder::read(&dir).unwrap(), folder);
}

#[test]
fn what_is_wanted_otherwise_is_changed_and_told() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    made(dir);
    let (folder, changes) = init(
        dir,
        &Wanted {
            listen: Some("127.0.0.1:4333".to_owned()),
            monitor: Some("127.0.0.1:8222".to_owned()),
            store: Some("/var/lib/nats".into()),
            max_games_bytes: Some(7),
            ..Wanted::default()
        },
    )
    .unwrap();
    assert_eq!(
        told(&changes),
        [
            "fleet.toml: changed: server.listen \"127.0.0.1:4222\" -> \"127.0.0.1:4333\", server.monitor none -> \"127.0.0.1:8222\", \
             server.store \"store\" -> \"/var/lib/nats\", sizes.max_games_bytes 1073741824 -> 7",
            "nats.conf: changed"
        ]
    );
    assert_eq!(folder.urls(), ["nats://127.0.0.1:4333"]);
    let nats = fs::read_to_string(conf(&folder)).unwrap();
    assert!(nats.contains("127.0.0.1:4333") && nats.contains("\"/var/lib/nats\"") && nats.contains("8222"), "{nats}");
    // A name that was said stays.
    let named = Wanted { host: Some("localhost".to_owned()), ..Wanted::default() };
    assert_eq!(init(dir, &named).unwrap().0.urls(), ["nats://localhost:4333"]);
    let moved = Wanted { listen: Some("127.0.0.1:4334".to_owned()), ..Wanted::default() };
    assert_eq!(init(dir, &moved).unwrap().0.urls(), ["nats://localhost:4334"]);
    let back =
        Wanted { host: Some("127.0.0.1".to_owned()), listen: Some("127.0.0.1:4333".to_owned()), ..Wanted::default() };
    assert_eq!(init(dir, &back).unwrap().0, folder);
    // What somebody changed in the truth counts.
    let config = dir.join(CONFIG);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("127.0.0.1:4333", "127.0.0.1:4444")).unwrap();
    let (folder, changes) = init(dir, &Wanted::default()).unwrap();
    assert_eq!(
        (told(&changes), folder.urls()[0].as_str()),
        (vec!["nats.conf: changed".to_owned()], "nats://127.0.0.1:4444")
    );
}

#[test]
fn what_cannot_be_is_told_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let none = place.path().join("none");
    let refused = |dir: &Path, wanted: Wanted, words: &str| {
        let refusal = init(dir, &wanted).unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
    };
    refused(&none, Wanted::default(), "name it with --run");
    for listen in ["4222", "host", "host:0", "host:70000", ":4222", "h ost:1", "\n:1", "::1:4222"] {
        refused(&none, Wanted { listen: Some(listen.to_owned()), ..wanted() }, "an address and a port");
    }
    refused(&none, Wanted { listen: Some("0.0.0.0:4222".to_owned()), ..wanted() }, "without a certificate");
    refused(&none, Wanted { host: Some("trainer".to_owned()), ..wanted() }, "without a certificate");
    refused(&none, Wanted { certificate: Some("x.pem".into()), ..wanted() }, "belong together");
    refused(&none, Wanted { host: Some("tls://x".to_owned()), ..wanted() }, "a host's name or address alone");
    assert!(!none.exists());
    assert!(Folder::read(&none).unwrap_err().to_string().contains("fleet init --run NAME"));
    assert!(matches!(add(&none, &names(&["w1"])), Err(FolderError::None(_))));
    let dir = place.path().join("fleet");
    made(&dir);
    let before = files_of(&dir);
    refused(&dir, Wanted { run: Some(name("r2")), ..wanted() }, "that is the fleet of run r1");
    refused(&dir, Wanted { store: Some("/a\nb".into()), ..wanted() }, "cannot stand in a configuration");
    let lock = Locked::lock(&dir).unwrap();
    refused(&dir, Wanted { max_games_bytes: Some(1), ..wanted() }, "another process changes it just now");
    assert!(matches!(add(&dir, &names(&["w1"])), Err(FolderError::Busy(_))));
    drop(lock);
    assert_eq!(files_of(&dir), before);
    fs::write(
        dir.join(CONFIG),
        before.iter().find(|file| file.0.ends_with(CONFIG)).unwrap().1.replace("run =", "rum ="),
    )
    .unwrap();
    refused(&dir, wanted(), "line 3: unknown field `rum`");
}

#[test]
fn workers_are_added_and_removed() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    made(dir);
    let (folder, changes) = add(dir, &names(&["w2", "w1", "w2"])).unwrap();
    let changes = told(&changes);
    assert_eq!(changes[..2], ["workers/w1.worker: made", "workers/w2.worker: made"]);
    assert!(changes[2].starts_with("fleet.toml: changed: workers.w1 none -> \"U"), "{changes:?}");
    assert_eq!(folder.workers().map(Name::as_str).collect::<Vec<_>>(), ["w1", "w2"]);
    let file = WorkerFile::read(&folder.worker_file(&name("w1"))).unwrap();
    assert_eq!(
        (file.run().as_str(), file.worker().as_str(), mode(&folder.worker_file(&name("w1")))),
        ("r1", "w1", 0o600)
    );
    assert!(fs::read_to_string(conf(&folder)).unwrap().contains(&file.public().to_string()));
    // Again: nothing is done, and no key is another.
    let before = files_of(dir);
    let (_, changes) = add(dir, &names(&["w1"])).unwrap();
    assert!(told(&changes).is_empty() && files_of(dir) == before, "{changes:?}");
    // All or none.
    let refusal = remove(dir, &names(&["w1", "w3"])).unwrap_err().to_string();
    assert!(refusal.contains("worker w3: it is none of this fleet (it has w1, w2)"), "{refusal}");
    let refusal = add(dir, &names(&["w3", "collector"])).unwrap_err().to_string();
    assert!(refusal.contains("no worker can be named collector"), "{refusal}");
    assert_eq!(files_of(dir), before);
    let (folder, changes) = remove(dir, &names(&["w1"])).unwrap();
    assert!(told(&changes)[0].contains("workers.w1 \"U"), "{changes:?}");
    assert!(!folder.worker_file(&name("w1")).exists());
    assert!(!fs::read_to_string(conf(&folder)).unwrap().contains(&file.public().to_string()));
    // Added again it has another key.
    let (folder, _) = add(dir, &names(&["w1"])).unwrap();
    assert_ne!(WorkerFile::read(&folder.worker_file(&name("w1"))).unwrap().public(), file.public());
}

#[test]
fn a_file_that_is_missing_or_in_the_way_is_told() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    made(dir);
    let (folder, _) = add(dir, &names(&["w1", "w2"])).unwrap();
    let file = |worker: &str| folder.worker_file(&name(worker));
    fs::rename(file("w1"), dir.join("elsewhere")).unwrap();
    let refusal = add(dir, &names(&["w1"])).unwrap_err().to_string();
    assert!(refusal.contains("moved to its machine") && refusal.contains("remove-worker w1"), "{refusal}");
    let refused = |worker: &str, words: &str| {
        let refusal = add(dir, &names(&[worker])).unwrap_err().to_string();
        assert!(refusal.contains(words), "{refusal}");
    };
    fs::copy(file("w2"), file("w3")).unwrap();
    refused("w3", "it is worker w2's; move it away");
    fs::write(file("w3"), "x").unwrap();
    refused("w3", "use the worker's file");
    fs::set_permissions(file("w2"), fs::Permissions::from_mode(0o604)).unwrap();
    refused("w2", "mode 604");
    fs::create_dir(file("w4")).unwrap();
    refused("w4", "w4.worker");
    // One of an older fleet of this name.
    let other = tempfile::tempdir().unwrap();
    made(other.path());
    let (theirs, _) = add(other.path(), &names(&["w1"])).unwrap();
    fs::copy(theirs.worker_file(&name("w1")), file("w1")).unwrap();
    refused("w1", "its key is not the one that the fleet knows");
    assert_eq!(Folder::read(dir).unwrap(), folder);
}

#[test]
fn what_a_process_left_that_was_killed_is_put_right() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    // Killed while keys were made: two are there, one half of a file has no name that counts.
    fs::create_dir(dir.join(KEYS)).unwrap();
    let admin = Key::create(&key_file(dir, ADMIN)).unwrap();
    fs::write(dir.join(KEYS).join("publisher.nk.1.tmp"), "S").unwrap();
    fs::write(dir.join("fleet.toml.tmp"), "run = ").unwrap();
    let folder = made(dir);
    assert_eq!(folder.config.members.admin, *admin.public());
    // Killed when the file of a worker was there, and nobody had been told.
    let before = files_of(dir);
    let (folder, _) = add(dir, &names(&["w1"])).unwrap();
    let key = WorkerFile::read(&folder.worker_file(&name("w1"))).unwrap().public().clone();
    for (path, text) in before.iter().filter(|(path, _)| [CONFIG, "nats.conf"].iter().any(|name| path.ends_with(name)))
    {
        fs::write(path, text).unwrap();
    }
    let (folder, changes) = add(dir, &names(&["w1"])).unwrap();
    assert_eq!((&folder.config.workers[&name("w1")], told(&changes).len()), (&key, 2));
    // Killed between truth and server's configuration, and when a worker's file was removed.
    fs::write(conf(&folder), "").unwrap();
    assert_eq!(told(&init(dir, &Wanted::default()).unwrap().1), ["nats.conf: changed"]);
    fs::remove_file(folder.worker_file(&name("w1"))).unwrap();
    remove(dir, &names(&["w1"])).unwrap();
    assert_eq!(Folder::read(dir).unwrap().workers().count(), 0);
}

#[test]
fn a_key_that_is_elsewhere_goes_on_and_another_takes_its_place() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    let folder = made(dir);
    let admin = key_file(dir, ADMIN);
    fs::rename(&admin, dir.join("safe")).unwrap();
    let (same, changes) = init(dir, &Wanted::default()).unwrap();
    assert!(same == folder && told(&changes).is_empty());
    assert!(folder.dial(ADMIN).unwrap_err().to_string().starts_with("read "));
    let other = Key::create(&admin).unwrap();
    let (folder, changes) = init(dir, &Wanted::default()).unwrap();
    assert_eq!(folder.config.members.admin, *other.public());
    assert!(told(&changes)[0].contains("members.admin"), "{changes:?}");
}

#[test]
fn a_certificate_that_workers_would_refuse_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("fleet");
    let good = certificates(place.path(), &["trainer.example.org"]);
    let refused = |wanted: &Wanted, words: &str| {
        let refusal = init(&dir, wanted).unwrap_err().to_string();
        assert!(refusal.contains(words), "{words}: {refusal}");
    };
    refused(&good, "not valid for name");
    let good = Wanted { host: Some("trainer.example.org".to_owned()), ..good };
    let elsewhere = tempfile::tempdir().unwrap();
    let other = certificates(elsewhere.path(), &["trainer.example.org"]);
    refused(&Wanted { authority: other.authority.clone(), ..good.clone() }, "workers would refuse it");
    refused(&Wanted { key: other.key.clone(), ..good.clone() }, "with the key");
    refused(&Wanted { key: good.certificate.clone(), ..good.clone() }, "it holds no private key");
    refused(&Wanted { certificate: good.key.clone(), ..good.clone() }, "it holds no certificate");
    refused(&Wanted { certificate: Some("/none".into()), ..good.clone() }, "there is no such file");
    let both = place.path().join("both.pem");
    let text = |file: &Option<PathBuf>| fs::read_to_string(file.as_ref().unwrap()).unwrap();
    fs::write(&both, text(&good.authority) + &text(&good.key)).unwrap();
    refused(&Wanted { authority: Some(both), ..good.clone() }, "it holds a private key");
    assert!(!dir.exists());
    let (folder, _) = init(&dir, &good).unwrap();
    assert_eq!(folder.urls(), ["tls://trainer.example.org:4222"]);
    let (folder, _) = add(&dir, &names(&["w1"])).unwrap();
    let file = folder.worker_file(&name("w1"));
    let read = WorkerFile::read(&file).unwrap();
    assert_eq!(read.authority().unwrap().trim(), text(&good.authority).trim());
    // Another authority reaches the files of workers, with their keys.
    let renewed = Wanted { host: good.host.clone(), ..other };
    let (_, changes) = init(&dir, &renewed).unwrap();
    assert!(
        told(&changes).iter().any(|change| change.starts_with("workers/w1.worker: changed: authority")),
        "{changes:?}"
    );
    let again = WorkerFile::read(&file).unwrap();
    assert_eq!((again.authority().unwrap().trim(), again.public()), (text(&renewed.authority).trim(), read.public()));
}

#[test]
fn a_folder_may_have_an_odd_name() {
    let place = tempfile::tempdir().unwrap();
    for odd in ["with space", "q\"uote\\back", "#{}[]='", "ünïcode"] {
        let dir = place.path().join(odd);
        let folder = made(&dir);
        add(&dir, &names(&["w1"])).unwrap();
        assert_eq!(init(&dir, &Wanted::default()).unwrap().0.config.server, folder.config.server, "{odd}");
        let store = Wanted { store: Some(dir.join("s\"t")), ..Wanted::default() };
        assert_eq!(init(&dir, &store).unwrap().0.config.server.store, dir.join("s\"t"));
    }
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(init(&file, &wanted()).is_err() && init(&file.join("x"), &wanted()).is_err());
}

const THREE: [&str; 3] = ["b1.example.org", "b2.example.org", "b3.example.org"];

fn of_three(wanted: Wanted) -> Wanted {
    Wanted { host: Some(THREE.join(",")), ..wanted }
}

#[test]
fn each_server_of_a_cluster_has_a_directory_with_all_that_it_needs() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("fleet");
    let wanted = of_three(certificates(place.path(), &THREE));
    let (folder, changes) = init(&dir, &wanted).unwrap();
    assert!(told(&changes).contains(&"brokers/3/key.pem: made".to_owned()), "{changes:?}");
    assert_eq!(folder.urls(), THREE.map(|host| format!("tls://{host}:4222")));
    assert_eq!(folder.plan().replicas, 3);
    let secret = Key::read(&key_file(&dir, ROUTES)).unwrap().seed();
    for (path, text) in files_of(&dir) {
        let at = path.strip_prefix(&dir).unwrap();
        let is_secret = at.starts_with("keys") || at.starts_with("brokers");
        assert_eq!(mode(&path), if is_secret { 0o600 } else { 0o644 }, "{}", path.display());
        assert!(is_secret || !text.contains(&secret), "{text}");
    }
    for (number, broker) in (1..).zip(folder.brokers()) {
        let own = dir.join(format!("brokers/{number}"));
        assert_eq!((broker.conf, mode(&own)), (own.join("nats.conf"), 0o700));
        let text = fs::read_to_string(own.join("nats.conf")).unwrap();
        for words in [
            &format!("server_name: \"r1-{number}\"") as &str,
            "listen: \"0.0.0.0:4222\"",
            "listen: \"0.0.0.0:6222\"",
            &format!("advertise: \"b{number}.example.org:6222\""),
            "cert_file: \"certificate.pem\"",
            "ca_file: \"authority.pem\"",
            "store_dir: \"store\"",
        ] {
            assert!(text.contains(words), "{words} is not in {text}");
        }
        assert!(!text.contains(dir.to_str().unwrap()), "{text}");
        let route = |other: usize| format!("nats-route://route:{secret}@b{other}.example.org:6222");
        assert!((1..=3).all(|other| text.contains(&route(other)) != (other == number)), "{text}");
        for (copy, of) in [("certificate.pem", "server.pem"), ("key.pem", "server.key"), ("authority.pem", "ca.pem")] {
            assert_eq!(fs::read(own.join(copy)).unwrap(), fs::read(place.path().join(of)).unwrap());
        }
    }
    let before = files_of(&dir);
    let (same, changes) = init(&dir, &Wanted::default()).unwrap();
    assert!(same == folder && told(&changes).is_empty() && files_of(&dir) == before, "{changes:?}");
    // Each hears of a worker, and of a certificate that was renewed.
    let (_, changes) = add(&dir, &names(&["w1"])).unwrap();
    let confs: Vec<_> = told(&changes).into_iter().filter(|change| change.ends_with("nats.conf: changed")).collect();
    assert_eq!(confs, [1, 2, 3].map(|number| format!("brokers/{number}/nats.conf: changed")));
    certificates(place.path(), &THREE);
    let (_, changes) = init(&dir, &Wanted::default()).unwrap();
    assert!(told(&changes).contains(&"brokers/2/certificate.pem: changed".to_owned()), "{changes:?}");
    assert!(told(&changes).iter().any(|change| change.starts_with("workers/w1.worker: changed: authority")));
}

#[test]
fn a_cluster_that_cannot_be_is_told() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("fleet");
    let good = of_three(certificates(place.path(), &THREE));
    let refused = |wanted: Wanted, words: &str| {
        let refusal = init(&dir, &wanted).unwrap_err().to_string();
        assert!(refusal.contains(words), "{words}: {refusal}");
    };
    let hosts = |hosts: &str| Wanted { host: Some(hosts.to_owned()), ..wanted() };
    refused(hosts("127.0.0.1:1,127.0.0.1:2"), "use 2 servers: more than half");
    refused(hosts("a,b,c,d"), "use 4 servers");
    refused(hosts("a,b,c"), "reach a server at a without a certificate");
    refused(hosts("127.0.0.1,localhost:5,[::1]"), "port 4222 of ::1");
    refused(hosts("127.0.0.1:4222,127.0.0.1:6222,127.0.0.1:7000"), "port 6222 of 127.0.0.1");
    refused(hosts("127.0.0.1:65000,127.0.0.1:1,127.0.0.1:2"), "at port 65000");
    let here = "127.0.0.1:4222,127.0.0.1:4223,127.0.0.1:4224";
    refused(Wanted { store: Some("/var/lib/nats".into()), ..hosts(here) }, "several servers on 127.0.0.1");
    refused(Wanted { monitor: Some("127.0.0.1:8222".to_owned()), ..hosts(here) }, "leave both out");
    refused(Wanted { authority: None, ..good.clone() }, "name who signs them with --authority");
    let elsewhere = tempfile::tempdir().unwrap();
    refused(of_three(certificates(elsewhere.path(), &THREE[..2])), "b3.example.org");
    let server_alone = certificates_for(elsewhere.path(), &THREE, &[ExtendedKeyUsagePurpose::ServerAuth]);
    refused(of_three(server_alone), "the other servers of the cluster would refuse it");
    assert!(!dir.exists());
    init(&dir, &hosts(here)).unwrap();
    // What somebody writes into the truth is looked at too.
    let config = dir.join(CONFIG);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace(",127.0.0.1:4224", "")).unwrap();
    refused(Wanted::default(), "use 2 servers");
    // Without the secret of its servers nothing can be written.
    fs::write(&config, text).unwrap();
    fs::remove_file(key_file(&dir, ROUTES)).unwrap();
    let before = files_of(&dir);
    assert!(add(&dir, &names(&["w1"])).unwrap_err().to_string().contains("routes.nk"));
    assert_eq!(files_of(&dir), before);
    let (_, changes) = init(&dir, &Wanted::default()).unwrap();
    assert!(told(&changes).contains(&"brokers/1/nats.conf: changed".to_owned()), "{changes:?}");
}

#[test]
fn one_server_becomes_three_and_what_is_left_of_it_is_told() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    let alone = made(dir);
    // As it was written before there were clusters.
    let config = dir.join(CONFIG);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("patience_seconds", "replicas = 1\npatience_seconds")).unwrap();
    assert_eq!((alone.plan().replicas, alone.left()), (1, Vec::new()));
    let hosts = "127.0.0.1:4222,127.0.0.1:4223,127.0.0.1:4224";
    let (folder, changes) = init(dir, &Wanted { host: Some(hosts.to_owned()), ..Wanted::default() }).unwrap();
    let changed = format!("fleet.toml: changed: server.host \"127.0.0.1\" -> \"{hosts}\"");
    assert!(told(&changes).contains(&changed), "{changes:?}");
    assert_eq!((folder.left(), folder.plan().replicas), (vec![dir.join("nats.conf")], 3));
    assert_eq!(folder.urls()[1], "nats://127.0.0.1:4223");
    let (folder, _) = init(dir, &Wanted { host: Some("127.0.0.1".to_owned()), ..Wanted::default() }).unwrap();
    assert_eq!(folder.left(), [1, 2, 3].map(|number| dir.join(format!("brokers/{number}/nats.conf"))));
    assert_eq!((folder.urls(), folder.config.members), (alone.urls(), alone.config.members));
}
