//! How often children may be restarted.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::health::Limits;

/// Counts restarts in a sliding window.
#[derive(Debug)]
pub struct Budget {
    limits: Limits,
    restarts: VecDeque<Instant>,
}

impl Budget {
    /// A budget with nothing spent.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, restarts: VecDeque::new() }
    }

    /// A budget that several children share.
    #[must_use]
    pub fn shared(limits: Limits) -> SharedBudget {
        SharedBudget(Arc::new(Mutex::new(Self::new(limits))))
    }

    /// Spends one restart and returns how long to wait before it; `None` when the budget is spent.
    pub fn spend(&mut self, now: Instant) -> Option<Duration> {
        while self.restarts.front().is_some_and(|&first| now.duration_since(first) >= self.limits.window) {
            self.restarts.pop_front();
        }
        let spent = self.restarts.len() as u32;
        if spent >= self.limits.restarts {
            return None;
        }
        self.restarts.push_back(now);
        Some(self.limits.first_backoff.saturating_mul(2u32.saturating_pow(spent)).min(self.limits.max_backoff))
    }
}

/// A [`Budget`] behind a lock that is taken only when a child dies.
#[derive(Clone, Debug)]
pub struct SharedBudget(Arc<Mutex<Budget>>);

impl SharedBudget {
    /// Spends one restart now, as [`Budget::spend`].
    pub(crate) fn spend(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spend(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_slides_and_backs_off() {
        let limits = Limits {
            restarts: 3,
            window: Duration::from_secs(60),
            first_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(250),
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut budget = Budget::new(limits);
        let millis = Duration::from_millis;
        assert_eq!(budget.spend(at(0)), Some(millis(100)));
        assert_eq!(budget.spend(at(1)), Some(millis(200)));
        assert_eq!(budget.spend(at(2)), Some(millis(250)));
        assert_eq!(budget.spend(at(59)), None);
        assert_eq!(budget.spend(at(60)), Some(millis(250)), "the first restart has left the window");
        assert_eq!(budget.spend(at(60)), None);
        assert_eq!(budget.spend(at(500)), Some(millis(100)));
    }
}
