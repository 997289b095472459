//! Mail that is caught where it is sent, in the order in which its sender sent it.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Waker},
};

use actix::{
    Actor, Addr, Context, Handler, Message, Recipient,
    dev::{ContextFut, channel::channel},
};

use super::toy::Toy;
use crate::{
    batcher::{AllGamesWait, Evaluate, ModelChanged, ModelProven, ModelWithdrawn, SwapModel, UnloadModel},
    control::PlayResumed,
    ticket::{BatchDone, Evaluated, Lookup, WorkerFree},
};

/// Any message of the evaluation's actors.
pub(super) enum Mail {
    Lookup(Lookup<Toy>),
    BatchDone(BatchDone),
    ModelChanged(ModelChanged),
    Evaluate(Evaluate<Toy>),
    AllGamesWait(AllGamesWait),
    WorkerFree(WorkerFree),
    SwapModel(SwapModel<Toy>),
    UnloadModel(UnloadModel),
    PlayResumed(PlayResumed),
    Evaluated(Evaluated),
    ModelProven(ModelProven),
    ModelWithdrawn(ModelWithdrawn),
}

/// The address of all actors: what is sent to any of them comes here.
pub(super) struct Everybody(Rc<RefCell<VecDeque<Mail>>>);

impl Actor for Everybody {
    type Context = Context<Self>;
}

macro_rules! catches {
    ($($message:ident: $type:ty),*) => {$(
        impl Handler<$type> for Everybody {
            type Result = ();

            fn handle(&mut self, message: $type, _: &mut Self::Context) {
                self.0.borrow_mut().push_back(Mail::$message(message));
            }
        }
    )*};
}
catches! {
    BatchDone: BatchDone, ModelChanged: ModelChanged, Evaluate: Evaluate<Toy>,
    AllGamesWait: AllGamesWait, WorkerFree: WorkerFree, Evaluated: Evaluated,
    ModelProven: ModelProven, ModelWithdrawn: ModelWithdrawn
}

/// Where all mail is caught.
pub(super) struct Post {
    everybody: ContextFut<Everybody, Context<Everybody>>,
    address: Addr<Everybody>,
    caught: Rc<RefCell<VecDeque<Mail>>>,
}

impl Post {
    pub(super) fn new() -> Self {
        let (sender, receiver) = channel(16);
        let caught = Rc::new(RefCell::new(VecDeque::new()));
        let everybody = Context::with_receiver(receiver).into_future(Everybody(caught.clone()));
        Self { everybody, address: Addr::new(sender), caught }
    }

    /// The address of the actor that gets messages of this type.
    pub(super) fn address<M>(&self) -> Recipient<M>
    where
        M: Message<Result = ()> + Send + 'static,
        Everybody: Handler<M>,
    {
        self.address.clone().recipient()
    }

    /// What was sent since the last call, in order.
    pub(super) fn take(&mut self) -> VecDeque<Mail> {
        let mut nobody = TaskContext::from_waker(Waker::noop());
        assert!(Pin::new(&mut self.everybody).poll(&mut nobody).is_pending());
        self.caught.take()
    }
}
