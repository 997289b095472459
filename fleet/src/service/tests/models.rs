//! Models on their way through the fleet.

use super::*;
use crate::disk::fake::End;

/// A fleet whose first model all have proven.
fn settled(workers: usize, seed: u64) -> Fleet {
    let mut fleet = Fleet::new(workers, seed);
    fleet.train(1);
    fleet.until("all serve the first", |fleet| fleet.all_serve(1));
    fleet.for_seconds(15);
    fleet
}

#[test]
fn a_new_model_spreads_stage_by_stage_once_it_is_proven() {
    let mut fleet = settled(12, 1);
    assert_eq!(fleet.percents[&1], [100.0]);
    fleet.train(2);
    fleet.until("some serve the second", |fleet| !fleet.serving(2).is_empty());
    // Those who took it first are on probation: it goes no further meanwhile.
    let first = fleet.serving(2);
    let canaries = |fleet: &Fleet| {
        let pointer = fleet.pointer().unwrap();
        fleet.stations.iter().filter(|station| pointer.is_canary(&station.name)).count()
    };
    assert!(first.len() <= canaries(&fleet) && canaries(&fleet) < 8, "{first:?}");
    let state = fleet.publisher.state();
    assert!(matches!(state.rollout, Rollout::Underway { proven: 0, .. } | Rollout::Ready), "{state:?}");
    fleet.until("all serve the second", |fleet| fleet.all_serve(2));
    fleet.for_seconds(1);
    let percents = &fleet.percents[&2];
    assert!(percents.starts_with(&[20.0]) && percents.ends_with(&[60.0, 100.0]), "{percents:?}");
    assert_eq!(fleet.publisher.state().rollout, Rollout::Everywhere);
    assert_eq!(fleet.publisher.state().troubles, Troubles::default());
    let state = fleet.stations[0].service.state();
    assert_eq!((state.models.newest, state.models.named, state.models.fetched), (Some(2), Some(2), 2));
    // What is needed no more is gone from the caches.
    assert!(fleet.stations.iter().all(|station| station.disk.names("w/models").len() == 3));
}

#[test]
fn one_worker_who_finds_it_bad_has_all_go_back_and_the_next_model_goes_on() {
    for after in [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(120)] {
        let mut fleet = settled(8, 2);
        fleet.stations.iter_mut().for_each(|station| station.bad.extend([(2, after)]));
        // One that never finds it bad before it is everywhere.
        if after > Duration::from_secs(60) {
            fleet.stations.iter_mut().for_each(|station| station.bad.clear());
            fleet.train(2);
            fleet.until("all serve it", |fleet| fleet.all_serve(2));
            fleet.stations[3].bad.insert(2, after);
        }
        fleet.train(2);
        fleet.until("it is withdrawn", |fleet| fleet.pointer().unwrap().withdrawn);
        let why = fleet.pointer().unwrap().why.unwrap();
        assert!(why.starts_with("worker w") && why.ends_with(": not finite"), "{why}");
        fleet.until("all have gone back", |fleet| fleet.all_serve(1));
        fleet.for_seconds(60);
        assert!(fleet.all_serve(1) && fleet.publisher.state().rollout == Rollout::Withdrawn);
        fleet.train(3);
        fleet.until("all serve the next", |fleet| fleet.all_serve(3));
        assert_eq!(fleet.pointer().unwrap().previous.unwrap().generation, 1);
    }
}

#[test]
fn a_publisher_that_begins_anew_at_any_moment_goes_on_and_skips_no_stage() {
    for ticks in (0..90).step_by(7) {
        let mut fleet = settled(8, ticks);
        fleet.broker.set_faults(Faults { loses: 6, reorders: 5, ..Faults::default() });
        fleet.train(2);
        for tick in 0..ticks + 60 {
            if tick == ticks || tick == ticks + 7 {
                fleet.publisher = Fleet::publisher(&fleet.broker, &fleet.trainer, "run/latest.yaml");
            }
            fleet.tick();
        }
        fleet.broker.set_faults(Faults::default());
        fleet.until("all serve the second", |fleet| fleet.all_serve(2));
        let percents = &fleet.percents[&2];
        assert!(percents.starts_with(&[20.0]) && percents.is_sorted() && percents.contains(&60.0), "{percents:?}");
        assert_eq!(fleet.broker.models().len(), 2, "begun anew after {ticks} ticks");
    }
}

#[test]
fn two_publishers_of_one_trainer_agree_and_of_two_trainers_say_so() {
    let mut fleet = settled(5, 3);
    let mut other = Fleet::publisher(&fleet.broker, &fleet.trainer, "run/latest.yaml");
    fleet.train(2);
    for _ in 0..400 {
        other.step(fleet.now);
        fleet.tick();
    }
    assert!(fleet.all_serve(2), "{:?}", fleet.named());
    assert_eq!(fleet.percents[&2].last(), Some(&100.0));
    for publisher in [&fleet.publisher, &other] {
        assert_eq!(publisher.state().troubles, Troubles::default());
    }
    // Now of different trainers: the last to have a new model has its way, and neither takes it back from the other for ever.
    fleet.train_as(4, "run/other.yaml");
    let mut other = Fleet::publisher(&fleet.broker, &fleet.trainer, "run/other.yaml");
    let mut puts = BTreeSet::new();
    for _ in 0..1_000 {
        other.step(fleet.now);
        fleet.tick();
        puts.insert(fleet.pointer().unwrap().model.generation);
    }
    assert_eq!((fleet.pointer().unwrap().model.generation, puts.len()), (4, 2));
    assert!(other.state().troubles.get("other").is_none());
    let told = fleet.publisher.state().troubles.get("other").unwrap().to_owned();
    assert!(told.contains("another publisher has put model 4 in the place of model 2"), "{told}");
}

#[test]
fn what_a_broker_has_lost_is_put_again_as_it_was() {
    let mut fleet = settled(6, 4);
    // Nobody proves it: the roll-out stands.
    fleet.stations.iter_mut().for_each(|station| station.bad.extend([(2, Duration::MAX)]));
    fleet.train(2);
    fleet.until("some serve the second", |fleet| !fleet.serving(2).is_empty());
    let before = fleet.pointer().unwrap();
    fleet.broker.start_empty();
    assert!(fleet.pointer().is_none());
    fleet.until("it is there again", |fleet| fleet.pointer().is_some());
    assert_eq!(fleet.pointer().unwrap(), before);
    // With all that a worker needs that comes now: whatever it is to serve.
    for number in 90..96 {
        let station = Station::new(&fleet.broker, &format!("w{number}"), SETTINGS);
        fleet.stations.push(station);
    }
    fleet.until("all who are new have a model", |fleet| fleet.named().iter().all(Option::is_some));
    assert!(!fleet.serving(1).is_empty() && !fleet.serving(2).is_empty());
}

#[test]
fn people_hold_promote_and_withdraw() {
    let mut fleet = settled(6, 5);
    assert_eq!(fleet.publisher.promote(), Err(SteerError::Promoted(1)));
    assert_eq!(fleet.publisher.withdraw("bad"), Err(SteerError::First(1)));
    fleet.publisher.hold(true);
    fleet.train(2);
    fleet.for_seconds(60);
    assert!(fleet.all_serve(1) && fleet.publisher.state().newest == Some(2));
    fleet.publisher.hold(false);
    fleet.until("some serve the second", |fleet| !fleet.serving(2).is_empty());
    fleet.publisher.hold(true);
    let percent = fleet.pointer().unwrap().percent;
    fleet.for_seconds(60);
    assert_eq!((fleet.pointer().unwrap().percent, fleet.publisher.state().rollout), (percent, Rollout::Held));
    fleet.publisher.promote().unwrap();
    fleet.until("all serve the second", |fleet| fleet.all_serve(2));
    fleet.publisher.withdraw("it plays badly").unwrap();
    fleet.until("all have gone back", |fleet| fleet.all_serve(1));
    assert_eq!(fleet.pointer().unwrap().why.as_deref(), Some("it plays badly"));
    fleet.tick();
    assert_eq!(fleet.publisher.promote(), Err(SteerError::Withdrawn(2)));
    assert_eq!(Fleet::new(0, 0).publisher.promote(), Err(SteerError::Unknown));
}

#[test]
fn a_broker_keeps_the_last_models_and_what_is_named() {
    let mut fleet = settled(3, 6);
    for generation in 2..=12 {
        if generation == 9 {
            fleet.publisher = Fleet::publisher(&fleet.broker, &fleet.trainer, "run/latest.yaml");
        }
        fleet.train(generation);
        fleet.until("all serve it", |fleet| fleet.all_serve(generation));
    }
    let expected: BTreeSet<_> = (8..=12).map(|generation| Hash::of(&contents(generation))).collect();
    assert_eq!(fleet.broker.models().into_iter().collect::<BTreeSet<_>>(), expected);
    // A model that nobody proves holds on to the one before it, however many come after.
    fleet.publisher.hold(false);
    fleet.stations.iter_mut().for_each(|station| station.bad.extend((13..40).map(|model| (model, Duration::MAX))));
    for generation in 13..=30 {
        fleet.train(generation);
        fleet.until("it is published", |fleet| fleet.pointer().unwrap().model.generation == generation);
    }
    let kept = fleet.broker.models();
    assert!(kept.contains(&Hash::of(&contents(12))) && kept.len() <= 7, "{} models", kept.len());
}

#[test]
fn what_a_publisher_cannot_publish_is_told_until_it_can() {
    let mut fleet = Fleet::new(1, 7);
    let told = |fleet: &Fleet, about: &str| fleet.publisher.state().troubles.get(about).map(str::to_owned);
    fleet.for_seconds(1);
    assert!(told(&fleet, "model").unwrap().contains("run/latest.yaml: it is not there yet"));
    let put = |fleet: &Fleet, path: &str, bytes: &[u8]| fleet.trainer.write(Path::new(path), bytes).unwrap();
    for (text, words) in [
        ("filename: [", "read run/latest.yaml: "),
        ("filename: run/none.onnx\nversion: 1\n", "read model run/none.onnx: it is not there"),
        ("filename: run/empty.onnx\nversion: 1\n", "publish model run/empty.onnx: it is empty"),
        (&format!("filename: run/m.onnx\nversion: 1\nsha256: {}\n", "0a".repeat(32)), "is said to have 0a0a"),
    ] {
        put(&fleet, "run/latest.yaml", text.as_bytes());
        put(&fleet, "run/empty.onnx", b"");
        put(&fleet, "run/m.onnx", b"model");
        fleet.for_seconds(4);
        let told = told(&fleet, "model").unwrap();
        assert!(told.contains(words), "{told}");
    }
    assert!(fleet.pointer().is_none());
    fleet.train(1);
    fleet.until("it is published", |fleet| fleet.all_serve(1));
    assert_eq!(told(&fleet, "model"), None);
    // A pointer of another version is left alone by all.
    let theirs = fleet.pointer().unwrap().to_json().replace("\"v\":1", "\"v\":2").into_bytes();
    fleet.broker.put_pointer(theirs.clone());
    fleet.train(2);
    fleet.for_seconds(60);
    assert!(told(&fleet, "pointer").unwrap().contains("it has format 2"));
    assert!(fleet.stations[0].service.state().troubles.get("pointer").unwrap().contains("it has format 2"));
    assert_eq!((fleet.broker.pointer().unwrap(), fleet.named()), (theirs, vec![Some(1)]));
}

#[test]
fn a_worker_that_begins_anew_plays_with_what_it_has() {
    let mut fleet = settled(1, 8);
    let Station { disk, .. } = fleet.stations.pop().unwrap();
    disk.restart(End::Killed);
    // The broker is away, and has lost all.
    let away = Broker::new(9, Faults::default());
    let service = Station::service(&away, &disk, "w0", SETTINGS, 1 << 20);
    let mut station = Station { disk, service, ..Station::new(&away, "w0", SETTINGS) };
    station.service.step(Duration::ZERO, &station.word);
    station.look();
    assert_eq!((station.named, station.service.state().models.named), (Some(1), Some(1)));
    assert!(station.service.blocked().is_none());
}

#[test]
fn a_pointer_that_is_overtaken_by_a_newer_one_changes_nothing() {
    let mut fleet = settled(1, 10);
    let old = fleet.pointer().unwrap();
    fleet.train(2);
    fleet.until("it serves the second", |fleet| fleet.all_serve(2));
    let late = crate::link::ToPlayer::Pointer { revision: 1, bytes: old.to_json().into_bytes() };
    fleet.broker.tell(&name("w0"), late.clone());
    fleet.for_seconds(1);
    assert!(fleet.all_serve(2));
    // Told twice it is what the broker has: it began anew.
    fleet.broker.tell(&name("w0"), late.clone());
    fleet.broker.tell(&name("w0"), late);
    fleet.tick();
    assert!(fleet.all_serve(1));
}

#[test]
fn a_worker_that_dies_at_any_step_comes_to_a_whole_model_all_the_same() {
    for end in [End::Killed, End::PowerCut] {
        let mut died = true;
        for at in 0.. {
            let mut fleet = Fleet::new(1, at);
            fleet.train(1);
            fleet.stations[0].disk.die_at(at);
            fleet.for_seconds(6);
            let station = &mut fleet.stations[0];
            died = station.disk.is_dead();
            station.disk.spare();
            if died {
                station.disk.restart(end);
                station.service = Station::service(&fleet.broker, &station.disk, "w0", SETTINGS, 1 << 20);
                (station.named, station.latest) = (None, Vec::new());
            }
            fleet.until("it serves the first", |fleet| fleet.all_serve(1));
            assert_eq!(fleet.stations[0].service.state().troubles, Troubles::default(), "{end:?} at step {at}");
            if !died || at > 2_000 {
                assert!(at > 30, "{at}");
                break;
            }
        }
        assert!(!died);
    }
}
