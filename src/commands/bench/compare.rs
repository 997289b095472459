//! Figures of now beside those of an earlier run.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    figures::{Better, Figure, Figures, Spread},
    text::{short, table},
};

/// As much as is compared of what `--json` printed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Earlier {
    bench: String,
    setup: BTreeMap<String, Value>,
    figures: BTreeMap<String, Spread>,
}

impl Earlier {
    /// Reads what `bench`, the measurement at hand, printed earlier.
    ///
    /// # Errors
    /// When the file is something else.
    pub(super) fn read(path: &Path, bench: &str) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("--compare: failed to read {}", path.display()))?;
        Self::parse(&text, bench).with_context(|| format!("--compare {}", path.display()))
    }

    fn parse(text: &str, bench: &str) -> anyhow::Result<Self> {
        let earlier: Self = serde_json::from_str(text).context("this is not what `selfplayd bench --json` prints")?;
        ensure!(earlier.bench == bench, "it holds figures of another measurement: {:?}, not {bench:?}", earlier.bench);
        Ok(earlier)
    }
}

/// How a figure changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Beyond both spreads, in the good direction.
    Better,
    /// Beyond both spreads, in the bad direction.
    Worse,
    /// Beyond both spreads, of a figure that only describes.
    Changed,
    /// The spreads meet: it may be chance.
    Within,
    /// There was one round before or now, so that it is not known what chance does.
    Unknown,
}

/// A figure that both runs have.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Change {
    name: String,
    #[serde(skip)]
    label: String,
    old: f64,
    new: f64,
    ratio: f64,
    verdict: Verdict,
}

/// Two runs beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Comparison {
    /// What was not the same: settings, machine.
    differences: Vec<String>,
    figures: Vec<Change>,
}

impl Comparison {
    /// Of figures measured with `setup`, an object.
    pub(super) fn new(earlier: &Earlier, setup: &Value, figures: &Figures) -> Self {
        let old = |key: &str| earlier.setup.get(key).unwrap_or(&Value::Null);
        let fields = setup.as_object().into_iter().flatten();
        let differences = fields.filter(|(key, new)| old(key) != *new);
        let differences = differences.map(|(key, new)| format!("{key}: {} then, {new} now", old(key))).collect();
        let both = figures.iter().filter_map(|new| Some(change(new, *earlier.figures.get(&new.name)?)));
        Self { differences, figures: both.collect() }
    }

    /// For people.
    pub(super) fn table(&self) -> String {
        let title = ["", "before", "now", "ratio", ""].map(str::to_owned).to_vec();
        let row = |change: &Change| {
            let mark = match change.verdict {
                Verdict::Better => "better",
                Verdict::Worse => "worse",
                Verdict::Changed => "changed",
                Verdict::Within => "",
                Verdict::Unknown => "?",
            };
            let ratio = if change.ratio.is_finite() { format!("{:.3}", change.ratio) } else { String::new() };
            vec![change.label.clone(), short(change.old), short(change.new), ratio, mark.to_owned()]
        };
        let mut text: String = self.differences.iter().map(|line| format!("not the same: {line}\n")).collect();
        let rows: Vec<_> = std::iter::once(title).chain(self.figures.iter().map(row)).collect();
        text.push_str(&table(&rows));
        text.push_str("\nmarked: beyond the spreads of both; ?: one round has no spread");
        text
    }
}

fn change(new: &Figure, old: Spread) -> Change {
    let spread = new.spread();
    Change {
        name: new.name.clone(),
        label: new.label.clone(),
        old: old.median,
        new: spread.median,
        ratio: spread.median / old.median,
        verdict: verdict(old, spread, new.better),
    }
}

fn verdict(old: Spread, new: Spread, better: Better) -> Verdict {
    let (above, below) = (new.min > old.max, new.max < old.min);
    match better {
        _ if old.rounds < 2 || new.rounds < 2 => Verdict::Unknown,
        _ if !above && !below => Verdict::Within,
        Better::Neither => Verdict::Changed,
        Better::More if above => Verdict::Better,
        Better::Less if below => Verdict::Better,
        Better::More | Better::Less => Verdict::Worse,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn earlier() -> Earlier {
        let spread = |min: f64, median: f64, max: f64| json!({ "median": median, "min": min, "max": max, "rounds": 3 });
        let text = json!({
            "bench": "speed", "selfplayd": "0.1.0", "rounds": 3,
            "setup": { "games_at_once": 32, "model": "a.onnx" },
            "figures": {
                "rate": spread(90.0, 100.0, 110.0), "memory": spread(40.0, 50.0, 60.0),
                "batch": spread(7.0, 8.0, 9.0), "gone": spread(1.0, 1.0, 1.0),
            },
        });
        Earlier::parse(&text.to_string(), "speed").unwrap()
    }

    fn compared(rate: [f64; 3], memory: [f64; 3], batch: [f64; 3]) -> Comparison {
        let mut figures = Figures::default();
        figures.add("rate", "rate per s", Better::More, rate);
        figures.add("memory", "memory", Better::Less, memory);
        figures.add("batch", "batch", Better::Neither, batch);
        figures.add("fresh", "fresh", Better::More, [1.0]);
        Comparison::new(&earlier(), &json!({ "games_at_once": 64, "model": "a.onnx" }), &figures)
    }

    #[test]
    fn what_lies_beyond_both_spreads_is_marked() {
        let verdicts = |comparison: Comparison| comparison.figures.iter().map(|one| one.verdict).collect::<Vec<_>>();
        use Verdict::{Better, Changed, Within, Worse};
        assert_eq!(verdicts(compared([111.0, 120.0, 130.0], [30.0, 35.0, 39.0], [1.0; 3])), [Better, Better, Changed]);
        assert_eq!(verdicts(compared([70.0, 80.0, 89.0], [61.0, 62.0, 63.0], [9.0; 3])), [Worse, Worse, Within]);
        assert_eq!(verdicts(compared([109.0, 200.0, 300.0], [1.0, 2.0, 40.0], [8.0; 3])), [Within; 3]);
    }

    #[test]
    fn one_round_tells_nothing_of_chance() {
        let spread = |median: f64, rounds| Spread { median, min: median, max: median, rounds };
        assert_eq!(verdict(spread(1.0, 1), spread(9.0, 3), Better::More), Verdict::Unknown);
        assert_eq!(verdict(spread(1.0, 3), spread(9.0, 1), Better::More), Verdict::Unknown);
        assert_eq!(verdict(spread(1.0, 2), spread(9.0, 2), Better::More), Verdict::Better);
    }

    #[test]
    fn a_comparison_is_a_table() {
        let comparison = compared([111.0, 120.0, 130.0], [61.0, 62.0, 63.0], [8.0; 3]);
        let expected = "\
            not the same: games_at_once: 32 then, 64 now\n            \
                        before   now  ratio\n\
            rate per s     100   120  1.200  better\n\
            memory        50.0  62.0  1.240   worse\n\
            batch         8.00  8.00  1.000\n\
            marked: beyond the spreads of both; ?: one round has no spread";
        assert_eq!(comparison.table(), expected);
        let json = serde_json::to_value(&comparison).unwrap();
        assert_eq!(
            json["figures"][0],
            json!({ "name": "rate", "old": 100.0, "new": 120.0, "ratio": 1.2, "verdict": "better" })
        );
    }

    #[test]
    fn a_file_that_is_something_else_is_refused() {
        let refused = |text: &str| format!("{:#}", Earlier::parse(text, "speed").unwrap_err());
        for text in ["", "not JSON", "[]", "{}", r#"{"bench": "speed", "figures": {"rate": 3}}"#] {
            assert!(
                refused(text).starts_with("this is not what `selfplayd bench --json` prints: "),
                "{}",
                refused(text)
            );
        }
        let other = refused(r#"{"bench": "outside", "setup": {}, "figures": {}}"#);
        assert_eq!(other, r#"it holds figures of another measurement: "outside", not "speed""#);
        let missing = format!("{:#}", Earlier::read(Path::new("/nowhere/b.json"), "speed").unwrap_err());
        assert!(missing.starts_with("--compare: failed to read /nowhere/b.json: "), "{missing}");
    }
}
