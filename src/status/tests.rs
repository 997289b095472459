//! What tests of the status have in common, and its reference.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use selfplay_actors::{
    batcher::BatchPolicy,
    bottleneck::{Monitor, Sizes},
    changes::{Alarm, AlarmKind, Difference},
    findings::LookOutcome,
    health::Health,
    standings::{Decided, Newest, Playing, Rated},
    stats::Stats,
};
use selfplay_fleet::{
    link::LinkState,
    presence::{Block, Blocked, OutboxState},
    service::{ModelsState, Troubles, WorkerState},
    worker::Counts,
};
use serde_json::Value;

use super::*;
use crate::{
    daemon::{
        device::{DeviceFacts, ThreadDevice},
        fleet::{Fleet, FleetStatus},
        progress::Progress,
        siblings::Siblings,
    },
    learning::{Learning, TrainerFigures, VerdictKind},
    steering::{
        api::{Refusal, SteeringApi},
        live_settings::Changes,
        operator::Reload,
    },
};

/// A control that has started and was told nothing.
struct Started;

impl SteeringApi for Started {
    fn drain(&self, _: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn pause(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn resume(&self) -> Result<(), Refusal> {
        Ok(())
    }

    fn reload(&self) -> Result<Reload, Refusal> {
        Err(Refusal::Starting)
    }

    fn set(&self, _: &serde_json::Map<String, Value>) -> Result<Changes, Refusal> {
        Ok(Changes::default())
    }

    fn state(&self) -> Option<ControlState> {
        Some(ControlState::default())
    }

    fn settings_hash(&self) -> String {
        "0123456789abcdef".to_owned()
    }
}

pub(crate) const SIZES: Sizes = Sizes {
    games_at_once: 4,
    leaf_parallelism: 8,
    inference_threads: 2,
    game_threads: 1,
    cores: 2,
    batching: BatchPolicy { max_batch: 32, max_wait: Duration::ZERO, min_share: 8, cores: 1 },
    cache_bytes: 1 << 28,
    cache_entries: None,
    most_games: u64::MAX,
    most_memory: u64::MAX,
};

/// Of a daemon that started 1000 seconds after 1970 and has done nothing yet.
pub(crate) fn sources() -> Sources {
    let stats = Arc::new(Stats::default());
    stats.games_target.set(4);
    stats.cache_capacity.set(1 << 28);
    Sources {
        facts: Facts {
            started_unix: 1000.0,
            started: Instant::now(),
            seed: 1,
            run: RunStatus {
                name: "first".to_owned(),
                rules: "quoridor(board_size=5,max_walls=3)".to_owned(),
                output_dir: "/runs/first/ready".to_owned(),
                model_source: Some("/runs/first/latest.yaml".to_owned()),
            },
            mode: Mode::Continuous,
            device: DeviceFacts::fixed(DeviceStatus {
                requested: "auto".to_owned(),
                actual: "cpu".to_owned(),
                precision: Some("fp32".to_owned()),
                threads: vec![ThreadDevice {
                    thread: "inference-0".to_owned(),
                    requested: "auto".to_owned(),
                    actual: "cpu".to_owned(),
                }],
                note: Some("no GPU".to_owned()),
                onnxruntime: Some("1.32.0".to_owned()),
            }),
        },
        health: Health::new(stats.clone()),
        monitor: Monitor::new(stats.clone(), SIZES, Box::new(|| None)),
        stats,
        control: Arc::new(Started),
        siblings: Siblings::default(),
        learning: Learning::default(),
        fleet: Fleet::default(),
        batch: Some(Arc::new(Progress::new(100))),
    }
}

/// A document in which nothing is missing or empty.
pub(crate) fn full() -> Status {
    let mut status = Sampler::new(sources()).sample().0;
    status.fleet = Some(serde_json::to_value(of_fleet()).unwrap());
    status.games.resign_check = Some(ResignCheck { games: 100, wrong_share: 0.03, low: 0.01, high: 0.085 });
    status.bottleneck =
        Some(Bottleneck { kind: "device".into(), statement: "the device is busy".into(), advice: Some("none".into()) });
    status.model = ModelStatus {
        version: Some(3),
        generation: Some(4),
        age_seconds: Some(12.0),
        served_unix: Some(1.0),
        found: Some(Found { outcome: LookOutcome::Incomplete, version: Some(4), reason: Some("no weights".into()) }),
        swaps: vec![Swap {
            version: Some(3),
            unix: 1.0,
            outcome: Outcome::Served,
            reason: Some("x".into()),
            seconds: Some(0.4),
        }],
        change: Some(ModelChange {
            version: 3,
            unix: 1.0,
            against: Some(Difference {
                version: 2,
                policy_kl: 0.08,
                policy_kl_max: 0.4,
                value_change: 0.05,
                value_change_max: 0.3,
            }),
            largest_logit: 7.5,
            entropy_share: 0.42,
            one_hot_share: 0.1,
            alarms: vec![Alarm { kind: AlarmKind::OneHot, words: "policies of model 3 are one-hot".into() }],
        }),
    };
    status.matches = Some(Standings {
        playing: Some(Playing { players: ["20".into(), "16".into()], gate: false, pairs: 7, of: 30 }),
        newest: Some(Newest {
            version: 16,
            elo: 212.0,
            margin: 48.0,
            games: 180,
            against: Some(12),
            score: Some(0.575),
        }),
        rated: vec![Rated { player: "16".into(), version: Some(16), elo: 212.0, margin: 48.0, games: 180 }],
        gate: Some(Decided { version: 19, against: 18, score: 0.45, pairs: 30, promoted: false }),
        trouble: Some("x".into()),
    });
    status.learning = LearningStatus {
        versions: 12,
        recent: Some(learned()),
        verdicts: vec![DataVerdict {
            kind: VerdictKind::RepeatedOpenings,
            statement: "games begin alike: 62% of openings (8 plies) are equal to earlier ones".into(),
            advice: "raise play.opening_random_plies".into(),
        }],
        trouble: Some("x".into()),
    };
    status.trainer = Some(TrainerStatus {
        file: "/runs/first/trainer.json".into(),
        age_seconds: Some(2.0),
        trouble: Some("x".into()),
        figures: Some(TrainerFigures {
            updated: 1.0,
            state: Some("training".into()),
            version: Some(3),
            step: Some(1200),
            loss: Some(1.5),
            policy_loss: Some(1.1),
            value_loss: Some(0.4),
            learning_rate: Some(0.001),
            gradient_norm: Some(0.7),
            window_rows: Some(20_000),
            rows: Some(51_000),
            samples_per_second: Some(900.0),
            samples_per_row: Some(3.9),
        }),
    });
    status.batch = Some(BatchStatus { games: 100, written: 4, seconds_left: Some(170.0) });
    status.cache.capacity_entries = Some(1000);
    status.siblings = vec![Sibling {
        pid: 4712,
        host: "gpu-1".into(),
        run: "second".into(),
        started_unix: 1.0,
        url: Some("http://127.0.0.1:9467/".into()),
    }];
    status.batch_sizes = vec![Bin { le: Some(8), count: 10 }, Bin { le: None, count: 1 }];
    status.threads =
        vec![ThreadStatus { role: "inference".into(), count: 2, shares: [("working".into(), 1.0)].into() }];
    status.children = vec![ChildStatus {
        name: "games".into(),
        state: "running".into(),
        running: 1,
        restart: "permanent".into(),
        restarts: Restarts::default(),
        restarts_allowed: 3,
        window_seconds: 60.0,
        last_exit: Some("panicked: x".into()),
        last_exit_seconds_ago: Some(1.0),
        busy_seconds: Some(0.1),
        hang_seconds: Some(30.0),
        cost: "a game".into(),
        escalation: "the process ends".into(),
    }];
    status
}

/// Figures of which none is missing.
/// How a worker's side of its fleet may be.
pub(crate) fn of_fleet() -> FleetStatus {
    let name = |name: &str| name.parse().unwrap();
    let (connects, refused, denied) = (1, 0, 0);
    let state = WorkerState {
        run: name("r1"),
        worker: name("w1"),
        dir: "selfplayd-w1".into(),
        link: LinkState { up: true, words: "connected".to_owned(), connects, refused, denied },
        outbox: OutboxState::default(),
        counts: Counts::default(),
        games_taken: 1,
        games_aside: 0,
        aside: None,
        frames_lost: 0,
        lost: None,
        models: ModelsState { fetching: Some((3, 1, 2)), ..ModelsState::default() },
        blocked: Some(Blocked { why: Block::OutboxFull, words: "outbox full".to_owned() }),
        troubles: Troubles::default(),
    };
    FleetStatus { state, restarts: 0 }
}

fn learned() -> VersionFigures {
    VersionFigures {
        version: 42,
        from: 40,
        first_unix: 1.0,
        games: 210,
        plies: Some(31.25),
        first_share: Some(0.55),
        second_share: Some(0.37),
        draw_share: Some(0.08),
        step_limit_share: Some(0.02),
        told_apart: 210,
        repeated_games: Some(0.01),
        repeated_openings: Some(0.62),
        full_share: Some(0.25),
        depth: Some(4.5),
        targets: 1600,
        entropy: Some(0.9),
        entropy_share: Some(0.46),
        one_hot_share: Some(0.1),
        policy_kl: Some(0.21),
        values: 6500,
        value_error: Some(0.52),
        raw_value_error: Some(0.61),
        guess_error: Some(0.9),
        calibration_error: Some(0.06),
        calibration: vec![[-0.9, -0.8, 650.0], [0.9, 0.85, 700.0]],
        elo: Some(212.0),
        elo_margin: Some(48.0),
        change: Some(Difference {
            version: 41,
            policy_kl: 0.08,
            policy_kl_max: 0.4,
            value_change: 0.05,
            value_change_max: 0.3,
        }),
        largest_logit: Some(7.5),
    }
}

/// The paths of all fields: `model.swaps[].version`. What is named by what it counts ends in `.*`.
fn paths(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(_) if ["totals", "threads[].shares", "fleet.troubles"].contains(&path) => {
            into.insert(format!("{path}.*"));
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                paths(inner, &format!("{path}{}{name}", if path.is_empty() { "" } else { "." }), into);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| paths(item, &format!("{path}[]"), into));
        }
        Value::Array(_) => drop(into.insert(format!("{path}[]"))),
        _ => drop(into.insert(path.to_owned())),
    }
}

/// The fields that the reference tells of: the first column of its tables.
fn documented() -> BTreeSet<String> {
    let rows = include_str!("../../docs/status.md").lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned())).collect()
}

#[test]
fn the_reference_tells_of_every_field_and_of_no_other() {
    let mut fields = BTreeSet::new();
    paths(&serde_json::to_value(full()).unwrap(), "", &mut fields);
    assert_eq!(documented(), fields);
}

#[test]
fn a_document_can_be_read_again_also_by_those_who_know_fewer_fields() {
    let status = full();
    let mut json = serde_json::to_value(&status).unwrap();
    json["later"] = Value::from(1);
    assert_eq!(serde_json::from_value::<Status>(json).unwrap(), status);
    assert_eq!(status.history.step_seconds, Duration::from_secs(2).as_secs());
}
