//! The configuration of a server that knows a fleet's keys, as text.
//!
//! Each key opens what its owner needs and nothing else: a worker its own subjects, the publisher models and the pointer, the collector
//! frames and receipts. None but the administrator's may make, change or delete a stream or consumer, or listen to what is another's: a
//! consumer that a worker could make would deliver to subjects that are closed to it.

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    path::PathBuf,
};

use thiserror::Error;

use super::{
    keys::{Key, PublicKey},
    subjects::{self, ALL_MODELS, COLLECTOR, FLEET, GAMES, MODELS, PRESENCE, RECEIPTS},
};
use crate::{models::Hash, name::Name};

/// Name of the account that all of a fleet's keys belong to.
const ACCOUNT: &str = "FLEET";

/// Who the hub's two parts and the administrator are. No worker may have these names.
pub const PUBLISHER: &str = "publisher";
/// See [`PUBLISHER`].
pub const HUB: &str = "collector";
/// See [`PUBLISHER`].
pub const ADMIN: &str = "admin";

/// What the mark of a configuration begins with: see [`mark`].
const MARK: &str = "selfplayd:";

/// Who a server is to the others of its cluster.
const ROUTE: &str = "route";

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name, which no other of its cluster has.
    pub name: String,
    /// Where it listens, such as `0.0.0.0:4222`.
    pub listen: String,
    /// Where it tells how it is, such as `127.0.0.1:8222`; nowhere if nothing is said. All who reach it can read it.
    pub monitor: Option<String>,
    /// Directory of what it keeps.
    pub store: PathBuf,
    /// Most bytes of what it keeps: less than the disk has, so that it says so before the disk is full.
    pub max_store: u64,
    /// Certificate and its key; a server without them is for this machine alone.
    pub tls: Option<Tls>,
    /// The cluster that it is one of.
    pub cluster: Option<Cluster>,
}

/// Servers that keep everything together.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name.
    pub name: Name,
    /// Where this server listens for the others.
    pub listen: String,
    /// How the others reach it there: host and port.
    pub own: String,
    /// The same of each of the others.
    pub others: Vec<String>,
    /// Who signs all their certificates, in PEM. With certificates it is needed: each proves itself to the others with its own.
    pub authority: Option<PathBuf>,
    /// The secret that all of them have.
    pub secret: Key,
}

/// What a server proves itself with.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its certificate, in PEM, with those between it and its authority.
    pub certificate: PathBuf,
    /// The certificate's key, in PEM.
    pub key: PathBuf,
}

/// Whom a server knows.
#[derive(Clone, Debug)]
pub struct Members {
    /// The run that all play for.
    pub run: Name,
    /// Who prepares the server.
    pub admin: PublicKey,
    /// Who publishes models.
    pub publisher: PublicKey,
    /// Who collects games.
    pub collector: PublicKey,
    /// Who looks after the server itself.
    pub system: PublicKey,
    /// The workers.
    pub workers: Vec<(Name, PublicKey)>,
}

/// A configuration would be wrong.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ServerError {
    /// Two workers of one name.
    #[error("configure a server: worker {0} is named twice; each worker needs a name and a key of its own")]
    Name(Name),
    /// A name that is another's.
    #[error(
        "configure a server: no worker can be named {0}, which is what a part of the hub is named; choose another name"
    )]
    Reserved(Name),
    /// Two of one key.
    #[error(
        "configure a server: key {0} is given twice; each worker, and each part of the hub, needs a key of its own"
    )]
    Key(PublicKey),
    /// A path or address that no file can hold.
    #[error("configure a server: {0:?} holds a character that cannot stand in a configuration")]
    Text(String),
}

/// What a key is for.
struct User<'a> {
    who: String,
    key: &'a PublicKey,
    publish: Vec<String>,
    subscribe: Vec<String>,
}

/// The configuration of a server, for its file.
///
/// # Errors
/// When two have one name or one key, or a path cannot be written.
pub fn configuration(server: &Server, members: &Members) -> Result<String, ServerError> {
    check(members)?;
    let mut text = String::new();
    // Into a text: it cannot fail.
    write_server(&mut text, server, members).map_err(|_| ServerError::Text(String::new()))?;
    let texts = [Some(&server.listen), server.monitor.as_ref()].into_iter().flatten().cloned();
    let tls = server.tls.iter().flat_map(|tls| [&tls.certificate, &tls.key]);
    let authority = server.cluster.iter().filter_map(|cluster| cluster.authority.as_ref());
    let paths = tls.chain(authority).chain([&server.store]).map(|path| path.to_string_lossy().into_owned());
    // A path that is not text would become another.
    match texts.chain(paths).find(|text| text.chars().any(|letter| letter.is_control() || letter == '\u{fffd}')) {
        Some(wrong) => Err(ServerError::Text(wrong)),
        None => {
            let hash = Hash::of(text.as_bytes()).to_string();
            Ok(text
                + &format!(
                    "# By this it is told whether a server has this configuration or another.\nserver_tags: [ \"{MARK}{hash}\" ]\n"
                ))
        }
    }
}

/// The mark in a configuration, which a server that has read it shows: two that differ have different ones.
#[must_use]
pub fn mark(configuration: &str) -> Option<&str> {
    let (_, mark) = configuration.rsplit_once(MARK)?;
    mark.split_once('"').map(|(mark, _)| mark)
}

/// The same among the tags that a server shows.
pub(super) fn shown_mark<'a>(mut tags: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    tags.find_map(|tag| tag.strip_prefix(MARK))
}

fn check(members: &Members) -> Result<(), ServerError> {
    let Members { admin, publisher, collector, system, workers, .. } = members;
    let mut names = BTreeSet::new();
    for (name, _) in workers {
        if [PUBLISHER, HUB, ADMIN].contains(&name.as_str()) {
            return Err(ServerError::Reserved(name.clone()));
        }
        if !names.insert(name) {
            return Err(ServerError::Name(name.clone()));
        }
    }
    let mut keys = BTreeSet::new();
    let all = [admin, publisher, collector, system].into_iter().chain(workers.iter().map(|(_, key)| key));
    match all.into_iter().find(|key| !keys.insert(*key)) {
        Some(key) => Err(ServerError::Key(key.clone())),
        None => Ok(()),
    }
}

/// Each key with what it opens.
fn users(members: &Members) -> Vec<User<'_>> {
    let Members { run, admin, publisher, collector, workers, .. } = members;
    let any = || vec![">".to_owned()];
    let pointers = format!("{run}.>");
    let inbox = |name: &str| format!("{}.>", subjects::inbox(name));
    let models = format!("$JS.API.DIRECT.GET.{MODELS}.{ALL_MODELS}");
    let pointer = subjects::last(FLEET, &pointers);
    let hub = [
        User { who: "prepares this server".to_owned(), key: admin, publish: any(), subscribe: any() },
        User {
            who: "publishes models".to_owned(),
            key: publisher,
            publish: vec![
                ALL_MODELS.to_owned(),
                subjects::key(FLEET, &pointers),
                models.clone(),
                pointer.clone(),
                subjects::purge_models(),
            ],
            subscribe: vec![inbox(PUBLISHER), subjects::now(PRESENCE, ">")],
        },
        User {
            who: "collects games".to_owned(),
            key: collector,
            publish: vec![
                subjects::pull(),
                subjects::stream_info(),
                subjects::consumer_info(),
                format!("$JS.ACK.{GAMES}.{COLLECTOR}.>"),
                // The form that newer servers have.
                format!("$JS.ACK.*.*.{GAMES}.{COLLECTOR}.>"),
                subjects::key(RECEIPTS, "*"),
            ],
            subscribe: vec![inbox(HUB)],
        },
    ];
    let worker = |(name, key)| {
        let name: &Name = name;
        User {
            who: format!("worker {name}"),
            key,
            publish: vec![
                subjects::games(run, name),
                subjects::presence_of(name),
                models.clone(),
                pointer.clone(),
                subjects::last_receipts(name),
                subjects::last_report(),
            ],
            subscribe: vec![
                inbox(name.as_str()),
                subjects::now(FLEET, &pointers),
                subjects::receipts_now(name),
                subjects::report_now(),
            ],
        }
    };
    hub.into_iter().chain(workers.iter().map(|(name, key)| worker((name, key)))).collect()
}

// Settings stand on lines of their own: on one line some of them are a mistake to the server.
fn write_server(text: &mut String, server: &Server, members: &Members) -> fmt::Result {
    writeln!(
        text,
        "# Written by `selfplayd fleet` from fleet.toml, and written anew by it: what is to be added belongs into another file with `include`."
    )?;
    if server.cluster.is_some() {
        writeln!(text, "# It holds a secret. Files without a path are looked for where the server is started.")?;
    }
    writeln!(text, "server_name: {}", quoted(&server.name))?;
    writeln!(text, "listen: {}", quoted(&server.listen))?;
    if let Some(monitor) = &server.monitor {
        writeln!(text, "# How the server is, for all who reach this address: keep it on this machine.")?;
        writeln!(text, "http: {}", quoted(monitor))?;
    }
    writeln!(text, "jetstream {{")?;
    writeln!(text, "  store_dir: {}", quoted(&server.store.to_string_lossy()))?;
    writeln!(text, "  # Below what the disk has: a server whose disk is full does not even say so.")?;
    writeln!(text, "  max_file_store: {}", server.max_store)?;
    writeln!(text, "}}")?;
    if let Some(Tls { certificate, key }) = &server.tls {
        writeln!(text, "tls {{")?;
        writeln!(text, "  cert_file: {}", quoted(&certificate.to_string_lossy()))?;
        writeln!(text, "  key_file: {}", quoted(&key.to_string_lossy()))?;
        writeln!(text, "  timeout: 10")?;
        writeln!(text, "}}")?;
    }
    if let Some(cluster) = &server.cluster {
        write_cluster(text, server, cluster)?;
    }
    writeln!(
        text,
        "# Who connects from far away, or from a machine with much to do, needs more than the two seconds that are usual."
    )?;
    writeln!(text, "authorization {{")?;
    writeln!(text, "  timeout: 10")?;
    writeln!(text, "}}")?;
    writeln!(text, "accounts {{")?;
    writeln!(text, "  {ACCOUNT} {{")?;
    writeln!(text, "    jetstream: enabled")?;
    writeln!(text, "    users: [")?;
    for User { who, key, publish, subscribe } in users(members) {
        writeln!(text, "      # {who}")?;
        writeln!(text, "      {{")?;
        writeln!(text, "        nkey: {key}")?;
        writeln!(text, "        permissions: {{")?;
        writeln!(text, "          publish: {}", list(&publish))?;
        writeln!(text, "          subscribe: {}", list(&subscribe))?;
        writeln!(text, "        }}")?;
        writeln!(text, "      }}")?;
    }
    writeln!(text, "    ]")?;
    writeln!(text, "  }}")?;
    writeln!(text, "  SYS {{")?;
    writeln!(text, "    users: [ {{ nkey: {} }} ]", members.system)?;
    writeln!(text, "  }}")?;
    writeln!(text, "}}")?;
    writeln!(text, "system_account: SYS")
}

fn write_cluster(text: &mut String, server: &Server, cluster: &Cluster) -> fmt::Result {
    let Cluster { name, listen, own, others, authority, secret } = cluster;
    let secret = secret.seed();
    writeln!(text, "cluster {{")?;
    writeln!(text, "  name: {}", quoted(name.as_str()))?;
    writeln!(text, "  listen: {}", quoted(listen))?;
    writeln!(text, "  advertise: {}", quoted(own))?;
    writeln!(text, "  # Workers are given all addresses, with the names that the certificate has.")?;
    writeln!(text, "  no_advertise: true")?;
    writeln!(text, "  authorization {{")?;
    writeln!(text, "    user: {}", quoted(ROUTE))?;
    writeln!(text, "    password: {}", quoted(&secret))?;
    writeln!(text, "    timeout: 10")?;
    writeln!(text, "  }}")?;
    if let (Some(Tls { certificate, key }), Some(authority)) = (&server.tls, authority) {
        writeln!(text, "  tls {{")?;
        writeln!(text, "    cert_file: {}", quoted(&certificate.to_string_lossy()))?;
        writeln!(text, "    key_file: {}", quoted(&key.to_string_lossy()))?;
        writeln!(text, "    ca_file: {}", quoted(&authority.to_string_lossy()))?;
        writeln!(text, "    timeout: 10")?;
        writeln!(text, "  }}")?;
    }
    let routes: Vec<_> = others.iter().map(|other| format!("nats-route://{ROUTE}:{secret}@{other}")).collect();
    writeln!(text, "  routes: {}", list(&routes))?;
    writeln!(text, "}}")
}

fn list(subjects: &[String]) -> String {
    let subjects: Vec<_> = subjects.iter().map(|subject| quoted(subject)).collect();
    format!("[ {} ]", subjects.join(", "))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PublicKey {
        Key::generate().unwrap().public().clone()
    }

    fn members(workers: &[&str]) -> Members {
        Members {
            run: "r1".parse().unwrap(),
            admin: key(),
            publisher: key(),
            collector: key(),
            system: key(),
            workers: workers.iter().map(|name| (name.parse().unwrap(), key())).collect(),
        }
    }

    fn server() -> Server {
        Server {
            name: "n1".to_owned(),
            listen: "127.0.0.1:4222".to_owned(),
            monitor: None,
            store: "/var/lib/nats".into(),
            max_store: 1 << 30,
            tls: None,
            cluster: None,
        }
    }

    #[test]
    fn a_worker_has_the_rights_of_its_own_name_alone() {
        let members = members(&["w1", "w2"]);
        let text = configuration(&server(), &members).unwrap();
        let block = text.split("# worker w1\n").nth(1).unwrap().split("# worker").next().unwrap();
        assert!(block.contains(&members.workers[0].1.to_string()) && !block.contains("w2"), "{block}");
        assert!(block.contains("\"games.r1.w1\"") && block.contains("\"_INBOX_w1.>\""));
        assert!(!block.contains("CONSUMER") && !block.contains("STREAM."));
    }

    #[test]
    fn a_key_and_a_name_belong_to_one() {
        let mut twice = members(&["w1", "w1"]);
        assert_eq!(configuration(&server(), &twice), Err(ServerError::Name("w1".parse().unwrap())));
        twice.workers[1].0 = "collector".parse().unwrap();
        assert!(matches!(configuration(&server(), &twice), Err(ServerError::Reserved(_))));
        twice.workers[1] = ("w2".parse().unwrap(), twice.admin.clone());
        assert_eq!(configuration(&server(), &twice), Err(ServerError::Key(twice.admin.clone())));
    }

    #[test]
    fn two_configurations_that_differ_have_different_marks() {
        let members = members(&["w1"]);
        let text = |server: &Server| configuration(server, &members).unwrap();
        let (one, same, other) = (
            text(&server()),
            text(&server()),
            text(&Server { monitor: Some("127.0.0.1:8222".to_owned()), ..server() }),
        );
        assert!(mark(&one).is_some_and(|mark| mark.len() == 64) && mark(&one) == mark(&same), "{one}");
        assert_ne!(mark(&one), mark(&other));
        let tag = format!("{MARK}{}", mark(&one).unwrap());
        assert_eq!(shown_mark(["x", &tag].into_iter()), mark(&one));
        assert_eq!(mark("server_name: x"), None);
    }

    #[test]
    fn paths_cannot_break_out_of_their_quotes() {
        let odd = Server { store: "/a \"b\\c\" {#".into(), ..server() };
        assert!(configuration(&odd, &members(&[])).unwrap().contains(r#"store_dir: "/a \"b\\c\" {#""#));
        let line = Server { listen: "x\nauthorization: {}".to_owned(), ..server() };
        assert!(matches!(configuration(&line, &members(&[])), Err(ServerError::Text(_))));
    }
}
