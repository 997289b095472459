//! The table of children: everything that is supervised, and how. Supervision, watchdog and status are made from it.

use std::time::Duration;

use crate::health::{Child, Escalation, Hang, Limits, Restart, Setting};

/// Restarts of an actor: so many within a minute.
const fn restarts(restarts: u32) -> Limits {
    Limits {
        restarts,
        window: Duration::from_secs(60),
        first_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(5),
    }
}

/// How long a thread of actors may go without running its timer. A search step takes milliseconds.
const PULSE: Duration = Duration::from_secs(60);

pub(super) static ROOT: Child = Child {
    name: "root",
    restart: Restart::Permanent,
    limits: restarts(0),
    hang: Hang::Thread,
    cost: "the process",
    escalation: Escalation::EndsAtOnce,
};

pub(super) static LOADER: Child = Child {
    name: "model loader",
    restart: Restart::Permanent,
    limits: restarts(5),
    hang: Hang::Call(Setting::Load),
    cost: "the model in hand; it looks at its source again",
    escalation: Escalation::Ends,
};

pub(super) static WRITER: Child = Child {
    name: "writer",
    restart: Restart::Permanent,
    limits: restarts(5),
    hang: Hang::Call(Setting::Write),
    cost: "the game in hand is set aside; its queue survives",
    escalation: Escalation::EndsUnwritten,
};

pub(super) static BATCHER: Child = Child {
    name: "batcher",
    restart: Restart::Permanent,
    limits: restarts(5),
    hang: Hang::Thread,
    cost: "queued positions are reported lost and asked again; threads and their models go on",
    escalation: Escalation::Ends,
};

pub(super) static CACHE: Child = Child {
    name: "cache",
    restart: Restart::Permanent,
    limits: restarts(5),
    hang: Hang::Thread,
    cost: "it starts empty; open requests are reported lost and asked again",
    escalation: Escalation::Ends,
};

pub(super) static GAMES_SUPERVISOR: Child = Child {
    name: "games supervisor",
    restart: Restart::Permanent,
    limits: restarts(5),
    hang: Hang::Thread,
    cost: "the message in hand",
    escalation: Escalation::Ends,
};

/// All games: one budget for the whole group.
pub(super) static GAME: Child = Child {
    name: "game",
    restart: Restart::Transient,
    limits: restarts(20),
    hang: Hang::Thread,
    cost: "the game goes on from its last completed ply; after three times it is given up",
    escalation: Escalation::Ends,
};

/// Each inference thread, with a budget of its own. Spent within four seconds when every batch fails, so that no game has used
/// up its patience by then.
pub(super) static INFERENCE: Child = Child {
    name: "inference thread",
    restart: Restart::Permanent,
    limits: Limits { max_backoff: Duration::from_secs(2), ..restarts(6) },
    hang: Hang::Call(Setting::Inference),
    cost: "the batch in hand is reported failed and asked again; the thread keeps its model and backs off",
    escalation: Escalation::Ends,
};

/// Play needs no matches.
pub(super) static REFEREE: Child = Child {
    name: "referee",
    restart: Restart::Permanent,
    limits: restarts(5),
    hang: Hang::Thread,
    cost: "the match in hand goes on from its last whole pair of games; after twice it is given up",
    escalation: Escalation::GoesOnWithout,
};

/// A thread of actors.
pub(super) static THREAD: Child = Child {
    name: "thread",
    restart: Restart::Permanent,
    limits: restarts(0),
    hang: Hang::Pulse(PULSE),
    cost: "all actors on it; a panic on it is one of its actors'",
    escalation: Escalation::Ends,
};

/// A thread whose one actor makes calls that may block.
pub(super) static BLOCKING_THREAD: Child = Child {
    name: "blocking thread",
    restart: Restart::Permanent,
    limits: restarts(0),
    hang: Hang::Calls,
    cost: "the actor on it; a panic on it is that actor's",
    escalation: Escalation::Ends,
};

/// The table of children.
pub static CHILDREN: [&Child; 11] = [
    &ROOT,
    &LOADER,
    &WRITER,
    &BATCHER,
    &CACHE,
    &GAMES_SUPERVISOR,
    &GAME,
    &INFERENCE,
    &REFEREE,
    &THREAD,
    &BLOCKING_THREAD,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HangLimits;

    #[test]
    fn names_are_unique_and_every_row_says_what_happens() {
        for (place, child) in CHILDREN.iter().enumerate() {
            assert!(CHILDREN[..place].iter().all(|other| other.name != child.name), "{}", child.name);
            assert!(!child.cost.is_empty(), "{}", child.name);
            assert!(child.limits.first_backoff <= child.limits.max_backoff, "{}", child.name);
        }
    }

    #[test]
    fn calls_that_may_block_have_the_limits_that_users_set() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let limits = HangLimits { inference: seconds(1), load: seconds(2), write: seconds(3) };
        let limit = |child: &Child| child.hang_limit(&limits);
        assert_eq!([&INFERENCE, &LOADER, &WRITER].map(limit), [seconds(1), seconds(2), seconds(3)]);
        assert_eq!([&THREAD, &BLOCKING_THREAD, &GAME].map(limit), [Some(PULSE), None, None]);
        let unlimited = HangLimits::default();
        assert_eq!(CHILDREN.iter().filter_map(|child| child.hang_limit(&unlimited)).count(), 1);
    }
}
