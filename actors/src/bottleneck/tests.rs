//! A window for every kind of bottleneck, and what is said of it.

use std::time::Duration;

use super::*;
use Activity::{Paused, Swap, WaitingEvaluations, WaitingWork, Working, WriterBlocked};

const CPU: BatchPolicy = BatchPolicy { max_batch: 32, max_wait: Duration::ZERO, min_share: 8, cores: 1 };
const GPU: BatchPolicy = BatchPolicy { max_batch: 1024, max_wait: Duration::ZERO, min_share: 1024, cores: 1 };

const SIZES: Sizes = Sizes {
    games_at_once: 32,
    leaf_parallelism: 8,
    inference_threads: 2,
    game_threads: 1,
    cores: 2,
    batching: CPU,
    cache_bytes: 256 << 20,
    cache_entries: None,
    most_games: u64::MAX,
    most_memory: u64::MAX,
};

const PLAYING: &[(Activity, f64)] = &[(Working, 10.0)];

/// Ten seconds in which inference threads worked for the one share, and the games' thread for the other.
fn window(device: f64, games: f64) -> Window {
    let inference: &[(Activity, f64)] = &[(Working, 10.0 * device), (WaitingWork, 10.0 * (1.0 - device))];
    let times = Times::of(
        &[
            (Role::Inference, inference),
            (Role::Inference, inference),
            (Role::Games, &[(Working, 10.0 * games), (WaitingEvaluations, 10.0 * (1.0 - games))]),
        ],
        PLAYING,
    );
    Window {
        seconds: 10.0,
        times,
        evaluations: 30_000,
        batches: 1_000,
        lookups: 40_000,
        hits: 10_000,
        evictions: 0,
        write_errors: 0,
        models_refused: 0,
        cache_bytes: 100 << 20,
        cache_entries: 1000,
        draining: false,
        disk: (0, 0),
        no_room_onward: false,
        in_play: 32,
        endless: 0,
        unwritten: 0,
        serving: true,
        loading: false,
        starts: Starts::Free,
        memory: None,
        sizes: SIZES,
    }
}

/// The same, but play and inference threads were kept from it by something for a share of the time.
fn hindered(by: Activity, share: f64) -> Window {
    let spent = [(Working, 10.0 * (1.0 - share)), (by, 10.0 * share)];
    Window { times: Times::of(&[(Role::Inference, &spent)], &spent), ..window(0.0, 0.0) }
}

fn kind(window: &Window) -> Kind {
    judge(window).kind
}

/// The judgement, and that it says all of these.
#[track_caller]
fn says(window: &Window, kind: Kind, statement: &[&str], advice: &[&str]) {
    let judged = judge(window);
    let said = |text: &String, parts: &[&str]| parts.iter().all(|part| text.contains(part));
    assert!(
        judged.kind == kind && said(&judged.statement, statement) && said(&judged.advice, advice),
        "{kind:?}, {statement:?}, {advice:?} is not what was judged: {judged:#?}"
    );
}

#[test]
fn a_busy_device_is_as_it_should_be() {
    says(&window(0.97, 0.1), Kind::Device, &["as it should be", "97%", "batches of 30.0"], &["no change is needed"]);
    assert_eq!(kind(&window(0.97, 0.97)), Kind::Device, "whatever else is busy");
    let full = Window { cache_bytes: 256 << 20, evictions: 20_000, ..window(0.97, 0.1) };
    says(&full, Kind::Device, &[], &["evicts 2000 entries/s", "raise cache.max_bytes (now 256 MiB)"]);
    // Of two limits the one that binds is named.
    let few = Sizes { cache_entries: Some(1000), ..SIZES };
    let bound = Window { cache_bytes: 10 << 20, evictions: 20_000, sizes: few, ..window(0.97, 0.1) };
    says(&bound, Kind::Device, &[], &["it is full", "raise cache.max_entries (now 1000)"]);
    let off = Sizes { cache_bytes: 0, ..SIZES };
    assert!(!judge(&Window { sizes: off, ..full }).advice.contains("cache"));
}

#[test]
fn a_gpu_that_works_on_hardly_anything_is_starved_and_one_with_half_a_batch_may_want_more() {
    let sizes = Sizes { batching: GPU, cores: 16, ..SIZES };
    let empty = Window { sizes, ..window(0.97, 0.1) };
    says(&empty, Kind::Games, &["batches of 30.0, where 1024", "32 games"], &["raise games_per_process to about"]);
    let half = Window { sizes, batches: 60, ..window(0.97, 0.1) };
    says(&half, Kind::Device, &["batches of 500.0"], &["49% full", "games_per_process of about"]);
    // A process that has used up its memory gives up cache and games: it is not told to take more of either.
    let used_up = Sizes { most_memory: 700 << 20, ..sizes };
    let memory = Some(Memory { limit: 64 << 30, available: 32 << 30, resident: 650 << 20 });
    says(&Window { sizes: used_up, memory, ..half }, Kind::Device, &[], &["no change is needed"]);
    says(&Window { sizes: used_up, memory, ..empty }, Kind::Games, &[], &["allows no more than 32"]);
    let evicts = Window { cache_bytes: 256 << 20, evictions: 20_000, memory, ..window(0.97, 0.1) };
    says(&evicts, Kind::Device, &[], &["a larger cache"]);
    let sizes_used_up = Sizes { most_memory: 700 << 20, ..SIZES };
    says(&Window { sizes: sizes_used_up, ..evicts }, Kind::Device, &[], &["no change is needed"]);
    // There is no memory for more: what cannot be is not advised.
    let full = Sizes { most_games: 32, ..sizes };
    says(&Window { sizes: full, ..half }, Kind::Device, &[], &["no change is needed"]);
    let advice = ["memory.max_bytes allows no more than 32 (now 32)", "lower cache.max_bytes"];
    says(&Window { sizes: full, ..empty }, Kind::Games, &[], &advice);
}

#[test]
fn a_device_that_waits_for_games_that_wait_for_it_wants_more_of_them() {
    let one = Sizes { games_at_once: 1, ..SIZES };
    let starved = Window { sizes: one, in_play: 1, batches: 4_000, hits: 0, ..window(0.4, 0.2) };
    let statement = ["too few games", "positions 60%", "evaluations 80%", "1 game in play", "batches of 7.5"];
    says(&starved, Kind::Games, &statement, &["raise games_per_process to about 12 (now 1)"]);
    let batching = BatchPolicy { max_wait: Duration::from_micros(2500), ..CPU };
    let patient = Window { sizes: Sizes { batching, ..one }, ..starved };
    says(&patient, Kind::Games, &[], &["or lower inference.eval_max_wait_ms (now 2.5)"]);
}

#[test]
fn games_wanted_follow_from_sizes_and_from_idleness_whichever_is_more() {
    // (2 + 1) × 32 positions, 8 of each game.
    let wanted = |window: Window| window.games_wanted();
    assert_eq!(
        wanted(Window { in_play: 2, hits: 0, sizes: Sizes { games_at_once: 2, ..SIZES }, ..window(0.4, 0.1) }),
        12
    );
    // Nearly all is in the cache: a game waits for little more than one position.
    let cached = wanted(Window { in_play: 2, hits: 39_600, ..window(0.4, 0.1) });
    assert!((88..=96).contains(&cached), "{cached}");
    // 32 games keep it busy for 30%.
    assert_eq!(wanted(window(0.3, 0.1)), 104);
    // At least a quarter more than there are, however near the goal.
    assert_eq!(wanted(window(0.84, 0.1)), 40);
    // All cached, nothing measured, the most there can be.
    assert_eq!(wanted(Window { in_play: 0, hits: 40_000, ..window(0.0, 0.1) }), 96);
    assert_eq!(wanted(Window { in_play: 60_000, ..window(0.0, 0.1) }), 65_536);
}

#[test]
fn busy_threads_of_games_are_the_limit_where_the_device_waits() {
    let roomy = Window { sizes: Sizes { cores: 16, batching: GPU, ..SIZES }, ..window(0.5, 0.9) };
    let advice = ["raise play.threads to 15 (now 1)", "14 of 16 cores are free"];
    says(&roomy, Kind::Search, &["threads of games (1) work 90%", "inference threads 50%"], &advice);
    // Idle inference threads leave their cores to others.
    says(&window(0.1, 0.98), Kind::Search, &[], &["raise play.threads to 2"]);
    let crowded = ["fewer processes", "2 cores", "cargo xtask fastest"];
    says(&window(0.5, 0.9), Kind::Search, &[], &crowded);
}

#[test]
fn the_thread_that_all_requests_pass_may_be_the_limit_too() {
    let times = Times::of(
        &[
            (Role::Inference, &[(Working, 4.0), (WaitingWork, 6.0)]),
            (Role::Games, &[(Working, 3.0), (WaitingEvaluations, 7.0)]),
            (Role::Evaluation, &[(Working, 9.5), (WaitingWork, 0.5)]),
        ],
        PLAYING,
    );
    let statement = ["thread of cache and batcher", "95%", "40%"];
    says(&Window { times, ..window(0.0, 0.0) }, Kind::Search, &statement, &["leaf_parallelism"]);
    let crowded = Window { times, ..window(0.0, 0.0) };
    assert!(!judge(&crowded).advice.contains("another process"), "no core is free for one");
    let roomy = Window { sizes: Sizes { cores: 16, ..SIZES }, ..crowded };
    says(&roomy, Kind::Search, &statement, &["run another process"]);
    assert!(!judge(&roomy).advice.contains("leaf_parallelism"), "that costs strength");
}

#[test]
fn the_writer_is_the_limit_where_it_keeps_the_device_waiting() {
    let blocked = |device: f64, starts| Window {
        times: Times::of(
            &[
                (Role::Inference, &[(Working, 10.0 * device), (WaitingWork, 10.0 * (1.0 - device))]),
                (Role::Writer, &[(Working, 9.0), (WaitingWork, 1.0)]),
            ],
            &[(Working, 5.0), (WriterBlocked, 5.0)],
        ),
        unwritten: 40,
        in_play: 3,
        starts,
        ..window(0.0, 0.0)
    };
    let slow = blocked(0.2, Starts::NoCredits);
    says(&slow, Kind::Writer, &["50%", "40 finished games wait", "90%"], &["output.dir on a faster disk"]);
    says(&Window { write_errors: 3, ..slow }, Kind::Writer, &["3 writes failed"], &["see the log"]);
    says(&blocked(0.2, Starts::Held), Kind::Writer, &[], &["see the log for why output.dir takes no games"]);
    let full = Window { disk: (12 << 20, 1 << 30), ..blocked(0.2, Starts::Held) };
    says(&full, Kind::Writer, &["50%", "12 MiB are free", "1024 MiB are needed"], &["make room", "output.min_free"]);
    let onward = Window { no_room_onward: true, ..blocked(0.2, Starts::Held) };
    says(&onward, Kind::Writer, &["50%", "games do not go on to the trainer"], &["log and status"]);
    assert_eq!(kind(&blocked(0.9, Starts::NoCredits)), Kind::Device, "nothing is lost");
    let empty = Window { in_play: 0, evaluations: 0, ..blocked(0.0, Starts::Held) };
    assert_eq!(kind(&empty), Kind::Writer, "also when it has been so for long");
}

#[test]
fn memory_comes_first_once_little_is_left() {
    let with = |available: u64| Window {
        memory: Some(Memory { limit: 1000 << 20, available: available << 20, resident: 700 << 20 }),
        ..window(0.97, 0.1)
    };
    let statement = ["40 of 1000 MiB are left", "holds 700 MiB, 100 of them in the cache"];
    let advice = ["cache.max_bytes (now 256 MiB)", "games_per_process (now 32)"];
    says(&with(40), Kind::Memory, &statement, &advice);
    assert_eq!(kind(&with(60)), Kind::Device);
}

#[test]
fn without_a_model_nothing_else_matters() {
    let without = |share| Window { serving: false, ..hindered(Swap, share) };
    says(&without(0.8), Kind::Model, &["80%"], &["hand over a model"]);
    says(&Window { models_refused: 1, ..without(1.0) }, Kind::Model, &["100%"], &["refused"]);
    says(&Window { loading: true, in_play: 0, evaluations: 0, ..without(1.0) }, Kind::Model, &[], &["wait"]);
    says(&hindered(Swap, 0.8), Kind::Model, &["80%"], &["one is in service now"]);
    assert_eq!(kind(&hindered(Swap, 0.3)), Kind::Model, "it is why the device idles");
    assert_eq!(kind(&hindered(Swap, 0.1)), Kind::Device);
}

#[test]
fn a_pause_and_an_end_hold_nothing_back() {
    says(&hindered(Paused, 0.9), Kind::None, &["paused"], &["resume"]);
    assert_eq!(kind(&hindered(Paused, 0.3)), Kind::None);
    assert_eq!(kind(&hindered(Paused, 0.1)), Kind::Device);
    let ending = Window { in_play: 3, ..window(0.4, 0.1) };
    says(&ending, Kind::None, &["3 games of 32 left in play"], &["wait"]);
    // Whatever else could be better, it is not to be now.
    let draining = Window { draining: true, in_play: 1, ..window(0.4, 0.1) };
    says(&draining, Kind::None, &["play is ending: 1 game left in play"], &["wait"]);
    let begun = Window { in_play: 0, evaluations: 0, ..window(0.0, 0.0) };
    says(&begun, Kind::None, &["nothing is played yet"], &["wait"]);
}

#[test]
fn names_are_those_of_the_serialised_kinds() {
    for kind in Kind::ALL {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
    }
}

#[test]
fn games_without_an_end_are_named_whatever_else_is_busy() {
    for threads in [(0.95, 0.1), (0.1, 0.95)] {
        let few = judge(&Window { endless: 15, ..window(threads.0, threads.1) });
        assert_ne!(few.kind, Kind::Endless);
        let endless = judge(&Window { endless: 16, ..window(threads.0, threads.1) });
        assert_eq!(endless.kind, Kind::Endless);
        assert_eq!(endless.statement, "16 of 32 games in play are longer than 1000 plies and may never end");
        assert!(endless.advice.starts_with("set quoridor.max_steps"), "{}", endless.advice);
    }
}
