//! A TCP link between two parts of a fleet, which can be cut, slowed, and left open while nothing comes through.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use crate::wait::pause;

/// How often a connection looks how the link is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Bytes that come through a slow link at once.
const PIECE: usize = 4096;

/// How a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// What is sent comes through.
    Well,
    /// Connections end, new ones too.
    Cut,
    /// Cut for this time, well for this time, and so on.
    Flapping(Duration),
    /// A piece of some kB takes this time.
    Slow(Duration),
    /// Connections stay, and nothing comes through.
    Deaf,
    /// Connections stay, and what is sent comes through; what the other end says does not.
    Mute,
}

/// A link to an address of this machine. Dropped, it is cut.
pub(crate) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<(State, Instant)>,
    ends: AtomicBool,
}

impl Shared {
    /// How the link is now: one that flaps is cut, or well.
    fn now(&self) -> State {
        let (state, since) = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state {
            _ if self.ends.load(Relaxed) => State::Cut,
            State::Flapping(turn) if (since.elapsed().as_millis() / turn.as_millis()).is_multiple_of(2) => State::Cut,
            State::Flapping(_) => State::Well,
            state => state,
        }
    }
}

impl Link {
    /// A link to `port` of this machine, at a port that the system gives.
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared =
            Arc::new(Shared { state: Mutex::new((State::Well, Instant::now())), ends: AtomicBool::new(false) });
        let of_thread = shared.clone();
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                if of_thread.ends.load(Relaxed) {
                    return;
                }
                if of_thread.now() != State::Cut
                    && let Ok(far) = TcpStream::connect(("127.0.0.1", port))
                {
                    carry(&near, &far, &of_thread);
                }
            }
        });
        Self { address, shared }
    }

    /// Where to connect to.
    pub(crate) const fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on it is like this.
    pub(crate) fn set(&self, state: State) {
        *self.shared.state.lock().unwrap_or_else(PoisonError::into_inner) = (state, Instant::now());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.ends.store(true, Relaxed);
        // So that the thread looks.
        TcpStream::connect(self.address).ok();
    }
}

/// Carries both ways of a connection, on threads of their own.
fn carry(near: &TcpStream, far: &TcpStream, shared: &Arc<Shared>) {
    for (from, to, is_answer) in [(near, far, false), (far, near, true)] {
        let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), shared.clone());
        thread::spawn(move || {
            let way = Way { from, to, is_answer, shared };
            way.carry();
            // Both ends hear of it, and so does the thread of the other way.
            way.from.shutdown(Shutdown::Both).ok();
            way.to.shutdown(Shutdown::Both).ok();
        });
    }
}

/// One way of a connection.
struct Way {
    from: TcpStream,
    to: TcpStream,
    is_answer: bool,
    shared: Arc<Shared>,
}

impl Way {
    fn carry(&self) {
        let (mut from, mut to) = (&self.from, &self.to);
        from.set_read_timeout(Some(LOOK_EVERY)).unwrap();
        to.set_write_timeout(Some(LOOK_EVERY)).unwrap();
        let is_late = |error: &std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        let mut buffer = vec![0; 16 * PIECE];
        let mut waiting = 0..0;
        loop {
            let mut most = buffer.len();
            match self.shared.now() {
                State::Cut => return,
                State::Deaf => {
                    pause(LOOK_EVERY);
                    continue;
                }
                State::Mute if self.is_answer => {
                    pause(LOOK_EVERY);
                    continue;
                }
                State::Slow(time) => {
                    pause(time);
                    most = PIECE;
                }
                State::Well | State::Mute | State::Flapping(_) => {}
            }
            let moved =
                if waiting.is_empty() { from.read(&mut buffer[..most]) } else { to.write(&buffer[waiting.clone()]) };
            match moved {
                Ok(0) => return,
                Ok(bytes) if waiting.is_empty() => waiting = 0..bytes,
                Ok(bytes) => waiting.start += bytes,
                Err(error) if is_late(&error) => {}
                Err(_) => return,
            }
        }
    }
}
