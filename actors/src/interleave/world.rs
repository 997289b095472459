//! Cache, batcher and pool as they are, with everything around them played by hand.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use actix::{Context, Handler, Supervised as _};
use selfplay_engine::Evaluator;

use super::{
    books::{Books, Seen},
    mail::{Mail, Post},
    plan::Plan,
    step::{Panic, Step, Who},
    toy::{Dice, ModelFaults, Toy, ToyModel, arm, disarm, leaf, panic_as_planned, survives},
};
use crate::{
    batcher::{BatcherActor, BatcherAddresses, ModelChanged, ProbationLimits, SwapModel, UnloadModel},
    cache::{CacheActor, GamesInPlay},
    control::{Control, PlayResumed},
    inference::{HandThread, InferencePool, ThreadStep},
    stats::Stats,
    testing::nth,
    ticket::{Lookup, Reply, TicketError},
};

/// Positions there are. Few, so that games ask for the same ones; with 14 or fewer, maps grow alike in every run and a seed
/// fixes where a fuse goes off.
const POSITIONS: u64 = 8;
/// More steps than any schedule needs.
const MOST_STEPS: usize = 20_000;

/// The seed and the steps of a schedule, printed when it fails.
struct Trace {
    seed: u64,
    steps: Vec<Step>,
}

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = &self.steps[self.steps.len().saturating_sub(60)..];
            let (seed, count) = (self.seed, self.steps.len());
            eprintln!("schedule {seed} failed after {count} steps; {}={seed} repeats it. The last:", super::ONE_SEED);
            last.iter().for_each(|step| eprintln!("  {step:?}"));
        }
    }
}

pub(super) struct World {
    dice: Dice,
    plan: Plan,
    trace: Trace,
    post: Post,
    cache: CacheActor<Toy>,
    cache_context: Context<CacheActor<Toy>>,
    batcher: BatcherActor<Toy>,
    batcher_context: Context<BatcherActor<Toy>>,
    control: Arc<Control>,
    pool: Arc<InferencePool<Toy>>,
    threads: Vec<HandThread<Toy>>,
    cache_mail: VecDeque<Mail>,
    batcher_mail: VecDeque<Mail>,
    /// What each has sent and has not arrived.
    sent: Vec<(Who, VecDeque<Mail>)>,
    /// Requests that each game may still send; `None` while one is out.
    asks_left: Vec<u64>,
    waits: Vec<bool>,
    swaps_left: u64,
    models: u64,
    closed: bool,
    books: Books,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::roll(&mut dice);
        let post = Post::new();
        let stats = Arc::new(Stats::default());
        let (pool, threads) = InferencePool::by_hand(plan.threads, &post.address(), &stats);
        let pool = Arc::new(pool);
        let addresses = BatcherAddresses { cache: post.address(), proven: post.address(), withdrawn: post.address() };
        let control = Arc::new(Control::default());
        let mut cache = CacheActor::new(plan.cache, post.address(), post.address(), post.address(), stats.clone());
        let mut cache_context = Context::new();
        cache.handle(GamesInPlay(plan.games), &mut cache_context);
        let limits = ProbationLimits { evaluations: 3, max_flawed_rate: 0.01 };
        let others = (0..plan.threads).map(Who::Thread).chain((0..plan.games).map(Who::Game));
        Self {
            trace: Trace { seed, steps: Vec::new() },
            cache,
            cache_context,
            batcher: BatcherActor::new(pool.clone(), plan.policy, limits, addresses, control.clone(), stats),
            batcher_context: Context::new(),
            control,
            pool,
            threads,
            cache_mail: VecDeque::new(),
            batcher_mail: VecDeque::new(),
            sent: [Who::Cache, Who::Batcher, Who::Loader, Who::Root]
                .into_iter()
                .chain(others)
                .map(|who| (who, VecDeque::new()))
                .collect(),
            asks_left: vec![plan.asks; plan.games],
            waits: vec![false; plan.games],
            swaps_left: plan.swaps,
            models: 0,
            closed: false,
            books: Books::new(plan.is_calm()),
            dice,
            plan,
            post,
        }
    }

    /// Plays the schedule to its end; returns what happened, and in how many steps.
    pub(super) async fn play(mut self) -> (Seen, u64) {
        self.rest().await;
        if self.serves() {
            assert_eq!(self.books.unanswered(), 0, "a model serves and requests wait for ever");
        }
        // Whatever has happened, a sound model brings everything back.
        self.plan.panics = 0;
        self.plan.faults = ModelFaults::default();
        self.plan.closes = false;
        self.plan.toggles = 0;
        self.resume();
        self.swaps_left = 1;
        self.rest().await;
        assert!(self.serves());
        self.asks_left.fill(2);
        self.rest().await;
        assert_eq!(self.books.unanswered(), 0, "a sound model serves and requests wait for ever");
        assert_eq!((self.cache.open(), self.cache.flying().len(), self.batcher.queued()), (0, 0, 0));
        if !self.closed {
            assert_eq!(self.cache.generation(), self.models);
        }
        (std::mem::take(&mut self.books.seen), self.trace.steps.len() as u64)
    }

    /// Whether leaves are evaluated, or at least lost for good because the pool is closed.
    fn serves(&self) -> bool {
        self.pool.is_loaded() && !self.batcher.is_withdrawn() && !self.control.is_paused()
    }

    /// Goes on until nothing is left to do.
    async fn rest(&mut self) {
        while let Some(step) = self.next_step() {
            self.trace.steps.push(step);
            assert!(self.trace.steps.len() < MOST_STEPS, "it does not come to rest");
            if matches!(step, Step::Timer) {
                tokio::time::advance(self.plan.policy.max_wait.max(Duration::from_millis(1))).await;
            }
            self.take(step);
        }
        assert_eq!(self.pool.busy(), 0, "at rest, a thread counts as busy");
        assert!(self.serves() || self.batcher.queued() >= self.cache.flying().len(), "leaves are gone");
    }

    fn next_step(&mut self) -> Option<Step> {
        let [arrive, cache, batcher, thread, ask, swap] = self.plan.weights;
        let mut steps = Vec::new();
        steps
            .extend(self.sent.iter().filter(|(_, sent)| !sent.is_empty()).map(|&(who, _)| (arrive, Step::Arrive(who))));
        if self.is_done(Who::Cache) && !self.cache_mail.is_empty() {
            steps.push((cache, Step::Cache(Panic::Never)));
        }
        if self.is_done(Who::Batcher) {
            if !self.batcher_mail.is_empty() {
                steps.push((batcher, Step::Batcher(Panic::Never)));
            }
            if self.batcher.has_timer() {
                steps.push((1, Step::Timer));
            }
            // What the batcher sends before it hands out a batch has arrived before the thread can begin.
            for number in 0..self.threads.len() {
                if self.threads[number].is_ready() && self.is_done(Who::Thread(number)) {
                    steps.push((thread, Step::Thread(number)));
                }
            }
        }
        let games = (0..self.waits.len()).filter(|&game| !self.waits[game] && self.asks_left[game] > 0);
        steps.extend(games.map(|game| (ask, Step::Ask(game))));
        if self.swaps_left > 0 {
            steps.push((swap, Step::Swap));
        }
        if self.plan.toggles > 0 {
            steps.push((1, Step::Toggle));
            if self.control.is_paused() {
                steps.push((1, Step::Unload));
            }
        }
        if self.plan.closes && !self.closed && self.models > 0 && self.dice.once_in(50) {
            steps.push((1, Step::Close));
        }
        let total: u64 = steps.iter().map(|&(weight, _)| weight).sum();
        let mut ticket = if total == 0 { return None } else { self.dice.below(total) };
        let (_, step) = *steps.iter().find(|&&(weight, _)| {
            let found = ticket < weight;
            ticket = ticket.saturating_sub(weight);
            found
        })?;
        Some(match step {
            Step::Cache(_) => Step::Cache(self.roll_panic()),
            Step::Batcher(_) => Step::Batcher(self.roll_panic()),
            other => other,
        })
    }

    fn roll_panic(&mut self) -> Panic {
        if !self.dice.once_in(self.plan.panics) {
            return Panic::Never;
        }
        let within = Panic::Within(1 + self.dice.below(6));
        self.dice.one_of(&[Panic::Before, within, within, Panic::After])
    }

    /// Whether everything that `who` sent has arrived.
    fn is_done(&self, who: Who) -> bool {
        self.sent.iter().all(|(other, sent)| *other != who || sent.is_empty())
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Arrive(who) => self.arrive(who),
            Step::Cache(panic) => self.cache_step(panic),
            Step::Batcher(panic) => self.batcher_step(panic),
            Step::Timer => {
                self.books.count("timer fired");
                self.batcher.fire_timer(&mut self.batcher_context);
                self.collect(Who::Batcher);
            }
            Step::Thread(number) => self.thread_step(number),
            Step::Ask(game) => self.ask(game),
            Step::Swap => self.swap(),
            Step::Toggle => self.toggle(),
            Step::Unload => self.unload(),
            Step::Close => {
                self.books.count("pool closed");
                self.closed = true;
                self.pool.close();
            }
        }
    }

    /// Takes what `who` has sent in this step.
    fn collect(&mut self, who: Who) {
        for mail in self.post.take() {
            if let Some(game) = self.books.sent(&mail) {
                self.waits[game] = false;
            }
            self.send(who, mail);
        }
    }

    fn send(&mut self, who: Who, mail: Mail) {
        if let Some((_, sent)) = self.sent.iter_mut().find(|(other, _)| *other == who) {
            sent.push_back(mail);
        }
    }

    fn arrive(&mut self, who: Who) {
        let sent = self.sent.iter_mut().find(|(other, _)| *other == who);
        let Some(mail) = sent.and_then(|(_, sent)| sent.pop_front()) else { return };
        match mail {
            mail @ (Mail::Lookup(_) | Mail::BatchDone(_) | Mail::ModelChanged(_)) => {
                self.cache_mail.push_back(mail);
            }
            mail @ (Mail::Evaluate(_)
            | Mail::AllGamesWait(_)
            | Mail::WorkerFree(_)
            | Mail::SwapModel(_)
            | Mail::UnloadModel(_)
            | Mail::PlayResumed(_)) => self.batcher_mail.push_back(mail),
            // A game acts on its answer only by asking again, and was told that it may when the answer was sent.
            Mail::Evaluated(_) => {}
            Mail::ModelProven(_) => self.books.count("model proven"),
            Mail::ModelWithdrawn(_) => {
                self.books.count("model withdrawn");
                self.swaps_left += 1;
            }
        }
    }

    fn cache_step(&mut self, panic: Panic) {
        let Some(mail) = self.cache_mail.pop_front() else { return };
        let (name, over) = match &mail {
            Mail::Lookup(_) => ("cache: Lookup", "cache panicked over Lookup"),
            Mail::ModelChanged(_) => ("cache: ModelChanged", "cache panicked over ModelChanged"),
            Mail::BatchDone(done) => {
                self.books.returned(&done.ids);
                if let Ok(answer) = &done.outcome {
                    let (by, known) = (answer.generation.number, self.cache.generation());
                    assert!(by <= known, "model {by} has answered and the cache knows {known} only");
                    if by < known {
                        self.books.count("cache: BatchDone of an older model");
                    }
                }
                ("cache: BatchDone", "cache panicked over BatchDone")
            }
            _ => return,
        };
        self.books.count(name);
        let heard = match &mail {
            Mail::ModelChanged(ModelChanged(generation)) => generation.number,
            Mail::BatchDone(done) => done.outcome.as_ref().map_or(0, |answer| answer.generation.number),
            _ => 0,
        };
        let (cache, context) = (&mut self.cache, &mut self.cache_context);
        let mut handled = false;
        let survived = survives(|| {
            match panic {
                Panic::Before => panic_as_planned(),
                Panic::Within(hashes) => arm(hashes),
                Panic::Never | Panic::After => {}
            }
            match mail {
                Mail::Lookup(message) => cache.handle(message, context),
                Mail::BatchDone(message) => cache.handle(message, context),
                Mail::ModelChanged(message) => cache.handle(message, context),
                _ => {}
            }
            disarm();
            handled = true;
            if panic == Panic::After {
                panic_as_planned();
            }
        });
        if handled {
            self.books.heard(heard);
        }
        if !survived {
            self.books.count(over);
            if matches!(panic, Panic::Within(_)) {
                self.books.count("cache panicked amid its work");
            }
            self.cache.restarting(&mut self.cache_context);
        }
        self.collect(Who::Cache);
        if !survived {
            self.books.cache_restarted();
        }
        self.books.check(&self.cache, self.pool.generation().number);
    }

    fn batcher_step(&mut self, panic: Panic) {
        let Some(mail) = self.batcher_mail.pop_front() else { return };
        let serving = self.pool.generation().number;
        let (name, over) = match &mail {
            Mail::Evaluate(evaluate) => {
                if evaluate.0.generation() < serving {
                    self.books.count("batcher: Evaluate for an older model");
                }
                ("batcher: Evaluate", "batcher panicked over Evaluate")
            }
            Mail::AllGamesWait(_) => ("batcher: AllGamesWait", "batcher panicked over AllGamesWait"),
            Mail::WorkerFree(_) => ("batcher: WorkerFree", "batcher panicked over WorkerFree"),
            Mail::SwapModel(_) => ("batcher: SwapModel", "batcher panicked over SwapModel"),
            Mail::UnloadModel(_) => ("batcher: UnloadModel", "batcher panicked over UnloadModel"),
            Mail::PlayResumed(_) => ("batcher: PlayResumed", "batcher panicked over PlayResumed"),
            _ => return,
        };
        self.books.count(name);
        let busy = self.pool.busy();
        let (batcher, context) = (&mut self.batcher, &mut self.batcher_context);
        let survived = survives(|| {
            if panic == Panic::Before {
                panic_as_planned();
            }
            match mail {
                Mail::Evaluate(message) => batcher.handle(message, context),
                Mail::AllGamesWait(message) => batcher.handle(message, context),
                Mail::WorkerFree(message) => batcher.handle(message, context),
                Mail::SwapModel(message) => batcher.handle(message, context),
                Mail::UnloadModel(message) => batcher.handle(message, context),
                Mail::PlayResumed(message) => batcher.handle(message, context),
                _ => {}
            }
            if panic == Panic::After {
                panic_as_planned();
            }
        });
        if !survived {
            self.books.count(over);
            self.batcher.restarting(&mut self.batcher_context);
        }
        if !self.serves() {
            assert_eq!(self.pool.busy(), busy, "a batch leaves in a pause, or for a model that is withdrawn or gone");
        }
        self.collect(Who::Batcher);
    }

    fn thread_step(&mut self, number: usize) {
        match self.threads[number].step() {
            Some(ThreadStep::Ran { keyed, outcome: Ok(by) }) => {
                self.books.count("thread: batch run");
                assert_eq!(by, keyed, "leaves asked of model {keyed} are evaluated by another");
            }
            Some(ThreadStep::Ran { outcome: Err(error), .. }) => {
                assert_ne!(error, TicketError::Lost, "a batch came to a thread without a model");
                self.books.count("thread: batch failed");
            }
            Some(ThreadStep::Reported) => self.books.count("thread: batch reported"),
            Some(ThreadStep::Swapped) | None => self.books.count("thread: model changed"),
        }
        self.collect(Who::Thread(number));
    }

    fn ask(&mut self, game: usize) {
        self.asks_left[game] -= 1;
        self.waits[game] = true;
        let count = 1 + self.dice.below(4);
        let positions: Vec<_> = (0..count).map(|_| self.dice.below(POSITIONS) as u16).collect();
        let leaves = positions.iter().map(|&position| leaf(position)).collect();
        let ticket = self.books.open(game, positions);
        let reply = Reply::new(self.post.address(), ticket);
        self.send(Who::Game(game), Mail::Lookup(Lookup { leaves, reply }));
    }

    fn toggle(&mut self) {
        self.plan.toggles -= 1;
        if self.control.is_paused() {
            self.resume();
        } else {
            self.books.count("play paused");
            self.control.pause(|_| {});
        }
    }

    fn resume(&mut self) {
        let mut resumed = false;
        self.control.resume(|| resumed = true);
        if resumed {
            self.send(Who::Root, Mail::PlayResumed(PlayResumed));
        }
    }

    fn unload(&mut self) {
        // So that the schedule comes to an end.
        self.plan.toggles -= 1;
        self.send(Who::Loader, Mail::UnloadModel(UnloadModel { pause: 1 }));
        self.swaps_left += 1;
    }

    fn swap(&mut self) {
        self.swaps_left -= 1;
        self.models += 1;
        let (generation, faults) = (self.models, self.plan.faults);
        // A loader would refuse a model with too few; the batcher panics over it before anything of it is in service.
        let bad = self.plan.panics > 0 && self.dice.once_in(8);
        if bad {
            self.books.count("model with too few evaluators");
        }
        let evaluators = (0..self.plan.threads - usize::from(bad)).map(|_| {
            let dice = Dice::new(self.dice.seed());
            Box::new(ToyModel { generation, faults, dice }) as Box<dyn Evaluator<Toy>>
        });
        let evaluators = evaluators.collect();
        self.send(Who::Loader, Mail::SwapModel(SwapModel { generation: nth(generation), evaluators }));
    }
}
