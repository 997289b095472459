//! The watchdog: a thread that notices when a child has been busy with one thing for too long, which no supervisor that needs
//! the child's help can. A hang is never survived in place, because a thread cannot be ended from outside: the root is told,
//! writes what is finished and ends the process, and what was in play goes on after the restart. Should even that hang, the
//! watchdog ends the process itself.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use actix::Recipient;

use crate::{
    health::{ExitReason, Health, Member},
    supervision::ChildGaveUp,
};

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most that one look adds to what a child was seen busy for. While the process is suspended, or the machine is too
/// overloaded to run even this thread, nothing counts as a hang.
const MOST_PER_LOOK: Duration = Duration::from_millis(500);
/// How long the root may take to end the process after a hang: it gives games, writer and threads their chance.
const END_WITHIN: Duration = Duration::from_secs(20);
/// How long [`LastResort`] may take.
const LAST_RESORT_WITHIN: Duration = Duration::from_secs(5);

/// Ends the process, with the exit code for escalations. When it does not return either, the process is aborted.
pub type LastResort = Arc<dyn Fn() + Send + Sync>;

/// Looks until it is dropped.
#[derive(Debug)]
pub struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts to watch everything that ever joins `health`. After a hang, of which it tells `root`, the process must end in
    /// time, also when the watchdog itself was dropped by then; else `last_resort` ends it.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(health: Arc<Health>, root: Recipient<ChildGaveUp>, last_resort: LastResort) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            let mut watch = Watch::default();
            let mut last_look = Instant::now();
            let mut ending = false;
            while stopped.recv_timeout(LOOK_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let passed = last_look.elapsed();
                last_look = Instant::now();
                for (member, limit) in watch.look(passed, &health.members()) {
                    member.hang(limit);
                    tracing::error!(child = %member.name(), limit_s = limit.as_secs_f64(), "hangs: ending the process");
                    let (child, escalation) = (member.name(), member.child().escalation);
                    root.do_send(ChildGaveUp { child, escalation, reason: ExitReason::Hung(limit) });
                    if !std::mem::replace(&mut ending, true) {
                        see_to_the_end(&last_resort, END_WITHIN, LAST_RESORT_WITHIN);
                    }
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the watchdog ended in a panic");
        }
    }
}

/// What was seen of each child so far. Plain state: no thread, no clock.
#[derive(Debug, Default)]
struct Watch(Vec<Seen>);

#[derive(Clone, Debug, Default)]
struct Seen {
    /// What it was doing.
    started: Option<u64>,
    /// For how long it was seen doing that.
    busy: Duration,
    reported: bool,
}

impl Watch {
    /// Looks at all members, `passed` after the last look, and says which have begun to hang and what their limit is. Members
    /// are only ever added.
    fn look(&mut self, passed: Duration, members: &[Arc<Member>]) -> Vec<(Arc<Member>, Duration)> {
        self.0.resize(members.len(), Seen::default());
        let looked = self.0.iter_mut().zip(members).filter_map(|(seen, member)| {
            let started = member.beat().started();
            if started.is_none() || started != seen.started {
                *seen = Seen { started, busy: Duration::ZERO, ..*seen };
                return None;
            }
            seen.busy += passed.min(MOST_PER_LOOK);
            let limit = member.hang_limit().filter(|&limit| seen.busy >= limit)?;
            (!std::mem::replace(&mut seen.reported, true)).then(|| (member.clone(), limit))
        });
        looked.collect()
    }
}

/// Ends the process if it still runs after `within`; aborts it if that does not end it either.
fn see_to_the_end(last_resort: &LastResort, within: Duration, last_resort_within: Duration) {
    let end = {
        let last_resort = last_resort.clone();
        move || {
            wait(within);
            tracing::error!("the process does not end by itself: ending it");
            let (done, ended) = mpsc::channel();
            let ending = thread::Builder::new().name("last resort".to_owned()).spawn(move || {
                last_resort();
                done.send(()).ok();
            });
            if ending.is_err() || ended.recv_timeout(last_resort_within) == Err(mpsc::RecvTimeoutError::Timeout) {
                std::process::abort();
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("end".to_owned()).spawn(end) {
        tracing::error!("no thread to see to the end of the process: {error}");
        last_resort();
    }
}

fn wait(time: Duration) {
    // Nothing is ever sent: a receiver is a timer.
    let (_sender, never) = mpsc::channel::<()>();
    never.recv_timeout(time).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CHILD, Inbox, play};

    const LIMIT: Duration = Duration::from_secs(2);
    const NEVER: [usize; 0] = [];

    fn members(limits: &[Option<Duration>]) -> Vec<Arc<Member>> {
        let health = Health::new(Arc::default());
        limits.iter().map(|&limit| health.join(&CHILD, "child", limit)).collect()
    }

    /// Looks so often, at the usual intervals; the looks, from 1, that found a hang.
    fn looks(watch: &mut Watch, members: &[Arc<Member>], count: usize) -> Vec<usize> {
        (1..=count).filter(|_| !watch.look(LOOK_EVERY, members).is_empty()).collect()
    }

    #[test]
    fn a_call_that_takes_too_long_is_reported_once() {
        let members = members(&[None, Some(LIMIT)]);
        let mut watch = Watch::default();
        let _unlimited = members[0].beat().enter();
        assert_eq!(looks(&mut watch, &members, 100), NEVER, "an idle child never hangs");
        let call = members[1].beat().enter();
        // The first look only sees that it began.
        assert_eq!(looks(&mut watch, &members, 100), [9]);
        drop(call);
        assert_eq!(looks(&mut watch, &members, 100), NEVER);
    }

    #[test]
    fn calls_after_one_another_are_no_hang_however_many() {
        let members = members(&[Some(LIMIT)]);
        let mut watch = Watch::default();
        for _ in 0..10 {
            let _call = members[0].beat().enter();
            assert_eq!(looks(&mut watch, &members, 6), NEVER);
            // Calls of the same millisecond cannot be told apart.
            while members[0].beat().age() == Some(Duration::ZERO) {
                thread::yield_now();
            }
        }
    }

    #[test]
    fn suspension_is_no_hang() {
        let members = members(&[Some(LIMIT)]);
        let mut watch = Watch::default();
        let _call = members[0].beat().enter();
        assert_eq!(looks(&mut watch, &members, 2), NEVER);
        // The process was stopped for an hour, or the laptop slept; then again.
        for _ in 0..2 {
            assert!(watch.look(Duration::from_secs(3600), &members).is_empty());
        }
        assert_eq!(looks(&mut watch, &members, 10), [3], "time that it did run counts");
    }

    #[test]
    fn the_root_hears_of_a_hang_and_the_process_is_ended_if_it_does_not_end() {
        play(async {
            let mut root = Inbox::<ChildGaveUp>::new();
            let health = Health::new(Arc::default());
            let stuck = health.join(&CHILD, "inference-3", Some(Duration::from_millis(300)));
            let watchdog = Watchdog::start(health.clone(), root.address.clone(), Arc::new(|| ())).unwrap();
            let _call = stuck.beat().enter();
            let report = root.next().await;
            assert_eq!(report.child, "inference-3");
            assert_eq!(report.reason, ExitReason::Hung(Duration::from_millis(300)));
            assert!(health.hangs());
            drop(watchdog);
        });
        let (ended, end) = mpsc::channel();
        let last_resort: LastResort = Arc::new(move || ended.send(()).unwrap());
        see_to_the_end(&last_resort, Duration::ZERO, Duration::from_secs(60));
        end.recv().unwrap();
    }
}
