//! A supervised actor on paused time.

use std::time::Duration;

use actix::Handler;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::LocalSet,
    time::Instant,
};

use super::*;
use crate::health::{Child, Escalation, Health, Limits, Restarts, State};

const LIMITS: Limits = Limits {
    restarts: 3,
    window: Duration::from_secs(60),
    first_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_millis(250),
};

const fn row(restart: Restart) -> Child {
    Child { name: "adder", restart, limits: LIMITS, hang: Hang::Thread, cost: "the sum", escalation: Escalation::Ends }
}

static PERMANENT: Child = row(Restart::Permanent);
static TRANSIENT: Child = row(Restart::Transient);

/// Adds up numbers; panics on 0, stops on 1, fails on 2.
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
        if number == 2 {
            return fail(ctx, "add two");
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
    health: Arc<Health>,
    adder: Addr<Adder>,
    seen: UnboundedReceiver<(u32, u32)>,
    reports: UnboundedReceiver<ChildGaveUp>,
    ended: tokio::task::JoinHandle<()>,
}

fn stage(child: &'static Child) -> Stage {
    let health = Health::new(Arc::default());
    let (seen_tx, seen) = unbounded_channel();
    let (reports_tx, reports) = unbounded_channel();
    let parent = Parent(reports_tx).start().recipient();
    let (adder, mailbox) = mailbox();
    let spec = ChildSpec::new(health.join(child, child.name, None), parent);
    let actor = Adder { sum: 0, restarts: 0, seen: seen_tx };
    let ended = tokio::task::spawn_local(mailbox.supervise(actor, spec));
    Stage { health, adder, seen, reports, ended }
}

#[tokio::test(start_paused = true)]
async fn a_panic_loses_the_message_in_hand_only_and_resets_the_state() {
    let play = async {
        let mut stage = stage(&PERMANENT);
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
        let mut stage = stage(&PERMANENT);
        for _ in 0..=LIMITS.restarts {
            stage.adder.do_send(Add(0));
        }
        let report = stage.reports.recv().await.unwrap();
        assert_eq!((&*report.child, report.reason), ("adder", ExitReason::Panicked("cannot add zero".to_owned())));
        stage.ended.await.unwrap();
        let status = &stage.health.status().children[0];
        assert_eq!(status.state, State::Stopped);
        assert_eq!(status.restarts, Restarts { panic: u64::from(LIMITS.restarts), ..Restarts::default() });
    };
    LocalSet::new().run_until(play).await;
}

#[tokio::test(start_paused = true)]
async fn a_normal_end_restarts_permanent_children_only() {
    let play = async {
        let mut permanent = stage(&PERMANENT);
        permanent.adder.do_send(Add(1));
        permanent.adder.do_send(Add(3));
        assert_eq!(permanent.seen.recv().await, Some((1, 0)));
        assert_eq!(permanent.seen.recv().await, Some((3, 1)));

        let transient = stage(&TRANSIENT);
        transient.adder.do_send(Add(1));
        transient.ended.await.unwrap();
        let restarts = |health: &Health| health.status().children[0].restarts;
        assert_eq!(restarts(&permanent.health), Restarts { stopped: 1, ..Restarts::default() });
        assert_eq!(restarts(&transient.health), Restarts::default());
    };
    LocalSet::new().run_until(play).await;
}

#[tokio::test(start_paused = true)]
async fn an_actor_that_ends_with_an_error_is_restarted_whatever_its_type() {
    let play = async {
        for child in [&PERMANENT, &TRANSIENT] {
            let mut stage = stage(child);
            stage.adder.do_send(Add(2));
            stage.adder.do_send(Add(5));
            assert_eq!(stage.seen.recv().await, Some((5, 1)));
            let status = &stage.health.status().children[0];
            assert_eq!((status.state, status.restarts.error), (State::Running, 1));
            assert_eq!(status.last_exit.as_deref(), Some("failed to add two"));
        }
    };
    LocalSet::new().run_until(play).await;
}

#[tokio::test(start_paused = true)]
async fn restarts_wait_longer_and_longer_and_the_status_says_so() {
    let play = async {
        let mut stage = stage(&PERMANENT);
        for wait in [100, 200, 250] {
            let before = Instant::now();
            stage.adder.do_send(Add(0));
            stage.adder.do_send(Add(4));
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(stage.health.status().children[0].state, State::Restarting);
            stage.seen.recv().await.unwrap();
            assert!((wait..wait + 10).contains(&before.elapsed().as_millis()), "{:?}", before.elapsed());
        }
    };
    LocalSet::new().run_until(play).await;
}

/// A panic's payload that panics when it is dropped.
struct Cursed;

impl Drop for Cursed {
    fn drop(&mut self) {
        panic!("even now");
    }
}

#[test]
fn a_payload_that_panics_when_it_is_dropped_is_disposed_of() {
    let payload = catch_unwind(|| std::panic::panic_any(Cursed)).unwrap_err();
    assert_eq!(caught(payload), "no message");
}
