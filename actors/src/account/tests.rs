//! Accounts of real threads.

use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use super::*;

/// Keeps this thread busy.
fn spin(duration: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < duration {
        std::hint::spin_loop();
    }
}

const MOMENT: Duration = Duration::from_millis(2);

/// Accounts of a process that plays.
fn serving() -> Accounts {
    let accounts = Accounts::default();
    accounts.set_serving(true);
    accounts
}

/// What a thread is doing now.
fn doing(account: &Account) -> Activity {
    let before = account.ledger.read();
    spin(Duration::from_micros(10));
    let after = account.ledger.read();
    let mut grown = Activity::ALL.into_iter().filter(|&activity| after[activity as usize] > before[activity as usize]);
    let doing = grown.next().unwrap();
    assert_eq!(grown.next(), None, "one thing at a time");
    doing
}

#[test]
fn discriminants_are_places_in_the_tables() {
    assert!(Role::ALL.into_iter().enumerate().all(|(place, role)| role as usize == place));
    assert!(Activity::ALL.into_iter().enumerate().all(|(place, activity)| activity as usize == place));
    let accounts = serving();
    for starts in [Starts::NoCredits, Starts::Held, Starts::Free] {
        accounts.set_starts(starts);
        assert_eq!(accounts.starts(), starts);
    }
}

#[test]
fn time_goes_to_what_a_thread_does_and_nothing_is_lost() {
    let accounts = serving();
    let begun = Instant::now();
    let account = accounts.open(Role::Inference);
    let opened = begun.elapsed();
    spin(MOMENT);
    account.work();
    spin(MOMENT);
    account.work();
    spin(MOMENT);
    account.rest();
    spin(MOMENT);
    let least = begun.elapsed() - opened;
    let times = accounts.read();
    let most = begun.elapsed();
    let seconds = |activity| times.seconds(Role::Inference, activity);
    let (working, waiting) = (seconds(Activity::Working), seconds(Activity::WaitingWork));
    assert!(working >= 2.0 * MOMENT.as_secs_f64() && waiting >= 2.0 * MOMENT.as_secs_f64(), "{times:?}");
    assert!(working + waiting >= least.as_secs_f64() && working + waiting <= most.as_secs_f64(), "{times:?}");
    let [shares] = &times.shares()[..] else { panic!("{times:?}") };
    assert_eq!((shares.role, shares.count, shares.shares.len()), (Role::Inference, 1, 2));
    assert!((shares.shares.values().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
}

#[test]
fn why_a_thread_rests_depends_on_its_role_and_on_what_the_process_is_told() {
    let accounts = Accounts::default();
    let threads = Role::ALL.map(|role| accounts.open(role));
    let [games, evaluation, inference, writer, loader] = &threads;
    let all = |expected: [Activity; 5]| {
        assert_eq!([games, evaluation, inference, writer, loader].map(|account| doing(account)), expected);
    };
    use Activity::{Paused, Swap, WaitingEvaluations, WaitingWork, Working, WriterBlocked};
    all([Swap, Swap, Swap, WaitingWork, WaitingWork]);
    accounts.set_serving(true);
    assert!(accounts.serving());
    all([WaitingWork; 5]);
    accounts.set_starts(Starts::NoCredits);
    all([WriterBlocked, WaitingWork, WaitingWork, WaitingWork, WaitingWork]);
    games.games.store(1, SeqCst);
    games.rest();
    all([WaitingEvaluations, WaitingWork, WaitingWork, WaitingWork, WaitingWork]);
    inference.work();
    accounts.set_paused(true);
    all([Paused, Paused, Working, WaitingWork, WaitingWork]);
    inference.rest();
    all([Paused, Paused, Paused, WaitingWork, WaitingWork]);
    accounts.set_paused(false);
    accounts.set_serving(false);
    all([Swap, Swap, Swap, WaitingWork, WaitingWork]);
}

#[test]
fn play_as_a_whole_has_an_account_too() {
    let accounts = Accounts::default();
    let share_of = |change: &dyn Fn()| {
        change();
        let before = accounts.read();
        spin(MOMENT);
        let times = accounts.read().since(&before);
        Activity::ALL.into_iter().find(|&activity| times.play_share(activity) == 1.0)
    };
    assert_eq!(share_of(&|| {}), Some(Activity::Swap));
    assert_eq!(share_of(&|| accounts.set_serving(true)), Some(Activity::Working));
    assert_eq!(share_of(&|| accounts.set_starts(Starts::Held)), Some(Activity::WriterBlocked));
    assert_eq!(share_of(&|| accounts.set_paused(true)), Some(Activity::Paused));
}

#[test]
fn readings_add_up_to_the_time_that_passed_while_threads_switch() {
    let accounts = Arc::new(serving());
    let account = accounts.open(Role::Games);
    let stop = Arc::new(AtomicBool::new(false));
    let switching = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            while !stop.load(SeqCst) {
                account.work();
                account.rest();
            }
        })
    };
    let total =
        |times: &Times| Activity::ALL.into_iter().map(|activity| times.seconds(Role::Games, activity)).sum::<f64>();
    let begun = Instant::now();
    let first = accounts.read();
    let (opened, mut last) = (begun.elapsed().as_secs_f64(), 0.0);
    let both = || {
        let span = accounts.read().since(&first);
        span.share(Role::Games, Activity::Paused) > 0.0 && span.share(Role::Games, Activity::WaitingWork) > 0.0
    };
    let mut round = 0;
    // On a busy machine the thread may not run for long.
    while round < 2_000 || !both() {
        round += 1;
        assert!(begun.elapsed() < Duration::from_secs(60), "the thread never switched");
        // Cut by another thread now and then.
        accounts.set_paused(round % 7 == 0);
        let before = begun.elapsed();
        let grown = total(&accounts.read()) - total(&first);
        let after = begun.elapsed();
        assert!(grown >= last - 1e-9 && grown <= after.as_secs_f64() + 1e-3, "{last} s, then {grown} s of {after:?}");
        assert!(grown >= before.as_secs_f64() - opened - 1e-3, "{grown} s of {before:?}");
        last = grown;
    }
    stop.store(true, SeqCst);
    switching.join().unwrap();
}

#[test]
fn a_thread_of_actors_works_while_its_runtime_is_awake() {
    let accounts = Arc::new(serving());
    let (sender, times) = mpsc::channel();
    let reading = accounts.clone();
    std::thread::spawn(move || {
        let runtime = runtime(reading.open(Role::Games)).unwrap();
        runtime.block_on(tokio::task::LocalSet::new().run_until(async {
            game_begins();
            let begun = reading.read();
            tokio::time::sleep(50 * MOMENT).await;
            let asleep = reading.read();
            spin(50 * MOMENT);
            sender.send((asleep.since(&begun), reading.read().since(&asleep))).unwrap();
            game_ends();
        }));
    });
    let (asleep, awake) = times.recv().unwrap();
    assert!(asleep.share(Role::Games, Activity::WaitingEvaluations) > 0.5, "{asleep:?}");
    assert_eq!(awake.share(Role::Games, Activity::Working), 1.0, "{awake:?}");
}

#[test]
fn games_are_counted_only_where_there_is_an_account() {
    game_begins();
    game_ends();
    game_ends();
}

#[test]
fn switching_costs_next_to_nothing() {
    const SWITCHES: u32 = 1_000;
    let accounts = serving();
    let account = accounts.open(Role::Games);
    let round = || {
        let begun = Instant::now();
        for _ in 0..SWITCHES {
            account.work();
            account.rest();
        }
        begun.elapsed() / SWITCHES
    };
    // The least of many rounds: whatever else the machine does, some are not disturbed.
    let cost = std::iter::repeat_with(round).take(100).min().unwrap();
    assert!(cost < Duration::from_micros(10), "{cost:?}");
}
