//! A connection and the thread that it lives on.

use std::{
    future::Future,
    io,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use async_nats::{Client, ConnectError, connection::State};
use tokio::{
    runtime,
    sync::oneshot,
    time::{Interval, timeout},
};

use super::{dial::Dial, health::Watch};
use crate::frame;

/// Oldest server: older ones ignore what they do not know of a stream, without a word.
const OLDEST: (u64, u64) = (2, 11);

/// What a message has beside its frame: headers.
const MOST_HEADERS: usize = 1024;

/// How long the last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Pause before another attempt where a client cannot even be made.
const AGAIN: Duration = Duration::from_secs(5);

/// A connection, as the task that uses it sees it.
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) watch: Watch,
}

impl Line {
    /// Waits until a connection comes about or is lost, or it is time to look at it.
    pub(super) async fn news(&self, look: &mut Interval) {
        tokio::select! {
            () = self.watch.news() => {}
            _ = look.tick() => {}
        }
    }

    /// How many connections came about.
    pub(super) fn connects(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// Whether there is a connection, to a server that can be used; tells health of it.
    pub(super) fn is_up(&self) -> bool {
        let info = self.client.try_server_info().filter(|_| self.client.connection_state() == State::Connected);
        let Some(info) = info else {
            self.watch.down();
            return false;
        };
        let unfit = unfit(&info.version, info.max_payload, info.jetstream);
        let up = unfit.is_none();
        self.watch.up(self.connects(), format!("{} (nats-server {})", info.server_name, info.version), unfit);
        up
    }
}

/// Why a server cannot be used.
pub(super) fn unfit(version: &str, max_payload: usize, jetstream: bool) -> Option<String> {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u64>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        let (major, minor) = OLDEST;
        return Some(format!(
            "version {major}.{minor} at least is needed, as older ones ignore settings without a word; install a newer nats-server"
        ));
    }
    if !jetstream {
        return Some(
            "JetStream is off there; see the server's configuration that `selfplayd fleet init` writes".to_owned(),
        );
    }
    let needed = frame::MOST_BYTES + MOST_HEADERS;
    (max_payload < needed).then(|| {
        format!("its max_payload is {max_payload} bytes and frames may need {needed}; leave max_payload at its default of 1 MiB")
    })
}

/// The thread of a link. Dropped, it waits until the link's task has ended, which takes some seconds at most.
#[derive(Debug)]
pub(super) struct Thread {
    thread: Option<thread::JoinHandle<()>>,
    /// Dropped, it ends the attempts to make a client.
    stop: Option<oneshot::Sender<()>>,
}

impl Thread {
    /// Starts a thread, on which `task` uses the connection until it ends by itself.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn start<F, T>(name: &str, dial: Dial, watch: Watch, task: F) -> io::Result<Self>
    where
        F: FnOnce(Line) -> T + Send + 'static,
        T: Future<Output = ()>,
    {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                let line = tokio::select! {
                    line = line(&dial, watch) => line,
                    _ = stopped => return,
                };
                let client = line.client.clone();
                task(line).await;
                if client.connection_state() == State::Connected {
                    // What is lost of them comes again, or is asked for again.
                    drop(timeout(LAST_WORDS, client.flush()).await);
                }
            });
            // Names of hosts may still be looked up.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
        Ok(Self { thread: Some(thread), stop: Some(stop) })
    }
}

impl Thread {
    /// # Panics
    /// When the thread has ended, though nobody told it to: it has panicked. Then nothing is said or heard any more, and who looks after its
    /// owner makes both afresh, as after any panic.
    pub(super) fn must_live(&self) {
        let has_ended = self.thread.as_ref().is_some_and(thread::JoinHandle::is_finished);
        assert!(!has_ended, "the thread of the connection has ended");
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            drop(thread.join());
        }
    }
}

async fn line(dial: &Dial, watch: Watch) -> Line {
    loop {
        match connect(dial, &watch).await {
            Ok(client) => return Line { client, watch },
            Err(error) => watch.trouble(&error.to_string()),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// A client, which connects when it can.
async fn connect(dial: &Dial, watch: &Watch) -> Result<Client, ConnectError> {
    let (events, attempts) = (watch.clone(), Arc::new(watch.clone()));
    let options = dial
        .options()
        .retry_on_initial_connect()
        .event_callback(move |event| {
            events.heard(&event);
            async {}
        })
        // Chooses nothing: it is here that one hears why a server was not reached.
        .reconnect_to_server_callback(move |servers, _| {
            let errors = servers
                .into_iter()
                .filter_map(|server| Some((server.addr.as_url_str().to_owned(), server.last_error?)));
            attempts.attempts(errors);
            async { None }
        });
    options.connect(dial.addresses()).await
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Dial, Thread, Watch, unfit};
    use crate::nats::keys::Key;

    #[test]
    #[should_panic(expected = "the thread of the connection has ended")]
    fn a_thread_that_panics_takes_its_owner_along() {
        let dir = tempfile::tempdir().unwrap();
        let key = Key::create(&dir.path().join("w1.nk")).unwrap();
        let dial = Dial::new(&["nats://127.0.0.1:1".to_owned()], None, &"w1".parse().unwrap(), key).unwrap();
        let watch = Watch::new(dial.servers());
        let thread = Thread::start("panics", dial, watch, |_| async { panic!("on purpose") }).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(60) {
            thread.must_live();
            std::thread::yield_now();
        }
    }

    #[test]
    fn servers_that_cannot_be_used_are_told_by_what_helps() {
        let most = 1 << 20;
        for version in ["2.11.0", "2.15.1", "2.12.0-RC.3", "3.0.0"] {
            assert_eq!(unfit(version, most, true), None, "{version}");
        }
        for version in ["2.9.10", "2.10.29", "1.4.1", "", "x"] {
            assert!(unfit(version, most, true).unwrap().contains("version 2.11 at least"), "{version}");
        }
        assert!(unfit("2.15.1", most, false).unwrap().contains("JetStream is off"));
        assert!(unfit("2.15.1", 512 << 10, true).unwrap().contains("max_payload is 524288"));
    }
}
