//! The program `selfplayd`; everything is in the library of that name.

use std::process::ExitCode;

/// Requests, their answers and the cache's entries are made and dropped a hundred thousand times a second.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    selfplayd::main()
}
