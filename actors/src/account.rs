//! Where the threads' time goes: for every thread, nanoseconds per activity, switched when it goes to work and when it rests.
//!
//! A thread of actors rests while its runtime is parked, so that everything the runtime does counts as work, not the actors'
//! handlers alone, and a thread with much to do reads no clock at all. An inference thread rests between two commands. Why a
//! thread rests follows from what is known when it begins to: what its process is told ([`Accounts::set_paused`],
//! [`Accounts::set_serving`], [`Accounts::set_starts`]) and whether games of its own wait. When that changes, the spans of all
//! threads that rest are cut there. Nothing waits for a lock, and nothing is done per leaf.
//!
//! A thread that is ready to run but has no core counts as doing what it would be doing.

mod ledger;
mod times;

use std::{
    cell::OnceCell,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst},
    },
};

use serde::Serialize;
use tokio::runtime::Runtime;

use self::ledger::Ledger;
pub use self::times::{RoleShares, Times};

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Advances games; where it is the only one of its kind, cache and batcher live on it too.
    Games,
    /// Holds cache and batcher.
    Evaluation,
    /// Runs the network.
    Inference,
    /// Writes games.
    Writer,
    /// Loads models.
    Loader,
}

impl Role {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 5] = [Self::Games, Self::Evaluation, Self::Inference, Self::Writer, Self::Loader];

    /// As in metrics and in the status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Games => "games",
            Self::Evaluation => "evaluation",
            Self::Inference => "inference",
            Self::Writer => "writer",
            Self::Loader => "loader",
        }
    }
}

/// What a thread does, or why it does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It works.
    Working,
    /// It advances games, and all of them wait for evaluations.
    WaitingEvaluations,
    /// It has been sent nothing to do.
    WaitingWork,
    /// It has no games, because the writer lets none start.
    WriterBlocked,
    /// No model is in service.
    Swap,
    /// Play is paused.
    Paused,
}

impl Activity {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Self; 6] =
        [Self::Working, Self::WaitingEvaluations, Self::WaitingWork, Self::WriterBlocked, Self::Swap, Self::Paused];

    /// As in metrics and in the status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::WaitingEvaluations => "waiting_evaluations",
            Self::WaitingWork => "waiting_work",
            Self::WriterBlocked => "writer_blocked",
            Self::Swap => "swap",
            Self::Paused => "paused",
        }
    }
}

/// Whether the writer lets games start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Starts {
    /// It does, or none wants to.
    #[default]
    Free,
    /// Too many finished games wait for the disk.
    NoCredits,
    /// The disk has too little room.
    Held,
}

/// What every thread's reason to rest depends on.
#[derive(Debug, Default)]
struct Circumstances {
    paused: AtomicBool,
    serving: AtomicBool,
    /// Discriminant of [`Starts`].
    starts: AtomicU8,
}

impl Circumstances {
    fn starts(&self) -> Starts {
        [Starts::Free, Starts::NoCredits, Starts::Held][usize::from(self.starts.load(SeqCst))]
    }

    /// What keeps everything from going on, as far as the process as a whole is concerned.
    fn obstacle(&self) -> Option<Activity> {
        match (self.paused.load(SeqCst), self.serving.load(SeqCst)) {
            (true, _) => Some(Activity::Paused),
            (false, false) => Some(Activity::Swap),
            (false, true) => None,
        }
    }

    /// What play as a whole does.
    fn play(&self) -> Activity {
        let blocked = (self.starts() != Starts::Free).then_some(Activity::WriterBlocked);
        self.obstacle().or(blocked).unwrap_or(Activity::Working)
    }
}

/// The account of one thread. Its own thread calls [`Account::work`] and [`Account::rest`]; anyone may read it.
#[derive(Debug)]
pub struct Account {
    role: Role,
    ledger: Ledger,
    /// Games in play on this thread.
    games: AtomicU64,
    circumstances: Arc<Circumstances>,
}

impl Account {
    /// The thread goes to work.
    pub fn work(&self) {
        self.ledger.switch(|_| Activity::Working);
    }

    /// The thread has nothing to do.
    pub fn rest(&self) {
        self.ledger.switch(|_| self.cause());
        // The circumstances may have changed meanwhile, while it still counted as working.
        self.reconsider();
    }

    /// Cuts the span of a thread that rests for a reason that no longer holds.
    fn reconsider(&self) {
        self.ledger.switch(|activity| match activity {
            Activity::Working => Activity::Working,
            _ => self.cause(),
        });
    }

    /// Why it has nothing to do.
    fn cause(&self) -> Activity {
        let obstacle = self.circumstances.obstacle();
        match self.role {
            Role::Writer | Role::Loader => Activity::WaitingWork,
            Role::Inference | Role::Evaluation => obstacle.unwrap_or(Activity::WaitingWork),
            Role::Games => obstacle.unwrap_or_else(|| match (self.games.load(SeqCst), self.circumstances.starts()) {
                (1.., _) => Activity::WaitingEvaluations,
                (0, Starts::Free) => Activity::WaitingWork,
                (0, _) => Activity::WriterBlocked,
            }),
        }
    }
}

/// The accounts of all threads of a process, and that of its play as a whole.
#[derive(Debug)]
pub struct Accounts {
    /// Locked when a thread starts, when circumstances change, and to read; never by a thread that works or rests.
    threads: Mutex<Vec<Arc<Account>>>,
    play: Ledger,
    circumstances: Arc<Circumstances>,
}

impl Default for Accounts {
    /// Of a process without threads, in which no model serves yet.
    fn default() -> Self {
        let circumstances = Arc::<Circumstances>::default();
        Self { threads: Mutex::default(), play: Ledger::new(circumstances.play()), circumstances }
    }
}

impl Accounts {
    /// An account for a thread that rests until it says otherwise.
    pub fn open(&self, role: Role) -> Arc<Account> {
        let circumstances = self.circumstances.clone();
        let account =
            Account { role, ledger: Ledger::new(Activity::WaitingWork), games: AtomicU64::new(0), circumstances };
        let account = Arc::new(account);
        self.with_threads(|threads| threads.push(account.clone()));
        account.rest();
        account
    }

    /// Whether play is paused: no batch leaves, no game starts. To be called where play is paused and resumed.
    pub fn set_paused(&self, paused: bool) {
        self.circumstances.paused.store(paused, SeqCst);
        self.reconsider();
    }

    /// Whether a model is in service that batches may run on.
    pub fn set_serving(&self, serving: bool) {
        self.circumstances.serving.store(serving, SeqCst);
        self.reconsider();
    }

    /// Whether the writer lets games start.
    pub fn set_starts(&self, starts: Starts) {
        if self.circumstances.starts.swap(starts as u8, SeqCst) != starts as u8 {
            self.reconsider();
        }
    }

    /// Whether a model is in service.
    pub fn serving(&self) -> bool {
        self.circumstances.serving.load(SeqCst)
    }

    /// Whether the writer lets games start.
    pub fn starts(&self) -> Starts {
        self.circumstances.starts()
    }

    /// All accounts at this moment.
    #[must_use]
    pub fn read(&self) -> Times {
        let mut times = Times::new(self.play.read());
        self.with_threads(|threads| threads.iter().for_each(|account| times.add(account.role, account.ledger.read())));
        times
    }

    fn reconsider(&self) {
        self.play.switch(|_| self.circumstances.play());
        self.with_threads(|threads| threads.iter().for_each(|account| account.reconsider()));
    }

    fn with_threads<T>(&self, work: impl FnOnce(&mut Vec<Arc<Account>>) -> T) -> T {
        work(&mut self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

thread_local! {
    /// The account of this thread, if it has one and is a thread of actors.
    static HERE: OnceCell<Arc<Account>> = const { OnceCell::new() };
}

/// A runtime for actors that keeps `account`. To be called on the thread that it will run on.
///
/// # Errors
/// When the system gives none.
pub(crate) fn runtime(account: Arc<Account>) -> io::Result<Runtime> {
    let (rests, works) = (account.clone(), account.clone());
    // For people and for the bench, which tells threads apart by it; where that is not allowed, nothing is lost.
    std::fs::write("/proc/thread-self/comm", account.role.name()).ok();
    HERE.with(|here| here.get_or_init(|| account).work());
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.on_thread_park(move || rests.rest()).on_thread_unpark(move || works.work());
    builder.enable_io().enable_time().build()
}

/// A game is in play on this thread from now on. Does nothing where the thread has no account.
pub(crate) fn game_begins() {
    HERE.with(|here| here.get().map(|account| account.games.fetch_add(1, SeqCst)));
}

/// It is no longer.
pub(crate) fn game_ends() {
    HERE.with(|here| here.get().map(|account| account.games.fetch_sub(1, SeqCst)));
}

#[cfg(test)]
mod tests;
