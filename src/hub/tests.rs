//! What a hub tells, from what its parts told.

use std::{collections::BTreeSet, time::Duration};

use selfplay_fleet::{
    collector::Counts,
    link::{Lag, LinkState},
    models::{Hash, Standing},
    presence::{Block, Blocked, Judged, OutboxState, Said},
    service::{Collected, CollectorState, PointerState, Present, PublisherState, Rollout, Troubles},
};

use super::{
    metrics::{METRICS, render},
    news::news,
    status::{FleetStatus, Lookout, Seen},
    table::table,
};

const SECOND: Duration = Duration::from_secs(1);

fn up() -> LinkState {
    LinkState {
        up: true,
        words: "connected to n1 (nats-server 2.15.1) for 7 s".to_owned(),
        connects: 1,
        ..LinkState::default()
    }
}

fn down() -> LinkState {
    LinkState { up: false, words: "not connected to tls://h:4222 for 3 s".to_owned(), ..up() }
}

fn collector(games: &[(&str, u64)]) -> CollectorState {
    let collected =
        |&(name, games): &(&str, u64)| (name.parse().unwrap(), Collected { games, refused: 1, forgotten: 0 });
    CollectorState {
        run: "r1".parse().unwrap(),
        ready: "/run/ready".into(),
        collects: true,
        stands_by: false,
        link: up(),
        counts: Counts { frames: 9, games: 90, duplicates: 2, ..Counts::default() },
        lag: Some(Lag { waiting: 5, in_hand: 1 }),
        lag_seconds: Some(1),
        workers: games.iter().map(collected).collect(),
        refusals: games.iter().map(|(name, _)| (name.parse().unwrap(), "its archive is cut".to_owned())).collect(),
        troubles: Troubles::default(),
    }
}

fn said(generation: i64, standing: Standing) -> Said {
    Said {
        version: "0.1.0".to_owned(),
        model: Some(Judged { sha256: Hash::of(b"model"), generation, standing }),
        serving: Some(4),
        playing: "playing".to_owned(),
        games: 12,
        simulations_per_second: 30_000.0,
        bottleneck: "the device".to_owned(),
        outbox: OutboxState { frames: 2, bytes: 2048, most_bytes: 1 << 30, oldest_seconds: 3 },
        ..Said::default()
    }
}

fn present(worker: &str, said: Said) -> Present {
    Present { worker: worker.parse().unwrap(), age_seconds: 2.0, is_canary: false, said: Some(said), trouble: None }
}

fn publisher(workers: Vec<Present>, rollout: Rollout) -> PublisherState {
    let withdrawn = rollout == Rollout::Withdrawn;
    PublisherState {
        run: "r1".parse().unwrap(),
        link: up(),
        pointer: Some(PointerState {
            generation: 5,
            sha256: Hash::of(b"model"),
            bytes: 7,
            percent: if rollout == Rollout::Everywhere { 100.0 } else { 5.0 },
            previous: Some(4),
            withdrawn,
            why: withdrawn.then(|| "worker w1 found it bad: its values are no numbers".to_owned()),
            settings_hash: "5e77".to_owned(),
        }),
        newest: Some(5),
        uploading: None,
        waits_for: Vec::new(),
        held: false,
        workers,
        rollout,
        troubles: Troubles::default(),
    }
}

/// What is told at `now` seconds; keys of w1 and w2.
fn look(lookout: &mut Lookout, now: u32, collector: &CollectorState, publisher: &PublisherState) -> FleetStatus {
    let keys: BTreeSet<_> = ["w1", "w2"].map(|name| name.parse().unwrap()).into();
    lookout.look(Seen {
        now: SECOND * now,
        run: &"r1".parse().unwrap(),
        keys: &keys,
        collector: Some(Some(collector)),
        publisher: Some(Some(publisher)),
        children: Vec::new(),
    })
}

fn lines(before: Option<&FleetStatus>, now: &FleetStatus) -> Vec<String> {
    news(before, now).into_iter().map(|line| format!("{}{}", if line.warns { "! " } else { "" }, line.text)).collect()
}

#[test]
fn speeds_are_those_of_the_last_minute() {
    let (mut lookout, models) = (Lookout::default(), publisher(Vec::new(), Rollout::Everywhere));
    let mut speeds = Vec::new();
    for second in 0..200 {
        let games = if second < 100 { u64::from(second) * 3 } else { 300 };
        let status = look(&mut lookout, second, &collector(&[("w1", 1_000 + games), ("w2", 7)]), &models);
        assert_eq!(status.games, 1_007 + games);
        speeds.push(status.games_per_second);
    }
    assert_eq!(speeds[0], 0.0, "what was collected before is no speed");
    assert!((speeds[10] - 3.0).abs() < 1e-9 && (speeds[99] - 3.0).abs() < 1e-9, "{} {}", speeds[10], speeds[99]);
    assert!((1.3..1.7).contains(&speeds[130]), "{}", speeds[130]);
    assert_eq!(speeds[199], 0.0);
}

#[test]
fn a_worker_is_gone_only_when_all_had_the_time_to_speak() {
    let (mut lookout, games) = (Lookout::default(), collector(&[("w1", 3), ("w2", 4)]));
    let one = publisher(vec![present("w1", said(5, Standing::Proven))], Rollout::Everywhere);
    let early = look(&mut lookout, 0, &games, &one);
    assert_eq!(early.workers.iter().map(|worker| worker.present).collect::<Vec<_>>(), [Some(true), None]);
    assert_eq!(early.warnings, [""; 0]);
    let late = look(&mut lookout, 31, &games, &one);
    assert_eq!(late.workers[1].present, Some(false));
    assert_eq!(late.warnings, ["worker w2 is not there: it has said nothing for half a minute"]);
    // Without a connection none is heard.
    let deaf = PublisherState { link: down(), workers: Vec::new(), ..one.clone() };
    let status = look(&mut lookout, 32, &games, &deaf);
    assert!(status.workers.iter().all(|worker| worker.present.is_none()), "{:?}", status.workers);
    let again = look(&mut lookout, 33, &games, &one);
    assert_eq!(again.workers[1].present, None);
}

#[test]
fn what_changes_is_told_once() {
    let mut lookout = Lookout::default();
    let games = collector(&[("w1", 3)]);
    let none = publisher(Vec::new(), Rollout::Everywhere);
    let first = look(&mut lookout, 0, &games, &none);
    let words = lines(None, &first);
    let up = "connected to n1 (nats-server 2.15.1) for 7 s";
    assert_eq!(
        words,
        [
            &format!("the collector is {up}"),
            &format!("the publisher is {up}"),
            "roll-out: model 5 for all workers",
            "games are collected into /run/ready",
        ]
    );
    let underway = publisher(vec![present("w1", said(5, Standing::Trying))], Rollout::Underway { proven: 0, of: 1 });
    let second = look(&mut lookout, 1, &games, &underway);
    assert_eq!(
        lines(Some(&first), &second),
        [
            "roll-out: model 5 for 5% of the workers, proven by 0 of 1; the others have model 4",
            "worker w1 is there, selfplayd 0.1.0",
        ]
    );
    assert_eq!(lines(Some(&second), &look(&mut lookout, 2, &games, &underway)), [""; 0]);
    let full = Blocked { why: Block::OutboxFull, words: "outbox full".to_owned() };
    let bad = Said { blocked: Some(full), ..said(5, Standing::Bad("its values are no numbers".to_owned())) };
    let refused =
        CollectorState { counts: Counts { messages_refused: 2, ..games.counts }, link: down(), ..games.clone() };
    let third = look(&mut lookout, 3, &refused, &publisher(vec![present("w1", bad)], Rollout::Withdrawn));
    assert_eq!(
        lines(Some(&second), &third),
        [
            "! the collector is not connected to tls://h:4222 for 3 s",
            "! roll-out: model 5 was withdrawn: worker w1 found it bad: its values are no numbers; all have model 4",
            "! 2 messages were no frames of this fleet; see tmp/fleet/rejected in the folder",
            "! worker w1 starts no new games: outbox full",
            "! worker w1 finds model 5 bad: its values are no numbers",
        ]
    );
    let gone = look(&mut lookout, 40, &games, &none);
    assert!(lines(Some(&third), &gone).contains(&"! worker w1 is not there any more".to_owned()));
}

#[test]
fn verdicts_say_what_is_not_done() {
    let (games, models) = (collector(&[]), publisher(Vec::new(), Rollout::Everywhere));
    let well = look(&mut Lookout::default(), 0, &games, &models);
    assert!(well.health.ok && well.ready.ok, "{well:?}");
    let none = PublisherState { pointer: None, ..publisher(Vec::new(), Rollout::None) };
    let standby = CollectorState { collects: false, stands_by: true, ..games.clone() };
    let idle = look(&mut Lookout::default(), 0, &standby, &none);
    let wait = "/run/ready: another process collects there; this one takes its place when that ends";
    assert_eq!(idle.ready.reasons, [wait, "no model is published yet"]);
    assert!(idle.health.ok, "to wait is no fault");
    let cut = CollectorState { link: down(), ..games };
    let status = look(&mut Lookout::default(), 0, &cut, &models);
    assert_eq!(status.ready.reasons, ["the collector is not connected to tls://h:4222 for 3 s"]);
    let seen = Seen {
        now: SECOND,
        run: &"r1".parse().unwrap(),
        keys: &BTreeSet::new(),
        collector: Some(None),
        publisher: None,
        children: Vec::new(),
    };
    let early = Lookout::default().look(seen);
    assert_eq!(early.ready.reasons, ["the collector has not begun"]);
    assert!(early.publisher.is_none());
}

#[test]
fn the_table_has_a_line_for_each_worker() {
    let mut lookout = Lookout::default();
    let workers = vec![present("w1", said(5, Standing::Proven)), present("long-name", said(5, Standing::Trying))];
    let mut models = publisher(workers, Rollout::Underway { proven: 1, of: 2 });
    models.waits_for = vec!["long-name".parse().unwrap()];
    look(&mut lookout, 0, &collector(&[("w1", 100)]), &models);
    let mut status = look(&mut lookout, 40, &collector(&[("w1", 300)]), &models);
    (status.version, status.pid) = ("0.1.0".to_owned(), 7);
    insta::assert_snapshot!(table(&status));
}

#[test]
fn metrics_are_numbers_of_known_names_with_labels_that_can_be_read() {
    let mut lookout = Lookout::default();
    let models = publisher(vec![present("w1", said(5, Standing::Proven))], Rollout::Everywhere);
    let text = render(&look(&mut lookout, 0, &collector(&[("w1", 3)]), &models));
    for line in [
        "selfplayd_hub_ready 1",
        "selfplayd_hub_connected{part=\"collector\"} 1",
        "selfplayd_hub_games_total{worker=\"w1\"} 3",
        "selfplayd_hub_frames_waiting 5",
        "selfplayd_hub_rollout_percent 100",
        "selfplayd_hub_worker_present{worker=\"w1\"} 1",
        "selfplayd_hub_worker_outbox_bytes{worker=\"w1\"} 2048",
    ] {
        assert!(text.lines().any(|said| said == line), "{line} is not in\n{text}");
    }
    let mut names = BTreeSet::new();
    for metric in &METRICS {
        assert!(names.insert(metric.name) && metric.name.starts_with("selfplayd_hub_"), "{}", metric.name);
        assert_eq!(metric.kind == "counter", metric.name.ends_with("_total"), "{}", metric.name);
        assert!(text.contains(&format!("# TYPE {} {}\n", metric.name, metric.kind)), "{}", metric.name);
    }
}
