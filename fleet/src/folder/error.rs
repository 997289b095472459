//! Why a folder cannot be what is wanted.

use std::path::PathBuf;

use thiserror::Error;

use super::{CONFIG, WorkerFileError};
use crate::{
    disk::DiskError,
    name::Name,
    nats::{DialError, keys::KeyError, server::ServerError},
};

/// A folder cannot be made, read or changed.
#[derive(Debug, Error)]
pub enum FolderError {
    /// A file or directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A worker's file cannot be used.
    #[error(transparent)]
    Worker(#[from] WorkerFileError),
    /// The server's configuration would be wrong.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The server cannot be connected to.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// There is no fleet.
    #[error("use {0} as a fleet's folder: it holds no {CONFIG}; make one with `selfplayd fleet init --run NAME`")]
    None(PathBuf),
    /// Its truth cannot be read.
    #[error("read {path}: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Another process is at it.
    #[error("change the fleet's folder {0}: another process changes it just now; try again")]
    Busy(PathBuf),
    /// A new fleet without a name for its run.
    #[error("make a fleet in {0}: it must be said which run it plays for; name it with --run")]
    NoRun(PathBuf),
    /// It is another run's.
    #[error(
        "make a fleet for run {wanted} in {dir}: that is the fleet of run {found}; choose another folder with --dir"
    )]
    Run {
        /// The folder.
        dir: PathBuf,
        /// Its run.
        found: Name,
        /// The one that is wanted.
        wanted: Name,
    },
    /// An address is none.
    #[error("have a server listen on {0:?}: it must be an address and a port, such as 0.0.0.0:4222")]
    Listen(String),
    /// A name for this machine is none.
    #[error(
        "call this machine {0:?}: it must be a host's name or address alone, as it stands in tls://HOST:4222, with or without a port"
    )]
    Host(String),
    /// A cluster of an even number.
    #[error(
        "use {0} servers: more than half of a cluster must be there, so two bear the loss of none, and four of no more than three do; name one, three or five with --host"
    )]
    Even(usize),
    /// Two servers at one port.
    #[error(
        "have two servers use port {port} of {host}: each needs a port of its own, and the one 2000 above it for the other servers; name them as --host {host}:4222,{host}:4223,{host}:4224"
    )]
    Taken {
        /// The machine.
        host: String,
        /// Its port.
        port: u16,
    },
    /// There is no port for the other servers.
    #[error(
        "have a server of a cluster listen at port {0}: the other servers need the port 2000 above it; use a lower one"
    )]
    Port(u16),
    /// Servers on one machine would get into each other's way.
    #[error(
        "have several servers on {0} with one --store or --monitor: each needs its own; leave both out, and each keeps what it has in its own directory"
    )]
    Shared(String),
    /// Nobody to say that a certificate is one of the cluster's.
    #[error(
        "make a cluster with certificates: each server proves itself to the others with its own, and takes none that others may get; name who signs them with --authority"
    )]
    Authority,
    /// Others would connect without encryption.
    #[error(
        "have workers reach a server at {0} without a certificate: anybody on the way could read and change games and models; give --certificate and --key, or listen on 127.0.0.1 for a fleet on this machine"
    )]
    Plain(String),
    /// A certificate without its key, or the other way round.
    #[error("give the server a certificate: --certificate and --key belong together")]
    Half,
    /// The certificate is of no use.
    #[error("use certificate {path}: {reason}")]
    Certificate {
        /// The file that is wrong.
        path: PathBuf,
        /// What is wrong, and what helps.
        reason: String,
    },
    /// A path cannot be written into a file.
    #[error("use {0:?}: a path that is to stand in {CONFIG} must be text")]
    Path(PathBuf),
    /// A worker whose file is not here.
    #[error(
        "add worker {name}: the fleet knows it, and its file {path} is not here: it was moved to its machine; for a new key remove the worker first (`selfplayd fleet remove-worker {name}`)"
    )]
    Known {
        /// The worker.
        name: Name,
        /// Where its file would be.
        path: PathBuf,
    },
    /// A file in the way.
    #[error("add worker {name}: {path} is in the way: {reason}; move it away")]
    InTheWay {
        /// The worker.
        name: Name,
        /// The file.
        path: PathBuf,
        /// Whose it is.
        reason: String,
    },
    /// A worker that is none.
    #[error("remove worker {name}: it is none of this fleet ({known})")]
    Unknown {
        /// The name.
        name: Name,
        /// Those that there are.
        known: String,
    },
}
