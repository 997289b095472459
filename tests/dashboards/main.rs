//! Keeps dashboards, rules and service files in step with the daemon.
//!
//! What the tests are made of:
//! - [`files`]: the dashboards' panels and the rules, read from their files
//! - [`promql`]: what an expression refers to
//! - [`programs`]: programs of others that these tests run where they are installed
//! - [`prometheus`]: a real Prometheus
//! - [`site`]: daemons under load
//! - [`fleet`]: a fleet under load
//! - [`daemon`], [`config`], [`wait`]: those of the tests of the daemon
//!
//! The tests:
//! - [`catalogue`]: nothing is shown that is not counted, and what is counted is shown
//! - [`layout`]: the dashboards are readable, and the rules and their runbook are complete
//! - [`promtool`]: Prometheus's own checks, and the unit tests of the alerts
//! - [`schema`]: Grafana's own schema knows every key of the dashboards
//! - [`live`]: a real Prometheus scrapes real daemons and a real fleet, and every expression returns data
//! - [`deployment`]: units of systemd, the container and what starts with it
//!
//! `cargo xtask test` installs what they need where it can, and says what it could not.

#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod catalogue;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../daemon/config.rs"]
mod config;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../daemon/daemon.rs"]
mod daemon;
mod deployment;
mod files;
mod fleet;
mod layout;
mod live;
mod programs;
mod prometheus;
mod promql;
mod promtool;
mod schema;
mod site;
#[path = "../daemon/wait.rs"]
mod wait;
