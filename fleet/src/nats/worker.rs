//! A worker's side: frames out, receipts and reports in.

use std::{
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::{Client, HeaderMap, Message, Request, RequestError, RequestErrorKind, StatusCode, Subscriber, header};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::{
    dial::{ANSWER, Dial},
    health::{Health, Watch},
    inbox::{Bell, Inbox},
    line::{Line, Thread},
    subjects, wire,
};
use crate::{
    link::{MessageId, Refusal, ToWorker, WorkerLink},
    name::Name,
    worker::WINDOW,
};

/// Answers that may wait to be heard: more than are ever awaited.
const MOST_EVENTS: usize = 8 * WINDOW;

/// How often the last receipts and report are asked for: what is told at once is told at most once.
const ASK_EVERY: Duration = Duration::from_secs(30);

/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Errors by which a server says that it has no room: the stream's, and its own.
const FULL: [u64; 2] = [10_077, 10_023];

/// A worker's side of a NATS server. See [`super`].
#[derive(Debug)]
pub struct NatsWorker {
    // Dropped before the thread, whose task ends by it.
    frames: mpsc::Sender<(MessageId, Vec<u8>)>,
    inbox: Arc<Inbox<ToWorker>>,
    watch: Watch,
    _thread: Thread,
}

impl NatsWorker {
    /// Connects, now or later, as a worker of a run. The bell rings when there is something to hear.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn connect(dial: Dial, run: &Name, worker: &Name, bell: Bell) -> io::Result<Self> {
        let (frames, to_send) = mpsc::channel(2 * WINDOW);
        let inbox = Arc::new(Inbox::new(MOST_EVENTS, bell));
        let watch = Watch::new(dial.servers());
        let subject = subjects::games(run, worker);
        let (to, worker) = (inbox.clone(), worker.clone());
        let task = |line| async move { Task { line, subject, worker, inbox: to }.run(to_send).await };
        let thread = Thread::start("fleet-worker", dial, watch.clone(), task)?;
        Ok(Self { frames, inbox, watch, _thread: thread })
    }

    /// How the connection is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.watch.now()
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
        self.inbox.take()
    }
}

/// What the thread does.
struct Task {
    line: Line,
    subject: String,
    worker: Name,
    inbox: Arc<Inbox<ToWorker>>,
}

impl Task {
    async fn run(self, mut frames: mpsc::Receiver<(MessageId, Vec<u8>)>) {
        // First of all: what is put after this is heard, and what was put before is asked for.
        let Some((mut receipts, mut reports)) = self.subscribe().await else { return };
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut ask = tokio::time::interval(ASK_EVERY);
        let mut sent = FuturesUnordered::<BoxFuture<'static, Option<ToWorker>>>::new();
        let mut asked = FuturesUnordered::<BoxFuture<'static, [Option<ToWorker>; 2]>>::new();
        let mut connects = 0;
        loop {
            // Receipts before reports: a worker that hears that the collector is past a frame should know of its receipt.
            tokio::select! {
                biased;
                Some(message) = receipts.next() => self.tell(self.read_receipts(&message)),
                Some(message) = reports.next() => self.tell(self.read_report(&message)),
                Some(events) = asked.next() => events.into_iter().for_each(|event| self.tell(event)),
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
                        asked.push(self.ask());
                    }
                }
                frame = frames.recv(), if sent.len() < WINDOW => match frame {
                    Some((id, frame)) => sent.push(self.send(id, frame)),
                    None => return,
                },
            }
        }
    }

    async fn subscribe(&self) -> Option<(Subscriber, Subscriber)> {
        let receipts = self.line.client.subscribe(subjects::receipts_now(&self.worker)).await;
        let reports = self.line.client.subscribe(subjects::report_now()).await;
        match (receipts, reports) {
            (Ok(receipts), Ok(reports)) => Some((receipts, reports)),
            (Err(error), _) | (_, Err(error)) => {
                self.line.watch.trouble(&format!("receipts cannot be listened to: {error}"));
                None
            }
        }
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

    fn read_report(&self, message: &Message) -> Option<ToWorker> {
        report(&self.line.watch, &message.payload)
    }

    /// Asks for what was told last. The report first, so that the receipts are not older than it; they are heard first.
    fn ask(&self) -> BoxFuture<'static, [Option<ToWorker>; 2]> {
        let (client, watch) = (self.line.client.clone(), self.line.watch.clone());
        let of_receipts = subjects::last_receipts(&self.worker);
        Box::pin(async move {
            let last_report = last(&client, &watch, subjects::last_report()).await;
            let last_receipts = last(&client, &watch, of_receipts).await;
            let last_receipts = last_receipts.and_then(|message| receipts(&watch, &message.payload));
            [last_receipts, last_report.and_then(|message| report(&watch, &message.payload))]
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
            let since = SystemTime::now();
            let mut headers = HeaderMap::new();
            headers.insert(header::NATS_MESSAGE_ID, id.to_string());
            headers.insert(header::NATS_EXPECTED_STREAM, subjects::GAMES);
            let request = Request::new().headers(headers).payload(frame.into()).timeout(Some(ANSWER));
            let answer = client.send_request(subject.clone(), request).await;
            let answer = answer.map_err(|error| unanswered(&watch, &subject, since, &error));
            Some(match answer.and_then(|message| stored(&message.payload)) {
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

fn told(watch: &Watch, what: &str, read: Result<ToWorker, String>) -> Option<ToWorker> {
    read.inspect_err(|reason| watch.trouble(&format!("{what} cannot be read: {reason}"))).ok()
}

/// The last value under a bucket's key; nothing where there is none yet.
async fn last(client: &Client, watch: &Watch, subject: String) -> Option<Message> {
    let since = SystemTime::now();
    match client.send_request(subject.clone(), Request::new()).await {
        Ok(message) if message.status.is_none_or(|status| status == StatusCode::OK) => Some(message),
        Ok(message) => {
            if message.status != Some(StatusCode::NOT_FOUND) {
                let what = message.description.unwrap_or_default();
                watch.trouble(&format!("the last receipts cannot be asked for: {what}"));
            }
            None
        }
        Err(error) => {
            let refusal = unanswered(watch, &subject, since, &error);
            watch.trouble(&format!("the last receipts cannot be asked for: {refusal}"));
            None
        }
    }
}

/// What it means that a request had no answer.
fn unanswered(watch: &Watch, subject: &str, since: SystemTime, error: &RequestError) -> Refusal {
    match error.kind() {
        RequestErrorKind::MaxPayloadExceeded | RequestErrorKind::InvalidSubject => Refusal::Denied(error.to_string()),
        // No stream takes this subject: not made yet, or its servers choose a new leader.
        RequestErrorKind::NoResponders => Refusal::Unanswered(
            "no stream takes it now; if this lasts, run `selfplayd fleet init` beside the trainer".to_owned(),
        ),
        _ => match watch.denial(subject, since) {
            Some(denial) => Refusal::Denied(denial),
            None => Refusal::Unanswered(error.to_string()),
        },
    }
}

/// Where a frame is.
#[derive(Debug, PartialEq, Eq)]
struct Stored {
    sequence: u64,
    duplicate: bool,
}

/// What a server's answer to a frame says.
fn stored(payload: &[u8]) -> Result<Stored, Refusal> {
    #[derive(Deserialize)]
    struct Answer {
        error: Option<Wrong>,
        #[serde(default)]
        seq: u64,
        #[serde(default)]
        duplicate: bool,
    }
    #[derive(Deserialize)]
    struct Wrong {
        #[serde(default)]
        err_code: u64,
        #[serde(default)]
        description: String,
    }
    let answer: Answer = serde_json::from_slice(payload)
        .map_err(|error| Refusal::Unanswered(format!("the server's answer makes no sense: {error}")))?;
    match answer.error {
        None if answer.seq > 0 => Ok(Stored { sequence: answer.seq, duplicate: answer.duplicate }),
        None => Err(Refusal::Unanswered("the server's answer names no place in the stream".to_owned())),
        Some(Wrong { err_code, description }) => {
            let reason = format!("{description} ({err_code})");
            Err(if FULL.contains(&err_code) { Refusal::Full(reason) } else { Refusal::Denied(reason) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_place_or_a_refusal() {
        let place = stored(br#"{"stream":"GAMES","seq":7,"duplicate":true}"#);
        assert_eq!(place, Ok(Stored { sequence: 7, duplicate: true }));
        let full = br#"{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"GAMES","seq":0}"#;
        assert_eq!(stored(full), Err(Refusal::Full("maximum bytes exceeded (10077)".to_owned())));
        let disk = br#"{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}"#;
        assert!(matches!(stored(disk), Err(Refusal::Full(_))));
        let wrong = br#"{"error":{"code":400,"err_code":10060,"description":"expected stream does not match"}}"#;
        assert!(matches!(stored(wrong), Err(Refusal::Denied(reason)) if reason.contains("10060")));
        for nothing in [&b""[..], b"{}", b"+OK", br#"{"stream":"GAMES","seq":0}"#] {
            assert!(matches!(stored(nothing), Err(Refusal::Unanswered(_))), "{nothing:?}");
        }
    }
}
