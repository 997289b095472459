//! What is asked of a server, and what its answers mean.

use std::time::Instant;

use async_nats::{Client, HeaderMap, Message, Request, RequestError, RequestErrorKind, StatusCode, header};
use serde::Deserialize;

use super::{dial::ANSWER, health::Watch};
use crate::link::Refusal;

/// Errors by which a server says that it has no room: the stream's, and its own.
const FULL: [u64; 2] = [10_077, 10_023];

/// Error by which it says that something else was put there before.
const CHANGED: &str = "(10071)";

/// Puts a message into a stream; what the server says.
pub(super) async fn put(
    client: &Client,
    watch: &Watch,
    subject: String,
    headers: HeaderMap,
    payload: Vec<u8>,
) -> Result<Stored, Refusal> {
    let since = Instant::now();
    let request = Request::new().headers(headers).payload(payload.into()).timeout(Some(ANSWER));
    match client.send_request(subject.clone(), request).await {
        Ok(message) => stored(&message.payload),
        Err(error) => Err(unanswered(watch, &subject, since, &error)),
    }
}

/// Whether a message was refused because another was put on its subject before.
pub(super) fn is_changed(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Denied(reason) if reason.ends_with(CHANGED))
}

/// The last message on a subject, asked for where that is done; nothing where there is none.
///
/// # Errors
/// When it cannot be told whether there is one.
pub(super) async fn get(client: &Client, watch: &Watch, subject: String) -> Result<Option<Message>, Refusal> {
    let since = Instant::now();
    match client.send_request(subject.clone(), Request::new()).await {
        Ok(message) if message.status.is_none_or(|status| status == StatusCode::OK) => Ok(Some(message)),
        Ok(message) if message.status == Some(StatusCode::NOT_FOUND) => Ok(None),
        Ok(message) => Err(Refusal::Denied(message.description.unwrap_or_default())),
        Err(error) => Err(unanswered(watch, &subject, since, &error)),
    }
}

/// The same, where it can wait: nothing when it cannot be told, either.
pub(super) async fn last(client: &Client, watch: &Watch, subject: String) -> Option<Message> {
    let got = get(client, watch, subject).await;
    got.inspect_err(|refusal| watch.trouble(&format!("what was told last cannot be asked for: {refusal}"))).ok()?
}

/// Which of the messages of its stream one is, that was asked for or told at once.
pub(super) fn revision(message: &Message) -> Option<u64> {
    message.headers.as_ref()?.get(header::NATS_SEQUENCE)?.as_str().parse().ok()
}

/// What it means that a request had no answer.
fn unanswered(watch: &Watch, subject: &str, since: Instant, error: &RequestError) -> Refusal {
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

/// Where a message is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) sequence: u64,
    pub(super) duplicate: bool,
}

/// What a server's answer to a message for a stream says.
pub(super) fn stored(payload: &[u8]) -> Result<Stored, Refusal> {
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
        let changed = br#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 3"}}"#;
        assert!(is_changed(&stored(changed).unwrap_err()) && !is_changed(&stored(wrong).unwrap_err()));
        for nothing in [&b""[..], b"{}", b"+OK", br#"{"stream":"GAMES","seq":0}"#] {
            assert!(matches!(stored(nothing), Err(Refusal::Unanswered(_))), "{nothing:?}");
        }
    }
}
