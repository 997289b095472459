//! The streams, buckets and the consumer that a server must have for a fleet: made where they lack, changed where they differ.
//!
//! | | |
//! |---|---|
//! | stream `GAMES` | frames, each until it is acknowledged; when it is full it refuses new ones, so that workers keep them |
//! | its consumer `collector` | durable; delivers again what was not acknowledged, for ever |
//! | stream `MODELS` | models in chunks |
//! | bucket `fleet` | the pointer to the newest model, and ten before it |
//! | bucket `receipts` | the last receipts of each worker, and the last report |
//! | bucket `presence` | what each worker last said of itself; forgotten after half a minute |
//!
//! A bucket tells what is put into it on `now.…` at once, and answers direct gets, so that readers need no right to make a consumer.

use std::{fmt, io, time::Duration};

use async_nats::{Client, Request, RequestErrorKind};
use serde_json::{Map, Value, json};
use thiserror::Error;
use tokio::{runtime, time::Instant};

use super::{
    dial::{ANSWER, Dial},
    line::unfit,
    subjects::{self, ALL_GAMES, ALL_MODELS, COLLECTOR, FLEET, GAMES, MODELS, PRESENCE, RECEIPTS},
};

/// How long the server may take to make a stream. Those of a cluster say nothing, or that they cannot, while they choose a leader.
const MAKE: Duration = Duration::from_secs(30);

/// When it is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// Errors by which it says that there is none: no stream, no consumer.
const NONE: [u64; 2] = [10_059, 10_014];

/// Errors that pass: no leader yet, a server of a cluster that is not there yet, a stream that has not spread to other servers yet.
const PASSING: [u64; 4] = [10_008, 10_009, 10_005, 10_126];

/// How large things may become, how many servers keep them, and how long the collector may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Most bytes of frames that wait for the collector.
    pub games: u64,
    /// Most bytes of models.
    pub models: u64,
    /// How many servers keep each message: 1, or 3 of a cluster.
    pub replicas: u8,
    /// How long the collector may take for a frame. One that it has not answered for by then comes to it again.
    pub patience: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { games: 50_000_000_000, models: 10_000_000_000, replicas: 1, patience: Duration::from_secs(60) }
    }
}

/// What was done to one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which, such as `stream GAMES`.
    pub asset: String,
    /// What.
    pub done: Done,
}

/// See [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was not there.
    Made,
    /// It was otherwise: setting, what it was, what it is; none where that is not known.
    Changed(Vec<(String, String, String)>),
    /// It was as it must be.
    Nothing,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asset, done } = self;
        match done {
            Done::Made => write!(f, "{asset}: made"),
            Done::Nothing => write!(f, "{asset}: as it must be"),
            Done::Changed(changes) if changes.is_empty() => write!(f, "{asset}: changed"),
            Done::Changed(changes) => {
                let changes: Vec<_> = changes.iter().map(|(key, from, to)| format!("{key} {from} -> {to}")).collect();
                write!(f, "{asset}: changed: {}", changes.join(", "))
            }
        }
    }
}

/// The server could not be prepared.
#[derive(Debug, Error)]
pub enum AssetError {
    /// No thread, no timer.
    #[error("prepare a broker: {0}")]
    Runtime(#[source] io::Error),
    /// It was not reached.
    #[error("connect to {servers}: {reason}")]
    Connect {
        /// The addresses.
        servers: String,
        /// Why not.
        reason: String,
    },
    /// It cannot be used.
    #[error("prepare {server}: {why}")]
    Unfit {
        /// Name and version.
        server: String,
        /// Why not, and what helps.
        why: String,
    },
    /// It did not answer.
    #[error(
        "make {asset}: the server does not answer ({reason}); is this the key of the administrator, and are most servers of its cluster there?"
    )]
    Unanswered {
        /// What was to be made.
        asset: String,
        /// What happened instead.
        reason: String,
    },
    /// It said no.
    #[error("make {asset}: the server refuses: {reason}")]
    Refused {
        /// What was to be made.
        asset: String,
        /// Its words, and what helps where that is known.
        reason: String,
    },
}

/// Makes a server what a fleet needs; says what became of each asset. To be called as often as one likes. `dial`: with the key of the
/// administrator. Takes a minute at most where a server does not answer.
///
/// # Errors
/// When a server cannot be reached or used, or refuses; what was done before stays.
pub fn prepare(dial: &Dial, plan: Plan) -> Result<Vec<Change>, AssetError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(AssetError::Runtime)?;
    let done = runtime.block_on(prepare_all(dial, plan));
    // Names of hosts may still be looked up.
    runtime.shutdown_background();
    done
}

async fn connect(dial: &Dial) -> Result<Client, AssetError> {
    let unreached = |reason: String| AssetError::Connect { servers: dial.servers(), reason };
    let client = dial.connect().await.map_err(unreached)?;
    let info = client.server_info();
    if let Some(why) = unfit(&info.version, info.max_payload, info.jetstream) {
        let server = format!("{} (nats-server {})", info.server_name, info.version);
        return Err(AssetError::Unfit { server, why });
    }
    Ok(client)
}

async fn prepare_all(dial: &Dial, plan: Plan) -> Result<Vec<Change>, AssetError> {
    let client = connect(dial).await?;
    let mut changes = Vec::new();
    for asset in assets(plan) {
        let done = asset.prepare(&client).await?;
        changes.push(Change { asset: asset.name, done });
    }
    Ok(changes)
}

/// How the servers of a cluster keep something together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// What, as in [`Change`].
    pub asset: String,
    /// The server that decides; none while they choose one.
    pub leader: Option<String>,
    /// Servers that do not have all of it, and why.
    pub behind: Vec<String>,
}

impl Kept {
    /// Whether each of its servers has all of it: one more may be lost.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.leader.is_some() && self.behind.is_empty()
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { asset, leader, behind } = self;
        let leader = leader.as_deref().unwrap_or("none yet");
        let behind = if behind.is_empty() { "none".to_owned() } else { behind.join(", ") };
        write!(f, "{asset}: its leader is {leader}; servers that do not have all of it: {behind}")
    }
}

/// How the servers of a cluster keep all that a fleet needs; nothing of one that is alone. `dial`: with the key of the administrator.
///
/// # Errors
/// When no server can be reached, or none says how something is.
pub fn kept(dial: &Dial) -> Result<Vec<Kept>, AssetError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(AssetError::Runtime)?;
    let kept = runtime.block_on(async {
        let client = connect(dial).await?;
        let mut kept = Vec::new();
        // Only names matter here.
        for asset in assets(Plan::default()) {
            match asset.ask_once(&client, &asset.info, &json!({})).await? {
                Said::Yes(info) => kept.extend(read_kept(&asset.name, &info["cluster"])),
                Said::None => return Err(asset.refused("it is not there".to_owned())),
                Said::No { reason, .. } => return Err(asset.refused(reason)),
            }
        }
        Ok(kept)
    });
    runtime.shutdown_background();
    kept
}

/// What a server says of a cluster; one that is alone says nothing.
fn read_kept(asset: &str, cluster: &Value) -> Option<Kept> {
    cluster["name"].as_str()?;
    let name = |value: &Value| value.as_str().filter(|name| !name.is_empty()).map(str::to_owned);
    let behind = |server: &Value| {
        let lag = server["lag"].as_u64().unwrap_or(0);
        let why = match (server["offline"].as_bool(), server["current"].as_bool()) {
            (Some(true), _) => "it is away".to_owned(),
            (_, Some(true)) => return None,
            _ if lag > 0 => format!("{lag} behind"),
            _ => "it is away or catching up".to_owned(),
        };
        Some(format!("{} ({why})", name(&server["name"]).unwrap_or_default()))
    };
    let behind = cluster["replicas"].as_array().into_iter().flatten().filter_map(behind).collect();
    Some(Kept { asset: asset.to_owned(), leader: name(&cluster["leader"]), behind })
}

/// Something that the server must have.
struct Asset {
    /// What people call it.
    name: String,
    /// Where it is asked for, made and changed.
    info: String,
    make: String,
    change: String,
    /// Settings that must be so. Others are left as they are.
    settings: Map<String, Value>,
    /// Around the settings, where it is made or changed.
    wrap: fn(Value) -> Value,
}

/// All of them, in the order in which they are made.
fn assets(plan: Plan) -> Vec<Asset> {
    let replicas = plan.replicas;
    let nanoseconds = |seconds: u64| seconds * 1_000_000_000;
    vec![
        stream(
            GAMES,
            json!({
                "subjects": [ALL_GAMES], "retention": "workqueue", "storage": "file", "num_replicas": replicas,
                // With "old" it would drop games that nobody has read.
                "discard": "new", "max_bytes": plan.games, "max_msgs": -1, "max_age": 0, "max_msg_size": 1 << 20,
                "deny_delete": true, "deny_purge": true, "allow_rollup_hdrs": false, "allow_direct": false,
                "duplicate_window": nanoseconds(120),
            }),
        ),
        Asset {
            name: format!("consumer {COLLECTOR} of stream {GAMES}"),
            info: format!("CONSUMER.INFO.{GAMES}.{COLLECTOR}"),
            make: format!("CONSUMER.CREATE.{GAMES}.{COLLECTOR}"),
            change: format!("CONSUMER.CREATE.{GAMES}.{COLLECTOR}"),
            // One that is given up after some deliveries stays in the stream, and is counted by nothing.
            settings: object(json!({
                "name": COLLECTOR, "durable_name": COLLECTOR, "deliver_policy": "all", "ack_policy": "explicit",
                "replay_policy": "instant", "ack_wait": plan.patience.as_nanos() as u64, "max_deliver": -1, "max_ack_pending": 512,
                "num_replicas": replicas,
            })),
            wrap: |config| json!({ "stream_name": GAMES, "config": config, "action": "" }),
        },
        stream(
            MODELS,
            json!({
                "subjects": [ALL_MODELS], "retention": "limits", "storage": "file", "num_replicas": replicas,
                "discard": "new", "max_bytes": plan.models, "max_msgs": -1, "max_age": 0, "max_msg_size": 1 << 20,
                "deny_delete": true, "allow_rollup_hdrs": false, "allow_direct": true,
                "duplicate_window": nanoseconds(120),
            }),
        ),
        bucket(FLEET, json!({ "max_msgs_per_subject": 10, "storage": "file", "num_replicas": replicas })),
        bucket(RECEIPTS, json!({ "max_msgs_per_subject": 1, "storage": "file", "num_replicas": replicas })),
        bucket(
            PRESENCE,
            json!({
                // In memory it would be gone once its only server is restarted, and none but the administrator could make it again.
                "max_msgs_per_subject": 1, "storage": "file", "num_replicas": replicas, "max_age": nanoseconds(30),
                "max_msg_size": 8 << 10, "allow_msg_ttl": true, "subject_delete_marker_ttl": nanoseconds(60),
                "duplicate_window": nanoseconds(30),
                // The server wants it for the markers. So who may put one key here can empty the bucket, which lives half a minute anyway.
                "allow_rollup_hdrs": true, "deny_delete": true,
            }),
        ),
    ]
}

fn object(settings: Value) -> Map<String, Value> {
    match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    }
}

fn stream(name: &str, settings: Value) -> Asset {
    let mut settings = object(settings);
    settings.insert("name".to_owned(), name.into());
    Asset {
        name: format!("stream {name}"),
        info: format!("STREAM.INFO.{name}"),
        make: format!("STREAM.CREATE.{name}"),
        change: format!("STREAM.UPDATE.{name}"),
        settings,
        wrap: |config| config,
    }
}

/// A bucket is a stream whose subjects are its keys.
fn bucket(name: &str, settings: Value) -> Asset {
    let common = json!({
        "subjects": [subjects::key(name, ">")], "retention": "limits", "discard": "new", "max_msgs": -1, "max_bytes": -1,
        "max_age": 0, "max_msg_size": 1 << 20, "allow_direct": true, "deny_delete": true, "allow_rollup_hdrs": false,
        "duplicate_window": 120_000_000_000_u64,
        "republish": { "src": subjects::key(name, ">"), "dest": subjects::now(name, ">") },
    });
    let mut asset = stream(&subjects::bucket(name), common);
    asset.name = format!("bucket {name}");
    asset.settings.extend(object(settings));
    asset
}

/// What a server says to a request.
enum Said {
    Yes(Value),
    /// There is none.
    None,
    No {
        reason: String,
        passes: bool,
    },
}

impl Asset {
    async fn prepare(&self, client: &Client) -> Result<Done, AssetError> {
        let found = match self.ask(client, &self.info, &json!({})).await? {
            Said::Yes(info) => object(info["config"].clone()),
            Said::None => {
                let settings = (self.wrap)(Value::Object(self.settings.clone()));
                return self.ask(client, &self.make, &settings).await?.or_refused(self).map(|()| Done::Made);
            }
            Said::No { reason, .. } => return Err(self.refused(reason)),
        };
        let changes = differences(&self.settings, &found);
        if changes.is_empty() {
            return Ok(Done::Nothing);
        }
        let mut settings = found;
        settings.extend(self.settings.clone());
        let settings = (self.wrap)(Value::Object(settings));
        self.ask(client, &self.change, &settings).await?.or_refused(self)?;
        Ok(Done::Changed(changes))
    }

    /// Asks until there is an answer that does not pass.
    async fn ask(&self, client: &Client, what: &str, body: &Value) -> Result<Said, AssetError> {
        let until = Instant::now() + MAKE;
        loop {
            match self.ask_once(client, what, body).await {
                Err(AssetError::Unanswered { .. }) | Ok(Said::No { passes: true, .. }) if Instant::now() < until => {
                    tokio::time::sleep(AGAIN).await;
                }
                said => return said,
            }
        }
    }

    async fn ask_once(&self, client: &Client, what: &str, body: &Value) -> Result<Said, AssetError> {
        let request = Request::new().payload(body.to_string().into()).timeout(Some(ANSWER));
        let unanswered = |reason: String| AssetError::Unanswered { asset: self.name.clone(), reason };
        let message = client.send_request(format!("$JS.API.{what}"), request).await.map_err(|error| {
            unanswered(match error.kind() {
                RequestErrorKind::NoResponders => "JetStream is off for this account".to_owned(),
                _ => error.to_string(),
            })
        })?;
        let answer: Value = serde_json::from_slice(&message.payload).map_err(|error| unanswered(error.to_string()))?;
        let Some(error) = answer.get("error") else { return Ok(Said::Yes(answer)) };
        let code = error["err_code"].as_u64().unwrap_or(0);
        if NONE.contains(&code) {
            return Ok(Said::None);
        }
        let words = error["description"].as_str().unwrap_or_default();
        let hint = match code {
            10_047 | 10_023 => "; give the server a larger max_file_store, or the fleet smaller sizes",
            10_052 => "; it was made by something else: remove it, once what it holds is needed no more",
            10_005 | 10_074 => "; there are fewer servers than replicas",
            10_008 | 10_009 => {
                "; its cluster has no leader: most of its servers must be there, and then choose one within some seconds"
            }
            _ => "",
        };
        Ok(Said::No { reason: format!("{words} ({code}){hint}"), passes: PASSING.contains(&code) })
    }

    fn refused(&self, reason: String) -> AssetError {
        AssetError::Refused { asset: self.name.clone(), reason }
    }
}

impl Said {
    fn or_refused(self, asset: &Asset) -> Result<(), AssetError> {
        match self {
            Self::Yes(_) => Ok(()),
            Self::None => Err(asset.refused("what it belongs to is not there".to_owned())),
            Self::No { reason, .. } => Err(asset.refused(reason)),
        }
    }
}

/// Settings that are not as they are wanted: which, what they are, what they are to be.
fn differences(wanted: &Map<String, Value>, found: &Map<String, Value>) -> Vec<(String, String, String)> {
    let differing = wanted.iter().filter(|(key, value)| !is_same(value, found.get(*key).unwrap_or(&Value::Null)));
    differing
        .map(|(key, value)| (key.clone(), found.get(key).unwrap_or(&Value::Null).to_string(), value.to_string()))
        .collect()
}

/// Whether two values mean the same: a server leaves out what is false or nothing.
fn is_same(wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        (Value::Bool(false), Value::Null) => true,
        (Value::Number(number), Value::Null) => number.as_u64() == Some(0),
        (Value::Object(wanted), Value::Object(found)) => differences(wanted, found).is_empty(),
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_told() {
        let wanted = object(json!({ "a": 1, "b": false, "c": { "x": 1 }, "d": 0, "e": [1], "f": -1 }));
        let found = object(json!({ "a": 1, "c": { "x": 1, "y": 2 }, "e": [1], "f": -1, "z": 3 }));
        assert_eq!(differences(&wanted, &found), []);
        let found = object(json!({ "a": 2, "c": { "x": 1 }, "e": [1] }));
        let changes = differences(&wanted, &found);
        assert_eq!(changes[0], ("a".to_owned(), "2".to_owned(), "1".to_owned()));
        assert_eq!(changes[1], ("f".to_owned(), "null".to_owned(), "-1".to_owned()));
        let change = Change { asset: "stream X".to_owned(), done: Done::Changed(changes) };
        assert_eq!(change.to_string(), "stream X: changed: a 2 -> 1, f null -> -1");
    }

    #[test]
    fn who_is_behind_is_read_from_the_servers_answer() {
        assert_eq!(read_kept("x", &Value::Null), None);
        let cluster = json!({ "name": "r1", "leader": "r1-3", "replicas": [
            { "name": "r1-1", "current": true, "lag": 0 }, { "name": "r1-2", "current": false, "offline": true, "lag": 4 },
        ] });
        let kept = read_kept("stream GAMES", &cluster).unwrap();
        assert!(!kept.is_whole());
        assert_eq!(
            kept.to_string(),
            "stream GAMES: its leader is r1-3; servers that do not have all of it: r1-2 (it is away)"
        );
        let cluster = json!({ "name": "r1", "replicas": [{ "name": "r1-1", "current": false, "lag": 4 }] });
        let kept = read_kept("x", &cluster).unwrap();
        assert!(kept.leader.is_none() && kept.behind == ["r1-1 (4 behind)"]);
        let whole = json!({ "name": "r1", "leader": "r1-1", "replicas": [{ "name": "r1-2", "current": true }] });
        assert!(read_kept("x", &whole).unwrap().is_whole());
    }

    #[test]
    fn no_game_is_dropped_by_the_server_by_itself() {
        let assets = assets(Plan::default());
        let games = &assets[0].settings;
        assert_eq!(
            (&games["discard"], &games["retention"], &games["max_age"]),
            (&json!("new"), &json!("workqueue"), &json!(0))
        );
        assert_eq!(assets[1].settings["max_deliver"], -1);
        // Nor is anything gone with a restart: what is in memory is, with the stream itself.
        let kept = assets.iter().filter(|asset| !asset.name.starts_with("consumer"));
        assert!(kept.clone().count() == 5 && kept.clone().all(|asset| asset.settings["storage"] == "file"));
        let rollups = assets.iter().filter(|asset| asset.settings.get("allow_rollup_hdrs") == Some(&json!(true)));
        assert_eq!(rollups.map(|asset| &*asset.name).collect::<Vec<_>>(), ["bucket presence"]);
    }
}
