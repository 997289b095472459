//! Running other programs: each is shown before it starts, and a failure names the whole command and how it ended.

use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

use crate::workspace;

/// `program`, to be run in the root of the checkout.
pub(crate) fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Shows `command`, runs it with our own stdin, stdout and stderr, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = show(command);
    println!("\n$ {line}");
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    check(status, &line)
}

/// Runs `command` unseen and returns what it wrote to stdout; what it wrote to stderr becomes part of the error.
pub(crate) fn stdout(command: &mut Command) -> anyhow::Result<String> {
    let line = show(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{line}`"))?;
    check(output.status, &line).with_context(|| String::from_utf8_lossy(&output.stderr).trim().to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` unseen; what it wrote to stderr becomes part of the error.
pub(crate) fn quietly(command: &mut Command) -> anyhow::Result<()> {
    stdout(command).map(drop)
}

/// Whether `command` can be started and succeeds; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// A process that runs beside us. Dropped, it is killed.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts it.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let line = show(command);
        Ok(Self(command.spawn().with_context(|| format!("cannot start `{line}`"))?))
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Fails if it has ended by itself. `name`: what it is.
    pub(crate) fn check(&mut self, name: &str) -> anyhow::Result<()> {
        match self.0.try_wait().with_context(|| format!("cannot look after {name}"))? {
            Some(status) => bail!("{name} ended by itself ({status}): see its log"),
            None => Ok(()),
        }
    }

    /// Asks it to end, and waits.
    pub(crate) fn end(mut self) -> anyhow::Result<()> {
        if !succeeds(command("kill").arg(self.pid().to_string())) {
            bail!("cannot send a signal");
        }
        let status = self.0.wait().context("cannot wait")?;
        if status.success() { Ok(()) } else { bail!("a process did not end well ({status}): see its log") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn check(status: ExitStatus, line: &str) -> anyhow::Result<()> {
    if !status.success() {
        // `status` reads "exit status: 1" or "signal: 9 (SIGKILL)".
        bail!("`{line}` failed ({status})");
    }
    Ok(())
}

/// The command as one would type it, with the environment variables set for it; cargo and other absolute programs by their bare name.
fn show(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let env = command.get_envs().filter_map(|(key, value)| Some((key, value?)));
    let env = env.map(|(key, value)| format!("{}={}", key.to_string_lossy(), quote(&value.to_string_lossy())));
    let args = command.get_args().map(|arg| quote(&arg.to_string_lossy()));
    env.chain([name]).chain(args).collect::<Vec<_>>().join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

#[cfg(test)]
mod tests {
    use super::{command, run, show, stdout, succeeds};

    #[test]
    fn a_failure_names_the_command_and_its_status() {
        let error = run(command("sh").args(["-c", "exit 3"])).expect_err("exit 3 is a failure");
        assert_eq!(error.to_string(), "`sh -c 'exit 3'` failed (exit status: 3)");
    }

    #[test]
    fn a_missing_program_is_an_error_not_a_panic() {
        let error = run(&mut command("no-such-program-here")).expect_err("there is no such program");
        assert!(error.to_string().contains("cannot start `no-such-program-here`"), "{error}");
        assert!(!succeeds(&mut command("no-such-program-here")));
    }

    #[test]
    fn stderr_becomes_part_of_the_error() {
        let error = stdout(command("sh").args(["-c", "echo because >&2; exit 1"])).expect_err("it exits 1");
        assert!(format!("{error:#}").contains("because"), "{error:#}");
    }

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        assert_eq!(show(command("/usr/bin/env").env("A", "x y").args(["-i", ""])), "A='x y' env -i ''");
    }
}
