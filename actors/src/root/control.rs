//! How a running system is steered: what the controller sends, and what the root passes on.

use std::{sync::Arc, time::Duration};

use actix::{AsyncContext as _, Context, Handler, Message, Recipient};
use selfplay_engine::Game;
use tokio::sync::mpsc::UnboundedSender;

use super::{Drain, supervisor::RootSupervisor};
use crate::{
    batcher::SetMaxWait,
    cache::SetCacheBytes,
    control::{Control, ControlState, PlayResumed},
    findings::Found,
    game::Terms,
    games::ChangeGames,
    loader::{LookNow, ReleaseModel},
};

/// Settings that hold from now on, without a restart; `None`: as before.
#[derive(Clone, Debug, Default)]
pub struct SettingsChange {
    /// Games at once, from 1. Where there are more now, the others are parked: kept, and played on when there is room.
    pub games_at_once: Option<usize>,
    /// How long a free thread lets the oldest request wait for a fuller batch.
    pub max_wait: Option<Duration>,
    /// What games are played with that start from now on.
    pub terms: Option<Terms>,
    /// Most bytes of the cache.
    pub cache_bytes: Option<usize>,
}

/// What is to change. Sent by the [`Controller`].
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) enum Steer {
    /// Pause of this number has begun.
    Paused(u64),
    /// It is over.
    Resumed,
    /// Look for a model now, and tell what is found.
    Reload(Option<UnboundedSender<Found>>),
    /// Settings change.
    Set(SettingsChange),
}

/// A pause has lasted long enough for the model to be dropped. Sent by the root to itself.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct PausedLong(u64);

/// Steers a running system. Cheap to clone; all methods may be called from any thread, and again without harm.
#[derive(Clone)]
pub struct Controller {
    pub(super) drain: Recipient<Drain>,
    pub(super) steer: Recipient<Steer>,
    pub(super) control: Arc<Control>,
}

impl Controller {
    /// Stops starting games and ends when those in play are over, or after `grace`. A second call changes nothing. During a
    /// pause, games that the journal keeps are not waited for, and others are only waited for because play is resumed.
    pub fn drain(&self, reason: impl Into<String>, grace: Duration) {
        self.control.drain(|| self.drain.do_send(Drain { reason: reason.into(), grace }));
    }

    /// Lets no batch leave and no game start from here on; games in play keep their trees and wait. Of no effect on a system
    /// that was told to stop.
    pub fn pause(&self) {
        self.control.pause(|pause| self.steer.do_send(Steer::Paused(pause)));
    }

    /// Ends a pause. A model that was dropped is loaded again, or a newer one if there is one by now.
    pub fn resume(&self) {
        self.control.resume(|| self.steer.do_send(Steer::Resumed));
    }

    /// Pauses, or ends a pause.
    pub fn toggle_pause(&self) {
        let (pause, resume) = (|pause| self.steer.do_send(Steer::Paused(pause)), || self.steer.do_send(Steer::Resumed));
        self.control.toggle(pause, resume);
    }

    /// Looks for a new model at once, also at one that was refused before. What is found during a pause is taken when it is over.
    /// `tell` hears that a model is on its way, if one is, and then what was found, and is closed.
    pub fn reload(&self, tell: Option<UnboundedSender<Found>>) {
        self.steer.do_send(Steer::Reload(tell));
    }

    /// Changes settings. They are taken as they are: the caller has checked them.
    pub fn set(&self, settings: SettingsChange) {
        self.steer.do_send(Steer::Set(settings));
    }

    /// How things stand. What was told last counts, also where it has not taken effect everywhere.
    #[must_use]
    pub fn state(&self) -> ControlState {
        self.control.state()
    }
}

impl<G: Game> RootSupervisor<G> {
    fn paused(&mut self, pause: u64, ctx: &mut Context<Self>) {
        self.note_pause();
        tracing::info!(
            unload_after_seconds = self.unload_after.map(|after| after.as_secs_f64()),
            "play is paused: no batch leaves and no game starts"
        );
        if let Some(after) = self.unload_after {
            ctx.notify_later(PausedLong(pause), after);
        }
    }

    /// Wakes the actors that rest during a pause.
    pub(super) fn play_on(&self) {
        self.note_pause();
        tracing::info!("play is resumed");
        // The loader first: what it has to do takes longest.
        self.addresses.loader.do_send(PlayResumed);
        self.addresses.batcher.do_send(PlayResumed);
        self.addresses.games.do_send(PlayResumed);
    }

    /// A message about a pause may come when it is over: what counts is how things stand.
    fn note_pause(&self) {
        let paused = self.control.is_paused();
        self.stats.accounts.set_paused(paused);
        self.stats.paused.set(paused.into());
    }

    fn change(&self, SettingsChange { games_at_once, max_wait, terms, cache_bytes }: SettingsChange) {
        if let Some(bytes) = cache_bytes {
            self.addresses.cache.do_send(SetCacheBytes(bytes));
        }
        if let Some(wait) = max_wait {
            self.addresses.batcher.do_send(SetMaxWait(wait));
        }
        if games_at_once.is_some() || terms.is_some() {
            self.addresses.games.do_send(ChangeGames { at_once: games_at_once, terms });
        }
    }
}

impl<G: Game> Handler<Steer> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, steer: Steer, ctx: &mut Self::Context) {
        match steer {
            Steer::Paused(pause) => self.paused(pause, ctx),
            Steer::Resumed => self.play_on(),
            Steer::Reload(tell) => self.addresses.loader.do_send(LookNow { tell }),
            Steer::Set(settings) => self.change(settings),
        }
    }
}

impl<G: Game> Handler<PausedLong> for RootSupervisor<G> {
    type Result = ();

    fn handle(&mut self, PausedLong(pause): PausedLong, _: &mut Self::Context) {
        if self.control.lasts(pause) && !self.control.is_draining() {
            self.addresses.loader.do_send(ReleaseModel { pause });
        }
    }
}
