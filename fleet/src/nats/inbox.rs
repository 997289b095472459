//! What a link has heard and nobody has taken yet.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Called from the link's thread whenever there is something to hear. It must not wait.
#[derive(Clone)]
pub struct Bell(Arc<dyn Fn() + Send + Sync>);

impl Bell {
    /// A bell that calls this.
    pub fn new(ring: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(ring))
    }

    /// One that is heard by none: for those who look by themselves.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|| ())
    }

    fn ring(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bell")
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Inbox<T> {
    events: Mutex<VecDeque<T>>,
    most: usize,
    bell: Bell,
}

impl<T> Inbox<T> {
    /// Room for `most` events. When they are more the oldest goes: every event may be lost.
    pub(super) fn new(most: usize, bell: Bell) -> Self {
        Self { events: Mutex::new(VecDeque::new()), most, bell }
    }

    fn events(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, event: T) {
        self.put_instead(|_| false, event);
    }

    /// Puts an event at the end, and takes away those that it makes old.
    pub(super) fn put_instead(&self, is_old: impl Fn(&T) -> bool, event: T) {
        let mut events = self.events();
        events.retain(|event| !is_old(event));
        self.push(events, event);
    }

    /// Puts an event in the place of one that it makes old; at the end where there is none.
    pub(super) fn put_in_place(&self, is_old: impl Fn(&T) -> bool, event: T) {
        let mut events = self.events();
        match events.iter_mut().find(|event| is_old(event)) {
            Some(old) => *old = event,
            None => self.push(events, event),
        }
    }

    fn push(&self, mut events: MutexGuard<'_, VecDeque<T>>, event: T) {
        if events.len() >= self.most {
            events.pop_front();
        }
        events.push_back(event);
        drop(events);
        self.bell.ring();
    }

    pub(super) fn take(&self) -> Option<T> {
        self.events().pop_front()
    }

    pub(super) fn len(&self) -> usize {
        self.events().len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn events_come_in_order_the_newest_of_a_kind_and_never_too_many() {
        let rung = Arc::new(AtomicUsize::new(0));
        let counter = rung.clone();
        let inbox = Inbox::new(
            3,
            Bell::new(move || {
                counter.fetch_add(1, Ordering::Relaxed);
            }),
        );
        (1..=2).for_each(|event| inbox.put(event));
        inbox.put_instead(|event| *event == 1, 10);
        assert_eq!((inbox.take(), inbox.take(), inbox.take()), (Some(2), Some(10), None));
        (1..=5).for_each(|event| inbox.put(event));
        assert_eq!((inbox.len(), inbox.take()), (3, Some(3)));
        assert_eq!(rung.load(Ordering::Relaxed), 8);
        inbox.put_in_place(|event| *event == 4, 40);
        inbox.put_in_place(|event| *event == 6, 60);
        assert_eq!((inbox.take(), inbox.take(), inbox.take()), (Some(40), Some(5), Some(60)));
    }
}
