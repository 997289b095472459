//! Games for people: on the status page, as pictures and in the trace.
//!
//! - [`view`]: a game as the status page reads it
//! - [`live`]: games in play, for the page
//! - [`trace`]: every move, as text
//! - [`game`]: a finished game read back, checked against the rules
//! - [`svg`]: what pictures have around their boards
//! - [`shapes`]: a game as a picture

pub(crate) mod game;
pub(crate) mod live;
pub(crate) mod shapes;
pub(crate) mod svg;
pub(crate) mod trace;
pub(crate) mod view;
