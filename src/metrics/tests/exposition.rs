//! The text format of Prometheus, read back.

use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Exposition(Vec<(String, Family)>);

#[derive(Debug, Default)]
pub(super) struct Family {
    pub(super) help: String,
    pub(super) kind: String,
    pub(super) samples: Vec<Sample>,
}

#[derive(Debug)]
pub(super) struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Exposition {
    /// Panics over what is not well formed.
    pub(super) fn parse(text: &str) -> Self {
        let mut families: Vec<(String, Family)> = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                families.push((name.to_owned(), Family { help: help.to_owned(), ..Family::default() }));
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                let (of, family) = families.last_mut().unwrap();
                assert_eq!(name, of, "the type follows the help");
                family.kind = kind.to_owned();
            } else if !line.is_empty() {
                let (of, family) = families.last_mut().unwrap();
                let sample = Sample::parse(line);
                assert!(sample.name.starts_with(of.as_str()), "{line} stands under {of}");
                family.samples.push(sample);
            }
        }
        Self(families)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn family(&self, name: &str) -> &Family {
        &self.0.iter().find(|(known, _)| known == name).unwrap().1
    }

    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.family(name).value(name, labels)
    }
}

impl Family {
    /// The value with exactly these labels.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut found = self.samples.iter().filter(|sample| sample.name == name && sample.labels == labels);
        let value = found.next().map(|sample| sample.value);
        assert!(found.next().is_none(), "{name} {labels:?} is there twice");
        value
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let mut pairs = BTreeMap::new();
        let mut rest = labels;
        while !rest.is_empty() {
            let (key, after) = rest.split_once("=\"").unwrap();
            let closes = |&at: &usize| after[at..].starts_with('"') && !after[..at].ends_with('\\');
            let end = (0..after.len()).find(closes).unwrap();
            pairs.insert(key.to_owned(), after[..end].replace("\\\"", "\""));
            rest = after[end + 1..].trim_start_matches(',');
        }
        Self { name: name.to_owned(), labels: pairs, value: value.parse().unwrap() }
    }
}
