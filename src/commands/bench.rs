//! `selfplayd bench`: how fast this machine plays, and what holds it back; everything in one process, in turn and repeated.
//!
//! - `process`: CPU time, switches and memory of this process, as the system counts them
//! - `daemon`: a directory and counters to play on
//! - `measure`: plays for a while and says what happened meanwhile
//! - `figures`: the table of what is reported; medians and spreads
//! - `text`: numbers and tables for people
//! - `progress`: what is being measured, and how long it will take
//! - `compare`: figures of now beside those of an earlier run
//! - `report`: all of it as a table or as JSON
//! - `speed` (`bench` itself), `outside`, `swap`: the measurements

mod compare;
mod daemon;
mod figures;
mod measure;
mod outside;
mod process;
mod progress;
mod report;
mod speed;
mod swap;
pub(crate) mod text;

#[cfg(test)]
pub(crate) use self::daemon::BenchDaemon;
pub(crate) use self::{
    measure::{Until, Window, measure},
    outside::outside,
    speed::speed,
    swap::swap,
    text::{short, span, table},
};
