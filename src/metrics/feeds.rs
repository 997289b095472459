//! What metrics tell beside what is counted: of this program, of the process, and of restarts.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use selfplay_actors::{
    account::{Activity, Role},
    bottleneck::{Kind, Monitor},
    changes::{Difference, ModelChange},
    health::{Health, Restarts},
    root::CHILDREN,
    standings::Newest,
    stats::{Stats, monotonic_ms},
};

use selfplay_fleet::presence::Block;

use super::{Feed, Samples};
use crate::{
    daemon::{
        device::{DeviceFacts, DeviceStatus},
        fleet::{Fleet, FleetStatus},
        progress::Progress,
        run::RunStatus,
    },
    learning::{Learning, Seen, TrainerFigures, TrainerStatus, VerdictKind, VersionFigures},
    streams::LostLines,
};

/// What there is to say about this process that no counter tells.
pub(crate) struct About {
    /// When it started.
    pub started: Instant,
    /// How far it is, where the last of its games ends it.
    pub batch: Option<Arc<Progress>>,
    /// What it plays for.
    pub run: RunStatus,
    /// What was asked to run the network, and what does.
    pub device: DeviceFacts,
    /// What the run learns.
    pub learning: Learning,
    /// The fleet, where this daemon is a worker of one.
    pub fleet: Fleet,
    /// Hash of the settings that determine games; asked at each scrape.
    pub settings_hash: Box<dyn Fn() -> String + Send + Sync>,
}

/// All feeds that need nothing but these.
pub(super) fn feeds(stats: &Arc<Stats>, health: Arc<Health>, about: About) -> Vec<Feed> {
    let (stats, About { started, batch, learning, .. }) = (stats.clone(), &about);
    let (begun, batch, learning, of_fleet) = (*started, batch.clone(), learning.clone(), about.fleet.clone());
    vec![
        Box::new(move |samples| {
            samples.push("selfplayd_up_seconds", &[], begun.elapsed().as_secs_f64());
            samples.push("selfplayd_model_age_seconds", &[], model_age(&stats));
            let standings = stats.standings.get();
            let newest = standings.as_ref().and_then(|standings| standings.newest.as_ref());
            let figure = |figure: fn(&Newest) -> Option<f64>| newest.and_then(figure).unwrap_or(f64::NAN);
            samples.push("selfplayd_match_version", &[], figure(|newest| Some(newest.version as f64)));
            samples.push("selfplayd_match_elo", &[], figure(|newest| Some(newest.elo)));
            samples.push("selfplayd_match_elo_margin", &[], figure(|newest| Some(newest.margin)));
            samples.push("selfplayd_match_score", &[], figure(|newest| newest.score));
            let change = stats.changes.newest();
            let figure = |figure: fn(&ModelChange) -> f64| change.as_ref().map_or(f64::NAN, figure);
            let against = change.as_ref().and_then(|change| change.against);
            let distance = |distance: fn(&Difference) -> f64| against.as_ref().map_or(f64::NAN, distance);
            samples.push("selfplayd_model_policy_kl_nats", &[], distance(|against| against.policy_kl));
            samples.push("selfplayd_model_value_change", &[], distance(|against| against.value_change));
            samples.push("selfplayd_model_largest_logit", &[], figure(|change| change.largest_logit));
            samples.push("selfplayd_model_entropy_share", &[], figure(|change| change.entropy_share));
            samples.push("selfplayd_model_one_hot_share", &[], figure(|change| change.one_hot_share));
            let progress = batch.as_ref().map(|batch| batch.look(&stats.snapshot()));
            samples.push("selfplayd_batch_games", &[], progress.map_or(0.0, |progress| progress.games as f64));
            let left = progress.and_then(|progress| progress.seconds_left).unwrap_or(f64::NAN);
            samples.push("selfplayd_batch_left_seconds", &[], left);
        }),
        Box::new(move |samples| {
            let seen = learning.seen();
            learned(samples, &seen);
            trainer(samples, seen.trainer.as_ref());
        }),
        Box::new(move |samples| {
            of_fleet.get().iter().for_each(|status| fleet(samples, status));
        }),
        Box::new(move |samples| info(samples, &about)),
        Box::new(move |samples| restarts(samples, &health)),
        Box::new(lost_lines),
        Box::new(process),
    ]
}

/// What the last games teach; NaN for what they do not tell.
fn learned(samples: &mut Samples, seen: &Seen) {
    let recent = seen.recent.as_ref();
    let figure = |figure: fn(&VersionFigures) -> Option<f64>| recent.and_then(figure).unwrap_or(f64::NAN);
    for (name, number) in [
        ("selfplayd_learning_version", figure(|recent| Some(recent.version as f64))),
        ("selfplayd_learning_games", figure(|recent| Some(recent.games as f64))),
        ("selfplayd_learning_plies", figure(|recent| recent.plies)),
        ("selfplayd_learning_step_limit_share", figure(|recent| recent.step_limit_share)),
        ("selfplayd_learning_repeated_games_share", figure(|recent| recent.repeated_games)),
        ("selfplayd_learning_repeated_openings_share", figure(|recent| recent.repeated_openings)),
        ("selfplayd_learning_full_search_share", figure(|recent| recent.full_share)),
        ("selfplayd_learning_depth_plies", figure(|recent| recent.depth)),
        ("selfplayd_learning_entropy_share", figure(|recent| recent.entropy_share)),
        ("selfplayd_learning_one_hot_share", figure(|recent| recent.one_hot_share)),
        ("selfplayd_learning_policy_kl_nats", figure(|recent| recent.policy_kl)),
        ("selfplayd_learning_value_error", figure(|recent| recent.value_error)),
        ("selfplayd_learning_raw_value_error", figure(|recent| recent.raw_value_error)),
        ("selfplayd_learning_guess_error", figure(|recent| recent.guess_error)),
        ("selfplayd_learning_calibration_error", figure(|recent| recent.calibration_error)),
    ] {
        samples.push(name, &[], number);
    }
    for (result, share) in [
        ("first", figure(|recent| recent.first_share)),
        ("second", figure(|recent| recent.second_share)),
        ("draw", figure(|recent| recent.draw_share)),
    ] {
        samples.push("selfplayd_learning_result_share", &[("result", result)], share);
    }
    for kind in VerdictKind::ALL {
        let holds = seen.verdicts.iter().any(|verdict| verdict.kind == kind);
        samples.push("selfplayd_data_verdict", &[("kind", kind.name())], f64::from(u8::from(holds)));
    }
}

/// What the trainer says of itself; NaN for what it does not say.
fn trainer(samples: &mut Samples, trainer: Option<&TrainerStatus>) {
    let age = trainer.and_then(|trainer| trainer.age_seconds);
    samples.push("selfplayd_trainer_age_seconds", &[], age.unwrap_or(f64::NAN));
    let figures = trainer.and_then(|trainer| trainer.figures.as_ref());
    let state = figures.and_then(|figures| figures.state.as_deref());
    for known in ["training", "waiting for games", "stopped"] {
        let is = f64::from(u8::from(state == Some(known)));
        samples.push("selfplayd_trainer_state", &[("state", known)], is);
    }
    let figure = |figure: fn(&TrainerFigures) -> Option<f64>| figures.and_then(figure).unwrap_or(f64::NAN);
    for (name, number) in [
        ("selfplayd_trainer_version", figure(|figures| figures.version.map(|number| number as f64))),
        ("selfplayd_trainer_step", figure(|figures| figures.step.map(|number| number as f64))),
        ("selfplayd_trainer_loss", figure(|figures| figures.loss)),
        ("selfplayd_trainer_policy_loss", figure(|figures| figures.policy_loss)),
        ("selfplayd_trainer_value_loss", figure(|figures| figures.value_loss)),
        ("selfplayd_trainer_learning_rate", figure(|figures| figures.learning_rate)),
        ("selfplayd_trainer_gradient_norm", figure(|figures| figures.gradient_norm)),
        ("selfplayd_trainer_window_rows", figure(|figures| figures.window_rows.map(|number| number as f64))),
        ("selfplayd_trainer_rows", figure(|figures| figures.rows.map(|number| number as f64))),
        ("selfplayd_trainer_samples_per_second", figure(|figures| figures.samples_per_second)),
        ("selfplayd_trainer_samples_per_row", figure(|figures| figures.samples_per_row)),
    ] {
        samples.push(name, &[], number);
    }
}

/// The way to and from a trainer elsewhere; nothing where it is on this machine.
fn fleet(samples: &mut Samples, status: &FleetStatus) {
    let FleetStatus { state, restarts } = status;
    let (outbox, counts, models) = (&state.outbox, &state.counts, &state.models);
    for (name, number) in [
        ("selfplayd_fleet_connected", f64::from(u8::from(state.link.up))),
        ("selfplayd_fleet_connections_total", state.link.connects as f64),
        ("selfplayd_fleet_outbox_frames", outbox.frames as f64),
        ("selfplayd_fleet_outbox_bytes", outbox.bytes as f64),
        ("selfplayd_fleet_outbox_most_bytes", outbox.most_bytes as f64),
        ("selfplayd_fleet_outbox_oldest_seconds", outbox.oldest_seconds as f64),
        ("selfplayd_fleet_frames_sent_total", counts.sent as f64),
        ("selfplayd_fleet_frames_lost_by_broker_total", counts.lost_by_broker as f64),
        ("selfplayd_fleet_frames_lost_by_disk_total", state.frames_lost as f64),
        ("selfplayd_fleet_model_newest", models.newest.map_or(f64::NAN, |version| version as f64)),
        ("selfplayd_fleet_model_named", models.named.map_or(f64::NAN, |version| version as f64)),
        ("selfplayd_fleet_models_fetched_total", models.fetched as f64),
        ("selfplayd_fleet_model_fetched_bytes_total", models.fetched_bytes as f64),
        ("selfplayd_fleet_model_fetch_seconds", models.fetch_seconds),
        ("selfplayd_fleet_restarts_total", *restarts as f64),
    ] {
        samples.push(name, &[], number);
    }
    for (outcome, frames) in [("stored", counts.stored), ("duplicate", counts.duplicates), ("refused", counts.refusals)]
    {
        samples.push("selfplayd_fleet_frames_answered_total", &[("outcome", outcome)], frames as f64);
    }
    for (outcome, games) in [("taken", state.games_taken), ("aside", state.games_aside), ("refused", counts.refused)] {
        samples.push("selfplayd_fleet_games_total", &[("outcome", outcome)], games as f64);
    }
    for (reason, times) in [("key", state.link.refused), ("not_allowed", state.link.denied)] {
        samples.push("selfplayd_fleet_refused_total", &[("reason", reason)], times as f64);
    }
    let blocks = [
        ("outbox_full", Block::OutboxFull),
        ("outbox_unusable", Block::OutboxUnusable),
        ("settings_differ", Block::SettingsDiffer),
    ];
    for (reason, why) in blocks {
        let is = state.blocked.as_ref().is_some_and(|blocked| blocked.why == why);
        samples.push("selfplayd_fleet_blocked", &[("reason", reason)], f64::from(u8::from(is)));
    }
}

/// By a clock that only goes forward.
fn model_age(stats: &Stats) -> f64 {
    let served = stats.model_served_at.get();
    if served == 0 { 0.0 } else { (monotonic_ms() - served) as f64 / 1e3 }
}

fn info(samples: &mut Samples, about: &About) {
    let DeviceStatus { requested, actual, precision, threads: by_thread, .. } = about.device.look();
    let precision = precision.as_deref().unwrap_or_default();
    let devices = [("requested", &*requested), ("actual", &*actual), ("precision", precision)];
    samples.push("selfplayd_execution_provider_info", &devices, 1.0);
    let mut threads = BTreeMap::<_, u32>::new();
    by_thread.iter().for_each(|thread| *threads.entry(&*thread.actual).or_default() += 1);
    for (actual, count) in threads {
        let labels = [("requested", &*requested), ("actual", actual)];
        samples.push("selfplayd_device_threads", &labels, count.into());
    }
    samples.push("selfplayd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let RunStatus { name, rules, output_dir, model_source } = &about.run;
    let model_source = model_source.as_deref().unwrap_or_default();
    let run = [("name", &**name), ("rules", rules), ("output_dir", output_dir), ("model_source", model_source)];
    samples.push("selfplayd_run_info", &run, 1.0);
    samples.push("selfplayd_settings_info", &[("hash", &(about.settings_hash)())], 1.0);
}

/// By row of the table of children, those without any among them: an alert must see the first.
fn restarts(samples: &mut Samples, health: &Health) {
    let counted = health.restarts();
    for child in &CHILDREN {
        let Restarts { panic, error, stopped, hang } = counted.get(child.name).copied().unwrap_or_default();
        for (reason, count) in [("panic", panic), ("error", error), ("stopped", stopped), ("hang", hang)] {
            let labels = [("child", child.name), ("reason", reason)];
            samples.push("selfplayd_restarts_total", &labels, count as f64);
        }
    }
}

/// Where the threads' time goes, and what holds play back.
pub(crate) fn time(stats: &Arc<Stats>, monitor: Arc<Monitor>) -> Feed {
    let stats = stats.clone();
    Box::new(move |samples| {
        let times = stats.accounts.read();
        for (role, activity) in Role::ALL.into_iter().flat_map(|role| Activity::ALL.map(|activity| (role, activity))) {
            let labels = [("role", role.name()), ("activity", activity.name())];
            samples.push("selfplayd_thread_seconds_total", &labels, times.seconds(role, activity));
        }
        let causes = [("no_work", Activity::WaitingWork), ("swap", Activity::Swap), ("paused", Activity::Paused)];
        for (cause, activity) in causes {
            let seconds = times.seconds(Role::Inference, activity);
            samples.push("selfplayd_device_idle_seconds_total", &[("cause", cause)], seconds);
        }
        let holds = monitor.bottleneck().kind;
        for kind in Kind::ALL {
            samples.push("selfplayd_bottleneck", &[("kind", kind.name())], f64::from(u8::from(kind == holds)));
        }
    })
}

fn lost_lines(samples: &mut Samples) {
    let LostLines { stderr, stdout } = LostLines::so_far();
    for (stream, lines) in [("stderr", stderr), ("stdout", stdout)] {
        samples.push("selfplayd_lost_lines_total", &[("stream", stream)], lines as f64);
    }
}

/// As the system sees the process; what it does not tell is left out.
fn process(samples: &mut Samples) {
    let seen = metrics_process::collector::collect();
    let count = |count: Option<u64>| count.map(|count| count as f64);
    for (name, number) in [
        ("process_cpu_seconds_total", seen.cpu_seconds_total),
        ("process_open_fds", count(seen.open_fds)),
        ("process_max_fds", count(seen.max_fds)),
        ("process_virtual_memory_bytes", count(seen.virtual_memory_bytes)),
        ("process_virtual_memory_max_bytes", count(seen.virtual_memory_max_bytes)),
        ("process_resident_memory_bytes", count(seen.resident_memory_bytes)),
        ("process_start_time_seconds", count(seen.start_time_seconds)),
        ("process_threads", count(seen.threads)),
    ] {
        if let Some(number) = number {
            samples.push(name, &[], number);
        }
    }
}
