//! The referee with matches that are told what to come to.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use actix::Addr;

use super::*;
use crate::{
    control::Control,
    supervision,
    testing::{Inbox, play, settle, supervised},
};

/// What a [`Scripted`] referee saw, and what it is to do.
#[derive(Default)]
struct Script {
    works: AtomicU32,
    recoveries: AtomicU32,
    released: AtomicBool,
    urgent: AtomicBool,
    panics: AtomicU32,
    asked: Mutex<Vec<Checksum>>,
}

struct Scripted(Arc<Script>);

impl Referee for Scripted {
    fn entered(&mut self, _: Entrant) {}

    fn examine(&mut self, examine: Examine) {
        self.0.asked.lock().unwrap().push(examine.candidate.file.content());
    }

    fn is_urgent(&self) -> bool {
        self.0.urgent.load(Relaxed)
    }

    fn work(&mut self) -> Worked {
        self.0.works.fetch_add(1, Relaxed);
        if self.0.panics.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
            panic!("as planned");
        }
        if let Some(candidate) = self.0.asked.lock().unwrap().pop() {
            return Worked::Judged(Judged { candidate, verdict: Judgement::Promoted("it won".to_owned()) });
        }
        Worked::Idle
    }

    fn release(&mut self) {
        self.0.released.store(true, Relaxed);
    }

    fn recover(&mut self) {
        self.0.recoveries.fetch_add(1, Relaxed);
    }
}

struct Stage {
    script: Arc<Script>,
    referee: Addr<RefereeActor>,
    judged: Inbox<Judged>,
    control: Arc<Control>,
}

impl Stage {
    fn new(script: Script) -> Self {
        let (script, judged, control) = (Arc::new(script), Inbox::new(), Arc::new(Control::default()));
        // On paused time computing elsewhere takes none.
        let shares = Shares { rate: 0.1, urgent: 0.5, elsewhere: true };
        let (address, own, read) = (judged.address.clone(), Scripted(script.clone()), control.clone());
        let actor = RefereeActor::new(Box::new(own), shares, address, read, Arc::default());
        let (referee, mailbox) = supervision::mailbox();
        actix::spawn(mailbox.supervise(actor, supervised()));
        Self { script, referee, judged, control }
    }

    async fn examine(&self, name: &str) -> Checksum {
        let entrant = |name: &str| Entrant { version: 1, file: ModelFile::named(name) };
        let examine = Examine { candidate: entrant(name), serving: entrant("serving") };
        let content = examine.candidate.file.content();
        self.referee.send(examine).await.unwrap();
        content
    }

    fn works(&self) -> u32 {
        self.script.works.load(Relaxed)
    }
}

#[test]
fn it_works_until_nothing_is_left_and_again_when_asked() {
    play(async {
        let mut stage = Stage::new(Script::default());
        settle().await;
        assert_eq!(stage.works(), 1);
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(stage.works(), 1, "it is idle");
        let content = stage.examine("newer").await;
        assert_eq!(stage.judged.next().await.candidate, content);
    });
}

#[test]
fn it_rests_in_a_pause_and_gives_the_device_back_in_a_long_one() {
    play(async {
        let mut stage = Stage::new(Script::default());
        stage.control.pause(|_| {});
        settle().await;
        let before = stage.works();
        stage.examine("newer").await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(stage.works() <= before + 1 && !stage.script.released.load(Relaxed));
        stage.control.note_unloaded(1);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(stage.script.released.load(Relaxed) && stage.judged.take().await.is_empty());
        stage.control.resume(|| {});
        stage.judged.next().await;
    });
}

#[test]
fn it_does_nothing_more_once_the_process_is_to_stop() {
    play(async {
        let mut stage = Stage::new(Script::default());
        settle().await;
        stage.control.drain(|| {});
        settle().await;
        let before = stage.works();
        stage.examine("newer").await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!((stage.works(), stage.judged.take().await.len()), (before, 0));
    });
}

#[test]
fn after_a_panic_it_goes_on_with_what_it_was_asked() {
    play(async {
        let mut stage = Stage::new(Script { panics: AtomicU32::new(3), ..Script::default() });
        let content = stage.examine("newer").await;
        assert_eq!(stage.judged.next().await.candidate, content);
        assert_eq!(stage.script.recoveries.load(Relaxed), 3);
    });
}
