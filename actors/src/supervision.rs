//! Our supervisor: restarts an actor after a panic or an error, within a budget, and tells its parent when the budget is spent.
//!
//! actix's own supervisor restarts neither after panics nor with limits. Here the actor's future is polled inside
//! `catch_unwind`; after a panic [`actix::Supervised::restarting`] rebuilds the actor's state, its address and the queued
//! messages survive, and only the message in hand is lost (its drop guards answer for it).

mod budget;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    borrow::Cow,
    cell::Cell,
    future::{Future as _, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use actix::{
    Actor, ActorContext as _, Addr, Context, Message, Recipient, Supervised,
    dev::channel::{AddressReceiver, channel},
};

pub use self::budget::{Budget, SharedBudget};
use crate::health::{Child, Escalation, ExitReason, Hang, Member, Restart};

thread_local! {
    /// Why the actor that is being polled ends itself.
    static FAILURE: Cell<Option<String>> = const { Cell::new(None) };
}

/// A child has used up its restarts, or hangs; sent to its parent by [`Mailbox::supervise`], by inference threads and by the
/// watchdog. The parent escalates.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChildGaveUp {
    /// Name of the child.
    pub child: Cow<'static, str>,
    /// What is to happen now.
    pub escalation: Escalation,
    /// How its last run ended.
    pub reason: ExitReason,
}

/// How a child is supervised.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    member: Arc<Member>,
    budget: SharedBudget,
    parent: Recipient<ChildGaveUp>,
}

impl ChildSpec {
    /// As the child's row of the table says; clones share one budget. `parent` hears when that is spent.
    #[must_use]
    pub fn new(member: Arc<Member>, parent: Recipient<ChildGaveUp>) -> Self {
        Self { budget: Budget::shared(member.child().limits), member, parent }
    }
}

/// Ends a supervised actor with an error, a fragment that goes on after "failed to". To be called by the actor itself: it is
/// treated as a panic is.
pub fn fail<A: Actor<Context = Context<A>>>(ctx: &mut Context<A>, reason: impl Into<String>) {
    FAILURE.set(Some(reason.into()));
    ctx.stop();
}

/// The receiving end of an actor that is yet to start: addresses are made first and passed on to the actors that need them.
pub struct Mailbox<A: Actor>(AddressReceiver<A>);

/// An address and its mailbox.
#[must_use]
pub fn mailbox<A: Actor>() -> (Addr<A>, Mailbox<A>) {
    // The capacity limits `send` and `try_send` only; we use `do_send` and bound what is outstanding.
    let (sender, receiver) = channel(16);
    (Addr::new(sender), Mailbox(receiver))
}

impl<A: Actor<Context = Context<A>> + Supervised> Mailbox<A> {
    /// Runs `actor` on this mailbox until it ends for good. Await it on the thread the actor is to live on.
    pub async fn supervise(self, actor: A, spec: ChildSpec) {
        let ChildSpec { member, budget, parent } = spec;
        let (name, restart) = (member.name(), member.child().restart);
        let mut presence = member.arrive();
        // All that it does between two waits is one call; it may say that it gets on in between.
        let calls = matches!(member.child().hang, Hang::Call(_)).then(|| member.beat());
        let mut running = Context::with_receiver(self.0).into_future(actor);
        loop {
            let mut failure = None;
            let panic = poll_fn(|cx| {
                let _call = calls.map(|beat| beat.enter());
                presence.running();
                let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut running).poll(cx)));
                // It may have to be polled again before it has stopped.
                failure = FAILURE.take().or(failure.take());
                match polled {
                    Ok(Poll::Pending) => Poll::Pending,
                    Ok(Poll::Ready(())) => Poll::Ready(None),
                    Err(payload) => Poll::Ready(Some(caught(payload))),
                }
            })
            .await;
            let mut reason = match (panic, failure) {
                (Some(text), _) => ExitReason::Panicked(text),
                (None, Some(text)) => ExitReason::Failed(text),
                // Without an address it could not be reached any more: the system is stopping.
                (None, None) if restart == Restart::Transient || !running.ctx().connected() => break,
                (None, None) => ExitReason::Normal,
            };
            // A panic while the state is rebuilt counts like any other.
            let restarted = loop {
                let Some(wait) = budget.spend() else {
                    presence.stopped(&reason);
                    tracing::error!(child = %name, %reason, "child has used up its restarts");
                    let Child { escalation, .. } = *member.child();
                    parent.do_send(ChildGaveUp { child: name.clone(), escalation, reason });
                    break false;
                };
                presence.restarting(&reason);
                tracing::warn!(child = %name, %reason, wait_ms = wait.as_millis() as u64, "restarting child");
                tokio::time::sleep(wait).await;
                let _call = calls.map(|beat| beat.enter());
                match catch_unwind(AssertUnwindSafe(|| running.restart())) {
                    Ok(connected) => break connected, // False: its address is held nowhere any more.
                    Err(payload) => {
                        reason = ExitReason::Panicked(format!("in its restart: {}", caught(payload)));
                    }
                }
            };
            if !restarted {
                break;
            }
        }
        // Dropping polls the actor once more so that it can say goodbye; a panic there must not take the thread down.
        if catch_unwind(AssertUnwindSafe(|| drop(running))).map_err(caught).is_err() {
            tracing::error!(child = %name, "child panicked while it was dropped");
        }
    }
}

/// The text of a panic's payload.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// The text of a panic that was caught. Disposes of the payload, which may itself panic when it is dropped.
pub(crate) fn caught(payload: Box<dyn Any + Send>) -> String {
    let text = panic_text(payload.as_ref());
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
    text
}
