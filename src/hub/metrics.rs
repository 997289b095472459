//! Metrics of a hub for Prometheus, made from its status.

use super::status::{CollectorStatus, FleetStatus, PublisherStatus, WorkerStatus};
use crate::metrics::family;

/// Rows of a metric: labels, and the number.
type Rows<'a> = Vec<(Vec<(&'static str, &'a str)>, f64)>;

/// A metric: its name, what it is, its kind, and its rows.
pub(crate) struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    rows: fn(&FleetStatus) -> Rows<'_>,
}

const fn counter(name: &'static str, help: &'static str, rows: fn(&FleetStatus) -> Rows<'_>) -> Metric {
    Metric { name, help, kind: "counter", rows }
}

const fn gauge(name: &'static str, help: &'static str, rows: fn(&FleetStatus) -> Rows<'_>) -> Metric {
    Metric { name, help, kind: "gauge", rows }
}

/// All of them.
pub(crate) const METRICS: [Metric; 26] = [
    gauge("selfplayd_hub_build_info", "Always 1; labels tell which program it is, and for which run.", |status| {
        vec![(vec![("version", &status.version), ("run", &status.run)], 1.0)]
    }),
    gauge("selfplayd_hub_up_seconds", "How long the process has run.", |status| one(status.uptime_seconds)),
    gauge(
        "selfplayd_hub_ready",
        "1 while games are collected and models published, as far as this hub has these parts.",
        |status| one(truth(status.ready.ok)),
    ),
    gauge("selfplayd_hub_healthy", "1 while nothing is wrong with the hub itself.", |status| {
        one(truth(status.health.ok))
    }),
    counter("selfplayd_hub_restarts_total", "Restarts of a part, whatever the reason.", |status| {
        let total = |restarts: crate::status::Restarts| {
            (restarts.panic + restarts.error + restarts.stopped + restarts.hang) as f64
        };
        status.children.iter().map(|child| (vec![("child", &*child.name)], total(child.restarts))).collect()
    }),
    gauge("selfplayd_hub_connected", "1 while a part is connected to a broker that can be used.", |status| {
        links(status, |link| truth(link.up))
    }),
    counter("selfplayd_hub_connects_total", "Connections to the broker that came about.", |status| {
        links(status, |link| link.connects as f64)
    }),
    counter("selfplayd_hub_key_refusals_total", "Times that the broker refused a part's key.", |status| {
        links(status, |link| link.refused as f64)
    }),
    counter("selfplayd_hub_denials_total", "Times that the broker did not allow something to a part.", |status| {
        links(status, |link| link.denied as f64)
    }),
    counter("selfplayd_hub_games_total", "Games that came into the trainer's folder, ever, by worker.", |status| {
        workers(status, |worker| Some(worker.games as f64))
    }),
    counter("selfplayd_hub_games_refused_total", "Games that were refused, ever, by worker.", |status| {
        workers(status, |worker| Some(worker.games_refused as f64))
    }),
    counter("selfplayd_hub_frames_total", "Frames collected since the process began.", |status| {
        collector(status, |status| Some(status.frames as f64))
    }),
    counter("selfplayd_hub_duplicates_total", "Frames that had come before.", |status| {
        collector(status, |status| Some(status.duplicates as f64))
    }),
    counter("selfplayd_hub_messages_refused_total", "Messages that were no frames of this fleet.", |status| {
        collector(status, |status| Some(status.messages_refused as f64))
    }),
    gauge(
        "selfplayd_hub_collects",
        "1 while this hub collects; 0 while another does, or the folder cannot be used.",
        |status| collector(status, |status| Some(truth(status.collects))),
    ),
    gauge(
        "selfplayd_hub_frames_waiting",
        "Frames that wait at the broker: how far the collector is behind.",
        |status| collector(status, |status| status.frames_waiting.map(|frames| frames as f64)),
    ),
    gauge("selfplayd_hub_model_version", "Version of the model that workers are told of.", |status| {
        publisher(status, |status| status.model.map(|model| model as f64))
    }),
    gauge("selfplayd_hub_rollout_percent", "How many of a hundred workers are to serve it.", |status| {
        publisher(status, |status| status.percent)
    }),
    gauge(
        "selfplayd_hub_rollout_underway_seconds",
        "How long the roll-out has waited for the workers of its stage; 0 while it waits for none.",
        |status| {
            publisher(status, |status| {
                let waits = ["underway", "ready", "held"].contains(&&*status.stage);
                Some(if waits { status.stage_seconds } else { 0.0 })
            })
        },
    ),
    gauge("selfplayd_hub_rollout_withdrawn", "1 while the newest model is withdrawn.", |status| {
        publisher(status, |status| Some(truth(status.stage == "withdrawn")))
    }),
    gauge(
        "selfplayd_hub_worker_present",
        "1 while a worker is there; 0 for one with a key that has sent games and is not.",
        |status| {
            workers(status, |worker| {
                let known = worker.present == Some(true) || worker.has_key && worker.games > 0;
                worker.present.filter(|_| known).map(truth)
            })
        },
    ),
    gauge("selfplayd_hub_worker_blocked", "1 while a worker starts no new games.", |status| {
        workers(status, |worker| worker.outbox.map(|_| truth(worker.blocked.is_some())))
    }),
    gauge("selfplayd_hub_worker_model_version", "Version of the model that a worker plays with.", |status| {
        workers(status, |worker| worker.model.map(|model| model as f64))
    }),
    gauge("selfplayd_hub_worker_simulations_per_second", "How fast a worker is, as it says.", |status| {
        workers(status, |worker| worker.simulations_per_second)
    }),
    gauge("selfplayd_hub_worker_outbox_bytes", "What waits in a worker's outbox.", |status| {
        workers(status, |worker| worker.outbox.map(|outbox| outbox.bytes as f64))
    }),
    gauge("selfplayd_hub_worker_outbox_max_bytes", "How much may wait there.", |status| {
        workers(status, |worker| worker.outbox.map(|outbox| outbox.most_bytes as f64))
    }),
];

/// All metrics in the text format of Prometheus 0.0.4.
pub(crate) fn render(status: &FleetStatus) -> String {
    let mut text = String::with_capacity(16 << 10);
    for Metric { name, help, kind, rows } in &METRICS {
        family(&mut text, name, help, kind, &rows(status));
    }
    text
}

fn truth(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

fn one<'a>(number: f64) -> Rows<'a> {
    vec![(Vec::new(), number)]
}

fn collector(status: &FleetStatus, number: fn(&CollectorStatus) -> Option<f64>) -> Rows<'_> {
    status.collector.iter().filter_map(number).map(|number| (Vec::new(), number)).collect()
}

fn publisher(status: &FleetStatus, number: fn(&PublisherStatus) -> Option<f64>) -> Rows<'_> {
    status.publisher.iter().filter_map(number).map(|number| (Vec::new(), number)).collect()
}

fn workers(status: &FleetStatus, number: fn(&WorkerStatus) -> Option<f64>) -> Rows<'_> {
    status.workers.iter().filter_map(|worker| Some((vec![("worker", &*worker.name)], number(worker)?))).collect()
}

fn links(status: &FleetStatus, number: fn(&selfplay_fleet::link::LinkState) -> f64) -> Rows<'_> {
    let parts = [
        ("collector", status.collector.as_ref().map(|part| &part.link)),
        ("publisher", status.publisher.as_ref().map(|part| &part.link)),
    ];
    parts.into_iter().filter_map(|(part, link)| Some((vec![("part", part)], number(link?)))).collect()
}
