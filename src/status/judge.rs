//! What a daemon is doing, whether it is healthy and whether it is ready: pure judgements of [`Signs`].

use super::{State, Verdict};
use crate::words::bytes;

/// Play that gets on by not one leaf in this time is stuck, in seconds.
const STUCK_AFTER: f64 = 60.0;
/// Share of values outside [-1, 1] above which the network, rather than its rounding, is at fault.
const CLAMPED: f64 = 0.05;

/// What is known of a daemon at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Signs {
    /// The actor system runs.
    pub started: bool,
    /// It was told to end.
    pub draining: bool,
    /// It was told to rest.
    pub paused: bool,
    /// A model serves.
    pub serving: bool,
    /// Models were withdrawn or refused, and none serves.
    pub refused: bool,
    /// What keeps the newest model from being played with, in words.
    pub found: Option<String>,
    /// Games in play.
    pub active: u64,
    /// Games to be in play at once.
    pub target: u64,
    /// Finished games that are not on the disk.
    pub unwritten: u64,
    /// Attempts to write failed in the last seconds.
    pub write_errors: u64,
    /// Share of the last seconds' values that were outside [-1, 1].
    pub clamped: f64,
    /// What is wrong with the trainer.
    pub trainer: Option<String>,
    /// What is suspicious about the model in service.
    pub alarms: Vec<String>,
    /// Where games go.
    pub output_dir: String,
    /// Free bytes there, where they are known.
    pub disk_free: Option<u64>,
    /// Free bytes below which no game starts.
    pub disk_floor: Option<u64>,
    /// Why no new games should start although there is room on the disk.
    pub onward: Option<String>,
    /// Since when play has not got on, in seconds.
    pub idle_seconds: f64,
    /// Children that hang, and for how many seconds.
    pub hung: Vec<(String, f64)>,
}

impl Signs {
    /// Whether there is no room for more games, or writing fails and so many finished ones wait that no new ones start. A
    /// writer that is merely slow may hold play back, but does not stop it.
    fn writer_blocked(&self) -> bool {
        let full = self.unwritten > 0 && self.unwritten >= self.target && self.active < self.target;
        self.is_held() || full && self.write_errors > 0
    }

    /// Whether the writer lets no new games start.
    fn is_held(&self) -> bool {
        self.shortage().is_some() || self.onward.is_some()
    }

    /// Free bytes, and those that are needed, where there are too few.
    fn shortage(&self) -> Option<(u64, u64)> {
        self.disk_free.zip(self.disk_floor).filter(|(free, floor)| free < floor)
    }

    pub(super) fn state(&self) -> State {
        match self {
            Self { draining: true, .. } => State::Draining,
            Self { started: false, .. } => State::Starting,
            Self { paused: true, .. } => State::Paused,
            Self { serving: false, .. } => State::WaitingForModel,
            signs if signs.writer_blocked() => State::WriterBlocked,
            _ => State::Playing,
        }
    }

    /// Whether it is alive and gets on. What it waits for is no illness of its own.
    pub(super) fn health(&self) -> Verdict {
        let hung = self
            .hung
            .iter()
            .map(|(name, seconds)| format!("{name} hangs: it has been busy with one thing for {seconds:.0} s"));
        let stuck = self.state() == State::Playing && self.active > 0 && self.idle_seconds >= STUCK_AFTER;
        let stuck = stuck.then(|| {
            format!("play is stuck: no leaf for {:.0} s although {} games are in play", self.idle_seconds, self.active)
        });
        Verdict::of(hung.chain(stuck))
    }

    fn without_a_model(&self) -> String {
        match &self.found {
            Some(found) => format!("no model serves: {found}"),
            None if self.refused => "no model serves: see model.swaps".to_owned(),
            None => "there is no model yet".to_owned(),
        }
    }

    /// Whether it plays and what it plays gets to the disk.
    pub(super) fn readiness(&self) -> Verdict {
        let (dir, short) = (&self.output_dir, self.shortage().is_some());
        let (free, floor) = self.shortage().unwrap_or_default();
        let too_full = format!("{dir} has {} free and needs {}: no new games start", bytes(free), bytes(floor));
        let attempts = if self.write_errors == 1 { "attempt" } else { "attempts" };
        let free = self.disk_free.map(|free| format!("; {} are free there", bytes(free))).unwrap_or_default();
        let fails = format!("writing to {dir} fails: {} {attempts} in the last 10 s{free}", self.write_errors);
        let reasons = [
            (self.draining, "it is draining: no new games start".to_owned()),
            (!self.draining && !self.started, "it is starting".to_owned()),
            (self.paused, "it is paused".to_owned()),
            (self.started && !self.serving && !self.paused, self.without_a_model()),
            (short, too_full),
            (self.onward.is_some(), format!("no new games start: {}", self.onward.as_deref().unwrap_or_default())),
            (self.write_errors > 0, fails),
            (
                !self.is_held() && self.writer_blocked(),
                format!("{} finished games wait for the disk: no new games start", self.unwritten),
            ),
        ];
        let mut reasons: Vec<_> =
            reasons.into_iter().filter_map(|(applies, reason)| applies.then_some(reason)).collect();
        reasons.extend(self.health().reasons);
        Verdict::of(reasons)
    }
}

impl Signs {
    /// What spoils the games although they are played.
    pub(super) fn warnings(&self) -> Vec<String> {
        let clamped = (self.clamped > CLAMPED).then(|| {
            format!(
                "{:.0}% of the network's values are outside [-1, 1] and are cut off there: check the model with `selfplayd \
                 check-model`",
                100.0 * self.clamped
            )
        });
        clamped.into_iter().chain(self.alarms.iter().cloned()).chain(self.trainer.clone()).collect()
    }
}

impl Verdict {
    /// A yes exactly if nothing speaks against it.
    pub(crate) fn of(reasons: impl IntoIterator<Item = String>) -> Self {
        let reasons: Vec<_> = reasons.into_iter().collect();
        Self { ok: reasons.is_empty(), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playing() -> Signs {
        let output_dir = "/out".to_owned();
        Signs { started: true, serving: true, active: 32, target: 32, output_dir, ..Signs::default() }
    }

    #[test]
    fn play_is_healthy_and_ready() {
        let signs = playing();
        assert_eq!(signs.state(), State::Playing);
        assert!(signs.health().ok && signs.readiness().ok);
    }

    #[test]
    fn a_network_whose_values_are_off_the_scale_is_warned_of_and_is_no_reason_to_stop() {
        let clamped = |share| Signs { clamped: share, ..playing() };
        assert_eq!(clamped(0.01).warnings(), [""; 0]);
        let signs = clamped(0.5);
        assert!(signs.warnings()[0].starts_with("50% of the network's values are outside [-1, 1]"), "{signs:?}");
        assert!(signs.health().ok && signs.readiness().ok);
        let alarms = vec!["policies of model 12 are one-hot".to_owned()];
        let suspect = Signs { alarms, trainer: Some("the trainer is silent".to_owned()), ..playing() };
        assert_eq!(suspect.warnings(), ["policies of model 12 are one-hot", "the trainer is silent"]);
        assert!(suspect.health().ok && suspect.readiness().ok);
    }

    #[test]
    fn who_waits_is_healthy_and_says_what_for() {
        for (signs, state, reason) in [
            (Signs { started: false, ..playing() }, State::Starting, "it is starting"),
            (Signs { serving: false, ..playing() }, State::WaitingForModel, "there is no model yet"),
            (
                Signs { serving: false, refused: true, ..playing() },
                State::WaitingForModel,
                "no model serves: see model.swaps",
            ),
            (
                Signs { serving: false, found: Some("latest.yaml cannot be read".to_owned()), ..playing() },
                State::WaitingForModel,
                "no model serves: latest.yaml cannot be read",
            ),
            (Signs { paused: true, serving: false, ..playing() }, State::Paused, "it is paused"),
            (
                Signs { draining: true, paused: false, ..playing() },
                State::Draining,
                "it is draining: no new games start",
            ),
            (
                Signs { disk_free: Some(12 << 20), disk_floor: Some(1 << 30), ..playing() },
                State::WriterBlocked,
                "/out has 12.0 MiB free and needs 1.0 GiB: no new games start",
            ),
            (
                Signs { onward: Some("outbox full".to_owned()), ..playing() },
                State::WriterBlocked,
                "no new games start: outbox full",
            ),
            (
                Signs { write_errors: 3, ..playing() },
                State::Playing,
                "writing to /out fails: 3 attempts in the last 10 s",
            ),
            (
                Signs { write_errors: 1, disk_free: Some(0), ..playing() },
                State::Playing,
                "writing to /out fails: 1 attempt in the last 10 s; 0 B are free there",
            ),
        ] {
            let signs = Signs { idle_seconds: if state == State::Playing { 0.0 } else { 1e6 }, ..signs };
            assert_eq!(signs.state(), state, "{reason}");
            assert!(signs.health().ok, "{reason}");
            assert_eq!(signs.readiness().reasons, [reason]);
        }
    }

    #[test]
    fn a_writer_that_fails_blocks_play_and_one_that_is_slow_does_not() {
        let slow = Signs { unwritten: 32, active: 31, ..playing() };
        assert_eq!((slow.state(), slow.readiness().ok), (State::Playing, true));
        let fails = Signs { write_errors: 1, ..slow };
        let reasons = [
            "writing to /out fails: 1 attempt in the last 10 s",
            "32 finished games wait for the disk: no new games start",
        ];
        assert_eq!((fails.state(), fails.health().ok), (State::WriterBlocked, true));
        assert_eq!(fails.readiness().reasons, reasons);
    }

    #[test]
    fn hangs_and_standstill_are_illnesses() {
        let hung = Signs { hung: vec![("thread main".to_owned(), 31.0)], ..playing() };
        let reason = "thread main hangs: it has been busy with one thing for 31 s";
        assert_eq!((hung.health().reasons, hung.readiness().reasons), (vec![reason.into()], vec![reason.into()]));

        let stuck = Signs { idle_seconds: 61.0, ..playing() };
        assert_eq!(stuck.health().reasons, ["play is stuck: no leaf for 61 s although 32 games are in play"]);
        assert!(Signs { idle_seconds: 61.0, active: 0, ..playing() }.health().ok, "nothing to play is no standstill");
        assert!(Signs { idle_seconds: 59.0, ..playing() }.health().ok);
    }
}
