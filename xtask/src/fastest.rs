//! `cargo xtask fastest`: the daemon built for this machine's processor and by a profile of its own play.
//!
//! As rustc's documentation describes profile-guided optimisation: a build that counts, games played by it, a build that is laid
//! out by the counts. The games are those that `selfplayd bench` measures: whole ones and openings on a network that costs
//! nothing, where everything but the network counts, and games of a trained network.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::{command, ort, workspace};

/// Settings, model and number of games of a run, and its limit of steps where it has one.
struct Run {
    settings: [&'static str; 2],
    model: &'static str,
    games: u32,
    max_steps: Option<u32>,
}

const RUNS: [Run; 4] = [
    Run { settings: NINE, model: "tests/data/models/b9_const.onnx", games: 40, max_steps: None },
    Run { settings: NINE, model: "tests/data/models/b9_const.onnx", games: 256, max_steps: Some(12) },
    Run { settings: FIVE, model: "tests/data/models/b5_const.onnx", games: 300, max_steps: None },
    Run { settings: FIVE, model: "tests/data/models/b5w3_resnet_2x32_trained.onnx", games: 200, max_steps: None },
];
const NINE: [&str; 2] = ["--settings", "configs/bench.toml"];
const FIVE: [&str; 2] = ["--config", "configs/bench/5x5.yaml"];

impl Run {
    /// Its games, played by `daemon` into `dir`, with its own settings whatever else is `set` in the environment for daemons of the
    /// user's.
    fn play(&self, daemon: &Path, dir: &Path, set: impl Iterator<Item = OsString>) -> Command {
        let mut play = command::command(daemon);
        play.args(self.settings).args([
            "--model-path",
            self.model,
            "--num-games",
            &self.games.to_string(),
            "--output-dir",
        ]);
        play.arg(dir);
        set.filter(|name| name.to_string_lossy().starts_with("SELFPLAYD__")).for_each(|name| _ = play.env_remove(name));
        play.env("SELFPLAYD__LOG__LEVEL", "warn");
        play.envs(self.max_steps.map(|steps| ("SELFPLAYD__GAME__MAX_STEPS", steps.to_string())));
        play
    }
}

/// Arguments of `cargo xtask fastest`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Processor to build for, as `rustc --print target-cpus` lists them: "native" is this machine's, "x86-64-v3" any x86-64 with AVX2
    #[arg(long, value_name = "CPU", default_value = "native")]
    cpu: String,
    /// The llvm-profdata of the toolchain's LLVM or a newer one [default: the one that `rustup component add llvm-tools` brings]
    #[arg(long, value_name = "FILE")]
    llvm_profdata: Option<PathBuf>,
}

/// Builds, plays, and builds again.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let toolchain = Toolchain::ask()?;
    let profdata = args.llvm_profdata.clone().unwrap_or_else(|| toolchain.profdata());
    ensure!(
        profdata.is_file(),
        "there is no {}: `rustup component add llvm-tools` brings it, or name another with --llvm-profdata",
        profdata.display()
    );
    let library = ort::library()?;
    // Of a fixed name, because it is part of the flags: what did not change is not built again.
    let dir = workspace::target_dir().join("fastest");
    let profile = dir.join("profile");
    let raw = profile.join("raw");
    let cpu = format!("-Ctarget-cpu={}", args.cpu);

    let counting = toolchain.build(&dir.join("counting"), &[&cpu, &format!("-Cprofile-generate={}", raw.display())])?;
    // The build itself may have written some, by what it ran; and those of an earlier build do not fit.
    fs::remove_dir_all(&profile).ok();
    fs::create_dir_all(&profile).with_context(|| format!("cannot create {}", profile.display()))?;
    let games = tempfile::tempdir()?;
    for (run, number) in RUNS.iter().zip(1..) {
        let set = std::env::vars_os().map(|(name, _)| name);
        let mut play = run.play(&counting, &games.path().join(number.to_string()), set);
        command::run(play.env("ORT_DYLIB_PATH", &library))?;
    }
    let merged = profile.join("merged.profdata");
    command::run(command::command(&profdata).args(["merge", "--output"]).arg(&merged).arg(&raw))?;

    let built = toolchain.build(&dir.join("built"), &[&cpu, &format!("-Cprofile-use={}", merged.display())])?;
    let daemon = dir.join("selfplayd");
    fs::copy(&built, &daemon).with_context(|| format!("cannot write {}", daemon.display()))?;
    println!("\n{} is built for the processor \"{}\"", workspace::display(&daemon), args.cpu);
    Ok(())
}

/// Where the toolchain is, and what it builds for.
struct Toolchain {
    sysroot: PathBuf,
    host: String,
}

impl Toolchain {
    fn ask() -> anyhow::Result<Self> {
        let rustc = |args: &[&str]| command::stdout(command::command("rustc").args(args));
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let host = rustc(&["--print", "host-tuple"])?.trim().to_owned();
        Ok(Self { sysroot, host })
    }

    fn profdata(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib").join(&self.host).join("bin/llvm-profdata")
    }

    /// Builds the daemon with `flags` for rustc, added to those of the user's own configuration for this target, and returns its
    /// path. The target is named, so that build scripts and macros are built without them.
    fn build(&self, dir: &Path, flags: &[&str]) -> anyhow::Result<PathBuf> {
        let mut build = command::cargo();
        build.args([
            "build",
            "--release",
            "--locked",
            "--package",
            "selfplayd",
            "--target",
            &self.host,
            "--target-dir",
        ]);
        build.arg(dir).arg("--config").arg(format!("target.{}.rustflags={flags:?}", self.host));
        // Release builds do without, as that saves a quarter of their time.
        build.args(["--config", "profile.release.lto=\"thin\""]);
        // In the environment they would take the place of all others.
        command::run(build.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
        Ok(dir.join(&self.host).join("release/selfplayd"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::path::Path;

    use super::{Args, RUNS, Toolchain, run};
    use crate::workspace;

    #[test]
    fn what_is_played_for_the_profile_is_in_the_repository() {
        for run in &RUNS {
            for file in [run.settings[1], run.model] {
                assert!(workspace::root().join(file).is_file(), "{file}");
            }
        }
    }

    #[test]
    fn profiles_are_played_with_their_own_settings() {
        let set = ["SELFPLAYD__SEARCH__MCTS_N", "SELFPLAYD__GAME__MAX_STEPS", "SELFPLAYD__LOG__LEVEL", "PATH"];
        let of = |run: &super::Run| {
            let play = run.play(Path::new("daemon"), Path::new("out"), set.into_iter().map(Into::into));
            let text = |text: &std::ffi::OsStr| text.to_str().unwrap().to_owned();
            play.get_envs().map(|(name, value)| (text(name), value.map(text))).collect::<HashMap<_, _>>()
        };
        for run in &RUNS {
            let envs = of(run);
            assert_eq!(envs["SELFPLAYD__SEARCH__MCTS_N"], None);
            assert_eq!(envs["SELFPLAYD__LOG__LEVEL"].as_deref(), Some("warn"));
            assert_eq!(envs["SELFPLAYD__GAME__MAX_STEPS"], run.max_steps.map(|steps| steps.to_string()));
            assert!(!envs.contains_key("PATH"));
        }
    }

    #[test]
    fn without_the_tool_that_merges_profiles_nothing_is_built() {
        let args = Args { cpu: "native".to_owned(), llvm_profdata: Some("no-such-tool".into()) };
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains("no-such-tool") && error.contains("rustup component add llvm-tools"), "{error}");
    }

    #[test]
    fn the_toolchain_says_where_it_is() {
        let toolchain = Toolchain::ask().unwrap();
        assert!(toolchain.sysroot.join("lib/rustlib").join(&toolchain.host).is_dir(), "{}", toolchain.host);
        assert!(toolchain.profdata().ends_with("bin/llvm-profdata"));
    }
}
