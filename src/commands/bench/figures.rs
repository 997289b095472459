//! The table of what is reported of a measurement, and figures with their spread over the rounds.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    measure::Window,
    process::{Role, Spent},
};

/// Which way a figure is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    /// Up.
    More,
    /// Down.
    Less,
    /// It only describes.
    Neither,
}

use Better::{Less, More, Neither};

/// One thing that is read off a measurement.
pub(super) struct Measure {
    /// In JSON.
    pub name: &'static str,
    /// For people.
    pub label: &'static str,
    pub better: Better,
    /// `None` where it has no value, such as a share of nothing.
    of: fn(&Window) -> Option<f64>,
}

const fn of(name: &'static str, label: &'static str, better: Better, of: fn(&Window) -> Option<f64>) -> Measure {
    Measure { name, label, better, of }
}

/// Everything that is read off a measurement of the daemon, in the order in which it is shown.
///
/// CPU times per stage are per unique evaluation. Stages are too short to ask the system: what the system says is the CPU time of
/// their threads, and the clock says how that is divided.
pub(super) static MEASURES: &[Measure] = &[
    of("evaluations_per_s", "unique evaluations per s", More, |w| per_second(w, w.rates.counts.evaluations)),
    of("simulations_per_s", "simulations per s", More, |w| per_second(w, w.rates.counts.simulations_total())),
    of("positions_per_s", "positions (moves) per s", More, |w| per_second(w, w.rates.counts.moves)),
    of("games_per_s", "games per s", More, |w| per_second(w, w.rates.counts.games_finished)),
    of("evaluations_per_cpu_s", "unique evaluations per CPU-s", More, |w| per_cpu(w, w.rates.counts.evaluations)),
    of("simulations_per_cpu_s", "simulations per CPU-s", More, |w| per_cpu(w, w.rates.counts.simulations_total())),
    of("cores_used", "cores used", Neither, |w| Some(w.cpu_seconds() / w.rates.seconds)),
    of("inference_share", "share of inference threads' time in the network", Neither, |w| {
        let spent = w.rates.counts.inference_seconds_total() as f64 / 1e9;
        ratio(spent, w.rates.seconds * w.sizes.inference_threads as f64)
    }),
    of("mean_batch", "positions per batch", Neither, |w| some(w.rates.mean_batch())),
    of("hits_cached", "leaves answered by the cache, share", More, |w| looked_up(w, w.rates.counts.cache_hits)),
    of("hits_in_flight", "leaves in flight for others already, share", More, |w| {
        looked_up(w, w.rates.counts.cache_in_flight_hits)
    }),
    of("misses", "leaves for the network, share", Less, |w| looked_up(w, w.rates.counts.cache_misses)),
    of("evaluations_per_simulation", "unique evaluations per simulation", Less, |w| {
        ratio(w.rates.counts.evaluations as f64, w.rates.counts.simulations_total() as f64)
    }),
    of("ticket_ms_mean", "wait of a request for its evaluations, ms, mean", Less, |w| {
        some(w.rates.counts.ticket_latency.mean() * 1e3)
    }),
    of("ticket_ms_p95", "the same, 95% are below", Less, |w| Some(w.rates.counts.ticket_latency.quantile(0.95)? * 1e3)),
    of("cpu_us_gather", "CPU time per evaluation, µs: gather", Less, |w| playing(w, w.rates.counts.gather_ns)),
    of("cpu_us_lookup", "  lookup", Less, |w| playing(w, w.rates.counts.lookup_ns)),
    of("cpu_us_answer", "  store and answer", Less, |w| playing(w, w.rates.counts.post_processing_ns)),
    of("cpu_us_apply", "  apply", Less, |w| playing(w, w.rates.counts.apply_ns)),
    of("cpu_us_hop", "  hop: the rest of the threads of games, cache and batcher", Less, |w| {
        each(w, spent(w, Role::Play)?.cpu_seconds - stages_of_play(w))
    }),
    of("cpu_us_encode", "  encode", Less, |w| inferring(w, w.rates.counts.encode_ns)),
    of("cpu_us_infer", "  infer", Less, |w| inferring(w, w.rates.counts.infer_ns)),
    of("cpu_us_softmax", "  softmax", Less, |w| inferring(w, w.rates.counts.decode_ns)),
    of("cpu_us_other", "  all other threads", Less, |w| each(w, spent(w, Role::Other)?.cpu_seconds)),
    of("switches_voluntary_per_s", "context switches per s: nothing to do", Less, |w| {
        per_second(w, w.usage.is_known().then(|| w.usage.all().voluntary)?)
    }),
    of("switches_involuntary_per_s", "  core taken away", Less, |w| {
        per_second(w, w.usage.is_known().then(|| w.usage.all().involuntary)?)
    }),
    of("peak_memory_mib", "memory at most, MiB", Less, |w| Some(w.resident?.peak_mib)),
    of("memory_mib", "memory at the end, MiB", Less, |w| Some(w.resident?.now_mib)),
    of("tree_kib_per_game", "KiB of trees per game in play", Less, |w| {
        ratio(w.rates.counts.tree_bytes as f64 / 1024.0, w.rates.counts.games_active as f64)
    }),
    of("tree_bytes_per_node", "bytes per tree node", Less, |w| {
        ratio(w.rates.counts.tree_bytes as f64, w.rates.counts.nodes_in_play as f64)
    }),
    of("cache_bytes_per_entry", "bytes per cached evaluation", Less, |w| {
        ratio(w.rates.counts.cache_bytes as f64, w.rates.counts.cache_entries as f64)
    }),
];

fn some(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn per_second(window: &Window, count: u64) -> Option<f64> {
    Some(window.rates.per_second(count))
}

fn per_cpu(window: &Window, count: u64) -> Option<f64> {
    ratio(count as f64, window.cpu_seconds())
}

fn looked_up(window: &Window, count: u64) -> Option<f64> {
    ratio(count as f64, window.rates.counts.cache_lookups_total() as f64)
}

fn spent(window: &Window, role: Role) -> Option<Spent> {
    window.usage.is_known().then(|| window.usage.of(role))
}

/// Microseconds per evaluation; differences of two clocks may come out a little below nothing.
fn each(window: &Window, seconds: f64) -> Option<f64> {
    ratio(seconds.max(0.0) * 1e6, window.rates.counts.evaluations as f64)
}

/// Seconds of the clock that the threads of games, cache and batcher spent on stages that are timed.
fn stages_of_play(window: &Window) -> f64 {
    let counts = &window.rates.counts;
    (counts.gather_ns + counts.lookup_ns + counts.post_processing_ns + counts.apply_ns) as f64 / 1e9
}

/// A stage of those threads: as the clock says, but all of them together no more than the CPU time. They are more where cores were
/// taken away meanwhile.
fn playing(window: &Window, nanoseconds: u64) -> Option<f64> {
    let most = spent(window, Role::Play)?.cpu_seconds;
    let seconds = nanoseconds as f64 / 1e9;
    each(window, seconds * ratio(most, stages_of_play(window)).map_or(1.0, |part| part.min(1.0)))
}

/// A stage of the inference threads: its share of their CPU time.
fn inferring(window: &Window, nanoseconds: u64) -> Option<f64> {
    let share = ratio(nanoseconds as f64, window.rates.counts.inference_seconds_total() as f64)?;
    each(window, spent(window, Role::Inference)?.cpu_seconds * share)
}

/// One figure of all rounds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Figure {
    /// In JSON: that of its measure, behind what was measured where that is several things.
    pub name: String,
    /// For people.
    pub label: String,
    pub better: Better,
    /// Finite numbers, one per round in which it had a value; at least one.
    runs: Vec<f64>,
}

impl Figure {
    pub(super) fn spread(&self) -> Spread {
        Spread::of(&self.runs)
    }
}

/// What the rounds say together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, serde::Deserialize)]
pub(super) struct Spread {
    /// Their median.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
    /// How many there were.
    #[serde(default)]
    pub rounds: usize,
}

impl Spread {
    /// Of at least one number; of none, nothing is a number.
    pub(super) fn of(runs: &[f64]) -> Self {
        let extreme = |choose: fn(f64, f64) -> f64| runs.iter().copied().reduce(choose).unwrap_or(f64::NAN);
        Self { median: median(runs), min: extreme(f64::min), max: extreme(f64::max), rounds: runs.len() }
    }
}

/// The middle of `values`, or of the two in the middle; not a number where there are none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => values[len / 2],
        len => values[len / 2 - 1].midpoint(values[len / 2]),
    }
}

/// Figures in the order in which they are shown; in JSON an object by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures(Vec<Figure>);

impl Figures {
    /// Adds a figure, unless it has no finite value in any round.
    pub(super) fn add(&mut self, name: &str, label: &str, better: Better, runs: impl IntoIterator<Item = f64>) {
        let runs: Vec<_> = runs.into_iter().filter(|run| run.is_finite()).collect();
        if !runs.is_empty() {
            self.0.push(Figure { name: name.to_owned(), label: label.to_owned(), better, runs });
        }
    }

    /// Adds what is read off `windows`, one per round, by the measures that `wanted` lets pass. `prefix` goes before their names.
    pub(super) fn read(&mut self, prefix: &str, windows: &[Window], wanted: impl Fn(&str) -> bool) {
        for Measure { name, label, better, of } in MEASURES.iter().filter(|measure| wanted(measure.name)) {
            self.add(&format!("{prefix}{name}"), label, *better, windows.iter().filter_map(of));
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Figure> {
        self.0.iter().find(|figure| figure.name == name)
    }

    /// The median of the figure of that name.
    #[cfg(test)]
    pub(super) fn median(&self, name: &str) -> Option<f64> {
        self.get(name).map(|figure| figure.spread().median)
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for figure in &self.0 {
            map.serialize_entry(&figure.name, &figure.spread())?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use selfplay_actors::{batcher::BatchPolicy, stats::Snapshot};

    use super::*;
    use crate::{
        commands::bench::process::Usage,
        daemon::{report::Rates, sizes::Sizes},
    };

    #[test]
    fn the_spread_is_that_of_the_rounds() {
        let spread = |runs: &[f64]| {
            let Spread { median, min, max, rounds } = Spread::of(runs);
            (median, min, max, rounds)
        };
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (2.0, 1.0, 3.0, 3));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0, 4));
        assert_eq!(spread(&[7.0]), (7.0, 7.0, 7.0, 1));
        assert!(Spread::of(&[]).median.is_nan());
    }

    #[test]
    fn figures_without_a_value_are_left_out() {
        let mut figures = Figures::default();
        figures.add("rate", "rate", More, [f64::NAN, 2.0, f64::INFINITY, 4.0]);
        figures.add("nothing", "nothing", Less, [f64::NAN]);
        figures.add("none", "none", Less, []);
        assert_eq!(
            serde_json::to_value(&figures).unwrap(),
            serde_json::json!({
                "rate": { "median": 3.0, "min": 2.0, "max": 4.0, "rounds": 2 }
            })
        );
        assert_eq!((figures.median("rate"), figures.median("nothing")), (Some(3.0), None));
    }

    /// 1000 evaluations in two seconds; stages by the clock, and CPU seconds of the threads of play and inference.
    fn window(gather: f64, lookup: f64, play: f64, inference: f64) -> Window {
        let nanoseconds = |seconds: f64| (seconds * 1e9) as u64;
        let counts = Snapshot {
            evaluations: 1000,
            gather_ns: nanoseconds(gather),
            lookup_ns: nanoseconds(lookup),
            encode_ns: nanoseconds(0.1),
            infer_ns: nanoseconds(1.8),
            decode_ns: nanoseconds(0.1),
            ..Snapshot::default()
        };
        let batching = BatchPolicy { max_batch: 32, max_wait: Duration::ZERO, min_share: 8, cores: 1 };
        Window {
            rates: Rates { counts, seconds: 2.0 },
            usage: Usage::of_seconds(&[(Role::Play, play), (Role::Inference, inference), (Role::Other, 0.25)]),
            resident: None,
            sizes: Sizes { inference_threads: 2, game_threads: 1, batching, cores: 2 },
        }
    }

    #[test]
    fn stages_add_up_to_the_cpu_time_of_their_threads() {
        let read = |window: Window, names: [&str; 3]| {
            let mut figures = Figures::default();
            figures.read("", &[window], |_| true);
            names.map(|name| figures.median(&format!("cpu_us_{name}")).map(f64::round))
        };
        let play = ["gather", "lookup", "hop"];
        assert_eq!(read(window(0.3, 0.1, 0.5, 1.0), play), [Some(300.0), Some(100.0), Some(100.0)]);
        assert_eq!(
            read(window(0.6, 0.2, 0.4, 1.0), play),
            [Some(300.0), Some(100.0), Some(0.0)],
            "cores were taken away"
        );
        let inference = ["encode", "infer", "softmax"];
        assert_eq!(read(window(0.1, 0.1, 0.5, 1.0), inference), [Some(50.0), Some(900.0), Some(50.0)]);
        let mut figures = Figures::default();
        figures.read("x.", &[window(0.1, 0.1, 0.5, 1.25)], |name| name.starts_with("evaluations_per"));
        let medians = ["x.evaluations_per_s", "x.evaluations_per_cpu_s"].map(|name| figures.median(name));
        assert_eq!(medians, [Some(500.0), Some(500.0)]);
        assert_eq!(figures.iter().count(), 2, "nothing is known per simulation without any");
    }

    #[test]
    fn names_of_measures_are_all_different() {
        let names: BTreeSet<_> = MEASURES.iter().map(|measure| measure.name).collect();
        assert_eq!(names.len(), MEASURES.len());
    }
}
