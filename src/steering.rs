//! What changes while games are played, and who changes it.
//!
//! - [`live_settings`]: settings that change while games are played
//! - [`operator`], [`api`]: what else a running daemon may be told
//! - [`memory`], [`auto_games`]: what keeps memory within bounds, and the number of games near what the device needs

pub(crate) mod api;
pub(crate) mod auto_games;
pub(crate) mod live_settings;
pub(crate) mod memory;
pub(crate) mod operator;
