//! A running server is told to read its configuration again: workers that were added may connect, those that were removed are cut off.

use std::io;

use async_nats::Request;
use serde_json::Value;
use thiserror::Error;
use tokio::runtime;

use super::{
    dial::{ANSWER, Dial},
    server,
};

/// A server did not read its configuration again.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// No thread, no timer.
    #[error("tell a server to read its configuration again: {0}")]
    Runtime(#[source] io::Error),
    /// It was not reached.
    #[error("connect to {servers}: {reason}")]
    Connect {
        /// The addresses.
        servers: String,
        /// Why not.
        reason: String,
    },
    /// It did not do it.
    #[error("have server {server} read its configuration again: {reason}")]
    Refused {
        /// Its name and version.
        server: String,
        /// Its words.
        reason: String,
    },
}

/// A server that has read its configuration again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Its name and version.
    pub server: String,
    /// Whether it has the configuration that was asked for, and no older one or another.
    pub is_current: bool,
}

/// Tells the server to read its configuration again, and sees whether it is this one. `dial`: this server alone, with the key of the system.
/// Takes half a minute at most.
///
/// # Errors
/// When it cannot be reached, or does not take the configuration; then it goes on with the one that it has.
pub fn reload(dial: &Dial, configuration: &str) -> Result<Reloaded, ReloadError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(ReloadError::Runtime)?;
    let done = runtime.block_on(async {
        let client = dial.connect().await.map_err(|reason| ReloadError::Connect { servers: dial.servers(), reason })?;
        let info = client.server_info();
        let server = format!("{} (nats-server {})", info.server_name, info.version);
        let refused = |reason: String| ReloadError::Refused { server: server.clone(), reason };
        let request = Request::new().payload("".into()).timeout(Some(ANSWER));
        let subject = format!("$SYS.REQ.SERVER.{}.RELOAD", info.server_id);
        let answer = client.send_request(subject, request).await.map_err(|error| refused(error.to_string()))?;
        let answer: Value = serde_json::from_slice(&answer.payload).map_err(|error| refused(error.to_string()))?;
        match answer.get("error") {
            None | Some(Value::Null) => {
                let tags = answer["server"]["tags"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let is_current = server::shown_mark(tags) == server::mark(configuration);
                Ok(Reloaded { server, is_current })
            }
            Some(error) => Err(refused(error["description"].as_str().unwrap_or("it says no").to_owned())),
        }
    });
    // Names of hosts may still be looked up.
    runtime.shutdown_background();
    done
}
