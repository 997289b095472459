//! A cluster loses servers, and what they keep. No game is lost and none comes twice, and games and models go on.

use std::time::Instant;

use selfplay_fleet::{
    folder::Wanted,
    nats::server::{HUB, PUBLISHER},
    worker::WINDOW,
};

use crate::{
    broker::PLAN,
    cluster::{Cluster, ON_THREE},
    models::{Publisher, model},
    sides::{HubSide, Side, Trainer, names, settle, until},
};

/// A fleet that plays while servers are lost.
struct Play {
    cluster: Cluster,
    side: Side,
    hub: HubSide,
    trainer: Trainer,
    publisher: Publisher,
    played: Vec<Vec<String>>,
    generation: i64,
    begun: Instant,
}

impl Play {
    fn new(cluster: Cluster) -> Self {
        let ready = cluster.dir().join("ready");
        Self {
            side: Side::open(cluster.dir(), "w1", cluster.worker("w1")),
            hub: HubSide::open(&ready, cluster.dial(HUB)),
            trainer: Trainer::new(&ready),
            publisher: Publisher::new(cluster.dial(PUBLISHER)),
            played: Vec::new(),
            generation: 0,
            begun: Instant::now(),
            cluster,
        }
    }

    fn play(&mut self, frames: u64) {
        self.played.push(self.side.play(frames, 3, 2_000));
    }

    fn until(&mut self, what: &str, mut is_so: impl FnMut(&mut Self) -> bool) {
        until(what, || {
            self.side.step();
            self.hub.step();
            self.trainer.take();
            is_so(self)
        });
    }

    /// Plays, and harms the cluster when some frames are stored and others are on their way.
    fn harm(&mut self, harm: impl FnOnce(&mut Cluster)) {
        self.play(40);
        let stored = self.side.worker.counts().stored;
        self.until("some frames are stored", |play| play.side.worker.counts().stored > stored);
        harm(&mut self.cluster);
    }

    /// Waits until frames are stored that were not under way before.
    fn goes_on(&mut self, after: &str) {
        let (stored, begun) = (self.side.worker.counts().stored, Instant::now());
        self.play(WINDOW as u64 + 1);
        self.until("frames are stored again", |play| play.side.worker.counts().stored > stored + WINDOW as u64);
        eprintln!("{after}: stored again after {:.1} s", begun.elapsed().as_secs_f64());
    }

    /// All games come, each once; a model can be published; and each server has all of it again.
    fn is_well(&mut self) {
        settle(&mut [&mut self.side], &mut self.hub, &mut self.trainer);
        assert_eq!(self.trainer.taken, names(&self.played));
        self.generation += 1;
        let (file, bytes) = model(self.generation, 1_200_000);
        self.publisher.publish(file, &bytes);
        self.cluster.whole();
        eprintln!("all is well at {:.1} s", self.begun.elapsed().as_secs_f64());
    }
}

#[test]
fn a_cluster_that_loses_servers_loses_and_doubles_no_game() {
    let Some(cluster) = Cluster::start(&["w1"], |_| Wanted::default()) else { return };
    // What one server kept is kept by three, once there are three.
    cluster.prepare(PLAN);
    let mut play = Play::new(cluster);
    play.harm(|cluster| {
        let changes: Vec<_> = cluster.prepare(ON_THREE).iter().map(ToString::to_string).collect();
        let changed = |asset: &str| format!("{asset}: changed: num_replicas 1 -> 3");
        assert!(changes.contains(&changed("bucket presence")), "{changes:?}");
        assert!(cluster.prepare(ON_THREE).is_empty(), "all is as it must be");
    });
    play.is_well();

    let mut lost = 0;
    play.harm(|cluster| {
        lost = cluster.leader();
        cluster.kill(lost);
    });
    play.goes_on("the leader was killed");
    play.cluster.restart(lost);
    play.is_well();

    play.harm(|cluster| {
        lost = (cluster.leader() + 1) % 3;
        cluster.kill(lost);
    });
    play.goes_on("another was killed");
    // Its disk is lost as well.
    play.cluster.lose_store(lost);
    play.cluster.restart(lost);
    play.is_well();

    let refusals = play.side.worker.counts().refusals;
    play.harm(|cluster| {
        lost = cluster.leader();
        cluster.freeze(lost);
    });
    play.until("a frame has no answer", |play| play.side.worker.counts().refusals > refusals);
    play.cluster.thaw(lost);
    play.goes_on("the leader was frozen");
    play.is_well();

    play.harm(|cluster| (0..3).for_each(|server| cluster.kill(server)));
    (0..3).for_each(|server| play.cluster.restart(server));
    play.goes_on("all were killed");
    play.is_well();

    play.harm(|cluster| {
        (0..3).for_each(|server| cluster.kill(server));
        (0..3).for_each(|server| cluster.lose_store(server));
    });
    (0..3).for_each(|server| play.cluster.restart(server));
    play.cluster.prepare(ON_THREE);
    play.goes_on("all were lost");
    play.is_well();
}
