//! Whose key opens what.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_nats::{ConnectOptions, Event};
use futures_util::StreamExt as _;
use selfplay_fleet::{
    link::{MessageId, Refusal, ToWorker, WorkerLink as _},
    name::Origin,
    nats::{
        Bell, NatsWorker,
        keys::Key,
        server::{HUB, PUBLISHER},
    },
};

use crate::{
    broker::{Broker, DEADLINE, name},
    sides::{HubSide, Side, Trainer, names, settle, until},
};

#[test]
fn a_worker_whose_key_is_taken_away_waits_and_the_others_go_on() {
    let Some(mut broker) = Broker::start(&["w1", "w2"]) else { return };
    let ready = broker.dir().join("ready");
    let mut one = Side::open(broker.dir(), "w1", broker.dial("w1"));
    let mut two = Side::open(broker.dir(), "w2", broker.dial("w2"));
    let mut hub = HubSide::open(&ready, broker.dial(HUB));
    let mut trainer = Trainer::new(&ready);
    let first = [one.play(5, 1, 100), two.play(5, 1, 100)];
    settle(&mut [&mut one, &mut two], &mut hub, &mut trainer);
    broker.know(&["w2"]);
    let second = [one.play(5, 1, 100), two.play(5, 1, 100)];
    until("it is told that its key is refused", || {
        one.step();
        let health = one.link.health();
        !health.is_up() && health.refused >= 2
    });
    assert!(one.link.health().to_string().contains("does not know our key"), "{}", one.link.health());
    settle(&mut [&mut two], &mut hub, &mut trainer);
    assert_eq!((one.waiting(), two.link.health().connects, hub.link.health().connects), (5, 1, 1));
    broker.know(&["w1", "w2"]);
    settle(&mut [&mut one, &mut two], &mut hub, &mut trainer);
    assert_eq!(trainer.taken, names(&[first.concat(), second.concat()]));
}

#[test]
fn a_wrong_key_is_told_and_never_ends_the_link() {
    let Some(broker) = Broker::start(&["w1"]) else { return };
    let dial = broker.dial_with("w1", Key::generate().unwrap());
    let mut side = Side::open(broker.dir(), "w1", dial);
    side.play(1, 1, 100);
    until("it is told", || {
        side.step();
        side.link.health().refused >= 3
    });
    let health = side.link.health();
    assert!(!health.is_up() && health.connects == 0, "{health}");
    assert!(health.to_string().contains("does not know our key"), "{health}");
    // Nothing is sent, and nothing lost.
    assert_eq!((side.worker.counts().sent, side.waiting()), (0, 1), "{}", side.state());
}

#[test]
fn a_worker_cannot_send_as_another() {
    let Some(broker) = Broker::start(&["w1", "w2"]) else { return };
    let mut link = NatsWorker::connect(broker.dial("w1"), &name("run"), &name("w2"), Bell::silent()).unwrap();
    let id = MessageId { origin: Origin::new([1; 16]), number: 1, round: 1 };
    let mut denial = None;
    let mut asked = None::<Instant>;
    until("it is denied", || {
        if link.health().is_up() && asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(8)) {
            asked = Some(Instant::now());
            link.publish(id, b"a frame".to_vec());
        }
        while let Some(event) = link.hear() {
            if let ToWorker::Refused { refusal: Refusal::Denied(reason), .. } = event {
                denial = Some(reason);
            }
        }
        denial.is_some()
    });
    assert!(denial.unwrap().contains("games.run.w2"));
    assert!(link.health().denied > 0);
}

/// What a key may not do, tried with a bare client: each word is refused by the server.
async fn is_denied(broker: &Broker, who: &str, publish: &[&str], subscribe: &[&str]) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let told = heard.clone();
    let key = std::fs::read_to_string(broker.dir().join(format!("{who}.nk"))).unwrap();
    let client = ConnectOptions::with_nkey(key.trim().to_owned())
        .custom_inbox_prefix(format!("_INBOX_{who}"))
        .event_callback(move |event| {
            if let Event::ServerError(error) = event {
                told.lock().unwrap().push(error.to_string());
            }
            async {}
        })
        .connect(format!("127.0.0.1:{}", broker.port()))
        .await
        .unwrap();
    let mut kept = Vec::new();
    for subject in publish {
        client.publish((*subject).to_owned(), "forged".into()).await.unwrap();
    }
    for subject in subscribe {
        kept.push(client.subscribe((*subject).to_owned()).await.unwrap());
    }
    client.flush().await.unwrap();
    let begun = Instant::now();
    let is_told = |subject: &str| heard.lock().unwrap().iter().any(|error| error.contains(&format!("\"{subject}\"")));
    for subject in publish.iter().chain(subscribe) {
        while !is_told(subject) {
            assert!(begun.elapsed() < DEADLINE, "{who} may use {subject}: {:?}", heard.lock().unwrap());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    // None of them hears anything.
    for subscription in &mut kept {
        assert!(tokio::time::timeout(Duration::ZERO, subscription.next()).await.is_err());
    }
}

#[test]
fn keys_open_what_their_owners_need_and_no_more() {
    let Some(broker) = Broker::start(&["w1", "w2"]) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let worker = [
            "games.run.w2",
            "games.other.w1",
            "$KV.receipts.w1",
            "$KV.receipts.all",
            "$KV.fleet.run.model",
            "$KV.presence.w2",
            "now.receipts.all",
            "models.x.00000",
            "$JS.API.STREAM.INFO.GAMES",
            "$JS.API.STREAM.CREATE.MINE",
            "$JS.API.STREAM.DELETE.GAMES",
            "$JS.API.STREAM.PURGE.GAMES",
            "$JS.API.CONSUMER.CREATE.GAMES.mine",
            "$JS.API.CONSUMER.MSG.NEXT.GAMES.collector",
            "$JS.ACK.GAMES.collector.1.1.1.1.0",
            "$JS.API.DIRECT.GET.KV_receipts.$KV.receipts.w2",
            "$JS.API.CONSUMER.INFO.GAMES.collector",
            "now.presence.w1",
            "_INBOX_collector.x",
        ];
        is_denied(
            &broker,
            "w1",
            &worker,
            &[">", "games.>", "now.receipts.w2", "now.presence.*", "_INBOX_w2.>", "_INBOX.>"],
        )
        .await;
        let collector =
            ["games.run.w1", "$KV.fleet.run.model", "$JS.API.STREAM.PURGE.GAMES", "$JS.API.STREAM.DELETE.GAMES"];
        is_denied(&broker, HUB, &collector, &["games.>", "now.presence.*", "_INBOX_w1.>"]).await;
        let publisher =
            ["games.run.w1", "$KV.receipts.w1", "$JS.API.STREAM.PURGE.GAMES", "$JS.ACK.GAMES.collector.1.1.1.1.0"];
        is_denied(&broker, PUBLISHER, &publisher, &["games.>", "now.receipts.w1"]).await;
    });
}
