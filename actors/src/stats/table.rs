//! Turns the table of metrics into [`Stats`](super::Stats), [`Snapshot`](super::Snapshot) and
//! [`CATALOGUE`](super::CATALOGUE).

/// Sums over the rows of counters that have several.
macro_rules! sums {
    (Elapsed $family:ident $($row:ident)+; $get:ident) => {
        sums!(Counter $family $($row)+; $get);
    };
    (Counter $family:ident $first:ident $($row:ident)+; $get:ident) => {
        #[doc = concat!("Sum of all rows of `", stringify!($family), "`; of seconds, in nanoseconds.")]
        #[must_use]
        pub fn $family(&self) -> u64 {
            $get!(self $first) $(+ $get!(self $row))+
        }
    };
    ($kind:ident $family:ident $($row:ident)+; $get:ident) => {};
}

macro_rules! of_stats {
    ($stats:ident $row:ident) => {
        $stats.$row.get()
    };
}

macro_rules! of_snapshot {
    ($snapshot:ident $row:ident) => {
        $snapshot.$row
    };
}

/// `Kind(unit, buckets) name { row: label = "value"; … }` for metrics that [`Stats`](super::Stats) holds; the doc comment is
/// the help. `elsewhere` lists those whose values come from elsewhere, with the labels they have, and `internal` what is
/// counted but not exported.
macro_rules! table {
    (
        $(
            $(#[doc = $help:literal])+
            $kind:ident $shape:tt $family:ident {
                $($row:ident $(: $($label:ident = $value:literal),+)?;)+
            }
        )+
        elsewhere {
            $(
                $(#[doc = $other_help:literal])+
                $other_kind:ident($other_unit:ident) $other:literal [$($other_label:literal),*];
            )+
        }
        internal {
            $(
                $(#[$doc:meta])+
                $own_kind:ident $own_shape:tt $own:ident;
            )+
        }
    ) => {
        /// What one process counts. All methods of its fields may be called from any thread.
        #[derive(Debug)]
        pub struct Stats {
            $($(
                #[doc = concat!("`selfplayd_", stringify!($family), "`")]
                $(#[doc = concat!($("with ", stringify!($label), " = `", $value, "`"),+)])?
                pub $row: $kind,
            )+)+
            $($(#[$doc])+ pub $own: $own_kind,)+
            /// Where the threads' time goes.
            pub accounts: $crate::account::Accounts,
            /// Why the last models were refused or withdrawn.
            pub rejections: $crate::rejections::Rejections,
            /// What was found when a model was looked for last.
            pub findings: $crate::findings::Findings,
            /// How strong the last models are.
            pub standings: $crate::standings::Published,
            /// Why no new games should start although the disk has room.
            pub onward: $crate::onward::Onward,
            /// What the last models changed.
            pub changes: $crate::changes::Changes,
            /// What finished games taught that nothing keeps yet.
            pub lessons: $crate::learning::Lessons,
        }

        impl Default for Stats {
            fn default() -> Self {
                Self {
                    $($($row: cell!($kind $shape),)+)+
                    $($own: cell!($own_kind $own_shape),)+
                    accounts: $crate::account::Accounts::default(),
                    rejections: $crate::rejections::Rejections::default(),
                    findings: $crate::findings::Findings::default(),
                    standings: $crate::standings::Published::default(),
                    onward: $crate::onward::Onward::default(),
                    changes: $crate::changes::Changes::default(),
                    lessons: $crate::learning::Lessons::default(),
                }
            }
        }

        /// The values of [`Stats`] at one moment, or what changed between two.
        #[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
        pub struct Snapshot {
            $($(
                #[doc = concat!("Of [`Stats::", stringify!($row), "`].")]
                pub $row: reading!($kind),
            )+)+
            $($(#[$doc])+ pub $own: reading!($own_kind),)+
        }

        impl Stats {
            /// Reads everything.
            #[must_use]
            pub fn snapshot(&self) -> Snapshot {
                Snapshot {
                    $($($row: self.$row.read(),)+)+
                    $($own: self.$own.read(),)+
                }
            }

            $(sums!($kind $family $($row)+; of_stats);)+
        }

        impl Snapshot {
            /// What was counted since `earlier`; gauges are as they are now.
            #[must_use]
            pub fn since(&self, earlier: &Self) -> Self {
                Self {
                    $($($row: <$kind as Cell>::since(self.$row, earlier.$row),)+)+
                    $($own: <$own_kind as Cell>::since(self.$own, earlier.$own),)+
                }
            }

            $(sums!($kind $family $($row)+; of_snapshot);)+
        }

        /// All metrics, in the order in which they are documented and exported.
        pub static CATALOGUE: &[Metric] = &[
            $(Metric {
                name: concat!("selfplayd_", stringify!($family)),
                kind: <$kind as Cell>::KIND,
                unit: unit!($shape),
                help: concat!($($help),+).trim_ascii_start(),
                bounds: bounds!($shape),
                rows: &[$(Row {
                    labels: &[$($((stringify!($label), $value)),+)?],
                    read: |stats| stats.$row.value(),
                }),+],
                elsewhere: &[],
            },)+
            $(Metric {
                name: $other,
                kind: Kind::$other_kind,
                unit: Unit::$other_unit,
                help: concat!($($other_help),+).trim_ascii_start(),
                bounds: &[],
                rows: &[],
                elsewhere: &[$($other_label),*],
            },)+
        ];
    };
}

/// What a metric of a kind and shape is counted in.
macro_rules! cell {
    (Histogram ($unit:ident, $bounds:expr)) => {
        Histogram::new($bounds)
    };
    ($kind:ident ($unit:ident)) => {
        $kind::new()
    };
}

/// What is read of a kind.
macro_rules! reading {
    (Counter) => {
        u64
    };
    (Elapsed) => {
        u64
    };
    (Gauge) => {
        i64
    };
    (Moment) => {
        i64
    };
    (Histogram) => {
        Distribution
    };
}

macro_rules! unit {
    (($unit:ident $($bounds:tt)*)) => {
        Unit::$unit
    };
}

macro_rules! bounds {
    (($unit:ident)) => {
        &[]
    };
    (($unit:ident, $bounds:expr)) => {
        $bounds
    };
}

pub(super) use {bounds, cell, of_snapshot, of_stats, reading, sums, table, unit};
