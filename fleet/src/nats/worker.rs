//! A worker's side: frames out; receipts, reports, pointers and chunks of models in.

use std::{cell::Cell, io, sync::Arc, time::Duration};

use async_nats::{HeaderMap, Message, Subscriber, header};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;

use super::{
    ask::{Stored, get, last, put, revision},
    dial::Dial,
    health::{Health, Watch},
    inbox::{Bell, Inbox},
    line::{Line, Thread},
    subjects, wire,
};
use crate::{
    link::{Link, LinkState, MessageId, PlayerLink, Refusal, ToPlayer, ToWorker, WorkerLink},
    models::{self, Hash},
    name::Name,
    worker::WINDOW,
};

/// Answers that may wait to be heard: more than are ever awaited.
const MOST_EVENTS: usize = 8 * WINDOW;

/// Chunks of models that may wait to be asked for, or heard.
const MOST_CHUNKS: usize = 4 * models::WINDOW;

/// Words on how this worker is that may wait to be said.
const MOST_WORDS: usize = 4;

/// How often what was told last is asked for: what is told at once is told at most once.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A worker's side of a NATS server. See [`super`].
#[derive(Debug)]
pub struct NatsWorker {
    // Dropped before the thread, whose task ends by it.
    frames: mpsc::Sender<(MessageId, Vec<u8>)>,
    chunks: mpsc::Sender<(Hash, u64)>,
    words: mpsc::Sender<Vec<u8>>,
    inbox: Arc<Inbox<ToWorker>>,
    of_models: Arc<Inbox<ToPlayer>>,
    watch: Watch,
    thread: Thread,
}

impl NatsWorker {
    /// Connects, now or later, as a worker of a run. The bell rings when there is something to hear.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn connect(dial: Dial, run: &Name, worker: &Name, bell: Bell) -> io::Result<Self> {
        let (frames, to_send) = mpsc::channel(2 * WINDOW);
        let (chunks, to_get) = mpsc::channel(MOST_CHUNKS);
        let (words, to_say) = mpsc::channel(MOST_WORDS);
        let inbox = Arc::new(Inbox::new(MOST_EVENTS, bell.clone()));
        let of_models = Arc::new(Inbox::new(MOST_CHUNKS, bell));
        let watch = Watch::new(dial.servers());
        let subject = subjects::games(run, worker);
        let (to, of, run, worker) = (inbox.clone(), of_models.clone(), run.clone(), worker.clone());
        let task = |line| async move {
            let task = Task { line, subject, run, worker, inbox: to, of_models: of, report: Cell::new(None) };
            task.run(to_send, to_get, to_say).await;
        };
        let thread = Thread::start("fleet-worker", dial, watch.clone(), task)?;
        Ok(Self { frames, chunks, words, inbox, of_models, watch, thread })
    }

    /// How the connection is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.watch.now()
    }
}

impl Link for NatsWorker {
    fn state(&self) -> LinkState {
        self.health().into()
    }
}

impl WorkerLink for NatsWorker {
    fn publish(&mut self, id: MessageId, frame: Vec<u8>) {
        if self.frames.try_send((id, frame)).is_err() {
            let refusal = Refusal::Unanswered("the link is busy".to_owned());
            self.inbox.put(ToWorker::Refused { id, refusal });
        }
    }

    fn hear(&mut self) -> Option<ToWorker> {
        self.thread.must_live();
        self.inbox.take()
    }
}

impl PlayerLink for NatsWorker {
    fn get_chunk(&mut self, model: Hash, number: u64) {
        if self.chunks.try_send((model, number)).is_err() {
            let reason = "the link is busy".to_owned();
            self.of_models.put(ToPlayer::NoChunk { model, number, reason });
        }
    }

    fn hear_of_models(&mut self) -> Option<ToPlayer> {
        self.of_models.take()
    }

    fn say(&mut self, said: Vec<u8>) {
        // What finds no room is old when there is some.
        drop(self.words.try_send(said));
    }
}

/// What the thread does.
struct Task {
    line: Line,
    subject: String,
    run: Name,
    worker: Name,
    inbox: Arc<Inbox<ToWorker>>,
    of_models: Arc<Inbox<ToPlayer>>,
    /// Which report was heard last.
    report: Cell<Option<u64>>,
}

/// What was told last, of what a worker listens to.
enum Last {
    OfGames { receipts: Option<ToWorker>, report: Option<Message> },
    OfModels(Option<ToPlayer>),
}

impl Task {
    async fn run(
        self,
        mut frames: mpsc::Receiver<(MessageId, Vec<u8>)>,
        mut chunks: mpsc::Receiver<(Hash, u64)>,
        mut words: mpsc::Receiver<Vec<u8>>,
    ) {
        // First of all: what is put after this is heard, and what was put before is asked for.
        let Some([mut receipts, mut reports, mut pointers]) = self.subscribe().await else { return };
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut ask = tokio::time::interval(ASK_EVERY);
        let mut sent = FuturesUnordered::<BoxFuture<'static, Option<ToWorker>>>::new();
        let mut asked = FuturesUnordered::<BoxFuture<'static, Last>>::new();
        let mut got = FuturesUnordered::<BoxFuture<'static, ToPlayer>>::new();
        let mut connects = 0;
        loop {
            // What was asked for before what was told at once, which may have come after it and be newer. Receipts before reports: a worker
            // that hears that the collector is past a frame should know of its receipt.
            tokio::select! {
                biased;
                Some(last) = asked.next() => match last {
                    Last::OfGames { receipts, report } => {
                        self.tell(receipts);
                        report.iter().for_each(|report| self.tell_report(report));
                    }
                    Last::OfModels(pointer) => self.tell_pointer(pointer),
                },
                Some(message) = receipts.next() => self.tell(self.read_receipts(&message)),
                Some(message) = reports.next() => self.tell_report(&message),
                Some(message) = pointers.next() => self.tell_pointer(self.read_pointer(&message)),
                Some(event) = sent.next() => self.tell(event),
                () = self.line.news(&mut look) => {
                    // One that came about anew may have another server behind it, with other receipts.
                    if self.line.is_up() && self.line.connects() != connects {
                        connects = self.line.connects();
                        ask.reset_immediately();
                    }
                }
                _ = ask.tick() => {
                    if self.line.is_up() && asked.is_empty() {
                        asked.push(self.ask_of_games());
                        asked.push(self.ask_of_models());
                    }
                }
                Some(event) = got.next() => self.of_models.put(event),
                Some(said) = words.recv() => self.say(said),
                Some((model, number)) = chunks.recv(), if got.len() < models::WINDOW => {
                    got.push(self.get_chunk(model, number));
                }
                frame = frames.recv(), if sent.len() < WINDOW => match frame {
                    Some((id, frame)) => sent.push(self.send(id, frame)),
                    None => return,
                },
            }
        }
    }

    async fn subscribe(&self) -> Option<[Subscriber; 3]> {
        let client = &self.line.client;
        let pointers = subjects::now(subjects::FLEET, &subjects::pointer_key(&self.run));
        let subscribed = futures_util::future::try_join3(
            client.subscribe(subjects::receipts_now(&self.worker)),
            client.subscribe(subjects::report_now()),
            client.subscribe(pointers),
        );
        let told = subscribed.await.map(|(receipts, reports, pointers)| [receipts, reports, pointers]);
        told.inspect_err(|error| self.line.watch.trouble(&format!("receipts cannot be listened to: {error}"))).ok()
    }

    /// Only the newest receipts and the newest report wait to be heard: no report before the receipts that it speaks of.
    fn tell(&self, event: Option<ToWorker>) {
        match event {
            Some(event @ ToWorker::Receipts(_)) => {
                self.inbox.put_in_place(|old| matches!(old, ToWorker::Receipts(_)), event);
            }
            Some(event @ ToWorker::Report(_)) => {
                self.inbox.put_instead(|old| matches!(old, ToWorker::Report(_)), event);
            }
            Some(event) => self.inbox.put(event),
            None => {}
        }
    }

    fn read_receipts(&self, message: &Message) -> Option<ToWorker> {
        receipts(&self.line.watch, &message.payload)
    }

    /// A report once, also where it was told at once and is asked for as well: two reports are two looks at the stream.
    fn tell_report(&self, message: &Message) {
        let revision = revision(message);
        if revision.is_none() || self.report.replace(revision) != revision {
            self.tell(report(&self.line.watch, &message.payload));
        }
    }

    fn tell_pointer(&self, event: Option<ToPlayer>) {
        if let Some(event) = event {
            self.of_models.put_instead(|old| matches!(old, ToPlayer::Pointer { .. }), event);
        }
    }

    fn read_pointer(&self, message: &Message) -> Option<ToPlayer> {
        pointer(&self.line.watch, message)
    }

    /// Asks for the last report and receipts. The report first, so that the receipts are not older than it; they are heard first.
    fn ask_of_games(&self) -> BoxFuture<'static, Last> {
        let (client, watch) = (self.line.client.clone(), self.line.watch.clone());
        let of_receipts = subjects::last_receipts(&self.worker);
        Box::pin(async move {
            let last_report = last(&client, &watch, subjects::last_report()).await;
            let last_receipts = last(&client, &watch, of_receipts).await;
            Last::OfGames {
                receipts: last_receipts.and_then(|message| receipts(&watch, &message.payload)),
                report: last_report,
            }
        })
    }

    fn ask_of_models(&self) -> BoxFuture<'static, Last> {
        let (client, watch) = (self.line.client.clone(), self.line.watch.clone());
        let of_pointer = subjects::last(subjects::FLEET, &subjects::pointer_key(&self.run));
        Box::pin(async move {
            let last_pointer = last(&client, &watch, of_pointer).await;
            Last::OfModels(last_pointer.and_then(|message| pointer(&watch, &message)))
        })
    }

    /// Says how this worker is, if the client takes it at once.
    fn say(&self, said: Vec<u8>) {
        if self.line.is_up() {
            let saying = self.line.client.publish(subjects::presence_of(&self.worker), said.into());
            // What is lost of it is said again a moment later.
            drop(futures_util::FutureExt::now_or_never(tokio::task::unconstrained(saying)));
        }
    }

    fn get_chunk(&self, model: Hash, number: u64) -> BoxFuture<'static, ToPlayer> {
        let (client, watch, up) = (self.line.client.clone(), self.line.watch.clone(), self.line.is_up());
        Box::pin(async move {
            let reason = if up {
                match get(&client, &watch, subjects::get_chunk(model, number)).await {
                    Ok(Some(message)) => return ToPlayer::Chunk { model, number, bytes: message.payload.to_vec() },
                    Ok(None) => "the broker does not have it".to_owned(),
                    Err(refusal) => refusal.to_string(),
                }
            } else {
                watch.now().to_string()
            };
            ToPlayer::NoChunk { model, number, reason }
        })
    }

    fn send(&self, id: MessageId, frame: Vec<u8>) -> BoxFuture<'static, Option<ToWorker>> {
        if !self.line.is_up() {
            // What is handed to a client without a connection is sent in the end, long after it was said to have failed.
            let refusal = Refusal::Unanswered(self.line.watch.now().to_string());
            return Box::pin(async move { Some(ToWorker::Refused { id, refusal }) });
        }
        let (client, watch, subject) = (self.line.client.clone(), self.line.watch.clone(), self.subject.clone());
        Box::pin(async move {
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_MESSAGE_ID, id.to_string());
            headers.insert(header::NATS_EXPECTED_STREAM, subjects::GAMES);
            Some(match put(&client, &watch, subject, headers, frame).await {
                Ok(Stored { sequence, duplicate }) => ToWorker::Stored { id, sequence, duplicate },
                Err(refusal) => ToWorker::Refused { id, refusal },
            })
        })
    }
}

fn receipts(watch: &Watch, payload: &[u8]) -> Option<ToWorker> {
    told(watch, "receipts", wire::read(payload).map(ToWorker::Receipts))
}

fn report(watch: &Watch, payload: &[u8]) -> Option<ToWorker> {
    told(watch, "a report", wire::read(payload).map(ToWorker::Report))
}

fn pointer(watch: &Watch, message: &Message) -> Option<ToPlayer> {
    let revision = revision(message);
    if revision.is_none() {
        watch.trouble("the pointer to the model has no revision");
    }
    revision.map(|revision| ToPlayer::Pointer { revision, bytes: message.payload.to_vec() })
}

fn told(watch: &Watch, what: &str, read: Result<ToWorker, String>) -> Option<ToWorker> {
    read.inspect_err(|reason| watch.trouble(&format!("{what} cannot be read: {reason}"))).ok()
}
