//! `cargo xtask instructions`: how many instructions the hot paths take (actors/benches/instructions.rs), against the committed numbers.
//!
//! Callgrind counts them, so that the result is the same on a busy machine. The C library chooses its copying functions by the
//! processor; it is told to take those that every x86_64 has, so that the result is the same on all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};

use crate::{command, tools, workspace};

/// The committed numbers, per operation.
const COMMITTED: &str = "actors/benches/instructions.json";

/// For the C library: not what some processors have only. It passes over names that it does not know.
const PLAIN_PROCESSOR: &str = "glibc.cpu.hwcaps=-AVX,-AVX2,-AVX_Usable,-AVX2_Usable,-AVX512F,-AVX512VL,-AVX512BW,-ERMS,-FSRM,\
                               -AVX_Fast_Unaligned_Load,-Fast_Unaligned_Copy,-Fast_Copy_Backward,-SSSE3";

/// Arguments of `cargo xtask instructions`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Largest share by which a path may take more (or fewer) instructions than is committed
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    tolerance: f64,
    /// Write what was counted to actors/benches/instructions.json
    #[arg(long)]
    update: bool,
    /// Install valgrind from Debian's packages if this machine lacks it; CI does so by itself
    #[arg(long)]
    install: bool,
}

/// Instructions per operation by path.
type Counts = BTreeMap<String, f64>;

/// Counts, prints a table, and fails where a path is out of tolerance.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let not_counted = tools::prepare(tools::FOR_INSTRUCTIONS, args.install);
    if !not_counted.is_empty() {
        tools::say_aloud(&not_counted);
        return Ok(());
    }
    let program = build()?;
    let mut counts = Counts::new();
    for path in command::stdout(&mut Command::new(&program))?.lines() {
        counts.insert(path.to_owned(), count(&program, path)?);
    }
    let committed = workspace::root().join(COMMITTED);
    if args.update {
        fs::write(&committed, format!("{}\n", serde_json::to_string_pretty(&counts)?))?;
    }
    let text = fs::read_to_string(&committed).with_context(|| format!("cannot read {COMMITTED}"))?;
    let expected: Counts = serde_json::from_str(&text).with_context(|| format!("cannot read {COMMITTED}"))?;
    let (table, out) = compare(&counts, &expected, args.tolerance);
    println!("\n{table}");
    ensure!(
        out.is_empty(),
        "{} not within {}% of {COMMITTED}: make it faster, or commit what is true with `cargo xtask instructions --update`",
        out.join(", "),
        100.0 * args.tolerance
    );
    Ok(())
}

/// Builds the program and says where it is.
fn build() -> anyhow::Result<PathBuf> {
    let mut build = command::cargo();
    build.args(["bench", "--package", "selfplay-actors", "--bench", "instructions", "--no-run", "--locked"]);
    println!("\nbuilding the hot paths");
    let messages = command::stdout(build.args(["--message-format", "json"]))?;
    let mut executable = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == "instructions";
        message["executable"].as_str().filter(|_| ours).map(PathBuf::from)
    });
    executable.next_back().context("cargo did not say where it put the benchmark")
}

/// Instructions per operation of one path.
fn count(program: &Path, path: &str) -> anyhow::Result<f64> {
    let out = tempfile::NamedTempFile::new()?;
    let mut valgrind = command::command("valgrind");
    valgrind.env("GLIBC_TUNABLES", PLAIN_PROCESSOR);
    valgrind.args(["--tool=callgrind", "--toggle-collect=*measured*"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.path().display())).arg(program).arg(path);
    let operations: f64 = command::stdout(&mut valgrind)?.trim().parse().context("the benchmark prints a number")?;
    let instructions = total(&fs::read_to_string(out.path())?).context("callgrind gives no total")?;
    if instructions == 0 || operations == 0.0 {
        bail!("nothing was counted of {path}");
    }
    Ok((10.0 * instructions as f64 / operations).round() / 10.0)
}

/// The total of callgrind's output.
fn total(output: &str) -> Option<u64> {
    let line = output.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A table, and the paths out of tolerance or on one side only.
fn compare(counts: &Counts, expected: &Counts, tolerance: f64) -> (String, Vec<String>) {
    let (mut table, mut out) =
        (format!("{:<32} {:>12} {:>12} {:>8}", "instructions each", "now", "committed", "ratio"), Vec::new());
    let names: std::collections::BTreeSet<_> = counts.keys().chain(expected.keys()).collect();
    for name in names {
        let (now, then) = (counts.get(name), expected.get(name));
        let ratio = now.zip(then).map(|(now, then)| now / then);
        let text = |number: Option<f64>, places| number.map_or("-".to_owned(), |number| format!("{number:.places$}"));
        let within = ratio.is_some_and(|ratio| (ratio - 1.0).abs() <= tolerance);
        let mark = if within { "" } else { "  <<<" };
        let row =
            format!("{name:<32} {:>12} {:>12} {:>8}", text(now.copied(), 1), text(then.copied(), 1), text(ratio, 3));
        write!(table, "\n{row}{mark}").expect("a String takes everything");
        if !within {
            out.push(name.clone());
        }
    }
    (table, out)
}

#[cfg(test)]
mod tests {
    use super::{Counts, compare, total};

    #[test]
    fn the_total_is_found_in_what_callgrind_writes() {
        assert_eq!(total("version: 1\nevents: Ir\nfn=(0)\n3 4\nsummary: 120345\n"), Some(120_345));
        assert_eq!(total("events: Ir\ntotals: 7\n"), Some(7));
        assert_eq!(total("events: Ir\n"), None);
    }

    #[test]
    fn paths_out_of_tolerance_or_on_one_side_only_are_named() {
        let counts =
            |pairs: &[(&str, f64)]| -> Counts { pairs.iter().map(|&(name, count)| (name.to_owned(), count)).collect() };
        let now = counts(&[("a", 104.0), ("b", 106.0), ("c", 94.0), ("new", 1.0)]);
        let then = counts(&[("a", 100.0), ("b", 100.0), ("c", 100.0), ("gone", 1.0)]);
        let (table, out) = compare(&now, &then, 0.05);
        assert_eq!(out, ["b", "c", "gone", "new"]);
        assert_eq!(table.lines().count(), 6);
        assert!(table.lines().nth(2).is_some_and(|row| row.ends_with("1.060  <<<")), "{table}");
    }
}
