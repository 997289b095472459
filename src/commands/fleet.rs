//! `selfplayd fleet init`, `add-worker`, `remove-worker`: a fleet's folder, and the server that is told of it.

use std::{
    net::{TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use selfplay_fleet::{
    folder::{self, Folder, SYSTEM},
    nats::{
        assets::{self, AssetError, Change, Done},
        reload::{self, ReloadError},
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
    let exit = if is_there(&folder) {
        let changed = changes.iter().any(|change| matches!(change.done, Done::Changed(_)));
        let told = if changed { tell(&folder)? } else { Exit::Clean };
        let prepared = prepare(&folder)?;
        if told == Exit::Clean { prepared } else { told }
    } else {
        Exit::Clean
    };
    streams::print(&next_steps(&folder, is_there(&folder)))?;
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

/// Whether something listens where the server is to.
fn is_there(folder: &Folder) -> bool {
    let (address, port) = folder.local();
    let mut addresses = (address.as_str(), port).to_socket_addrs().into_iter().flatten();
    addresses.any(|address| TcpStream::connect_timeout(&address, THERE).is_ok())
}

/// Tells a server that runs of what was changed.
fn tell_of(folder: &Folder, changes: &[Change]) -> anyhow::Result<Exit> {
    if changes.iter().all(|change| change.done == Done::Nothing) {
        return Ok(Exit::Clean);
    }
    if is_there(folder) {
        return tell(folder);
    }
    let (address, port) = folder.local();
    streams::print(&format!("no server listens on {address}:{port}: it learns of this when it is started"))?;
    Ok(Exit::Clean)
}

fn tell(folder: &Folder) -> anyhow::Result<Exit> {
    match reload::reload(&folder.dial(SYSTEM).map_err(failed)?) {
        Ok(server) => {
            streams::print(&format!("server {server}: has read {} again", folder.nats_conf().display()))?;
            Ok(Exit::Clean)
        }
        Err(error) => {
            let exit = if matches!(error, ReloadError::Connect { .. }) { Exit::Unreachable } else { Exit::Refused };
            streams::complain(format_args!(
                "selfplayd: {:#}\n  the server goes on with what it knew: have it read {} again by `nats-server --signal reload`, or start it anew",
                failed(error),
                folder.nats_conf().display()
            ));
            Ok(exit)
        }
    }
}

fn prepare(folder: &Folder) -> anyhow::Result<Exit> {
    match assets::prepare(&folder.dial(ADMIN).map_err(failed)?, folder.plan()) {
        Ok(changes) => {
            let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
            streams::print(&format!("server at {}:\n  {}", folder.urls().join(","), lines.join("\n  ")))?;
            Ok(Exit::Clean)
        }
        Err(error) => {
            let exit = if matches!(error, AssetError::Connect { .. }) { Exit::Unreachable } else { Exit::Refused };
            streams::complain(format_args!(
                "selfplayd: {:#}\n  is it the server of {}? If it runs with an older configuration, start it anew",
                failed(error),
                folder.nats_conf().display()
            ));
            Ok(exit)
        }
    }
}

/// What is to be done next, in order.
fn next_steps(folder: &Folder, is_there: bool) -> String {
    let quoted = |path: &std::path::Path| {
        let text = path.display().to_string();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+:@".contains(letter);
        if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
    };
    let dir = quoted(folder.dir());
    let mut steps = Vec::new();
    if folder.workers().next().is_none() {
        steps.push(format!("selfplayd fleet add-worker NAME --dir {dir}"));
    }
    if !is_there {
        steps.push(format!("nats-server -c {}", quoted(&folder.nats_conf())));
        steps.push(format!("selfplayd fleet hub --dir {dir} --models RUN/models --ready RUN/replay_buffers/ready"));
    }
    if steps.is_empty() { "all is as it must be".to_owned() } else { format!("next:\n  {}", steps.join("\n  ")) }
}
