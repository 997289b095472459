//! The program `selfplayd`; everything is in the library of that name.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: selfplayd::Allocator = selfplayd::Allocator;

fn main() -> ExitCode {
    selfplayd::main()
}
