//! `selfplayd fleet init`, `add-worker`, `remove-worker`, `reload`: a fleet's folder, and the servers that are told of it.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    path::Path,
    slice,
    time::Duration,
};

use anyhow::Context as _;
use selfplay_fleet::{
    folder::{self, Broker, Folder, SYSTEM},
    nats::{
        assets::{self, AssetError, Change, Done},
        reload::{self, ReloadError, Reloaded},
        server::ADMIN,
    },
};

use super::{
    client::{self, Ask},
    hub::hub,
};
use crate::{
    cli::{FleetArgs, FleetWhat, InitArgs, WorkersArgs},
    exit::{Exit, failed},
    streams,
};

/// How long a server may take to be there.
const THERE: Duration = Duration::from_secs(3);

/// Does what is asked with a fleet.
///
/// # Errors
/// When the folder cannot be what is wanted, or standard output takes nothing.
pub(crate) fn fleet(args: &FleetArgs) -> anyhow::Result<Exit> {
    match &args.what {
        FleetWhat::Init(args) => init(args),
        FleetWhat::AddWorker(args) => add(args),
        FleetWhat::RemoveWorker(args) => remove(args),
        FleetWhat::Reload(args) => tell(&Folder::read(&args.dir).map_err(failed)?),
        FleetWhat::Hub(args) => hub(args),
        FleetWhat::Status(args) => client::ask(args, Ask::Fleet),
        FleetWhat::Promote(args) => client::ask(args, Ask::Promote),
        FleetWhat::Withdraw(args) => client::ask(&args.client, Ask::Withdraw(args.why.clone())),
        FleetWhat::Hold(args) => client::ask(args, Ask::Hold),
        FleetWhat::Resume(args) => client::ask(args, Ask::GoOn),
    }
}

fn init(args: &InitArgs) -> anyhow::Result<Exit> {
    let (folder, changes) = folder::init(&args.dir, &args.wanted()).map_err(failed)?;
    print(&folder, &changes)?;
    let exit = if folder.brokers().iter().any(is_there) {
        let changed = changes.iter().any(|change| matches!(change.done, Done::Changed(_)));
        let told = if changed { tell(&folder)? } else { Exit::Clean };
        let prepared = prepare(&folder)?;
        if told == Exit::Clean { prepared } else { told }
    } else {
        Exit::Clean
    };
    streams::print(&next_steps(&folder))?;
    Ok(exit)
}

fn add(args: &WorkersArgs) -> anyhow::Result<Exit> {
    let (folder, changes) = folder::add(&args.dir, &args.names).map_err(failed)?;
    print(&folder, &changes)?;
    let exit = tell_of(&folder, &changes)?;
    let urls = folder.urls().join(",");
    let mut lines = vec![
        "copy each file to its worker's machine, for its owner alone to read, with the trainer's config.yaml; start there:"
            .to_owned(),
    ];
    lines.extend(
        args.names
            .iter()
            .map(|name| format!("  selfplayd --fleet {urls} --credentials {name}.worker --config config.yaml")),
    );
    streams::print(&lines.join("\n"))?;
    Ok(exit)
}

fn remove(args: &WorkersArgs) -> anyhow::Result<Exit> {
    let (folder, changes) = folder::remove(&args.dir, &args.names).map_err(failed)?;
    print(&folder, &changes)?;
    tell_of(&folder, &changes)
}

fn print(folder: &Folder, changes: &[Change]) -> anyhow::Result<()> {
    let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
    streams::print(&format!("{}:\n  {}", folder.dir().display(), lines.join("\n  ")))?;
    Ok(())
}

/// Whether something listens where a server is to.
fn is_there(broker: &Broker) -> bool {
    let (address, port) = &broker.at;
    let mut addresses = (address.as_str(), *port).to_socket_addrs().into_iter().flatten();
    addresses.any(|address| TcpStream::connect_timeout(&address, THERE).is_ok())
}

/// Tells servers that run of what was changed.
fn tell_of(folder: &Folder, changes: &[Change]) -> anyhow::Result<Exit> {
    if changes.iter().all(|change| change.done == Done::Nothing) { Ok(Exit::Clean) } else { tell(folder) }
}

/// Has each server that runs read its configuration again, and sees whether it is the one of the folder.
fn tell(folder: &Folder) -> anyhow::Result<Exit> {
    let mut exit = Exit::Clean;
    let brokers = folder.brokers();
    let of_cluster = brokers.len() > 1;
    for broker in brokers {
        let (conf, (address, port)) = (broker.conf.display(), &broker.at);
        if !is_there(&broker) {
            // One on another machine has a copy, which is an older one.
            let copied = if of_cluster { format!(" with a copy of what lies beside {conf}") } else { String::new() };
            streams::print(&format!(
                "no server listens on {address}:{port}: it learns of this when it is started{copied}"
            ))?;
            continue;
        }
        let text = std::fs::read_to_string(&broker.conf).with_context(|| format!("read {conf}"))?;
        let said = match reload::reload(&folder.dial_to(SYSTEM, slice::from_ref(&broker)).map_err(failed)?, &text) {
            Ok(Reloaded { server, is_current: true }) => {
                streams::print(&format!("server {server}: has read {conf} again"))?;
                continue;
            }
            Ok(Reloaded { server, .. }) => {
                exit = Exit::Refused;
                format!(
                    "server {server} on {address}:{port} goes on with another configuration than {conf}\n  copy what lies in that directory to where the server was started, then run `selfplayd fleet reload`"
                )
            }
            Err(error) => {
                exit = if matches!(error, ReloadError::Connect { .. }) { Exit::Unreachable } else { Exit::Refused };
                format!(
                    "{:#}\n  the server goes on with what it knew: have it read {conf} again by `nats-server --signal reload`, or start it anew",
                    failed(error)
                )
            }
        };
        streams::complain(format_args!("selfplayd: {said}"));
    }
    Ok(exit)
}

fn prepare(folder: &Folder) -> anyhow::Result<Exit> {
    match assets::prepare(&folder.dial(ADMIN).map_err(failed)?, folder.plan()) {
        Ok(changes) => {
            let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
            streams::print(&format!("server at {}:\n  {}", folder.urls().join(","), lines.join("\n  ")))?;
            whole(folder)
        }
        Err(error) => complain_of(folder, error),
    }
}

/// Says which servers of a cluster do not have all that they are to have.
fn whole(folder: &Folder) -> anyhow::Result<Exit> {
    match assets::kept(&folder.dial(ADMIN).map_err(failed)?) {
        Ok(kept) => {
            let lines: Vec<_> = kept.iter().filter(|kept| !kept.is_whole()).map(ToString::to_string).collect();
            if !lines.is_empty() {
                let wait = "not every server has all yet: stop none before this is over";
                streams::print(&format!("{wait}\n  {}", lines.join("\n  ")))?;
            } else if !kept.is_empty() {
                streams::print("every server of the cluster has all: one may be stopped")?;
            }
            Ok(Exit::Clean)
        }
        Err(error) => complain_of(folder, error),
    }
}

fn complain_of(folder: &Folder, error: AssetError) -> anyhow::Result<Exit> {
    let exit = if matches!(error, AssetError::Connect { .. }) { Exit::Unreachable } else { Exit::Refused };
    let confs: Vec<_> = folder.brokers().iter().map(|broker| broker.conf.display().to_string()).collect();
    streams::complain(format_args!(
        "selfplayd: {:#}\n  is it the server of {}? If it runs with an older configuration, start it anew",
        failed(error),
        confs.join(", ")
    ));
    Ok(exit)
}

/// What is to be done next, in order.
fn next_steps(folder: &Folder) -> String {
    let quoted = |path: &Path| {
        let text = path.display().to_string();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@".contains(letter);
        if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let dir = quoted(folder.dir());
    let brokers = folder.brokers();
    let missing: Vec<_> = brokers.iter().filter(|broker| !is_there(broker)).collect();
    let mut steps = Vec::new();
    if folder.workers().next().is_none() {
        steps.push(format!("selfplayd fleet add-worker NAME --dir {dir}"));
    }
    for conf in folder.left() {
        let conf = quoted(&conf);
        steps.push(format!("stop the server of {conf}, which is none of this fleet any more, and remove that file"));
    }
    for broker in &missing {
        steps.push(match (broker.conf.parent(), brokers.len()) {
            (Some(own), 2..) => {
                format!(
                    "copy {} to {}, and start there, in the copy: nats-server -c nats.conf",
                    quoted(own),
                    broker.host
                )
            }
            _ => format!("nats-server -c {}", quoted(&broker.conf)),
        });
    }
    if missing.len() == brokers.len() {
        steps.push(format!("selfplayd fleet hub --dir {dir} --models RUN/models --ready RUN/replay_buffers/ready"));
    }
    if steps.is_empty() { "all is as it must be".to_owned() } else { format!("next:\n  {}", steps.join("\n  ")) }
}
