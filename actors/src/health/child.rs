//! What is written down of a child before it starts: when it is restarted, how often, and what counts as a hang.

use std::{fmt, time::Duration};

use serde::Serialize;

/// When a child that ended is started again (the restart types of Erlang/OTP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Restart {
    /// Always: its work never ends.
    Permanent,
    /// After a panic or an error only: a normal end means its work is done.
    Transient,
}

/// How often a child, or a group of children, may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Restarts allowed within `window`.
    pub restarts: u32,
    /// Length of the sliding window.
    pub window: Duration,
    /// Wait before the first restart in the window; doubles with each further one.
    pub first_backoff: Duration,
    /// Longest wait.
    pub max_backoff: Duration,
}

/// What counts as a hang of a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hang {
    /// Nothing of its own: it hangs when the thread that it lives on does.
    Thread,
    /// One call takes longer than this setting allows.
    Call(Setting),
    /// A thread that has not run its timer for so long.
    Pulse(Duration),
    /// A thread whose one actor makes calls that may block: they are watched instead.
    Calls,
}

/// A limit that users set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// [`HangLimits::inference`].
    Inference,
    /// [`HangLimits::load`].
    Load,
    /// [`HangLimits::write`].
    Write,
}

/// How long calls that may block may take; `None`: any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HangLimits {
    /// One batch.
    pub inference: Option<Duration>,
    /// Loading, checking and warming one model.
    pub load: Option<Duration>,
    /// Writing one game.
    pub write: Option<Duration>,
}

/// What happens when a child's restarts are used up, or it hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escalation {
    /// The process ends once finished games are written.
    Ends,
    /// The process ends at once: this child would have to write what is finished.
    EndsUnwritten,
    /// The process ends at once: this child would have to end it in order.
    EndsAtOnce,
    /// The process goes on without this child.
    GoesOnWithout,
}

impl Escalation {
    /// For people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Ends => "the process ends with 70 once finished games are written",
            Self::EndsUnwritten => "the process ends with 74; finished games that wait for the disk are lost",
            Self::GoesOnWithout => "play goes on without it",
            Self::EndsAtOnce => "the process ends with 70; finished games that wait for the disk are lost",
        }
    }
}

/// A row of the table of children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Child {
    /// Name in logs, reports and the status.
    pub name: &'static str,
    /// When it is restarted.
    pub restart: Restart,
    /// How often, and after what wait.
    pub limits: Limits,
    /// When it hangs. A hang is never survived: the process ends.
    pub hang: Hang,
    /// What one failure costs.
    pub cost: &'static str,
    /// What happens when the restarts are used up.
    pub escalation: Escalation,
}

impl Child {
    /// The longest time it may be busy with one thing; `None`: any.
    #[must_use]
    pub fn hang_limit(&self, limits: &HangLimits) -> Option<Duration> {
        match self.hang {
            Hang::Thread | Hang::Calls => None,
            Hang::Pulse(limit) => Some(limit),
            Hang::Call(Setting::Inference) => limits.inference,
            Hang::Call(Setting::Load) => limits.load,
            Hang::Call(Setting::Write) => limits.write,
        }
    }
}

/// How a run of a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// It stopped by itself, or its address was held nowhere any more.
    Normal,
    /// It panicked, with this text.
    Panicked(String),
    /// It ended itself with an error, or what it ran failed: a fragment that goes on after "failed to".
    Failed(String),
    /// It was busy with one thing for longer than this.
    Hung(Duration),
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal => f.write_str("stopped by itself"),
            Self::Panicked(text) => write!(f, "panicked: {text}"),
            Self::Failed(text) => write!(f, "failed to {text}"),
            Self::Hung(limit) => write!(f, "hangs: it has been busy with one thing for more than {limit:?}"),
        }
    }
}
