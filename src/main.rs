//! The program `selfplayd`; everything is in the library of that name.

use std::process::ExitCode;

fn main() -> ExitCode {
    selfplayd::main()
}
