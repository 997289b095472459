//! Models that are held back until they have played the one that serves.

use super::*;
use crate::referee::{Judgement, RefereeGone};

/// A loader with a gate before it.
struct Gated {
    stage: Stage,
    examine: Inbox<Examine>,
    entered: Inbox<Entered>,
}

impl Gated {
    fn new() -> Self {
        Self::beginning_with(None)
    }

    /// With a model that served when an earlier process ended.
    fn beginning_with(first: Option<(i64, &str)>) -> Self {
        let (examine, entered) = (Inbox::new(), Inbox::new());
        let stage = Stage::with(
            |dir| ModelOrigin::Follow { followed: Followed::LatestYaml(dir.join("latest.yaml")), poll: NEVER },
            first,
            (Some(entered.address.clone()), Some(examine.address.clone())),
        );
        Self { stage, examine, entered }
    }

    /// What it wants examined since the last call: versions of the candidate and of the serving model.
    async fn asked(&mut self) -> Vec<(Examine, [i64; 2])> {
        let asked = self.examine.take().await;
        asked.into_iter().map(|asked| (asked.clone(), [asked.candidate.version, asked.serving.version])).collect()
    }

    /// The one question since the last call.
    async fn question(&mut self, versions: [i64; 2]) -> Examine {
        let mut asked = self.asked().await;
        assert_eq!(asked.iter().map(|(_, versions)| *versions).collect::<Vec<_>>(), [versions]);
        asked.remove(0).0
    }

    async fn judge(&self, examine: &Examine, verdict: fn(String) -> Judgement) {
        let judged = Judged { candidate: examine.candidate.file.content(), verdict: verdict("12 of 20".to_owned()) };
        self.stage.loader.send(judged).await.unwrap();
    }

    fn found(&self) -> LookOutcome {
        self.stage.stats.findings.last().unwrap().outcome
    }
}

#[test]
fn the_first_model_serves_at_once_and_a_newer_one_after_its_match() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        assert_eq!((gated.stage.swaps().await, gated.asked().await.len()), (vec![(1, 1)], 0));
        assert!(gated.stage.offer(2, "good too").await.is_empty(), "it is not even loaded");
        assert_eq!((gated.found(), gated.stage.stats.gate_waiting.get()), (LookOutcome::Held, 1));
        let question = gated.question([2, 1]).await;
        gated.stage.look(20).await;
        assert!(gated.asked().await.is_empty(), "it was asked");
        // The trainer may take its file away.
        fs::remove_file(gated.stage.dir.path().join("model_2.onnx")).unwrap();
        gated.judge(&question, Judgement::Promoted).await;
        assert_eq!((gated.stage.swaps().await, gated.stage.stats.gate_waiting.get()), (vec![(2, 2)], 0));
        gated.stage.look(5).await;
        assert_eq!((gated.found(), gated.stage.stats.gate_promoted.get()), (LookOutcome::Unchanged, 1));
        let entered: Vec<_> = gated.entered.take().await.iter().map(|Entered(model)| model.version).collect();
        assert_eq!(entered, [1, 2]);
    });
}

#[test]
fn a_model_that_lost_is_told_and_left_alone() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.offer(2, "good, but worse").await;
        let question = gated.question([2, 1]).await;
        gated.judge(&question, Judgement::Refused).await;
        gated.stage.look(5).await;
        assert_eq!((gated.stage.swaps().await, gated.found()), (vec![(1, 1)], LookOutcome::Refused));
        let stats = &gated.stage.stats;
        assert_eq!((stats.gate_refused.get(), stats.models_refused.get(), stats.gate_waiting.get()), (1, 0, 0));
        let noted = stats.rejections.after(0);
        assert_eq!((noted[0].version, &*noted[0].reason), (2, "not promoted: 12 of 20"));
        // By another name it is the same, and a judgement that comes twice changes nothing.
        gated.judge(&question, Judgement::Promoted).await;
        gated.stage.offer(3, "good, but worse").await;
        assert!(gated.asked().await.is_empty() && gated.stage.swaps().await.is_empty());
        gated.stage.offer(4, "good again").await;
        gated.question([4, 1]).await;
    });
}

#[test]
fn a_fast_trainer_keeps_no_model_from_its_judgement() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.offer(2, "good 2").await;
        let second = gated.question([2, 1]).await;
        for version in 3..=8 {
            gated.stage.offer(version, &format!("good {version}")).await;
        }
        assert!(gated.asked().await.is_empty(), "the match that was begun goes on");
        assert_eq!((gated.stage.stats.gate_passed_over.get(), gated.stage.stats.gate_waiting.get()), (5, 2));
        gated.judge(&second, Judgement::Promoted).await;
        assert_eq!(gated.stage.swaps().await, [(1, 1), (2, 2)], "although there are newer ones");
        let newest = gated.question([8, 2]).await;
        gated.stage.look(5).await;
        assert_eq!(gated.found(), LookOutcome::Held);
        gated.judge(&newest, Judgement::Promoted).await;
        assert_eq!(gated.stage.swaps().await, [(3, 8)]);
    });
}

#[test]
fn where_no_match_can_be_played_a_model_serves_if_it_passes_the_checks() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.offer(2, "good too").await;
        let question = gated.question([2, 1]).await;
        gated.judge(&question, Judgement::Unjudged).await;
        assert_eq!(gated.stage.swaps().await, [(1, 1), (2, 2)]);
        gated.stage.offer(3, "nonsense").await;
        let question = gated.question([3, 2]).await;
        gated.judge(&question, Judgement::Unjudged).await;
        gated.stage.look(5).await;
        assert_eq!((gated.stage.swaps().await.len(), gated.found()), (0, LookOutcome::Refused));
        assert_eq!((gated.stage.stats.gate_unjudged.get(), gated.stage.stats.models_refused.get()), (2, 1));

        gated.stage.offer(4, "good 4").await;
        gated.stage.offer(5, "good 5").await;
        gated.stage.loader.send(RefereeGone).await.unwrap();
        assert_eq!(gated.stage.swaps().await, [(3, 5)], "the newest");
        gated.stage.offer(6, "good 6").await;
        assert_eq!(gated.stage.swaps().await, [(4, 6)], "nothing is held back any more");
    });
}

#[test]
fn a_model_that_is_held_back_serves_when_there_is_no_other() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.offer(2, "good too").await;
        let question = gated.question([2, 1]).await;
        gated.stage.withdraw(1, 1).await;
        assert_eq!(gated.stage.swaps().await, [(1, 1), (2, 2)]);
        gated.judge(&question, Judgement::Refused).await;
        gated.stage.look(5).await;
        assert_eq!((gated.stage.swaps().await.len(), gated.found()), (0, LookOutcome::Unchanged));
    });
}

#[test]
fn a_judgement_that_comes_in_a_pause_counts_when_it_is_over() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.offer(2, "good too").await;
        let question = gated.question([2, 1]).await;
        gated.stage.control.pause(|_| {});
        gated.judge(&question, Judgement::Promoted).await;
        gated.stage.look(5).await;
        assert_eq!(gated.stage.swaps().await, [(1, 1)]);
        gated.stage.control.resume(|| {});
        gated.stage.look(5).await;
        assert_eq!(gated.stage.swaps().await, [(2, 2)]);
    });
}

#[test]
fn a_trainer_that_goes_back_wants_what_it_names() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.offer(2, "good too").await;
        let question = gated.question([2, 1]).await;
        gated.stage.publish(1);
        gated.stage.look(5).await;
        gated.judge(&question, Judgement::Promoted).await;
        assert_eq!((gated.stage.swaps().await, gated.stage.stats.gate_waiting.get()), (vec![(1, 1)], 0));
        for _ in 0..3 {
            gated.stage.publish(2);
            gated.stage.look(5).await;
            gated.question([2, 1]).await;
            gated.stage.publish(1);
            gated.stage.look(5).await;
        }
    });
}

#[test]
fn a_promoted_model_over_which_the_loader_panics_is_refused_in_the_end() {
    play(async {
        let mut gated = Gated::new();
        gated.stage.offer(1, "good").await;
        gated.stage.model(2, "panic");
        gated.stage.publish(2);
        for _ in 0..30 {
            gated.stage.loader.send(LookForModel).await.ok();
            for (examine, _) in gated.asked().await {
                let judged =
                    Judged { candidate: examine.candidate.file.content(), verdict: Judgement::Promoted(String::new()) };
                gated.stage.loader.send(judged).await.ok();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let loads = std::mem::take(&mut *gated.stage.loads.lock().unwrap());
        assert_eq!(loads.iter().filter(|name| *name == "model_2.onnx").count(), 2, "{loads:?}");
        assert_eq!((gated.stage.stats.models_refused.get(), gated.found()), (1, LookOutcome::Refused));
        assert_eq!(gated.stage.swaps().await, [(1, 1)]);
    });
}

#[test]
fn after_a_restart_the_model_that_served_serves_and_the_newest_waits() {
    play(async {
        let mut gated = Gated::beginning_with(Some((5, "good")));
        gated.stage.offer(9, "good, but worse").await;
        assert_eq!(gated.stage.swaps().await, [(1, 5)]);
        gated.question([9, 5]).await;

        let mut gated = Gated::beginning_with(Some((5, "good")));
        assert_eq!(gated.stage.offer(5, "good").await, ["model_5.onnx"], "it is the newest itself");
        assert_eq!((gated.stage.swaps().await, gated.asked().await.len()), (vec![(1, 5)], 0));

        let mut gated = Gated::beginning_with(Some((5, "no longer for this game")));
        gated.stage.offer(9, "good").await;
        assert_eq!(gated.stage.swaps().await, [(1, 9)], "as at the first start");
        assert_eq!(gated.stage.stats.models_refused.get(), 0);
    });
}
