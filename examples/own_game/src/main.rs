//! selfplayd with Domineering: every command and flag of the daemon, and one more game.

use std::process::ExitCode;

use own_game::Domineering;

#[global_allocator]
static ALLOCATOR: selfplayd::Allocator = selfplayd::Allocator;

fn main() -> ExitCode {
    selfplayd::main_with(Domineering::new(8))
}
