//! Standard error and standard output. Both may go away, fill a disk, or take nothing for hours while games are played: a
//! reader ends, a terminal hangs up or is held with Ctrl-S, a parent never reads its pipe. None of that may cost a game.
//!
//! - A daemon writes by way of [`Lines`], which never fails and never waits for long; what cannot be written is counted.
//! - Commands that print and end use [`print()`] and [`complain`].

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc::{self, RecvTimeoutError, TryRecvError},
    },
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// How long a thread waits for its line to be written. After that the stream counts as stuck, and lines are left to it.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the end of the process waits for lines that were left to standard output.
const LAST_PATIENCE: Duration = Duration::from_secs(5);
/// Lines that wait for a stuck stream; more are lost.
const QUEUE: usize = 1024;

/// Standard error, which takes the log.
static ERR: OnceLock<Lines> = OnceLock::new();
/// Standard output, which takes traces and the summary of a batch.
static OUT: OnceLock<Lines> = OnceLock::new();

/// Lines that a daemon could not write, by stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LostLines {
    /// To standard error: of the log.
    pub stderr: u64,
    /// To standard output: traces and the summary.
    pub stdout: u64,
}

impl LostLines {
    /// Those of this process so far.
    pub(crate) fn so_far() -> Self {
        let lost = |lines: &OnceLock<Lines>| lines.get().map_or(0, Lines::lost);
        Self { stderr: lost(&ERR), stdout: lost(&OUT) }
    }
}

/// The lines of standard error, which `write` writes from the first call on.
pub(crate) fn err(write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> &'static Lines {
    ERR.get_or_init(|| Lines::start("log", write))
}

/// The lines of standard output.
pub(crate) fn out() -> &'static Lines {
    OUT.get_or_init(|| {
        Lines::start("output", |text| {
            let mut out = io::stdout().lock();
            out.write_all(text).and_then(|()| out.flush())
        })
    })
}

/// Gives standard output a last chance to take what was left to it.
pub(crate) fn finish() {
    if let Some(out) = OUT.get() {
        out.settle(LAST_PATIENCE);
    }
}

/// A stream with a thread of its own that writes to it. Whoever writes waits for the line to be written, so that nothing is
/// missing when the process ends, but never longer than [`PATIENCE`]; behind a stream that takes nothing, lines queue, and
/// are lost when there are too many. All methods may be called from any thread.
pub(crate) struct Lines {
    to: mpsc::SyncSender<Line>,
    stuck: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

struct Line {
    text: Vec<u8>,
    /// Hears when the line is written, or cannot be.
    done: mpsc::SyncSender<()>,
}

impl Lines {
    fn start(name: &str, mut write: impl FnMut(&[u8]) -> io::Result<()> + Send + 'static) -> Self {
        let (to, lines) = mpsc::sync_channel::<Line>(QUEUE);
        let (stuck, lost) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let all = Self { to, stuck: stuck.clone(), lost: lost.clone() };
        let writing = move || {
            loop {
                let next = lines.try_recv().or_else(|none| match none {
                    TryRecvError::Empty => {
                        stuck.store(false, Release);
                        lines.recv()
                    }
                    TryRecvError::Disconnected => Err(mpsc::RecvError),
                });
                let Ok(Line { text, done }) = next else { break };
                if write(&text).is_err() {
                    lost.fetch_add(1, Relaxed);
                }
                done.try_send(()).ok();
            }
        };
        // Without a thread nothing is received, and every line counts as lost.
        thread::Builder::new().name(name.to_owned()).spawn(writing).ok();
        all
    }

    /// Writes a line, or several that belong together.
    pub(crate) fn put(&self, text: impl Into<Vec<u8>>) {
        let was_stuck = self.stuck.load(Acquire);
        let (done, written) = mpsc::sync_channel(1);
        if self.to.try_send(Line { text: text.into(), done }).is_err() {
            self.lost.fetch_add(1, Relaxed);
        } else if !was_stuck && written.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            self.stuck.store(true, Release);
        }
    }

    /// Waits until everything is written, at most so long.
    fn settle(&self, at_most: Duration) {
        let (done, written) = mpsc::sync_channel(1);
        if self.to.try_send(Line { text: Vec::new(), done }).is_ok() {
            written.recv_timeout(at_most).ok();
        }
    }

    fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

/// Standard output does not take what a command prints.
#[derive(Debug)]
pub(crate) struct NotPrinted(io::Error);

impl NotPrinted {
    /// What `error` says about standard output, if that is what it is about.
    pub(crate) fn of(error: &anyhow::Error) -> Option<&Self> {
        error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref())
    }

    /// Whether its reader has left, as `head` does when it has read enough.
    pub(crate) fn is_unwanted(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for NotPrinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to write to standard output: {}", self.0)
    }
}

impl Error for NotPrinted {}

/// Standard output for the commands; its errors hold [`NotPrinted`].
pub(crate) struct Printer;

impl Write for Printer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::stdout().lock().write(bytes).map_err(not_printed)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().lock().flush().map_err(not_printed)
    }
}

/// Keeps the kind, by which callers of [`Write`] tell interruptions.
fn not_printed(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), NotPrinted(error))
}

/// Prints the result of a command, and a line's end.
///
/// # Errors
/// With [`NotPrinted`] in an [`io::Error`].
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(Printer, "{text}")?;
    Ok(Printer.flush()?)
}

/// Says on standard error what a command has to say beside its result. If it cannot, that is not said anywhere.
pub(crate) fn complain(text: impl fmt::Display) {
    writeln!(io::stderr().lock(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Instant};

    use super::*;

    #[test]
    fn a_line_is_written_when_put_returns() {
        let written = Arc::new(Mutex::new(String::new()));
        let lines = {
            let written = written.clone();
            Lines::start("test", move |text| {
                written.lock().unwrap().push_str(std::str::from_utf8(text).unwrap());
                Ok(())
            })
        };
        lines.put("one\n");
        assert_eq!(*written.lock().unwrap(), "one\n");
        lines.put("two\n");
        assert_eq!((&*written.lock().unwrap().clone(), lines.lost()), ("one\ntwo\n", 0));
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let lines = Lines::start("test", |_| Err(io::ErrorKind::StorageFull.into()));
        (0..3).for_each(|_| lines.put("line"));
        assert_eq!(lines.lost(), 3);
    }

    #[test]
    fn a_stream_that_takes_nothing_delays_one_line_only_and_gets_the_others_later() {
        let (open, gate) = mpsc::channel::<()>();
        let written = Arc::new(AtomicU64::new(0));
        let lines = {
            let written = written.clone();
            Lines::start("test", move |_| {
                gate.recv().ok(); // Passes when the sender is dropped.
                written.fetch_add(1, Relaxed);
                Ok(())
            })
        };
        // One is being written, and so many wait.
        let begun = Instant::now();
        (0..QUEUE + 1 + 7).for_each(|_| lines.put("line"));
        assert!(begun.elapsed() < PATIENCE * (QUEUE as u32 / 4), "every line was waited for");
        assert_eq!(lines.lost(), 7);
        drop(open);
        while written.load(Relaxed) <= QUEUE as u64 || lines.stuck.load(Acquire) {
            thread::yield_now();
        }
        lines.put("line");
        assert_eq!((written.load(Relaxed), lines.lost()), (QUEUE as u64 + 2, 7));
    }
}
