//! How every child is doing: kept by its supervisor, read by the watchdog, the log and the status.
//!
//! A lock is taken only when a child starts, ends or is asked about; signs of life are lock-free ([`Beat`]).

mod beat;
mod child;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

pub use self::{
    beat::{Beat, Call, progress},
    child::{Child, Escalation, ExitReason, Hang, HangLimits, Limits, Restart, Setting},
};
use crate::stats::Stats;

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has not done anything yet.
    Starting,
    /// It works.
    Running,
    /// It ended and waits for its restart.
    Restarting,
    /// It has been busy with one thing for too long.
    Hung,
    /// It ended for good.
    Stopped,
}

/// Restarts since the process began, by the reason for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Restarts {
    /// After panics.
    pub panic: u64,
    /// After errors; for inference threads, of batches.
    pub error: u64,
    /// After ends without a reason.
    pub stopped: u64,
    /// Hangs. They end the process: there is at most one.
    pub hang: u64,
}

impl Restarts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.panic + self.error + self.stopped + self.hang
    }

    fn count(&mut self, reason: &ExitReason) {
        *match reason {
            ExitReason::Normal => &mut self.stopped,
            ExitReason::Panicked(_) => &mut self.panic,
            ExitReason::Failed(_) => &mut self.error,
            ExitReason::Hung(_) => &mut self.hang,
        } += 1;
    }
}

/// How all children are doing at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TreeStatus {
    /// In the order in which they were started.
    pub children: Vec<ChildStatus>,
}

/// How a child, or a group of children with one budget, is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChildStatus {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it is doing; of a group, whatever is worst.
    pub state: State,
    /// Children in the group that run; 0 or 1 otherwise.
    pub running: u32,
    /// When it is restarted.
    pub restart: Restart,
    /// Restarts so far.
    pub restarts: Restarts,
    /// Restarts allowed within `window_seconds`.
    pub restarts_allowed: u32,
    /// Length of the sliding window.
    pub window_seconds: f64,
    /// Why it ended last; `None` if it never did.
    pub last_exit: Option<String>,
    /// How long ago that was.
    pub last_exit_seconds_ago: Option<f64>,
    /// How long it has been busy with one thing, or has not run its timer; `None` when idle or not watched by itself.
    pub busy_seconds: Option<f64>,
    /// How long it may be; `None`: for ever.
    pub hang_seconds: Option<f64>,
    /// What one failure costs.
    pub cost: &'static str,
    /// What happens when the restarts are used up.
    pub escalation: &'static str,
}

impl TreeStatus {
    /// The children that were ever restarted or hung, or ended for a reason.
    pub fn troubled(&self) -> impl Iterator<Item = &ChildStatus> {
        self.children.iter().filter(|child| child.restarts.total() > 0 || child.last_exit.is_some())
    }

    /// One line per child that ever had trouble; of all others only in debug logs.
    pub fn log(&self) {
        for child in &self.children {
            let ChildStatus { name, state, running, restarts, last_exit, .. } = child;
            if self.troubled().any(|troubled| std::ptr::eq(troubled, child)) {
                let Restarts { panic, error, stopped, hang } = restarts;
                tracing::info!(%name, ?state, running, panic, error, stopped, hang, last_exit, "child");
            } else {
                tracing::debug!(%name, ?state, running, "child");
            }
        }
    }
}

/// How the children of a process are doing. All methods may be called from any thread.
#[derive(Debug, Default)]
pub struct Health {
    members: Mutex<Vec<Arc<Member>>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stats: Arc<Stats>,
    /// Restarts, hangs and ends so far.
    events: AtomicU64,
}

impl Health {
    /// Of a process without children yet. Restarts are counted in `stats` too.
    #[must_use]
    pub fn new(stats: Arc<Stats>) -> Arc<Self> {
        Arc::new(Self { members: Mutex::default(), shared: Arc::new(Shared { stats, events: AtomicU64::new(0) }) })
    }

    /// Takes in a child under a name of its own, or a group; it may be busy with one thing for `hang_limit`.
    pub fn join(
        &self,
        child: &'static Child,
        name: impl Into<Cow<'static, str>>,
        hang_limit: Option<Duration>,
    ) -> Arc<Member> {
        let record = Mutex::default();
        let (name, beat, shared) = (name.into(), Beat::default(), self.shared.clone());
        let member = Arc::new(Member { child, name, hang_limit, beat, record, shared });
        lock(&self.members).push(member.clone());
        member
    }

    /// A number that grows with every restart, hang and end.
    pub fn events(&self) -> u64 {
        self.shared.events.load(Relaxed)
    }

    /// How everything is now.
    #[must_use]
    pub fn status(&self) -> TreeStatus {
        TreeStatus { children: self.members().iter().map(|member| member.status()).collect() }
    }

    /// Restarts by the row of the table that a child is of.
    #[must_use]
    pub fn restarts(&self) -> BTreeMap<&'static str, Restarts> {
        let mut sums: BTreeMap<_, Restarts> = BTreeMap::new();
        for member in self.members() {
            let Restarts { panic, error, stopped, hang } = lock(&member.record).restarts;
            let sum = sums.entry(member.child.name).or_default();
            sum.panic += panic;
            sum.error += error;
            sum.stopped += stopped;
            sum.hang += hang;
        }
        sums
    }

    /// Whether anything hangs.
    pub fn hangs(&self) -> bool {
        self.members().iter().any(|member| lock(&member.record).hung)
    }

    pub(crate) fn members(&self) -> Vec<Arc<Member>> {
        lock(&self.members).clone()
    }
}

/// A child, or a group of them with one budget.
#[derive(Debug)]
pub struct Member {
    child: &'static Child,
    name: Cow<'static, str>,
    hang_limit: Option<Duration>,
    beat: Beat,
    record: Mutex<Record>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Record {
    /// Children by what they do, in the order of [`State`]; a hang is of the whole.
    children: [u32; 5],
    hung: bool,
    restarts: Restarts,
    last_exit: Option<(ExitReason, Instant)>,
}

impl Member {
    /// Its row of the table.
    pub fn child(&self) -> &'static Child {
        self.child
    }

    /// Its name.
    pub fn name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    /// Its sign of life.
    pub fn beat(&self) -> &Beat {
        &self.beat
    }

    /// How long it may be busy with one thing; `None`: for ever.
    pub fn hang_limit(&self) -> Option<Duration> {
        self.hang_limit
    }

    /// One child starts.
    #[must_use]
    pub fn arrive(self: &Arc<Self>) -> Presence {
        lock(&self.record).children[State::Starting as usize] += 1;
        Presence { member: self.clone(), state: State::Starting }
    }

    /// It has been busy with one thing for longer than `limit`.
    pub(crate) fn hang(&self, limit: Duration) {
        let mut record = lock(&self.record);
        record.hung = true;
        let reason = ExitReason::Hung(limit);
        record.restarts.count(&reason);
        record.last_exit = Some((reason, Instant::now()));
        self.shared.events.fetch_add(1, Relaxed);
    }

    fn status(&self) -> ChildStatus {
        let Child { restart, limits, cost, escalation, .. } = *self.child;
        let record = lock(&self.record);
        let worst = [State::Restarting, State::Starting, State::Running, State::Stopped];
        let worst = worst.into_iter().find(|&state| record.children[state as usize] > 0);
        let state = if record.hung { State::Hung } else { worst.unwrap_or(State::Starting) };
        ChildStatus {
            name: self.name.clone(),
            state,
            running: record.children[State::Running as usize],
            restart,
            restarts: record.restarts,
            restarts_allowed: limits.restarts,
            window_seconds: limits.window.as_secs_f64(),
            last_exit: record.last_exit.as_ref().map(|(reason, _)| reason.to_string()),
            last_exit_seconds_ago: record.last_exit.as_ref().map(|(_, at)| at.elapsed().as_secs_f64()),
            busy_seconds: self.beat.age().map(|age| age.as_secs_f64()),
            hang_seconds: self.hang_limit.map(|limit| limit.as_secs_f64()),
            cost,
            escalation: escalation.text(),
        }
    }
}

/// One child's entry in its [`Member`], kept by its supervisor. Dropped, the child has stopped.
#[derive(Debug)]
pub struct Presence {
    member: Arc<Member>,
    state: State,
}

impl Presence {
    /// It works. Cheap to say again.
    pub fn running(&mut self) {
        if self.state != State::Running {
            self.move_to(State::Running, None);
        }
    }

    /// It ended and will be restarted.
    pub fn restarting(&mut self, reason: &ExitReason) {
        self.member.shared.stats.restarts.add(1);
        lock(&self.member.record).restarts.count(reason);
        self.move_to(State::Restarting, Some(reason));
    }

    /// It ended for good; `reason` is what a user should hear of.
    pub fn stopped(&mut self, reason: &ExitReason) {
        self.move_to(State::Stopped, Some(reason));
    }

    fn move_to(&mut self, state: State, reason: Option<&ExitReason>) {
        let mut record = lock(&self.member.record);
        record.children[self.state as usize] -= 1;
        record.children[state as usize] += 1;
        self.state = state;
        if let Some(reason) = reason {
            record.last_exit = Some((reason.clone(), Instant::now()));
            self.member.shared.events.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.move_to(State::Stopped, None);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    static CHILD: Child = Child {
        name: "child",
        restart: Restart::Transient,
        limits: Limits {
            restarts: 4,
            window: Duration::from_secs(60),
            first_backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
        },
        hang: Hang::Pulse(Duration::from_secs(5)),
        cost: "nothing",
        escalation: Escalation::Ends,
    };

    fn one(health: &Health) -> ChildStatus {
        let status = health.status();
        assert_eq!(status.children.len(), 1);
        status.children[0].clone()
    }

    #[test]
    fn a_group_is_as_well_as_its_worst_child() {
        let stats = Arc::new(Stats::default());
        let health = Health::new(stats.clone());
        let member = health.join(&CHILD, "children", None);
        assert_eq!((one(&health).state, one(&health).running), (State::Starting, 0));
        let (mut first, mut second) = (member.arrive(), member.arrive());
        first.running();
        assert_eq!((one(&health).state, one(&health).running), (State::Starting, 1));
        second.running();
        second.running();
        assert_eq!((one(&health).state, one(&health).running), (State::Running, 2));
        assert_eq!((health.events(), health.status().troubled().count()), (0, 0));

        first.restarting(&ExitReason::Panicked("oh".to_owned()));
        let status = one(&health);
        assert_eq!((status.state, status.running), (State::Restarting, 1));
        assert_eq!(status.last_exit.as_deref(), Some("panicked: oh"));
        first.running();
        first.restarting(&ExitReason::Failed("be".to_owned()));
        first.restarting(&ExitReason::Normal);
        assert_eq!(one(&health).restarts, Restarts { panic: 1, error: 1, stopped: 1, hang: 0 });
        assert_eq!((stats.restarts.get(), health.events(), health.status().troubled().count()), (3, 3, 1));

        drop(first);
        assert_eq!(one(&health).state, State::Running, "the other still works");
        second.stopped(&ExitReason::Normal);
        drop(second);
        assert_eq!((one(&health).state, one(&health).running), (State::Stopped, 0));
    }

    #[test]
    fn restarts_add_up_over_the_children_of_a_row() {
        let health = Health::new(Arc::default());
        let members = ["one", "other"].map(|name| health.join(&CHILD, name, None));
        members[0].arrive().restarting(&ExitReason::Panicked("oh".to_owned()));
        members[1].arrive().restarting(&ExitReason::Panicked("oh".to_owned()));
        members[1].hang(Duration::from_secs(5));
        let expected = Restarts { panic: 2, error: 0, stopped: 0, hang: 1 };
        assert_eq!(health.restarts(), BTreeMap::from([("child", expected)]));
    }

    #[test]
    fn a_hang_stays() {
        let health = Health::new(Arc::default());
        let member = health.join(&CHILD, "child", Some(Duration::from_secs(5)));
        let mut presence = member.arrive();
        assert!(!health.hangs());
        member.hang(Duration::from_secs(5));
        presence.running();
        assert!(health.hangs());
        let status = one(&health);
        assert_eq!((status.state, status.restarts.hang, health.events()), (State::Hung, 1, 1));
        let json = serde_json::to_value(health.status()).unwrap();
        let child = &json["children"][0];
        assert_eq!((child["name"].as_str(), child["state"].as_str()), (Some("child"), Some("hung")));
        assert_eq!((child["hang_seconds"].as_f64(), child["restart"].as_str()), (Some(5.0), Some("transient")));
    }
}
