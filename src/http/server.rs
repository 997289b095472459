//! The thread that hears callers. It is the last to end.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use axum::Router;
use futures_util::future::BoxFuture;
use selfplay_actors::stats::Stats;
use tokio::{
    sync::{Notify, Semaphore, broadcast, watch},
    task::JoinSet,
    time::MissedTickBehavior,
};

use super::{
    access::Access,
    connection,
    events::{FinishedGames, News},
    listen::{Listener, Listening, SocketFile},
    live::LiveView,
    routes::{self, MOST_READERS, Render, Shared},
};
use crate::{
    daemon::siblings::host_name,
    settings::HttpSettings,
    status::{Sampler, Sources},
    token::Token,
};

/// How often the status is made.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// News that a slow reader of events may be behind.
const NEWS: usize = 64;
/// How long the thread may take to end: as long as its callers may, and a little more.
const JOIN_TIMEOUT: Duration = Duration::from_secs(3);

/// What is served by a daemon.
pub(crate) struct Served {
    /// The status, and control.
    pub sources: Sources,
    /// The games.
    pub live: Arc<dyn LiveView>,
    /// The metrics.
    pub metrics: Render,
}

/// What answers at the places where callers are heard.
pub(crate) struct Site {
    /// Everything.
    pub everything: Router,
    /// Metrics and health alone.
    pub numbers: Router,
    /// What goes on meanwhile.
    pub work: BoxFuture<'static, ()>,
}

/// The server. Dropped, it answers what was asked and ends.
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `served` to those who are heard at `listening`, under the rules of `settings`.
    ///
    /// # Errors
    /// When the token can no longer be read, or the system gives no thread.
    pub(crate) fn start(listening: Listening, served: Served, settings: &HttpSettings) -> anyhow::Result<Self> {
        let stats = served.sources.stats.clone();
        Self::start_site(listening, settings, stats, move |access, stopping| served.site(access, stopping))
    }

    /// The same for what `make` makes on the server's thread. Refused callers are counted in `stats`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub(crate) fn start_site(
        listening: Listening,
        settings: &HttpSettings,
        stats: Arc<Stats>,
        make: impl FnOnce(Access, watch::Receiver<bool>) -> Site + Send + 'static,
    ) -> anyhow::Result<Self> {
        let token = settings.token_file.as_deref().map(Token::read).transpose();
        let token = token.map_err(|reason| anyhow::anyhow!("failed to start HTTP: http.token_file {reason}"))?;
        let token_for_reads = settings.token_for_reads;
        let mut hosts = settings.allowed_hosts.as_ref().map_or_else(Vec::new, |hosts| hosts.to_vec());
        hosts.extend(host_name());
        let (stop, stopping) = watch::channel(false);
        let (end, ended) = mpsc::channel();
        listening.log();
        let Listening { runtime, listeners, socket } = listening;
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(move || {
            let access = Access { token, token_for_reads, hosts: Some(hosts), stats };
            runtime.block_on(async {
                let site = make(access.clone(), stopping.clone());
                run(listeners, site, access, stopping, socket).await;
            });
            end.send(()).ok();
        })?;
        Ok(Self { stop, ended, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        // It ends in a panic or in time; else the process ends without it.
        let in_time = self.ended.recv_timeout(JOIN_TIMEOUT) != Err(mpsc::RecvTimeoutError::Timeout);
        match self.thread.take().filter(|_| in_time).map(JoinHandle::join) {
            Some(Ok(())) => {}
            Some(Err(_)) => tracing::error!("the HTTP thread ended in a panic"),
            None => tracing::warn!("the HTTP thread did not end in time"),
        }
    }
}

impl Served {
    fn site(self, access: Access, stopping: watch::Receiver<bool>) -> Site {
        let Self { sources, live, metrics } = self;
        let (control, learning) = (sources.control.clone(), sources.learning.clone());
        let mut sampler = Sampler::new(sources);
        let (first, _) = sampler.sample();
        let (status_sender, status) = watch::channel(Arc::new(first));
        let (news, _) = broadcast::channel(NEWS);
        let readers = Arc::new(Semaphore::new(MOST_READERS));
        let shared =
            Shared { status, look: Notify::new(), news, readers, stopping, control, live, learning, metrics, access };
        let shared = Arc::new(shared);
        let (everything, numbers) = (routes::of_everything(shared.clone()), routes::of_metrics(shared.clone()));
        Site { everything, numbers, work: Box::pin(sample(sampler, shared, status_sender)) }
    }
}

/// Serves until `stopping` is true.
async fn run(
    listeners: Vec<Listener>,
    site: Site,
    access: Access,
    stopping: watch::Receiver<bool>,
    socket: Option<SocketFile>,
) {
    let Site { everything, numbers, work } = site;
    // Numbers are no secret and steer nothing.
    let open = Arc::new(Access { stats: access.stats.clone(), ..Access::default() });
    let access = Arc::new(access);
    let mut places = JoinSet::new();
    for listener in listeners {
        let numbers_only = matches!(listener, Listener::Metrics(_));
        let (router, access) = if numbers_only { (&numbers, &open) } else { (&everything, &access) };
        places.spawn(connection::serve(listener, router.clone(), access.clone(), stopping.clone()));
    }
    let work = tokio::spawn(work);
    while places.join_next().await.is_some() {}
    work.abort();
    drop(socket);
}

/// Makes the status once a second and whenever a client wants to see what changed.
async fn sample(mut sampler: Sampler, shared: Arc<Shared>, status: watch::Sender<Arc<crate::status::Status>>) {
    let mut finished = FinishedGames::default();
    let mut ticks = tokio::time::interval(SAMPLE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = ticks.tick() => false,
            () = shared.look.notified() => true,
        };
        let (now, swaps) = sampler.sample();
        status.send_replace(Arc::new(now));
        let games = if asked { Vec::new() } else { finished.look(&*shared.live) };
        for news in swaps.into_iter().map(News::Swap).chain(games) {
            shared.news.send(news).ok(); // There may be no reader of events.
        }
    }
}
