//! The cache's table with nothing around it, for benchmarks.

use actix::{Actor, Context, Handler};
use selfplay_engine::{Evaluations, Evaluator, Game, Leaf, evaluation::EvaluateError};

use super::{CacheActor, CacheLimits, table::Table};
use crate::{
    supervision::mailbox,
    ticket::{Answer, BatchDone, Evaluated, Generation, Lookup, Reply},
};

/// The one model there is.
const GENERATION: Generation = Generation { number: 1, version: 1 };

/// Who asks: gets no answer, as its mailbox is gone.
struct Nobody;

impl Actor for Nobody {
    type Context = Context<Self>;
}

impl Handler<Evaluated> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Evaluated, _: &mut Self::Context) {}
}

/// A table whose requests come from no game: their answers are dropped.
pub struct CacheBench<G: Game> {
    table: Table<G>,
    nobody: actix::Recipient<Evaluated>,
}

impl<G: Game> CacheBench<G> {
    /// An empty table.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        let mut table = Table::new(limits, mailbox::<CacheActor<G>>().0.recipient());
        table.change_model(GENERATION);
        Self { table, nobody: mailbox::<Nobody>().0.recipient() }
    }

    /// Looks up what one gather asks.
    pub fn look_up(&mut self, leaves: Vec<Leaf<G>>) {
        self.table.look_up(Lookup { leaves, reply: Reply::new(self.nobody.clone(), 0) });
    }

    /// Lets `evaluator` evaluate what was missing since the last call, and takes the answers.
    ///
    /// # Errors
    /// Those of the evaluator.
    pub fn complete(&mut self, evaluator: &mut impl Evaluator<G>) -> Result<(), EvaluateError> {
        let Some(batch) = self.table.take_misses() else { return Ok(()) };
        let mut evaluations = Evaluations::default();
        evaluator.evaluate(batch.leaves(), &mut evaluations)?;
        let (ids, answer) = (batch.ids().to_vec(), Answer { evaluations, generation: GENERATION });
        batch.discard();
        self.table.complete(BatchDone { ids, outcome: Ok(answer), freed: None });
        Ok(())
    }
}
