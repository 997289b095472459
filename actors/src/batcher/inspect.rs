//! A look inside the batcher, for tests that drive it by hand.

use super::*;

impl<G: Game> BatcherActor<G> {
    /// Whether the serving model is not to be used any more.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.probation.is_withdrawn()
    }

    /// Leaves that wait for a thread.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Whether it waits for its timer.
    pub(crate) fn has_timer(&self) -> bool {
        self.timer.is_some()
    }

    /// Its timer fires.
    pub(crate) fn fire_timer(&mut self, ctx: &mut Context<Self>) {
        self.wake(ctx);
    }
}
