//! Sets up the log: lines for people, or one JSON object per line, on standard error.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write as _};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use anyhow::Context as _;
use indicatif::ProgressBar;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::settings::{LogFormat, LogSettings};
use crate::streams::{self, Lines};

/// The progress bar that shares standard error with the log, once there is one.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Lets the bar step aside while a line is logged. Only the first bar of a process counts.
pub(crate) fn share_terminal_with(bar: ProgressBar) {
    BAR.get_or_init(|| bar);
}

/// Changes what is shown from now on.
type SetLevel = Box<dyn Fn(EnvFilter) -> Result<(), tracing_subscriber::reload::Error> + Send + Sync>;

/// That of the log, once it has started.
static SET_LEVEL: OnceLock<SetLevel> = OnceLock::new();

/// Shows what `level` says from now on: a level, or a list with modules.
pub(crate) fn set_level(level: &str) -> anyhow::Result<()> {
    let filter = filter(level)?;
    match SET_LEVEL.get() {
        Some(set_level) => set_level(filter).context("failed to change log.level"),
        None => Ok(()), // Nothing is logged at all.
    }
}

/// What the client of a fleet's broker says is told in our own words, once; a level for it may be named all the same.
const QUIET: &str = "async_nats=warn";

fn filter(level: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(level).with_context(|| format!("log.level = {level:?} is not usable"))?;
    EnvFilter::try_new(format!("{QUIET},{level}")).with_context(|| format!("log.level = {level:?} is not usable"))
}

/// Standard error beside a progress bar. Whatever happens to it, writing succeeds: an error would be reported to standard
/// error, by a panic.
#[derive(Clone, Copy)]
struct Terminal(&'static Lines);

impl Terminal {
    fn open() -> Self {
        Self(streams::err(|line| match BAR.get() {
            Some(bar) => bar.suspend(|| io::stderr().write_all(line)),
            None => io::stderr().write_all(line),
        }))
    }
}

impl io::Write for Terminal {
    /// A whole line, as the subscriber writes it.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts logging for the rest of the process, panics included: written as the standard library does, piece by piece, they
/// would tear the lines of other threads. Fails if logging was started before.
pub(crate) fn init(log: &LogSettings) -> anyhow::Result<()> {
    let terminal = Terminal::open();
    let (subscriber, set_level) = subscriber(log, io::stderr().is_terminal(), move || terminal)?;
    SET_LEVEL.get_or_init(|| set_level);
    tracing::subscriber::set_global_default(subscriber).context("logging was started twice")?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// One line; with the backtrace where RUST_BACKTRACE asks for it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    let place = panic.location().map(ToString::to_string);
    let text = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(thread = thread.name(), place, backtrace, "panicked: {text}");
}

/// The subscriber that writes to `writer`, in colour if `coloured`, and what changes its level.
fn subscriber<W>(
    log: &LogSettings,
    coloured: bool,
    writer: W,
) -> anyhow::Result<(Box<dyn tracing::Subscriber + Send + Sync>, SetLevel)>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.level)?).with_writer(writer);
    // They would be printed to standard error, which panics where that is gone.
    let builder = builder.log_internal_errors(false);
    Ok(match log.format {
        LogFormat::Human => {
            let builder = builder.with_ansi(coloured).with_target(false).with_filter_reloading();
            let level = builder.reload_handle();
            (Box::new(builder.finish()), Box::new(move |filter| level.reload(filter)))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_current_span(false).with_filter_reloading();
            let level = builder.reload_handle();
            (Box::new(builder.finish()), Box::new(move |filter| level.reload(filter)))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged at `level` and `format` by one info and one debug line.
    fn logged(format: LogFormat, level: &str) -> String {
        let buffer = Arc::new(Mutex::new(Vec::new()));
        let writer = {
            let buffer = Arc::clone(&buffer);
            move || Shared(Arc::clone(&buffer))
        };
        let log = LogSettings { format, level: level.to_owned() };
        tracing::subscriber::with_default(subscriber(&log, false, writer).unwrap().0, || {
            tracing::info!(games = 3, "played");
            tracing::debug!("detail");
        });
        String::from_utf8(buffer.lock().unwrap().clone()).unwrap()
    }

    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn human_lines_name_level_message_and_fields() {
        let lines = logged(LogFormat::Human, "info");
        assert!(lines.trim_end().ends_with("INFO played games=3"), "{lines}");
    }

    #[test]
    fn json_lines_are_objects() {
        let lines = logged(LogFormat::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!((&line["level"], &line["message"], &line["games"]), (&"INFO".into(), &"played".into(), &3.into()));
    }

    #[test]
    fn the_level_can_be_changed_while_it_logs() {
        for format in [LogFormat::Human, LogFormat::Json] {
            let buffer = Arc::new(Mutex::new(Vec::new()));
            let writer = {
                let buffer = Arc::clone(&buffer);
                move || Shared(Arc::clone(&buffer))
            };
            let log = LogSettings { format, level: "warn".to_owned() };
            let (subscriber, set_level) = subscriber(&log, false, writer).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!("too early");
                set_level(filter("info").unwrap()).unwrap();
                tracing::info!("in time");
                set_level(filter("error").unwrap()).unwrap();
                tracing::info!("too late");
            });
            let lines = String::from_utf8(buffer.lock().unwrap().clone()).unwrap();
            assert!(lines.contains("in time") && lines.lines().count() == 1, "{lines}");
        }
    }

    #[test]
    fn the_level_filters() {
        assert_eq!(logged(LogFormat::Human, "debug").lines().count(), 2);
        assert_eq!(logged(LogFormat::Human, "warn").lines().count(), 0);
        assert_eq!(logged(LogFormat::Human, "warn,selfplayd=debug").lines().count(), 2);
        let client = |level: &str| {
            let buffer = Arc::new(Mutex::new(Vec::new()));
            let writer = {
                let buffer = Arc::clone(&buffer);
                move || Shared(Arc::clone(&buffer))
            };
            let log = LogSettings { format: LogFormat::Human, level: level.to_owned() };
            let (subscriber, _) = subscriber(&log, false, writer).unwrap();
            tracing::subscriber::with_default(subscriber, || {
                tracing::info!(target: "async_nats", "event: connected");
                tracing::warn!(target: "async_nats::connector", "slow");
            });
            String::from_utf8(buffer.lock().unwrap().clone()).unwrap().lines().count()
        };
        assert_eq!((client("debug"), client("info,async_nats=info"), client("error,async_nats=error")), (1, 2, 0));
    }
}
