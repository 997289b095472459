//! The publisher's side: chunks of models and the pointer out.

use std::{io, sync::Arc, time::Duration};

use async_nats::{Client, HeaderMap, Message, header};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    ask::{Stored, get, is_changed, put, revision},
    dial::Dial,
    health::{Health, Watch},
    inbox::{Bell, Inbox},
    line::{Line, Thread},
    subjects,
};
use crate::{
    link::{Link, LinkState, PublisherLink, Refusal, ToPublisher},
    models::{self, Hash},
    name::Name,
};

/// Calls that may wait for the thread, and events that may wait to be heard.
const MOST_CALLS: usize = 8 * models::WINDOW;

/// Calls that are being served.
const MOST_OPEN: usize = 2 * models::WINDOW;

/// Workers whose words may wait to be heard.
const MOST_SAID: usize = 4096;

/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The publisher's side of a NATS server. See [`super`].
#[derive(Debug)]
pub struct NatsPublisher {
    // Dropped before the thread, whose task ends by it.
    calls: mpsc::Sender<Call>,
    inbox: Arc<Inbox<ToPublisher>>,
    /// What workers say of themselves, the newest of each.
    said: Arc<Inbox<ToPublisher>>,
    watch: Watch,
    thread: Thread,
}

/// What the trait was asked for.
#[derive(Debug)]
enum Call {
    Chunk { model: Hash, number: u64, bytes: Vec<u8> },
    Forget(Hash),
    Ask,
    Pointer { after: u64, bytes: Vec<u8> },
}

impl NatsPublisher {
    /// Connects, now or later, as the publisher of a run. The bell rings when there is something to hear.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn connect(dial: Dial, run: &Name, bell: Bell) -> io::Result<Self> {
        let (calls, to_do) = mpsc::channel(MOST_CALLS);
        let inbox = Arc::new(Inbox::new(MOST_CALLS, bell.clone()));
        let said = Arc::new(Inbox::new(MOST_SAID, bell));
        let watch = Watch::new(dial.servers());
        let (to, of_workers, pointer) = (inbox.clone(), said.clone(), subjects::pointer_key(run));
        let task = |line| run_task(line, pointer, to, of_workers, to_do);
        let thread = Thread::start("fleet-publisher", dial, watch.clone(), task)?;
        Ok(Self { calls, inbox, said, watch, thread })
    }

    /// How the connection is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.watch.now()
    }

    fn call(&self, call: Call) {
        if let Err(error) = self.calls.try_send(call) {
            let busy = Refusal::Unanswered("the link is busy".to_owned());
            if let Some(event) = refused(error.into_inner(), busy) {
                self.inbox.put(event);
            }
        }
    }
}

impl Link for NatsPublisher {
    fn state(&self) -> LinkState {
        self.health().into()
    }
}

impl PublisherLink for NatsPublisher {
    fn put_chunk(&mut self, model: Hash, number: u64, bytes: Vec<u8>) {
        self.call(Call::Chunk { model, number, bytes });
    }

    fn forget(&mut self, model: Hash) {
        self.call(Call::Forget(model));
    }

    fn ask_pointer(&mut self) {
        self.call(Call::Ask);
    }

    fn put_pointer(&mut self, after: u64, bytes: Vec<u8>) {
        self.call(Call::Pointer { after, bytes });
    }

    fn hear(&mut self) -> Option<ToPublisher> {
        self.thread.must_live();
        self.inbox.take().or_else(|| self.said.take())
    }
}

/// What is said of a call that was not served.
fn refused(call: Call, refusal: Refusal) -> Option<ToPublisher> {
    match call {
        Call::Chunk { model, number, .. } => Some(ToPublisher::Refused { model, number, refusal }),
        Call::Pointer { .. } => Some(ToPublisher::NotPut(refusal)),
        Call::Forget(_) | Call::Ask => None,
    }
}

/// What the thread does.
async fn run_task(
    line: Line,
    pointer: String,
    inbox: Arc<Inbox<ToPublisher>>,
    said: Arc<Inbox<ToPublisher>>,
    mut calls: mpsc::Receiver<Call>,
) {
    let mut words = match line.client.subscribe(subjects::presence_now()).await {
        Ok(words) => words,
        Err(error) => return line.watch.trouble(&format!("workers cannot be listened to: {error}")),
    };
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut open = FuturesUnordered::<BoxFuture<'static, Option<ToPublisher>>>::new();
    loop {
        tokio::select! {
            () = line.news(&mut look) => drop(line.is_up()),
            Some(message) = words.next() => hear(&said, &message),
            Some(event) = open.next() => event.into_iter().for_each(|event| inbox.put(event)),
            call = calls.recv(), if open.len() < MOST_OPEN => match call {
                Some(call) if line.is_up() => {
                    open.push(Box::pin(serve(line.client.clone(), line.watch.clone(), pointer.clone(), call)));
                }
                Some(call) => {
                    let refusal = Refusal::Unanswered(line.watch.now().to_string());
                    refused(call, refusal).into_iter().for_each(|event| inbox.put(event));
                }
                None => return,
            },
        }
    }
}

/// Takes up what a worker says of itself, in the place of what it said before.
fn hear(said: &Inbox<ToPublisher>, message: &Message) {
    // What is empty says that something is no longer kept.
    let Some(worker) = subjects::speaker(&message.subject).filter(|_| !message.payload.is_empty()) else { return };
    let is_old = |old: &ToPublisher| matches!(old, ToPublisher::Said { worker: of, .. } if *of == worker);
    said.put_in_place(is_old, ToPublisher::Said { worker: worker.clone(), bytes: message.payload.to_vec() });
}

async fn serve(client: Client, watch: Watch, pointer: String, call: Call) -> Option<ToPublisher> {
    match call {
        Call::Chunk { model, number, bytes } => {
            // There is one, or none: what has this name has these contents.
            let headers = after(0, subjects::MODELS);
            match put(&client, &watch, subjects::chunk(model, number), headers, bytes).await {
                Ok(_) => Some(ToPublisher::Stored { model, number }),
                Err(refusal) if is_changed(&refusal) => Some(ToPublisher::Stored { model, number }),
                Err(refusal) => Some(ToPublisher::Refused { model, number, refusal }),
            }
        }
        Call::Pointer { after: before, bytes } => {
            let headers = after(before, &subjects::bucket(subjects::FLEET));
            match put(&client, &watch, subjects::key(subjects::FLEET, &pointer), headers, bytes).await {
                Ok(Stored { sequence, .. }) => Some(ToPublisher::Put(sequence)),
                Err(refusal) if is_changed(&refusal) => Some(ToPublisher::Changed),
                Err(refusal) => Some(ToPublisher::NotPut(refusal)),
            }
        }
        Call::Ask => match get(&client, &watch, subjects::last(subjects::FLEET, &pointer)).await {
            Ok(None) => Some(ToPublisher::Pointer(None)),
            Ok(Some(message)) => {
                revision(&message).map(|revision| ToPublisher::Pointer(Some((revision, message.payload.to_vec()))))
            }
            Err(refusal) => {
                watch.trouble(&format!("the pointer cannot be asked for: {refusal}"));
                None
            }
        },
        Call::Forget(model) => {
            let body = json!({ "filter": subjects::chunks(model) }).to_string();
            if let Err(error) = client.request(subjects::purge_models(), body.into()).await {
                // It takes room until it is asked again.
                watch.trouble(&format!("model {model} cannot be forgotten: {error}"));
            }
            None
        }
    }
}

/// Headers of a message that is stored only if the last one on its subject is of this revision; 0: if there is none.
fn after(revision: u64, stream: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::NATS_EXPECTED_STREAM, stream);
    headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    headers
}
