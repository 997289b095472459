//! Status, control, metrics and the page over HTTP, on a thread of their own that no game waits for.
//!
//! - [`answer`]: answers of the same form everywhere
//! - [`access`]: who may ask for what
//! - [`live`]: the games that can be looked at
//! - [`events`]: what streams of events carry
//! - [`page`]: the files of the pages
//! - [`reload`]: what came of a reload
//! - [`routes`]: what is asked for, and the answer
//! - [`listen`]: where callers are heard
//! - [`connection`]: one caller, within bounds
//! - [`server`]: the thread

mod access;
mod answer;
mod connection;
mod events;
mod listen;
mod live;
mod page;
mod reload;
mod routes;
mod server;

pub(crate) use self::{
    access::{Access, Caller, Sender},
    answer::{Failure, Words},
    listen::Listening,
    page::of_hub as page_of_hub,
    reload::Reloaded,
    routes::{arguments, metrics_text, no_such_method, no_such_place, verdict, without_arguments},
    server::{Served, Server, Site},
};
