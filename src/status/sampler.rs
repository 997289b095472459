//! Makes the status, once a second.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use selfplay_actors::{findings::Found, standings::Standings};

use super::{
    LearningStatus, ModelStatus, SCHEMA, Status, Swap,
    figures::{Figures, Sources},
    history::Recorder,
    judge::Signs,
    swaps::Swaps,
};
use crate::streams::LostLines;

/// Reads the daemon again and again.
pub(crate) struct Sampler {
    sources: Sources,
    recorder: Recorder,
    swaps: Swaps,
    /// How far play had got, and since when it has not got further.
    progress: (u64, Instant),
}

impl Sampler {
    /// Has read nothing yet.
    pub(crate) fn new(sources: Sources) -> Self {
        let (recorder, swaps) = Default::default();
        Self { sources, recorder, swaps, progress: (0, Instant::now()) }
    }

    /// The status now, for a caller who may not control, and what became of models since the last call.
    pub(crate) fn sample(&mut self) -> (Status, Vec<Swap>) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        self.sample_at(Instant::now(), unix)
    }

    fn sample_at(&mut self, now: Instant, unix: f64) -> (Status, Vec<Swap>) {
        let facts = &self.sources.facts;
        let figures = Figures::read(&self.sources);
        let told = self.sources.control.state();
        let control_state = told.unwrap_or_default();
        let last_seconds = self.recorder.record(now, figures.counts);
        let events = self.swaps.record(now, unix, figures.model, &self.sources.stats.rejections);
        let served_unix = self.swaps.served_unix();
        let (serving, refused) = (served_unix.is_some(), figures.model.refused + figures.model.withdrawn > 0);
        let found = self.sources.stats.findings.last();
        let change = self.sources.stats.changes.newest();
        let learning = self.sources.learning.seen();
        // One that gave way again warns of nothing any more.
        let suspect = change.iter().filter(|change| serving && figures.model.version == Some(change.version));
        let mut signs = Signs {
            started: told.is_some(),
            draining: control_state.draining,
            paused: control_state.paused,
            serving,
            refused,
            found: found.clone().filter(Found::is_trouble).map(|found| found.to_string()),
            active: figures.games.active,
            target: figures.games.target,
            unwritten: figures.writer.queued,
            write_errors: last_seconds.counts().write_errors,
            clamped: last_seconds.clamped(),
            trainer: learning.trainer.as_ref().and_then(|trainer| trainer.trouble.clone()),
            alarms: suspect.flat_map(|change| &change.alarms).map(|alarm| alarm.words.clone()).collect(),
            output_dir: facts.run.output_dir.clone(),
            disk_free: figures.writer.disk_free_bytes,
            disk_floor: figures.writer.disk_floor_bytes,
            onward: self.sources.stats.onward.reason(),
            idle_seconds: 0.0,
            hung: figures
                .children
                .iter()
                .filter(|child| child.state == "hung")
                .map(|child| (child.name.clone(), child.busy_seconds.unwrap_or_default()))
                .collect(),
        };
        // The clock starts afresh with every leaf, and whenever there is nothing to get on with.
        let got_to = figures.counts.progress();
        if got_to != self.progress.0 || signs.state() != super::State::Playing || signs.active == 0 {
            self.progress = (got_to, now);
        }
        signs.idle_seconds = now.saturating_duration_since(self.progress.1).as_secs_f64();
        let status = Status {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            unix,
            pid: std::process::id(),
            started_unix: facts.started_unix,
            uptime_seconds: now.saturating_duration_since(facts.started).as_secs_f64(),
            run: facts.run.clone(),
            siblings: self.sources.siblings.all(),
            seed: facts.seed,
            settings_hash: self.sources.control.settings_hash(),
            mode: facts.mode,
            batch: figures.batch,
            state: signs.state(),
            health: signs.health(),
            ready: signs.readiness(),
            warnings: signs.warnings(),
            control: false,
            control_state,
            bottleneck: figures.bottleneck,
            device: facts.device.look(),
            model: ModelStatus {
                version: figures.model.version.filter(|_| serving),
                generation: (figures.model.served > 0).then_some(figures.model.served),
                age_seconds: self.swaps.served().map(|since| now.saturating_duration_since(since).as_secs_f64()),
                served_unix,
                found,
                swaps: self.swaps.all(),
                change,
            },
            matches: self.sources.stats.standings.get().map(|standings| Standings::clone(&standings)),
            learning: LearningStatus {
                versions: learning.versions.len() as u64,
                recent: learning.recent.clone(),
                verdicts: learning.verdicts.clone(),
                trouble: learning.trouble.clone(),
            },
            trainer: learning.trainer.clone(),
            fleet: self.sources.fleet.get().and_then(|fleet| serde_json::to_value(fleet).ok()),
            rates: last_seconds.rates(),
            history: self.recorder.history(),
            batch_sizes: figures.batch_sizes,
            cache: figures.cache,
            games: figures.games,
            writer: figures.writer,
            lost_lines: LostLines::so_far(),
            threads: figures.threads,
            children: figures.children,
            totals: figures.totals,
        };
        (status, events)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::status::{Outcome, State, tests::sources};

    #[test]
    fn a_sample_tells_what_counters_say() {
        let sources = sources();
        let stats = sources.stats.clone();
        let mut sampler = Sampler::new(sources);
        let begun = sampler.sources.facts.started;
        let (status, events) = sampler.sample_at(begun, 1000.0);
        assert_eq!((status.state, status.model.version, events), (State::WaitingForModel, None, vec![]));
        assert_eq!(status.ready.reasons, ["there is no model yet"]);

        stats.models_loaded.add(1);
        stats.model_version.set(7);
        stats.games_started.add(4);
        stats.games_finished.add(2);
        stats.game_plies.record_many(30.0, 2);
        stats.evaluations.add(500);
        // Meanwhile the clock was set back.
        let (status, events) = sampler.sample_at(begun + Duration::from_secs(5), 500.0);
        assert_eq!((status.state, status.ready.ok, status.health.ok), (State::Playing, true, true));
        assert_eq!((status.model.version, status.model.age_seconds), (Some(7), Some(0.0)));
        assert_eq!(
            events.iter().map(|swap| (swap.outcome, swap.version)).collect::<Vec<_>>(),
            [(Outcome::Served, Some(7))]
        );
        assert_eq!((status.games.active, status.games.mean_plies, status.writer.queued), (2, Some(30.0), 2));
        assert_eq!((status.rates.evaluations_per_s, status.rates.positions_per_s), (100.0, 12.0));
        assert_eq!(status.totals["evaluations"], 500);
        assert_eq!((status.uptime_seconds, status.unix), (5.0, 500.0));
        let (status, _) = sampler.sample_at(begun + Duration::from_secs(7), 9000.0);
        assert_eq!((status.uptime_seconds, status.model.age_seconds), (7.0, Some(2.0)));
    }

    #[test]
    fn play_that_stands_still_is_ill_after_a_while_and_well_with_the_next_leaf() {
        let sources = sources();
        let stats = sources.stats.clone();
        let mut sampler = Sampler::new(sources);
        stats.models_loaded.add(1);
        stats.games_started.add(1);
        let begun = Instant::now();
        let mut ill = |seconds| !sampler.sample_at(begun + Duration::from_secs(seconds), 0.0).0.health.ok;
        assert!(!ill(0) && !ill(59) && ill(60));
        stats.cache_misses.add(1);
        assert!(!ill(61) && !ill(120) && ill(121));
    }

    #[test]
    fn a_model_that_was_withdrawn_does_not_serve() {
        let sources = sources();
        let stats = sources.stats.clone();
        let mut sampler = Sampler::new(sources);
        stats.models_loaded.add(1);
        assert!(sampler.sample().0.ready.ok);
        stats.models_withdrawn.add(1);
        let status = sampler.sample().0;
        assert_eq!((status.state, status.model.version), (State::WaitingForModel, None));
        assert_eq!(status.ready.reasons, ["no model serves: see model.swaps"]);
    }
}
