//! Callers, within bounds: so many at once, so large a head, so long a wait. A caller that exceeds them is cut off; no other
//! notices.

use std::{
    convert::Infallible,
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    http::Request,
};
use hyper::{
    body::{Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{Instant, Sleep, sleep, timeout},
};

use super::{
    access::{Access, Caller},
    listen::Listener,
    routes,
};

/// Callers at once, for each place where they are heard.
const MOST_CALLERS: usize = 64;
/// Largest head of a request, and most of an answer that waits to be sent, in bytes.
const MOST_HEAD: usize = 16 << 10;
/// Most headers of a request.
const MOST_HEADERS: usize = 64;
/// How long the head of a request may take, or be waited for.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a caller may take none of an answer.
const TAKE_WITHIN: Duration = Duration::from_secs(20);
/// How long callers may take to hear the last answers when the server stops.
const END_WITHIN: Duration = Duration::from_secs(1);
/// Wait after a failure to accept a caller, as when no file descriptors are left.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// What those hear who are too many.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-type: application/json\r\n\
    content-length: 78\r\n\r\n{\"error\":\"too many connections\",\"hint\":\"close some, or ask again in a moment\"}";

/// Hears callers at one place until `stopping` is true, then lets them hear the last answers.
pub(super) async fn serve(listener: Listener, router: Router, access: Arc<Access>, stopping: watch::Receiver<bool>) {
    let mut callers = JoinSet::new();
    let mut seats = Seats::default();
    let mut stop = stopping.clone();
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = callers.join_next() => {}
            accepted = accept(&listener) => match accepted {
                Ok((Stream::Tcp(stream), _)) if !seats.make_room() => drop(stream.try_write(BUSY)),
                Ok((Stream::Unix(stream), _)) if !seats.make_room() => drop(stream.try_write(BUSY)),
                Ok((stream, caller)) => {
                    let seat = Arc::new(Seat::default());
                    let (router, access, stopping) = (router.clone(), access.clone(), stopping.clone());
                    let task = match stream {
                        Stream::Tcp(stream) => callers.spawn(hear(stream, caller, router, access, seat.clone(), stopping)),
                        Stream::Unix(stream) => callers.spawn(hear(stream, caller, router, access, seat.clone(), stopping)),
                    };
                    seats.0.push((task, seat));
                }
                Err(error) => {
                    tracing::debug!(%error, "failed to accept a caller");
                    sleep(RETRY_WAIT).await;
                }
            }
        }
    }
    drop(listener);
    // A caller that has not heard it by then never will.
    timeout(END_WITHIN, async { while callers.join_next().await.is_some() {} }).await.ok();
}

/// Those who are heard, each with what ends it.
#[derive(Default)]
struct Seats(Vec<(AbortHandle, Arc<Seat>)>);

impl Seats {
    /// Sees to it that one more may be heard. Of too many, the one that has asked for nothing for longest is cut off: who only
    /// holds connections open keeps no other out. False where all of them are being answered.
    fn make_room(&mut self) -> bool {
        self.0.retain(|(task, _)| !task.is_finished());
        if self.0.len() < MOST_CALLERS {
            return true;
        }
        let idle = self.0.iter().enumerate().filter_map(|(place, (_, seat))| Some((seat.idle_since()?, place)));
        let Some((_, place)) = idle.min() else { return false };
        self.0.swap_remove(place).0.abort();
        true
    }
}

/// What one caller is about.
#[derive(Debug)]
struct Seat(Mutex<(u32, Instant)>);

impl Default for Seat {
    fn default() -> Self {
        Self(Mutex::new((0, Instant::now())))
    }
}

impl Seat {
    /// Since when nothing is answered; `None` while something is.
    fn idle_since(&self) -> Option<Instant> {
        let (answering, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (answering == 0).then_some(since)
    }

    /// A request is being answered until what is returned is dropped.
    fn answering(self: &Arc<Self>) -> Answering {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 += 1;
        Answering(self.clone())
    }
}

struct Answering(Arc<Seat>);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut seat = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *seat = (seat.0 - 1, Instant::now());
    }
}

/// Waits until the server stops.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stopping| *stopping).await);
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn accept(listener: &Listener) -> io::Result<(Stream, Caller)> {
    match listener {
        Listener::Tcp(tcp) | Listener::Metrics(tcp) => {
            let (stream, address) = tcp.accept().await?;
            stream.set_nodelay(true).ok(); // Slower answers are no reason to give none.
            Ok((Stream::Tcp(stream), Caller::Tcp(address)))
        }
        Listener::Unix(unix) => {
            let stream = unix.accept().await?.0;
            let user = stream.peer_cred().ok().map(|peer| peer.uid());
            Ok((Stream::Unix(stream), Caller::Unix(user)))
        }
    }
}

/// Answers one caller until it leaves, exceeds a bound, or the server stops.
async fn hear(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    caller: Caller,
    router: Router,
    access: Arc<Access>,
    seat: Arc<Seat>,
    mut stopping: watch::Receiver<bool>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, access, answering) = (router.clone(), access.clone(), seat.answering());
        async move {
            let answer = routes::answer(router, &access, caller, request.map(Body::new)).await;
            // Until the last of it is on its way: events go on for hours.
            Ok::<_, Infallible>(answer.map(|body| Held { body, _answering: answering }))
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).max_buf_size(MOST_HEAD).max_headers(MOST_HEADERS);
    let mut connection = pin!(http.serve_connection(TokioIo::new(Patient::new(stream)), service));
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = stopped(&mut stopping) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a caller was cut off");
    }
}

/// The body of an answer, during which its caller is not idle: events go on for hours.
struct Held {
    body: Body,
    _answering: Answering,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose reader may not take nothing for ever.
struct Patient<S> {
    stream: S,
    /// Rings when the reader has taken nothing for too long. Made once, because most never wait.
    alarm: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Self {
        Self { stream, alarm: None, waiting: false }
    }

    /// Lets `outcome` pass, unless it has been pending for too long.
    fn within<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = false;
            return outcome;
        }
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(TAKE_WITHIN)));
        if !std::mem::replace(&mut self.waiting, true) {
            alarm.as_mut().reset(Instant::now() + TAKE_WITHIN);
        }
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.within(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.within(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.within(outcome, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a byte at every tick.
    struct Slow(tokio::time::Interval);

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            self.0.poll_tick(context).map(|_| Ok(1))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Writes up to five bytes, one after the other, to a reader that takes one every so often.
    async fn write(every: Duration) -> io::Result<usize> {
        let mut stream = Patient::new(Slow(tokio::time::interval_at(Instant::now() + every, every)));
        let mut written = 0;
        while written < 5 {
            written += std::future::poll_fn(|context| Pin::new(&mut stream).poll_write(context, b"byte")).await?;
        }
        Ok(written)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_takes_nothing_is_cut_off_and_a_slow_one_is_not() {
        assert_eq!(write(TAKE_WITHIN - Duration::from_secs(1)).await.unwrap(), 5);
        let begun = Instant::now();
        let error = write(TAKE_WITHIN + Duration::from_secs(1)).await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_secs()), (io::ErrorKind::TimedOut, TAKE_WITHIN.as_secs()));
    }

    #[test]
    fn the_refusal_has_the_length_that_it_says() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<super::super::answer::Words>(body).unwrap();
    }
}
