//! Games between two players, many at a time: what `match` and `ladder` are made of, and the matches beside play.
//!
//! - [`openings`]: how games begin
//! - [`table`]: many games side by side on one thread
//! - [`score`]: results counted
//! - [`record`]: pairs on the disk, so that a match goes on where it was stopped
//! - [`files`]: games as self-play writes them
//! - [`picture`]: ratings by version as a picture

pub(crate) mod files;
pub(crate) mod openings;
pub(crate) mod picture;
pub(crate) mod record;
pub(crate) mod score;
pub(crate) mod table;
