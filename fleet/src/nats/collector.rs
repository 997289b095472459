//! The collector's side: frames in, receipts, answers and reports out.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use async_nats::{Client, HeaderMap, Message, Request, StatusCode, Subject, header, jetstream::stream::Info};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{sync::mpsc, time::Instant};

use super::{
    ask::stored,
    dial::Dial,
    health::{Health, Watch},
    inbox::{Bell, Inbox},
    line::{Line, Thread},
    reports::Reports,
    subjects, wire,
};
use crate::{
    ledger::Receipt,
    link::{Answer, CollectorLink, Lag, Link, LinkState, Report, Tag, ToCollector},
    name::Name,
};

/// Calls that may wait for the thread. What finds no room is dropped, as anything may be.
const MOST_CALLS: usize = 4096;

/// Messages to the server that may wait for a connection.
const MOST_OUT: usize = 8192;

/// Messages that were delivered and not answered: more than the server lets be open.
const MOST_OPEN: usize = 1024;

/// Events that may wait to be heard. Messages among them are as many as were wanted.
const MOST_EVENTS: usize = 256;

/// How long the server keeps a request for messages.
const EXPIRES: Duration = Duration::from_secs(5);

/// How much longer its end is waited for.
const LATE: Duration = Duration::from_secs(2);

/// Shortest and longest time between two requests that the server could not serve.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the answer to a report comes on, behind what answers come on, before the number of the report.
const OF_REPORT: &str = ".report";

/// How often the connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The collector's side of a NATS server. See [`super`].
#[derive(Debug)]
pub struct NatsCollector {
    // Dropped before the thread, whose task ends by it.
    calls: mpsc::Sender<Call>,
    inbox: Arc<Inbox<ToCollector>>,
    watch: Watch,
    thread: Thread,
}

/// What the trait was asked for.
#[derive(Debug)]
enum Call {
    Want { messages: usize, bytes: usize },
    Answer(Tag, Answer),
    Put { subject: String, value: Vec<u8> },
    Report(Report),
    AskStream,
}

impl NatsCollector {
    /// Connects, now or later, as the collector. The bell rings when there is something to hear.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn connect(dial: Dial, bell: Bell) -> io::Result<Self> {
        let (calls, to_do) = mpsc::channel(MOST_CALLS);
        let inbox = Arc::new(Inbox::new(MOST_EVENTS, bell));
        let watch = Watch::new(dial.servers());
        let to = inbox.clone();
        let task = |line| async move { Task::new(line, to).run(to_do).await };
        let thread = Thread::start("fleet-collector", dial, watch.clone(), task)?;
        Ok(Self { calls, inbox, watch, thread })
    }

    /// How the connection is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.watch.now()
    }

    fn call(&self, call: Call) {
        if self.calls.try_send(call).is_err() {
            self.watch.trouble("the link is busy, and something was not said; it will be said again when it is missed");
        }
    }
}

impl Link for NatsCollector {
    fn state(&self) -> LinkState {
        self.health().into()
    }
}

impl CollectorLink for NatsCollector {
    fn want(&mut self, messages: usize, bytes: usize) {
        self.call(Call::Want { messages, bytes });
    }

    fn answer(&mut self, tag: Tag, answer: Answer) {
        self.call(Call::Answer(tag, answer));
    }

    fn put_receipts(&mut self, worker: &Name, receipts: Vec<Receipt>) {
        self.call(Call::Put { subject: subjects::receipts_of(worker), value: wire::receipts(receipts) });
    }

    fn ask_stream(&mut self) {
        self.call(Call::AskStream);
    }

    fn put_report(&mut self, report: Report) {
        self.call(Call::Report(report));
    }

    fn hear(&mut self) -> Option<ToCollector> {
        self.thread.must_live();
        self.inbox.take()
    }
}

/// A request for messages that the server has. There is one at a time.
#[derive(Debug)]
struct Pull {
    number: u64,
    left: usize,
    until: Instant,
}

/// Something to be said.
#[derive(Debug)]
struct Word {
    subject: Subject,
    payload: Vec<u8>,
    is_report: bool,
}

/// What the thread does.
struct Task {
    line: Line,
    inbox: Arc<Inbox<ToCollector>>,
    /// What answers to requests for messages come on, but for the number of the request.
    pulls: String,
    pull: Option<Pull>,
    pull_number: u64,
    /// Messages and bytes that are wanted.
    wanted: (usize, usize),
    /// Requests in a row that could not be served, and when the next may be made.
    failures: u32,
    not_before: Instant,
    /// Where to answer what was delivered.
    open: BTreeMap<Tag, Subject>,
    last_tag: u64,
    /// What is to be said, in this order.
    out: VecDeque<Word>,
    reports: Reports,
}

impl Task {
    fn new(line: Line, inbox: Arc<Inbox<ToCollector>>) -> Self {
        let pulls = line.client.new_inbox();
        Self {
            line,
            inbox,
            pulls,
            pull: None,
            pull_number: 0,
            wanted: (0, 0),
            failures: 0,
            not_before: Instant::now(),
            open: BTreeMap::new(),
            last_tag: 0,
            out: VecDeque::new(),
            reports: Reports::default(),
        }
    }

    async fn run(mut self, mut calls: mpsc::Receiver<Call>) {
        let mut messages = match self.line.client.subscribe(format!("{}.*", self.pulls)).await {
            Ok(messages) => messages,
            Err(error) => return self.line.watch.trouble(&format!("messages cannot be listened to: {error}")),
        };
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut asked = FuturesUnordered::<BoxFuture<'static, Option<ToCollector>>>::new();
        let (mut connects, mut up) = (0, false);
        let client = self.line.client.clone();
        loop {
            if up {
                self.ask_messages();
            }
            let due = self.pull.as_ref().map_or(self.not_before, |pull| pull.until);
            let waits = self.pull.is_some() || self.wanted.0 > 0;
            tokio::select! {
                () = self.line.news(&mut look) => {
                    up = self.line.is_up();
                    if !up || self.line.connects() != connects {
                        connects = self.line.connects();
                        // The server has forgotten it, and what it sent is on no way any more.
                        self.pull = None;
                    }
                }
                Some(message) = messages.next() => self.take(message),
                Some(answer) = asked.next() => {
                    if let Some(answer) = answer {
                        let kind = std::mem::discriminant(&answer);
                        self.inbox.put_instead(|old| std::mem::discriminant(old) == kind, answer);
                    }
                }
                // Given up in between, it has said nothing.
                sent = say(&client, self.out.front(), &self.pulls, &self.reports), if up && !self.out.is_empty() => {
                    if sent {
                        self.was_said();
                    }
                }
                () = tokio::time::sleep_until(due), if up && waits && due > Instant::now() => {}
                call = calls.recv() => match call {
                    Some(Call::Want { messages, bytes }) => self.wanted = (messages, bytes),
                    Some(Call::Answer(tag, answer)) => self.answer(tag, answer),
                    Some(Call::Put { subject, value }) => self.say_later(subject.into(), value),
                    Some(Call::Report(report)) => {
                        let (subject, payload) = (subjects::report().into(), wire::report(report));
                        self.say_word(Word { subject, payload, is_report: true });
                    }
                    Some(Call::AskStream) => {
                        if up && asked.is_empty() {
                            asked.push(self.ask_stream());
                            asked.push(self.ask_lag());
                        }
                    }
                    None => break,
                },
            }
        }
        self.say_all().await;
    }

    /// Asks for messages, if some are wanted and none are on their way.
    fn ask_messages(&mut self) {
        let now = Instant::now();
        if self.pull.as_ref().is_some_and(|pull| pull.until <= now) {
            self.pull = None;
            self.failed("the server says nothing about messages; does our key have the rights of the collector?");
        }
        // What has come and was not heard yet is what was wanted.
        let messages = self.wanted.0.saturating_sub(self.inbox.len());
        if self.pull.is_some() || messages == 0 || now < self.not_before {
            return;
        }
        self.pull_number += 1;
        #[derive(Serialize)]
        struct Ask {
            batch: usize,
            max_bytes: usize,
            expires: u64,
        }
        let ask = Ask { batch: messages, max_bytes: self.wanted.1, expires: EXPIRES.as_nanos() as u64 };
        // Numbers alone: nothing that JSON lacks.
        let ask = serde_json::to_vec(&ask).expect("three numbers");
        let reply = format!("{}.{}", self.pulls, self.pull_number);
        let asked = self.line.client.publish_with_reply(subjects::pull(), reply, ask.into());
        if futures_util::FutureExt::now_or_never(tokio::task::unconstrained(asked)).is_some_and(|asked| asked.is_ok()) {
            self.pull = Some(Pull { number: self.pull_number, left: messages, until: now + EXPIRES + LATE });
        } else {
            // The client is full: there is something to be sent first.
            self.not_before = now + FIRST_PAUSE;
        }
    }

    /// A message, or what became of a request for some.
    fn take(&mut self, message: Message) {
        let of_report = message.subject.strip_prefix(&self.pulls).and_then(|rest| rest.strip_prefix(OF_REPORT));
        if let Some(Ok(number)) = of_report.map(str::parse) {
            let has_rival = self.reports.answered(number, stored(&message.payload));
            self.inbox.put_instead(|old| matches!(old, ToCollector::Rival(_)), ToCollector::Rival(has_rival));
            return;
        }
        let Some(status) = message.status.filter(|status| *status != StatusCode::OK) else {
            return self.deliver(message);
        };
        let number = message.subject.rsplit('.').next().and_then(|number| number.parse::<u64>().ok());
        if self.pull.as_ref().map(|pull| pull.number) != number {
            // Of one that was given up.
            return;
        }
        let what = message.description.unwrap_or_default();
        match status {
            StatusCode::IDLE_HEARTBEAT => {}
            // There were not as many within the time.
            StatusCode::TIMEOUT | StatusCode::NOT_FOUND => {
                self.pull = None;
                self.failures = 0;
            }
            StatusCode::NO_RESPONDERS => {
                self.pull = None;
                self.failed(
                    "there is no stream of games, or its servers choose a new leader; if this lasts, run `selfplayd fleet init`",
                );
            }
            _ => {
                self.pull = None;
                // Among them that there were as many bytes as were asked for, which is no failure.
                if !what.to_ascii_lowercase().contains("exceeds maxbytes") {
                    self.failed(&format!("the server does not serve a request for messages: {status} {what}"));
                }
            }
        }
    }

    fn deliver(&mut self, message: Message) {
        if let Some(pull) = &mut self.pull {
            pull.left = pull.left.saturating_sub(1);
            if pull.left == 0 {
                self.pull = None;
            }
        }
        self.failures = 0;
        self.wanted.0 = self.wanted.0.saturating_sub(1);
        let Some(reply) = message.reply else { return };
        let Some(from) = subjects::sender(&message.subject) else {
            // The stream takes no others, unless it was changed by hand.
            self.line.watch.trouble(&format!("a message on {} is none of a worker", message.subject));
            return self.say_later(reply, b"+TERM".to_vec());
        };
        self.last_tag += 1;
        let tag = Tag(self.last_tag);
        self.open.insert(tag, reply);
        if self.open.len() > MOST_OPEN {
            self.open.pop_first();
        }
        self.inbox.put(ToCollector::Message { tag, from, bytes: message.payload.to_vec() });
    }

    fn failed(&mut self, why: &str) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures += 1;
        self.not_before = Instant::now() + pause;
        self.line.watch.trouble(why);
    }

    fn answer(&mut self, tag: Tag, answer: Answer) {
        let Some(reply) = self.open.remove(&tag) else { return };
        let word = match answer {
            Answer::Ack => "+ACK".to_owned(),
            Answer::Term => "+TERM".to_owned(),
            Answer::Later(after) => format!("-NAK {{\"delay\":{}}}", after.as_nanos()),
        };
        self.say_later(reply, word.into_bytes());
    }

    fn say_later(&mut self, subject: Subject, payload: Vec<u8>) {
        self.say_word(Word { subject, payload, is_report: false });
    }

    fn say_word(&mut self, word: Word) {
        if self.out.len() < MOST_OUT {
            self.out.push_back(word);
        } else {
            self.line.watch.trouble("too much is to be said to the server; some of it was dropped");
        }
    }

    /// The client has taken what was first.
    fn was_said(&mut self) {
        if self.out.pop_front().is_some_and(|word| word.is_report) {
            self.reports.was_put();
        }
    }

    /// The last words: what the client takes at once.
    async fn say_all(&mut self) {
        while self.line.is_up() && !self.out.is_empty() {
            let said = say(&self.line.client, self.out.front(), &self.pulls, &self.reports);
            if !matches!(tokio::time::timeout(LOOK_EVERY, said).await, Ok(true)) {
                return;
            }
            self.was_said();
        }
    }

    fn ask_stream(&self) -> BoxFuture<'static, Option<ToCollector>> {
        let (client, watch) = (self.line.client.clone(), self.line.watch.clone());
        Box::pin(async move { ask(&client, &watch, subjects::stream_info(), read_info).await.map(ToCollector::Stream) })
    }

    fn ask_lag(&self) -> BoxFuture<'static, Option<ToCollector>> {
        let (client, watch) = (self.line.client.clone(), self.line.watch.clone());
        Box::pin(async move { ask(&client, &watch, subjects::consumer_info(), read_lag).await.map(ToCollector::Lag) })
    }
}

/// Hands the client something to say, when it has room; whether it took it. Given up in between, it has said nothing.
async fn say(client: &Client, word: Option<&Word>, inbox: &str, reports: &Reports) -> bool {
    let Some(Word { subject, payload, is_report }) = word else { return false };
    let (subject, payload) = (subject.clone(), payload.clone().into());
    if !is_report {
        return client.publish(subject, payload).await.is_ok();
    }
    let mut headers = HeaderMap::new();
    if let Some(revision) = reports.revision {
        headers.insert(header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    }
    let reply = format!("{inbox}{OF_REPORT}{}", reports.number + 1);
    client.publish_with_reply_and_headers(subject, reply, headers, payload).await.is_ok()
}

/// Asks the server how something is.
async fn ask<T>(client: &Client, watch: &Watch, subject: String, read: fn(&[u8]) -> Result<T, String>) -> Option<T> {
    let since = std::time::Instant::now();
    let read = match client.send_request(subject.clone(), Request::new()).await {
        Ok(message) => read(&message.payload),
        Err(error) => Err(watch.denial(&subject, since).unwrap_or_else(|| error.to_string())),
    };
    read.inspect_err(|reason| watch.trouble(&format!("how the stream is cannot be asked: {reason}"))).ok()
}

/// What an answer holds, or the server's own word on why it holds nothing.
fn answer<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Wrong {
        error: Option<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        description: String,
    }
    let wrong = |error: serde_json::Error| format!("the server's answer makes no sense: {error}");
    if let Wrong { error: Some(error) } = serde_json::from_slice(payload).map_err(wrong)? {
        return Err(error.description);
    }
    serde_json::from_slice(payload).map_err(wrong)
}

fn read_lag(payload: &[u8]) -> Result<Lag, String> {
    #[derive(Deserialize)]
    struct Info {
        num_pending: u64,
        num_ack_pending: u64,
    }
    let Info { num_pending, num_ack_pending } = answer(payload)?;
    Ok(Lag { waiting: num_pending, in_hand: num_ack_pending })
}

fn read_info(payload: &[u8]) -> Result<Report, String> {
    let info: Info = answer(payload)?;
    Ok(Report {
        created: u64::try_from(info.created.unix_timestamp_nanos()).unwrap_or(0),
        // It keeps a message until it is acknowledged: what is before the first was, or is lost.
        floor: info.state.first_sequence.saturating_sub(1),
        last: info.state.last_sequence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_stream_is_is_read_from_the_servers_answer() {
        let state = r#""state":{"messages":2,"bytes":9,"first_seq":6,"first_ts":"2026-11-30T12:00:00Z","last_seq":7,"last_ts":"2026-11-30T12:00:01Z","consumer_count":1}"#;
        let config = r#""config":{"name":"GAMES","subjects":["games.*.*"],"retention":"workqueue","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"discard":"new","storage":"file","num_replicas":1}"#;
        let info = format!(
            r#"{{"type":"io.nats.jetstream.api.v1.stream_info_response",{config},"created":"2026-11-30T11:00:00.000000007Z",{state}}}"#
        );
        let report = read_info(info.as_bytes()).unwrap();
        assert_eq!((report.floor, report.last, report.created % 1_000_000_000), (5, 7, 7));
        let wrong = br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;
        assert_eq!(read_info(wrong).unwrap_err(), "stream not found");
        assert!(read_info(b"{}").is_err() && read_info(b"").is_err());
    }

    #[test]
    fn how_far_it_is_behind_is_read_from_the_servers_answer() {
        let info = br#"{"type":"io.nats.jetstream.api.v1.consumer_info_response","stream_name":"GAMES","name":"collector","num_ack_pending":3,"num_redelivered":1,"num_waiting":1,"num_pending":40}"#;
        assert_eq!(read_lag(info).unwrap(), Lag { waiting: 40, in_hand: 3 });
        let wrong = br#"{"error":{"code":404,"err_code":10014,"description":"consumer not found"}}"#;
        assert_eq!(read_lag(wrong).unwrap_err(), "consumer not found");
        assert!(read_lag(b"{}").is_err());
    }
}
