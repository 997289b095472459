//! What the tests of this crate share: a toy game, mail that is collected, and time that stands still.

use actix::{Actor, Context, Handler, Message, Recipient};
use selfplay_engine::{
    Action, ActionBits, ActionSet, Evaluations, Evaluator, Game, Leaf, Outcome,
    evaluation::EvaluateError,
    search::{InFlight, Root, SearchParams, Simulations},
    selfplay::{Agent, OpeningSettings, PlaySettings, RowSettings},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::LocalSet,
    time::Duration,
};

use crate::{
    health::{Child, Escalation, Hang, Health, Limits, Restart},
    inference::ThreadSpec,
    supervision::ChildSpec,
    ticket::{Answer, Generation},
};

/// A child that is restarted five times, at once.
pub(crate) static CHILD: Child = Child {
    name: "child",
    restart: Restart::Permanent,
    limits: Limits {
        restarts: 5,
        window: Duration::from_secs(60),
        first_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(1),
    },
    hang: Hang::Thread,
    cost: "nothing",
    escalation: Escalation::Ends,
};

/// How a [`CHILD`] is supervised whose parent does not listen.
pub(crate) fn supervised() -> ChildSpec {
    ChildSpec::new(Health::default().join(&CHILD, CHILD.name, None), Inbox::new().address)
}

/// The same for inference threads.
pub(crate) fn threads() -> ThreadSpec {
    ThreadSpec {
        child: &CHILD,
        hang_limit: None,
        health: Health::new(Default::default()),
        parent: Inbox::new().address,
    }
}

/// Runs a test on this thread with actors and paused time: timers fire as soon as nothing else is left to do.
pub(crate) fn play<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

/// Both players are `agent`, with `simulations` a move if they search.
pub(crate) fn play_settings(simulations: u32, agent: Agent) -> PlaySettings {
    let search = SearchParams {
        simulations: Simulations::PerMove(simulations),
        c_puct: 1.0,
        leaf_parallelism: 2,
        in_flight: InFlight::Losses(1),
        noise: None,
        root: Root::PUCT,
        solver: false,
    };
    PlaySettings {
        search,
        temperature: 1.0,
        temperature_decay: None,
        drop_t_on_step: None,
        tree_reuse: true,
        penalize_visited_states: false,
        opening: OpeningSettings::default(),
        soft_resign: None,
        resign: None,
        rows: RowSettings::default(),
        symmetry: false,
        agents: [agent; 2],
    }
}

/// An address whose mail is collected.
pub(crate) struct Inbox<M: Message<Result = ()> + Send + 'static> {
    pub(crate) address: Recipient<M>,
    mail: UnboundedReceiver<M>,
}

struct Collector<M>(UnboundedSender<M>);

impl<M: Message<Result = ()> + Send + 'static> Actor for Collector<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Send + 'static> Handler<M> for Collector<M> {
    type Result = ();

    fn handle(&mut self, message: M, _: &mut Self::Context) {
        self.0.send(message).ok();
    }
}

impl<M: Message<Result = ()> + Send + 'static> Inbox<M> {
    pub(crate) fn new() -> Self {
        let (sender, mail) = unbounded_channel();
        Self { address: Collector(sender).start().recipient(), mail }
    }

    /// The next message, waited for: for mail from other threads.
    pub(crate) async fn next(&mut self) -> M {
        self.mail.recv().await.unwrap()
    }

    /// Everything sent so far by actors of this thread.
    pub(crate) async fn take(&mut self) -> Vec<M> {
        settle().await;
        std::iter::from_fn(|| self.mail.try_recv().ok()).collect()
    }
}

/// Lets all actors of this thread finish what they have to do now.
pub(crate) async fn settle() {
    // On paused time a timer fires only when every task is idle.
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

/// A "game" whose positions are numbers with one legal action each.
#[derive(Clone, Debug)]
pub(crate) struct Numbers;

/// What model number `generation` says of a position.
pub(crate) fn value(generation: u64, position: u16) -> f32 {
    (generation * 1_000 + u64::from(position)) as f32
}

/// The answer of model number `generation` for some positions.
pub(crate) fn answer(generation: u64, positions: impl IntoIterator<Item = u16>) -> Answer {
    let mut evaluations = Evaluations::default();
    for position in positions {
        if position == FLAWED {
            evaluations.push_logits(f32::NAN, &[0.0], &leaf(position).legal);
            continue;
        }
        evaluations.push(value(generation, position), [value(generation, position) + 0.5]);
    }
    Answer { evaluations, generation: nth(generation) }
}

/// The model with this number; the trainer calls it by another.
pub(crate) fn nth(generation: u64) -> Generation {
    Generation { number: generation, version: 10 * generation as i64 }
}

pub(crate) fn leaf(position: u16) -> Leaf<Numbers> {
    Leaf { position, legal: Numbers.legal_actions(&position) }
}

/// A position that [`Model`] panics over, and one it reports an error for.
pub(crate) const PANICS: u16 = 13;
pub(crate) const FAILS: u16 = 14;
/// A position for which [`Model`] forgets to answer.
pub(crate) const FORGETS: u16 = 15;

/// A position for which [`Model`] gives no usable answer.
pub(crate) const FLAWED: u16 = 16;

/// Answers as [`answer`] does.
pub(crate) struct Model(pub(crate) u64);

impl Evaluator<Numbers> for Model {
    fn evaluate(&mut self, leaves: &[Leaf<Numbers>], out: &mut Evaluations) -> Result<(), EvaluateError> {
        let positions = leaves.iter().map(|leaf| leaf.position);
        assert!(!positions.clone().any(|position| position == PANICS), "unlucky position");
        if positions.clone().any(|position| position == FAILS) {
            return Err(EvaluateError::Backend("no luck".to_owned()));
        }
        *out = answer(self.0, positions.filter(|&position| position != FORGETS)).evaluations;
        Ok(())
    }
}

impl Game for Numbers {
    type State = u16;
    type Position = u16;
    type Actions = ActionBits<1>;
    type Encoding = ();

    fn start(&self) -> u16 {
        0
    }
    fn policy_size(&self) -> usize {
        1
    }
    fn ply(&self, state: &u16) -> u32 {
        u32::from(*state)
    }
    fn outcome(&self, _: &u16) -> Option<Outcome> {
        None
    }
    fn legal_actions(&self, _: &u16) -> ActionBits<1> {
        let mut legal = ActionBits::default();
        legal.insert(0);
        legal
    }
    fn play(&self, state: &mut u16, _: Action) {
        *state += 1;
    }
    fn position(&self, state: &u16) -> u16 {
        *state
    }
    fn encoding_name(&self, (): ()) -> &'static str {
        "number"
    }
    fn input_shape(&self, (): ()) -> Vec<usize> {
        vec![1]
    }
    fn encode(&self, (): (), position: &u16, out: &mut [f32]) {
        out[0] = f32::from(*position);
    }
}
