//! A slot on paused time: what it does when evaluations fail, are late, or come twice.

mod parked;

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use actix::AsyncContext as _;
use selfplay_engine::{
    Evaluations, Evaluator,
    evaluation::{RawOutput, UniformEvaluator},
    games::tictactoe::TicTacToe,
    replay::Ending,
    selfplay::{Agent, NEVER_RESIGNS, ResignSettings},
};
use tokio::time::Instant;

use super::{
    asking_again::{FIRST_RETRY_WAIT, LONGEST_RETRY_WAIT, MOST_RETRIES},
    *,
};
use crate::{
    batcher::{Evaluate, ModelChanged},
    cache::{CacheActor, CacheLimits},
    testing::{Inbox, nth, play, play_settings},
    ticket::{Answer, BatchDone, Flaw, Origins},
};

struct Stage {
    slot: Addr<GameActor<TicTacToe>>,
    lookups: Inbox<Lookup<TicTacToe>>,
    finished: Inbox<WriteGame<TicTacToe>>,
    rejected: Inbox<KeepRejected<TicTacToe>>,
    free: Inbox<SlotFree>,
    parked: Inbox<SlotParked<TicTacToe>>,
    room: Arc<Room>,
    journal: Journal,
    stats: Arc<Stats>,
    /// What the hook heard, shortly.
    news: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    fn new() -> Self {
        Self::on(GameThread::new(None))
    }

    /// A slot on this thread.
    fn on(thread: GameThread<TicTacToe>) -> Self {
        let stats = Arc::new(Stats::default());
        let journal = Journal::disabled();
        let news = Arc::<Mutex<Vec<String>>>::default();
        let heard = news.clone();
        let hook: GameHook<TicTacToe> = Arc::new(move |key, news| {
            assert_eq!((key.slot, key.seed), (5, 3));
            let what = match news {
                GameNews::Begun(plies) => format!("begun at {}", plies.len()),
                GameNews::Played(plies) => format!("ply {}", plies.len()),
                GameNews::Over(outcome) => {
                    format!("over {}", if outcome.is_some() { "with a result" } else { "without" })
                }
            };
            heard.lock().unwrap().push(format!("{}: {what}", key.index));
        });
        let plan = GamePlan {
            thrifty: Arc::default(),
            game: TicTacToe,
            adjudicator: None,
            terms: terms(),
            seed: 3,
            journal: journal.clone(),
            stats: stats.clone(),
            hook: Some(hook),
        };
        let (lookups, finished, rejected, free) = (Inbox::new(), Inbox::new(), Inbox::new(), Inbox::new());
        let (parked, room) = (Inbox::new(), Arc::new(Room::new(6)));
        let addresses = GameAddresses {
            cache: lookups.address.clone(),
            writer: finished.address.clone(),
            rejects: rejected.address.clone(),
            supervisor: free.address.clone(),
            parked: parked.address.clone(),
            room: room.clone(),
        };
        let slot = GameActor::create(|ctx| GameActor::new(5, plan, addresses, Rc::new(thread), &ctx.address()));
        Self { slot, lookups, finished, rejected, free, parked, room, journal, stats, news }
    }

    /// The game in play, to its end.
    async fn served(&mut self) -> GameRecord<TicTacToe> {
        self.served_to_its_end().await.0
    }

    /// The same, with what the supervisor hears of it.
    async fn served_to_its_end(&mut self) -> (GameRecord<TicTacToe>, Vec<SlotFree>) {
        loop {
            for lookup in self.lookups.take().await {
                serve(lookup);
            }
            if let Some(finished) = self.finished.take().await.pop() {
                return (finished.record, self.free.take().await);
            }
        }
    }
}

fn terms() -> Terms {
    // A game that goes on starts with an empty tree: with tree reuse it would be another.
    let settings = PlaySettings { tree_reuse: false, ..play_settings(8, Agent::Search) };
    Terms { settings: Arc::new(settings), hash: "5e77".into(), resign_below: NEVER_RESIGNS }
}

/// Answers as a healthy system would.
fn serve(Lookup { leaves, reply }: Lookup<TicTacToe>) {
    let mut evaluations = Evaluations::default();
    UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
    reply.answer(Ok(Answer { evaluations, generation: nth(1) }));
}

#[test]
fn a_game_is_played_with_one_request_out_at_a_time() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 9, terms: terms() });
        loop {
            let mut lookups = stage.lookups.take().await;
            match (lookups.pop(), lookups.len()) {
                (Some(lookup), 0) => serve(lookup),
                (None, _) => break,
                _ => panic!("two requests at once"),
            }
        }
        let finished = stage.finished.take().await;
        assert_eq!(finished.iter().map(|game| game.record.index).collect::<Vec<_>>(), [9]);
        let free = stage.free.take().await;
        assert_eq!((free.len(), free[0].slot, free[0].index, &free[0].end), (1, 5, 9, &GameEnd::Finished));
        assert_eq!((stage.stats.games_started.get(), stage.stats.games_finished.get()), (1, 1));
    });
}

/// A cache for games of its thread, and what it asks of the network.
fn cache() -> (CacheActor<TicTacToe>, Inbox<Evaluate<TicTacToe>>) {
    let (asked, done, waiting) = (Inbox::new(), Inbox::new(), Inbox::new());
    let limits = CacheLimits { max_bytes: 1 << 20, max_entries: None };
    let cache = CacheActor::new(limits, asked.address.clone(), waiting.address, done.address, Arc::default());
    (cache, asked)
}

impl Stage {
    /// Plays game 9 to its end, with `cache` and a network that answers what it `asked`. Says how many requests came as messages, and
    /// how many positions were evaluated.
    async fn play_beside(
        &mut self,
        cache: &Addr<CacheActor<TicTacToe>>,
        asked: &mut Inbox<Evaluate<TicTacToe>>,
    ) -> (GameRecord<TicTacToe>, usize, usize) {
        self.slot.do_send(PlayGame::New { index: 9, terms: terms() });
        let (mut lookups, mut evaluated) = (0, 0);
        loop {
            for lookup in self.lookups.take().await {
                lookups += 1;
                cache.do_send(lookup);
            }
            for Evaluate(batch) in asked.take().await {
                evaluated += batch.len();
                let mut evaluations = Evaluations::default();
                UniformEvaluator.evaluate(batch.leaves(), &mut evaluations).unwrap();
                let ids = batch.ids().to_vec();
                batch.discard();
                let outcome = Ok(Answer { evaluations, generation: nth(1) });
                cache.do_send(BatchDone { ids, outcome, freed: None });
            }
            if let Some(finished) = self.finished.take().await.pop() {
                return (finished.record, lookups, evaluated);
            }
        }
    }
}

fn moves(record: &GameRecord<TicTacToe>) -> String {
    format!("{:?}", record.plies)
}

#[test]
fn what_the_cache_of_its_thread_knows_a_game_takes_without_a_message() {
    play(async {
        let (cache, mut asked) = cache();
        let mut stage = Stage::on(GameThread::new(Some(cache.nearby())));
        let cache = cache.start();
        cache.do_send(ModelChanged(nth(1)));
        let (first, lookups, evaluated) = stage.play_beside(&cache, &mut asked).await;
        assert!(lookups > 0 && evaluated > 0);
        let (again, lookups, evaluated) = stage.play_beside(&cache, &mut asked).await;
        assert_eq!((lookups, evaluated), (0, 0));
        assert_eq!(moves(&again), moves(&first));
        let (counts, leaves) = (stage.stats.snapshot(), first.effort.leaves);
        assert_eq!(counts.simulations_total(), 2 * leaves.total());
        assert!(counts.simulations_cache >= leaves.evaluated, "all of the second game");
    });
}

/// The last request before the others' turn may be the last of the game.
#[test]
fn a_game_lets_others_have_their_turn_after_any_number_of_requests() {
    play(async {
        let (cache, mut asked) = cache();
        let thread = |most_at_hand| GameThread { most_at_hand, ..GameThread::new(Some(cache.nearby())) };
        let threads: Vec<_> = (0..80).map(thread).collect();
        let cache = cache.start();
        cache.do_send(ModelChanged(nth(1)));
        let mut lookups = Vec::new();
        let mut games = BTreeSet::new();
        for thread in threads {
            let (record, messages, _) = Stage::on(thread).play_beside(&cache, &mut asked).await;
            games.insert(moves(&record));
            lookups.push(messages);
        }
        assert_eq!(games.len(), 1, "the game is the same");
        assert!(lookups[1] > lookups[10] && lookups[10] > 0 && lookups[79] == 0, "{lookups:?}");
    });
}

#[test]
fn simulations_are_counted_by_where_their_values_came_from() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 9, terms: terms() });
        let mut asked = 0;
        loop {
            let Some(Lookup { leaves, reply }) = stage.lookups.take().await.pop() else { break };
            assert_eq!(stage.stats.requests_in_flight.get(), 1);
            asked += leaves.len() as u64;
            let mut evaluations = Evaluations::default();
            UniformEvaluator.evaluate(&leaves, &mut evaluations).unwrap();
            let cached = u64::from(leaves.len() == 2);
            let answer = Answer { evaluations, generation: nth(1) };
            reply.answer_from(Ok(answer), Origins { cached, joined: 1 });
        }
        let record = stage.finished.take().await.pop().unwrap().record;
        let (counts, leaves) = (stage.stats.snapshot(), record.effort.leaves);
        assert_eq!(counts.simulations_network + counts.simulations_cache + counts.simulations_in_flight, asked);
        assert!(counts.simulations_cache > 0 && counts.simulations_in_flight > counts.simulations_cache);
        assert_eq!(counts.simulations_network, 0, "one of one, and two of two, were answered for another");
        assert_eq!(counts.simulations_duplicate, leaves.duplicate);
        assert_eq!(counts.simulations_terminal, leaves.won + leaves.drawn);
        assert_eq!(counts.simulations_step_limit, leaves.limited);
        assert_eq!(counts.simulations_total(), leaves.total());
        assert_eq!((counts.requests_in_flight, counts.tree_bytes), (0, 0));
        assert_eq!((counts.moves, counts.root_entropy.count()), (record.plies.len() as u64, record.plies.len() as u64));
    });
}

#[test]
fn proofs_are_counted() {
    play(async {
        let mut stage = Stage::new();
        let mut settings = play_settings(300, Agent::Search);
        settings.search.solver = true;
        let terms = Terms { settings: Arc::new(settings), hash: "5e77".into(), resign_below: NEVER_RESIGNS };
        stage.slot.do_send(PlayGame::New { index: 9, terms });
        loop {
            let Some(lookup) = stage.lookups.take().await.pop() else { break };
            serve(lookup);
        }
        let effort = stage.finished.take().await.pop().unwrap().record.effort;
        let counts = stage.stats.snapshot();
        assert!(counts.simulations_proven > 0 && counts.proven_moves > 0, "{effort:?}");
        assert_eq!((counts.simulations_proven, counts.proven_moves), (effort.leaves.proven, effort.proven_moves));
        assert_eq!(counts.simulations_total(), effort.leaves.total());
    });
}

#[test]
fn failed_requests_are_asked_again_alike_after_growing_waits_and_in_the_end_given_up() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 0, terms: terms() });
        let mut asked = Vec::new();
        for retry in 0..=MOST_RETRIES {
            let before = Instant::now();
            let lookup = stage.lookups.next().await;
            let expected = if retry == 0 { Duration::ZERO } else { FIRST_RETRY_WAIT * (1 << (retry - 1)) };
            assert!(before.elapsed() >= expected.min(LONGEST_RETRY_WAIT), "retry {retry} after {:?}", before.elapsed());
            asked.push(format!("{:?}", lookup.leaves));
            // Half are refused, half are lost.
            if retry % 2 == 0 {
                lookup.reply.answer(Err(TicketError::Backend("run the network: no".to_owned())));
            }
        }
        assert!(asked.iter().all(|leaves| *leaves == asked[0]));
        let free = stage.free.next().await;
        let GameEnd::GivenUp(reason) = free.end else { panic!("{free:?}") };
        assert!(reason.contains("12 times: failed to evaluate positions: failed to run the network: no"), "{reason}");
        assert!(stage.lookups.take().await.is_empty() && stage.finished.take().await.is_empty());
        assert_eq!((stage.stats.retries.get(), stage.stats.games_abandoned.get()), (12, 1));

        stage.slot.do_send(PlayGame::New { index: 1, terms: terms() });
        serve(stage.lookups.next().await);
        let _second = stage.lookups.next().await;
    });
}

/// Answers with nonsense for the first leaf.
fn spoil(Lookup { reply, .. }: Lookup<TicTacToe>, generation: u64) {
    let output = Arc::new(RawOutput { value: f32::NAN, logits: [0.0; 9].into() });
    reply.answer(Err(TicketError::NonFinite(Flaw { leaf: 0, generation: nth(generation), output })));
}

#[test]
fn nonsense_is_asked_again_once_and_then_the_game_is_set_aside() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 4, terms: terms() });
        // Once is forgiven, again and again; so is a second time by another model.
        for _ in 0..3 {
            spoil(stage.lookups.next().await, 1);
            serve(stage.lookups.next().await);
        }
        spoil(stage.lookups.next().await, 1);
        spoil(stage.lookups.next().await, 2);
        assert!(stage.rejected.take().await.is_empty());
        let last = stage.lookups.next().await;
        let leaves = format!("{:?}", last.leaves[0]);
        spoil(last, 2);
        let rejected = stage.rejected.next().await;
        assert_eq!((rejected.seed, rejected.index, rejected.nonsense.generation), (3, 4, nth(2)));
        assert!(format!("{:?}", rejected.nonsense.leaf) == leaves && rejected.nonsense.output.value.is_nan());
        assert_eq!(stage.free.next().await.end, GameEnd::Rejected);
        assert!(stage.finished.take().await.is_empty() && stage.lookups.take().await.is_empty());
    });
}

#[test]
fn a_game_of_an_earlier_process_goes_on_as_if_it_had_never_stopped() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 6, terms: terms() });
        let whole = stage.served().await;
        for played in 0..=whole.plies.len() {
            let (number, seed) = (stage.journal.begin(3, 6), 3);
            let plies = whole.plies[..played].to_vec();
            let first_version = (played > 0).then_some(whole.model_version);
            let resumed = ResumedGame { number, seed, index: 6, first_version, resign_below: None, plies };
            stage.slot.do_send(PlayGame::Resumed { game: Box::new(resumed), terms: terms() });
            let again = stage.served().await;
            let told = |record: &GameRecord<TicTacToe>| format!("{:?}{:?}", record.plies, record.model_version);
            assert_eq!(told(&again), told(&whole), "from ply {played}");
        }
        assert_eq!(stage.stats.games_resumed.get(), whole.plies.len() as u64 + 1);
    });
}

#[test]
fn an_answer_lets_a_game_forget_its_failures() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 0, terms: terms() });
        for _ in 0..3 {
            for _ in 0..MOST_RETRIES {
                drop(stage.lookups.next().await);
            }
            serve(stage.lookups.next().await);
        }
        assert!(stage.free.take().await.is_empty());
    });
}

#[test]
fn answers_to_other_requests_are_ignored() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 0, terms: terms() });
        let lookup = stage.lookups.next().await;
        for ticket in [0, 2, 77] {
            stage.slot.do_send(Evaluated { ticket, outcome: Err(TicketError::Lost), origins: Default::default() });
        }
        assert!(stage.lookups.take().await.is_empty());
        serve(lookup);
        assert_eq!(stage.lookups.take().await.len(), 1);
        assert_eq!(stage.stats.retries.get(), 0);
    });
}

#[test]
fn a_slot_that_is_told_to_stop_forgets_its_game_and_says_whether_there_was_one() {
    play(async {
        let (mut stage, mut stopped) = (Stage::new(), Inbox::<SlotStopped>::new());
        let stop = || StopGame { reply: stopped.address.clone() };
        stage.slot.do_send(stop());
        stage.slot.do_send(PlayGame::New { index: 2, terms: terms() });
        stage.slot.do_send(stop());
        // The answer to what it had asked comes too late.
        serve(stage.lookups.next().await);
        stage.slot.do_send(stop());
        let unfinished: Vec<_> = stopped.take().await.iter().map(|report| (report.slot, report.unfinished)).collect();
        assert_eq!(unfinished, [(5, false), (5, true), (5, false)]);
        assert!(stage.lookups.take().await.is_empty() && stage.free.take().await.is_empty());
    });
}

#[test]
fn players_resign_below_the_threshold_of_their_terms_and_a_game_that_is_played_on_teaches_it() {
    play(async {
        let mut stage = Stage::new();
        let resigning = |played_on| {
            let resign = Some(ResignSettings { played_on, most_wrong: 0.05 });
            let settings = Arc::new(PlaySettings { resign, ..(*terms().settings).clone() });
            Terms { settings, resign_below: 1.5, ..terms() } // More than anything is worth.
        };
        stage.slot.do_send(PlayGame::New { index: 9, terms: resigning(1e-9) });
        let (resigned, nothing) = stage.served_to_its_end().await;
        assert_eq!((resigned.plies.len(), resigned.end_reason()), (1, "resigned"));
        stage.slot.do_send(PlayGame::New { index: 9, terms: resigning(1.0) });
        let (played_on, lowest) = stage.served_to_its_end().await;
        assert_eq!(played_on.ending, Ending::Rules);
        assert_eq!(played_on.resign.unwrap().would_resign_ply, Some(0));
        let taught: Vec<_> = nothing.into_iter().chain(lowest).map(|free| free.lowest_unbeaten).collect();
        assert_eq!(taught, [None, Some(played_on.lowest_unbeaten())]);
        let counts = stage.stats.snapshot();
        assert_eq!((counts.games_resigned, counts.games_adjudicated, counts.games_played_on_total()), (1, 0, 1));
        assert_eq!(counts.played_on_unneeded, 0);
    });
}

#[test]
fn who_watches_hears_of_every_game_from_its_beginning_to_its_end() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 9, terms: terms() });
        let plies = stage.served().await.plies;
        let heard = std::mem::take(&mut *stage.news.lock().unwrap());
        assert_eq!((heard[0].as_str(), heard.last().unwrap().as_str()), ("9: begun at 0", "9: over with a result"));
        let played: Vec<_> = (1..=plies.len()).map(|ply| format!("9: ply {ply}")).collect();
        assert_eq!(heard[1..=plies.len()], played);

        let number = stage.journal.begin(3, 4);
        let resumed = ResumedGame {
            number,
            seed: 3,
            index: 4,
            first_version: Some(1),
            resign_below: None,
            plies: plies[..2].to_vec(),
        };
        stage.slot.do_send(PlayGame::Resumed { game: Box::new(resumed), terms: terms() });
        stage.slot.do_send(StopGame { reply: Inbox::new().address });
        stage.lookups.take().await;
        assert_eq!(std::mem::take(&mut *stage.news.lock().unwrap()), ["4: begun at 2", "4: over without"]);

        stage.slot.do_send(PlayGame::New { index: 7, terms: terms() });
        spoil(stage.lookups.next().await, 1);
        spoil(stage.lookups.next().await, 1);
        stage.free.next().await;
        assert_eq!(*stage.news.lock().unwrap(), ["7: begun at 0", "7: over without"]);
    });
}
