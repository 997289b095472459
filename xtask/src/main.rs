//! `cargo xtask`: set-up and chores of this repository. `cargo xtask --help` lists them.
//!
//! Every chore is a subcommand here, so that the justfile, CI and a reader of the README run exactly the same thing.
#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

mod arrows;
mod bench;
mod chaos;
mod command;
mod crowd;
mod demo;
mod fastest;
mod instructions;
mod lint;
mod nats;
mod ort;
mod pinned;
mod python;
mod site;
mod soak;
mod test;
mod times;
mod tools;
mod wheel;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Set-up and chores of the selfplayd repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Fetch the pinned ONNX Runtime into .ort/, checked against its SHA-256
    #[command(visible_alias = "fetch-ort")]
    Setup(ort::Args),
    /// Fetch the pinned NATS server into .nats/, checked against its SHA-256, for the tests and the demo of the fleet
    FetchNats(nats::Args),
    /// Build the daemon and watch it play a few games with the model that ships in the repository
    Demo(demo::Args),
    /// Run every test, as CI does
    Test(test::Args),
    /// Check formatting, lints, docs, dependency directions, licences and bans, as CI does
    Lint(lint::Args),
    /// Check that dependencies point one way: src -> actors -> engine
    Arrows,
    /// Build the daemon for this machine's processor and by a profile of its own play: some 10% faster beside the network
    Fastest(fastest::Args),
    /// Build the Python package with the daemon inside, as a wheel in target/wheels/
    Wheel(wheel::Args),
    /// Run the benchmarks of the engine, then those of the whole daemon
    Bench(bench::Args),
    /// Count the instructions of the hot paths, and compare them with those that are committed, as CI does
    Instructions(instructions::Args),
    /// Break daemons at random for as long as you like, and check that no game is lost or written twice
    Chaos(chaos::Args),
    /// Swap models under a daemon every two seconds, and watch its memory, files and threads
    Soak(soak::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `fn main() -> anyhow::Result`: with RUST_BACKTRACE set that buries the message under a backtrace.
            eprintln!("\nerror: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("because: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Setup(args) => ort::run(&args),
        Task::FetchNats(args) => nats::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Lint(args) => lint::run(&args),
        Task::Arrows => arrows::run(),
        Task::Fastest(args) => fastest::run(&args),
        Task::Wheel(args) => wheel::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Instructions(args) => instructions::run(&args),
        Task::Chaos(args) => chaos::run(&args),
        Task::Soak(args) => soak::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
