//! The table keeps its own rules, and what is counted is read.

use std::{collections::BTreeSet, sync::Arc};

use super::*;

#[test]
fn names_and_labels_keep_the_conventions_of_prometheus() {
    let mut names = BTreeSet::new();
    for metric in CATALOGUE {
        let Metric { name, kind, unit, help, .. } = *metric;
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with(PREFIX) || name.starts_with("process_"), "{name}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
        let base = name.trim_end_matches("_total");
        assert_eq!(base.ends_with("_seconds"), unit == Unit::Seconds, "{name}");
        assert_eq!(base.ends_with("_bytes"), unit == Unit::Bytes, "{name}");
        assert!(help.ends_with('.') && !help.starts_with(' ') && !help.contains("  "), "{name}: {help:?}");
        assert_eq!(metric.bounds.is_empty(), kind != Kind::Histogram, "{name}");
        assert!(metric.bounds.is_sorted_by(|a, b| a < b), "{name}");
        let labels: Vec<BTreeSet<_>> =
            metric.rows.iter().map(|row| row.labels.iter().map(|label| label.0).collect()).collect();
        assert!(labels.windows(2).all(|two| two[0] == two[1]), "{name}: all rows have the same labels");
        let values: BTreeSet<_> = metric.rows.iter().map(|row| row.labels).collect();
        assert_eq!(values.len(), metric.rows.len(), "{name}: every row is another");
    }
}

#[test]
fn what_is_counted_is_read_in_the_unit_of_its_metric() {
    let stats = Stats::default();
    let read = |name: &str| -> Vec<f64> {
        let metric = CATALOGUE.iter().find(|metric| metric.name == name).unwrap();
        metric.rows.iter().map(|row| metric.number((row.read)(&stats))).collect()
    };
    stats.encode_ns.add(std::time::Duration::from_millis(1_500));
    stats.decode_ns.add(std::time::Duration::from_millis(250));
    assert_eq!(read("selfplayd_inference_seconds_total"), [1.5, 0.0, 0.25]);
    assert_eq!(stats.inference_seconds_total(), 1_750_000_000);
    stats.model_version.set(-1);
    assert_eq!(read("selfplayd_model_version"), [-1.0]);
    stats.model_served.set(std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_500));
    assert_eq!(read("selfplayd_model_served_timestamp_seconds"), [1.5]);
    stats.batch_size.record_many(3.0, 2);
    assert_eq!(read("selfplayd_batch_size"), [2.0]);
}

#[test]
fn a_snapshot_says_what_changed_and_how_things_are() {
    let stats = Stats::default();
    stats.batches_full.add(2);
    stats.queue_leaves.set(9);
    stats.batch_size.record(8.0);
    let before = stats.snapshot();
    stats.batches_timer.add(3);
    stats.queue_leaves.set(4);
    stats.batch_size.record_many(16.0, 3);
    let (now, changed) = (stats.snapshot(), stats.snapshot().since(&before));
    assert_eq!((now.batches_total(), changed.batches_total(), stats.batches_total()), (5, 3, 5));
    assert_eq!((now.queue_leaves, changed.queue_leaves), (4, 4));
    assert_eq!((now.mean_batch(), changed.mean_batch()), (14.0, 16.0));
    let json = serde_json::to_value(changed).unwrap();
    assert_eq!((json["batches_timer"].as_u64(), json["batch_size"]["count"].as_u64()), (Some(3), Some(3)));
}

#[test]
fn observations_fall_into_the_first_bucket_that_takes_them() {
    let histogram = Histogram::new(&[1.0, 2.5]);
    for value in [-3.0, 1.0, 1.1, 2.5, 2.6, f64::INFINITY, f64::NAN] {
        histogram.record(value);
    }
    let counts: Vec<_> = histogram.get().buckets().map(|bucket| (bucket.le, bucket.count)).collect();
    assert_eq!(counts, [(Some(1.0), 2), (Some(2.5), 2), (None, 2)]);
    assert_eq!((histogram.get().count(), histogram.get().sum()), (6, f64::INFINITY));
    assert_eq!(Histogram::new(&[]).get().mean(), 0.0);
}

#[test]
fn quantiles_lie_within_their_bucket() {
    let histogram = Histogram::new(&[1.0, 2.0, 4.0]);
    assert_eq!(histogram.get().quantile(0.5), None);
    histogram.record_many(1.5, 8);
    histogram.record_many(3.0, 2);
    let quantile = |part| histogram.get().quantile(part).unwrap();
    assert_eq!((quantile(0.4), quantile(0.8), quantile(0.9), quantile(1.0)), (1.5, 2.0, 3.0, 4.0));
    histogram.record_many(9.0, 90);
    assert_eq!(histogram.get().quantile(0.95), Some(4.0), "nothing is known above the last bound");
}

#[test]
fn observations_of_many_threads_add_up() {
    let histogram = Histogram::new(&[1.0]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..10_000).for_each(|_| histogram.record(0.5)));
        }
    });
    assert_eq!((histogram.get().count(), histogram.get().sum()), (40_000, 20_000.0));
}

#[test]
fn a_part_of_a_gauge_is_taken_back() {
    let stats = Arc::new(Stats::default());
    let (mut one, mut other) =
        (Share::new(&stats, |stats| &stats.tree_bytes), Share::new(&stats, |stats| &stats.tree_bytes));
    one.set(10_usize);
    other.set(5_usize);
    one.set(7_usize);
    assert_eq!(stats.tree_bytes.get(), 12);
    drop(one);
    assert_eq!(stats.tree_bytes.get(), 5);
}
