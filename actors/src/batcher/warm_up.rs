//! How often after a swap the cache hears that a thread is idle. Plain state: no actor, no thread.

/// After a swap, tells when the cache is to hear that a thread is idle, until enough positions were warmed.
pub(super) struct WarmUp {
    /// Positions to be warmed after a swap; 0: none.
    most: usize,
    /// Positions asked for at a time: what a batch is not made smaller than.
    step: usize,
    /// Positions that may still be asked for.
    left: usize,
    /// The cache has heard, and nothing has come from it since.
    asked: bool,
}

impl WarmUp {
    pub(super) fn new(most: usize, step: usize) -> Self {
        Self { most, step: step.max(1), left: 0, asked: false }
    }

    /// A new model serves.
    pub(super) fn begin(&mut self) {
        self.left = self.most;
        self.asked = false;
    }

    /// A thread is idle: how many positions to ask for now, if any.
    pub(super) fn ask(&mut self) -> Option<usize> {
        if self.left == 0 || self.asked {
            return None;
        }
        let now = self.step.min(self.left);
        self.left -= now;
        self.asked = true;
        Some(now)
    }

    /// Leaves came from the cache.
    pub(super) fn answered(&mut self) {
        self.asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_step_by_step_and_only_after_a_swap() {
        let mut warm_up = WarmUp::new(5, 2);
        assert_eq!(warm_up.ask(), None);
        warm_up.begin();
        let mut asked = Vec::new();
        for _ in 0..9 {
            asked.extend(warm_up.ask());
            assert_eq!(warm_up.ask(), None, "one question at a time");
            warm_up.answered();
        }
        assert_eq!(asked, [2, 2, 1]);
        warm_up.begin();
        assert_eq!(warm_up.ask(), Some(2));
        warm_up.begin();
        assert_eq!(warm_up.ask(), Some(2), "what was asked of the model before is of no use");
        let mut off = WarmUp::new(0, 0);
        off.begin();
        assert_eq!(off.ask(), None);
    }
}
