//! A crowd of workers in one process, to measure a fleet by: real outboxes, a real link and key each, and games that were played before.
//! `cargo xtask bench --fleet` and `cargo xtask soak --fleet` build and run it.
//!
//! - [`pool`]: games that were played before
//! - [`direct`]: what one daemon's writer does with them, without a fleet
//! - [`station`]: a worker as a daemon has it, but for the play
//! - [`crowd`]: many of them
//!
//! What it has to tell are lines of JSON. When all is done it waits until its standard input ends, so that whoever started it can look
//! at the times of its threads; and it ends with whoever started it.
#![expect(clippy::print_stdout, reason = "a command-line tool talks to its user")]

mod crowd;
mod direct;
mod pool;
mod station;

use std::{io::Read as _, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use self::pool::Pool;

/// As the daemon has it.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what a fleet takes.
#[derive(Debug, Parser)]
struct Cli {
    /// Folder of games that were played before
    #[arg(long, value_name = "DIR")]
    games: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write games into a folder as the writer of a daemon does
    Direct(direct::Args),
    /// Be workers of a fleet
    Work(crowd::Args),
}

fn main() -> ExitCode {
    std::thread::spawn(|| {
        // However it ends, whoever started this process is done with it.
        std::io::stdin().read_to_end(&mut Vec::new()).ok();
        std::process::exit(0);
    });
    let Cli { games, what } = Cli::parse();
    let done = Pool::read(&games).and_then(|pool| match what {
        What::Direct(args) => direct::run(&args, &pool),
        What::Work(args) => crowd::run(&args, &pool),
    });
    match done {
        Ok(()) => loop {
            std::thread::park();
        },
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
