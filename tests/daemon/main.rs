//! Runs the real `selfplayd` as its users do: beside a trainer, from a shell, under a service manager.
//!
//! What the tests are made of:
//! - [`daemon`]: starts a daemon, reads along, and sees how it ends
//! - [`config`]: the trainer's settings and the models of these tests
//! - [`games`]: the games a daemon wrote, replayed by the rules
//! - [`numpy`]: the same games read by real numpy
//! - [`trainer`]: a stand-in for the trainer, which publishes models and takes games away
//! - [`ask`]: requests over HTTP, polite and other
//! - [`browser`]: looks at a page with headless Chromium
//! - [`wait`]: waits for conditions, never for times
//! - [`nats`]: a NATS server
//!
//! The tests:
//! - [`continuous`]: beside a trainer that replaces the model
//! - [`batch`]: a number of games with one model, and what they depend on
//! - [`agents`]: baselines, traces and other inputs
//! - [`bottleneck`]: what is said to hold play back
//! - [`figures`]: what is reported beside the games when it is asked for
//! - [`handover`]: models and news of them that come late, in part, or wrong
//! - [`models`]: where models may come from, and what is checked before they serve
//! - [`precision`]: models that are converted when they are loaded
//! - [`stopping`]: shutdown file and signals to stop
//! - [`steering`]: pauses, and settings read again
//! - [`rows`]: which plies are policy targets, and what is told of the others
//! - [`service`]: what a service manager is told
//! - [`refusals`]: what cannot work is said at once, with the reason and the exit code
//! - [`http`]: what is said over HTTP, and who may tell a daemon what
//! - [`proxy`]: the daemon behind nginx and Caddy
//! - [`hostile`]: requests that no well-meaning client sends
//! - [`siblings`]: which daemon is which, and daemons beside each other
//! - [`client`]: the commands that speak to a running daemon
//! - [`page`]: the status page in a browser
//! - [`memory`]: with less memory than it would take
//! - [`streams`]: standard error and standard output that are gone
//! - [`commands`]: `show`, `config` and `bench`
//! - [`judging`]: mistakes of a network, counted
//! - [`others`]: games other than Quoridor
//! - [`draws`]: networks that say how likely a draw is
//! - [`ends`]: games that begin or end otherwise than the rules have it
//! - [`beside`]: matches beside play
//! - [`fleet`]: a fleet's commands, and a daemon that is one of its workers
//! - [`learning`]: what games and the trainer tell of learning
//!
//! `cargo xtask test` provides what they need: ONNX Runtime, and a Python with numpy.

#![expect(clippy::unwrap_used, reason = "helpers of tests may, as tests do")]

mod agents;
mod ask;
mod batch;
mod beside;
#[cfg(feature = "fault-injection")]
mod bottleneck;
mod browser;
mod client;
mod commands;
mod config;
mod continuous;
mod daemon;
mod draws;
mod ends;
mod figures;
mod fleet;
mod games;
mod handover;
mod hostile;
mod http;
mod hub;
mod judging;
mod learning;
mod matches;
mod memory;
mod models;
#[expect(dead_code, reason = "some of it is for the tests in chaos/")]
mod nats;
mod numpy;
mod openvino;
mod others;
mod page;
mod precision;
mod proxy;
mod refusals;
mod rows;
mod service;
mod siblings;
mod steering;
mod stopping;
mod streams;
mod trainer;
mod wait;
