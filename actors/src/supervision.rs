//! Our supervisor: restarts an actor after a panic, within a budget, and tells its parent when the budget is spent.
//!
//! actix's own supervisor restarts neither after panics nor with limits. Here the actor's future is polled inside
//! `catch_unwind`; after a panic [`actix::Supervised::restarting`] rebuilds the actor's state, its address and the queued
//! messages survive, and only the message in hand is lost (its drop guards answer for it).

use std::{
    any::Any,
    collections::VecDeque,
    future::{Future as _, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use actix::{
    Actor, Addr, Context, Message, Recipient, Supervised,
    dev::channel::{AddressReceiver, channel},
};
use tokio::time::Instant;

/// A child has used up its restarts; sent to its parent by [`Mailbox::supervise`]. The parent escalates.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct ChildGaveUp {
    /// Name of the child.
    pub child: &'static str,
    /// How its last run ended.
    pub reason: String,
}

/// When a child that ended is started again (the restart types of Erlang/OTP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always: its work never ends.
    Permanent,
    /// After a panic only: a normal end means its work is done.
    Transient,
}

/// How often a child, or a group of children, may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Restarts allowed within `window`.
    pub restarts: u32,
    /// Length of the sliding window.
    pub window: Duration,
    /// Wait before the first restart in the window; doubles with each further one.
    pub first_backoff: Duration,
    /// Longest wait.
    pub max_backoff: Duration,
}

/// Counts restarts in a sliding window.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    restarts: VecDeque<Instant>,
}

impl Budget {
    /// A budget with nothing spent.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, restarts: VecDeque::new() }
    }

    /// A budget that several children share.
    #[must_use]
    pub fn shared(limits: Limits) -> SharedBudget {
        SharedBudget(Arc::new(Mutex::new(Self::new(limits))))
    }

    /// Spends one restart and returns how long to wait before it; `None` when the budget is spent.
    pub fn spend(&mut self, now: Instant) -> Option<Duration> {
        while self.restarts.front().is_some_and(|&first| now.duration_since(first) >= self.limits.window) {
            self.restarts.pop_front();
        }
        let spent = self.restarts.len() as u32;
        if spent >= self.limits.restarts {
            return None;
        }
        self.restarts.push_back(now);
        Some(self.limits.first_backoff.saturating_mul(2u32.saturating_pow(spent)).min(self.limits.max_backoff))
    }
}

/// A [`Budget`] behind a lock that is taken only when a child dies.
#[derive(Clone, Debug)]
pub struct SharedBudget(Arc<Mutex<Budget>>);

impl SharedBudget {
    fn spend(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spend(Instant::now())
    }
}

/// How a child is supervised.
#[derive(Clone, Debug)]
pub struct ChildSpec {
    /// Name in logs and reports.
    pub name: &'static str,
    /// When it is restarted.
    pub restart: Restart,
    /// How often.
    pub budget: SharedBudget,
    /// Who hears when that is spent.
    pub parent: Recipient<ChildGaveUp>,
}

/// The receiving end of an actor that is yet to start: addresses are made first and passed to whoever needs them.
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
        let mut running = Context::with_receiver(self.0).into_future(actor);
        loop {
            let panic = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut running).poll(cx))) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => Poll::Ready(None),
                Err(payload) => Poll::Ready(Some(panic_text(payload.as_ref()))),
            })
            .await;
            let mut reason = match panic {
                // Without an address nobody could reach it any more: the system is stopping.
                None if spec.restart == Restart::Transient || !running.ctx().connected() => break,
                None => "stopped by itself".to_owned(),
                Some(text) => format!("panicked: {text}"),
            };
            // A panic while the state is rebuilt counts like any other.
            let restarted = loop {
                let Some(wait) = spec.budget.spend() else {
                    tracing::error!(child = spec.name, reason, "child has used up its restarts");
                    spec.parent.do_send(ChildGaveUp { child: spec.name, reason });
                    break false;
                };
                tracing::warn!(child = spec.name, reason, wait_ms = wait.as_millis() as u64, "restarting child");
                tokio::time::sleep(wait).await;
                match catch_unwind(AssertUnwindSafe(|| running.restart())) {
                    Ok(connected) => break connected, // False: nobody holds its address any more.
                    Err(payload) => reason = format!("panicked in its restart: {}", panic_text(payload.as_ref())),
                }
            };
            if !restarted {
                break;
            }
        }
        // Dropping polls the actor once more so that it can say goodbye; a panic there must not take the thread down.
        if catch_unwind(AssertUnwindSafe(|| drop(running))).is_err() {
            tracing::error!(child = spec.name, "child panicked while it was dropped");
        }
    }
}

/// The text of a panic's payload.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use actix::Handler;
    use tokio::{
        sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        task::LocalSet,
    };

    use super::*;

    const LIMITS: Limits = Limits {
        restarts: 3,
        window: Duration::from_secs(60),
        first_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_millis(250),
    };

    #[test]
    fn the_budget_slides_and_backs_off() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut budget = Budget::new(LIMITS);
        let millis = Duration::from_millis;
        assert_eq!(budget.spend(at(0)), Some(millis(100)));
        assert_eq!(budget.spend(at(1)), Some(millis(200)));
        assert_eq!(budget.spend(at(2)), Some(millis(250)));
        assert_eq!(budget.spend(at(59)), None);
        assert_eq!(budget.spend(at(60)), Some(millis(250)), "the first restart has left the window");
        assert_eq!(budget.spend(at(60)), None);
        assert_eq!(budget.spend(at(500)), Some(millis(100)));
    }

    /// Adds up numbers; panics on 0, stops on 1.
    struct Adder {
        sum: u32,
        restarts: u32,
        seen: UnboundedSender<(u32, u32)>,
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Add(u32);

    impl Actor for Adder {
        type Context = Context<Self>;
    }

    impl Supervised for Adder {
        fn restarting(&mut self, _: &mut Self::Context) {
            self.sum = 0;
            self.restarts += 1;
        }
    }

    impl Handler<Add> for Adder {
        type Result = ();

        fn handle(&mut self, Add(number): Add, ctx: &mut Self::Context) {
            assert!(number != 0, "cannot add zero");
            if number == 1 {
                actix::ActorContext::stop(ctx);
            }
            self.sum += number;
            self.seen.send((self.sum, self.restarts)).unwrap();
        }
    }

    struct Parent(UnboundedSender<ChildGaveUp>);

    impl Actor for Parent {
        type Context = Context<Self>;
    }

    impl Handler<ChildGaveUp> for Parent {
        type Result = ();

        fn handle(&mut self, report: ChildGaveUp, _: &mut Self::Context) {
            self.0.send(report).unwrap();
        }
    }

    struct Stage {
        adder: Addr<Adder>,
        seen: UnboundedReceiver<(u32, u32)>,
        reports: UnboundedReceiver<ChildGaveUp>,
        ended: tokio::task::JoinHandle<()>,
    }

    fn stage(restart: Restart) -> Stage {
        let (seen_tx, seen) = unbounded_channel();
        let (reports_tx, reports) = unbounded_channel();
        let parent = Parent(reports_tx).start().recipient();
        let (adder, mailbox) = mailbox();
        let spec = ChildSpec { name: "adder", restart, budget: Budget::shared(LIMITS), parent };
        let actor = Adder { sum: 0, restarts: 0, seen: seen_tx };
        let ended = tokio::task::spawn_local(mailbox.supervise(actor, spec));
        Stage { adder, seen, reports, ended }
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_loses_the_message_in_hand_only_and_resets_the_state() {
        let play = async {
            let mut stage = stage(Restart::Permanent);
            for number in [5, 6, 0, 7] {
                stage.adder.do_send(Add(number));
            }
            assert_eq!(stage.seen.recv().await, Some((5, 0)));
            assert_eq!(stage.seen.recv().await, Some((11, 0)));
            let before = Instant::now();
            assert_eq!(stage.seen.recv().await, Some((7, 1)));
            assert!(before.elapsed() >= LIMITS.first_backoff);
        };
        LocalSet::new().run_until(play).await;
    }

    #[tokio::test(start_paused = true)]
    async fn past_its_budget_a_child_escalates_with_the_reason() {
        let play = async {
            let mut stage = stage(Restart::Permanent);
            for _ in 0..=LIMITS.restarts {
                stage.adder.do_send(Add(0));
            }
            let report = stage.reports.recv().await.unwrap();
            assert_eq!((report.child, report.reason.as_str()), ("adder", "panicked: cannot add zero"));
            stage.ended.await.unwrap();
        };
        LocalSet::new().run_until(play).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_normal_end_restarts_permanent_children_only() {
        let play = async {
            let mut permanent = stage(Restart::Permanent);
            permanent.adder.do_send(Add(1));
            permanent.adder.do_send(Add(2));
            assert_eq!(permanent.seen.recv().await, Some((1, 0)));
            assert_eq!(permanent.seen.recv().await, Some((2, 1)));

            let transient = stage(Restart::Transient);
            transient.adder.do_send(Add(1));
            transient.ended.await.unwrap();
        };
        LocalSet::new().run_until(play).await;
    }
}
