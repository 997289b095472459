//! What can happen next in a schedule, and to whom.

/// An actor or thread that sends mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Cache,
    Batcher,
    Loader,
    Root,
    Thread(usize),
    Game(usize),
}

/// Where in a message's handling its receiver panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panic {
    Never,
    Before,
    /// At the so-many-th position hashed.
    Within(u64),
    After,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The oldest message of a sender arrives in its receiver's mailbox.
    Arrive(Who),
    /// The cache takes a message up.
    Cache(Panic),
    /// The batcher takes a message up.
    Batcher(Panic),
    /// The batcher's timer fires.
    Timer,
    /// An inference thread runs a batch, reports it, or takes another model.
    Thread(usize),
    /// A game asks for evaluations.
    Ask(usize),
    /// The loader sends another model.
    Swap,
    /// Play is paused, or a pause ends.
    Toggle,
    /// The pause is a long one: the loader has the model dropped.
    Unload,
    /// The pool is closed: the daemon stops.
    Close,
}
