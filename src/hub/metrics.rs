//! Metrics of a hub for Prometheus, made from its status.

use super::status::{CollectorStatus, FleetStatus, PublisherStatus, WorkerStatus};
use crate::metrics::family;

/// Rows of a metric: the values of its labels, and the number.
type Rows<'a> = Vec<(Vec<&'a str>, f64)>;
/// How they are made.
type Read = fn(&FleetStatus) -> Rows<'_>;

/// A metric: its name, what it is, its kind, its labels, and its rows.
pub(crate) struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    rows: Read,
}

const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str], rows: Read) -> Metric {
    Metric { name, help, kind: "counter", labels, rows }
}

const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str], rows: Read) -> Metric {
    Metric { name, help, kind: "gauge", labels, rows }
}

/// All of them.
pub(crate) const METRICS: [Metric; 26] = [
    gauge(
        "selfplayd_hub_build_info",
        "Always 1; labels tell which program it is, and for which run.",
        &["version", "run"],
        |status| vec![(vec![&*status.version, &*status.run], 1.0)],
    ),
    gauge("selfplayd_hub_up_seconds", "How long the process has run.", &[], |status| one(status.uptime_seconds)),
    gauge(
        "selfplayd_hub_ready",
        "1 while games are collected and models published, as far as this hub has these parts.",
        &[],
        |status| one(truth(status.ready.ok)),
    ),
    gauge("selfplayd_hub_healthy", "1 while nothing is wrong with the hub itself.", &[], |status| {
        one(truth(status.health.ok))
    }),
    counter("selfplayd_hub_restarts_total", "Restarts of a part, whatever the reason.", &["child"], |status| {
        let total = |restarts: crate::status::Restarts| {
            (restarts.panic + restarts.error + restarts.stopped + restarts.hang) as f64
        };
        status.children.iter().map(|child| (vec![&*child.name], total(child.restarts))).collect()
    }),
    gauge(
        "selfplayd_hub_connected",
        "1 while a part is connected to a broker that can be used.",
        &["part"],
        |status| links(status, |link| truth(link.up)),
    ),
    counter("selfplayd_hub_connects_total", "Connections to the broker that came about.", &["part"], |status| {
        links(status, |link| link.connects as f64)
    }),
    counter("selfplayd_hub_key_refusals_total", "Times that the broker refused a part's key.", &["part"], |status| {
        links(status, |link| link.refused as f64)
    }),
    counter(
        "selfplayd_hub_denials_total",
        "Times that the broker did not allow something to a part.",
        &["part"],
        |status| links(status, |link| link.denied as f64),
    ),
    counter(
        "selfplayd_hub_games_total",
        "Games that came into the trainer's folder, ever, by worker.",
        &["worker"],
        |status| collected(status, |worker| worker.games as f64),
    ),
    counter("selfplayd_hub_games_refused_total", "Games that were refused, ever, by worker.", &["worker"], |status| {
        collected(status, |worker| worker.games_refused as f64)
    }),
    counter("selfplayd_hub_frames_total", "Frames collected since the process began.", &[], |status| {
        collector(status, |status| Some(status.frames as f64))
    }),
    counter("selfplayd_hub_duplicates_total", "Frames that had come before.", &[], |status| {
        collector(status, |status| Some(status.duplicates as f64))
    }),
    counter("selfplayd_hub_messages_refused_total", "Messages that were no frames of this fleet.", &[], |status| {
        collector(status, |status| Some(status.messages_refused as f64))
    }),
    gauge(
        "selfplayd_hub_collects",
        "1 while this hub collects; 0 while another does, or the folder cannot be used.",
        &[],
        |status| collector(status, |status| Some(truth(status.collects))),
    ),
    gauge(
        "selfplayd_hub_frames_waiting",
        "Frames that wait at the broker: how far the collector is behind.",
        &[],
        |status| collector(status, |status| status.frames_waiting.map(|frames| frames as f64)),
    ),
    gauge("selfplayd_hub_model_version", "Version of the model that workers are told of.", &[], |status| {
        publisher(status, |status| status.model.map(|model| model as f64))
    }),
    gauge("selfplayd_hub_rollout_percent", "How many of a hundred workers are to serve it.", &[], |status| {
        publisher(status, |status| status.percent)
    }),
    gauge(
        "selfplayd_hub_rollout_underway_seconds",
        "How long the roll-out has waited for the workers of its stage; 0 while it waits for none.",
        &[],
        |status| {
            publisher(status, |status| {
                let waits = ["underway", "ready", "held"].contains(&&*status.stage);
                Some(if waits { status.stage_seconds } else { 0.0 })
            })
        },
    ),
    gauge("selfplayd_hub_rollout_withdrawn", "1 while the newest model is withdrawn.", &[], |status| {
        publisher(status, |status| Some(truth(status.stage == "withdrawn")))
    }),
    gauge(
        "selfplayd_hub_worker_present",
        "1 while a worker is there; 0 for one with a key that has sent games and is not.",
        &["worker"],
        |status| {
            workers(status, |worker| {
                let known = worker.present == Some(true) || worker.has_key && worker.games > 0;
                worker.present.filter(|_| known).map(truth)
            })
        },
    ),
    gauge("selfplayd_hub_worker_blocked", "1 while a worker starts no new games.", &["worker"], |status| {
        workers(status, |worker| worker.outbox.map(|_| truth(worker.blocked.is_some())))
    }),
    gauge(
        "selfplayd_hub_worker_model_version",
        "Version of the model that a worker plays with.",
        &["worker"],
        |status| workers(status, |worker| worker.model.map(|model| model as f64)),
    ),
    gauge("selfplayd_hub_worker_simulations_per_second", "How fast a worker is, as it says.", &["worker"], |status| {
        workers(status, |worker| worker.simulations_per_second)
    }),
    gauge("selfplayd_hub_worker_outbox_bytes", "What waits in a worker's outbox.", &["worker"], |status| {
        workers(status, |worker| worker.outbox.map(|outbox| outbox.bytes as f64))
    }),
    gauge("selfplayd_hub_worker_outbox_max_bytes", "How much may wait there.", &["worker"], |status| {
        workers(status, |worker| worker.outbox.map(|outbox| outbox.most_bytes as f64))
    }),
];

/// All metrics in the text format of Prometheus 0.0.4.
pub(crate) fn render(status: &FleetStatus) -> String {
    let mut text = String::with_capacity(16 << 10);
    for Metric { name, help, kind, labels, rows } in &METRICS {
        let named = |values: Vec<_>| labels.iter().copied().zip(values).collect();
        let rows: Vec<_> = rows(status).into_iter().map(|(values, number)| (named(values), number)).collect();
        family(&mut text, name, help, kind, &rows);
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
    status.workers.iter().filter_map(|worker| Some((vec![&*worker.name], number(worker)?))).collect()
}

/// What the ledger counts, which only a hub that collects has read: zeros of one that waits would look like a counter that began anew.
fn collected(status: &FleetStatus, number: fn(&WorkerStatus) -> f64) -> Rows<'_> {
    let collects = status.collector.as_ref().is_some_and(|collector| collector.collects);
    let workers = status.workers.iter().filter(|_| collects);
    workers.map(|worker| (vec![&*worker.name], number(worker))).collect()
}

fn links(status: &FleetStatus, number: fn(&selfplay_fleet::link::LinkState) -> f64) -> Rows<'_> {
    let parts = [
        ("collector", status.collector.as_ref().map(|part| &part.link)),
        ("publisher", status.publisher.as_ref().map(|part| &part.link)),
    ];
    parts.into_iter().filter_map(|(part, link)| Some((vec![part], number(link?)))).collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use super::{
        super::status::{Lookout, Seen},
        render,
    };

    #[test]
    fn a_hub_that_has_not_begun_to_collect_counts_no_games() {
        let seen = Seen {
            now: Duration::from_secs(1),
            run: &"r1".parse().unwrap(),
            keys: &BTreeSet::from(["w1".parse().unwrap()]),
            collector: Some(None),
            publisher: None,
            children: Vec::new(),
        };
        let text = render(&Lookout::default().look(seen));
        assert!(text.contains("\n# TYPE selfplayd_hub_games_total counter\n"), "{text}");
        // A zero before the ledger is read would look like a counter that began anew, and then like a burst of games.
        assert!(
            !text.contains("\nselfplayd_hub_games_total{") && !text.contains("\nselfplayd_hub_games_refused_total{"),
            "{text}"
        );
    }
}
