//! What is told in the course of play, look by look.

use super::*;

const GRACE: Duration = Duration::from_secs(30);

/// Play as it is looked at once a second.
struct Course {
    story: Story,
    view: View,
}

impl Course {
    fn new() -> Self {
        Self { story: Story::new(true, GRACE), view: View::default() }
    }

    /// A second later; what is told, without the status and the value of the extension.
    fn look(&mut self) -> Vec<String> {
        let (news, _) = self.look_with_status();
        news
    }

    fn look_with_status(&mut self) -> (Vec<String>, Option<String>) {
        let news = self.story.go_on(&self.view);
        self.view.at += Duration::from_secs(1);
        let (status, news): (Vec<_>, Vec<_>) = news.into_iter().partition(|line| line.starts_with("STATUS="));
        let short = |line: String| line.split('=').next().unwrap_or_default().to_owned();
        (news.into_iter().map(short).collect(), status.into_iter().next())
    }

    /// A second in which play advances.
    fn play(&mut self) -> Vec<String> {
        self.view.progress += 1;
        self.look()
    }

    fn steer(&mut self, change: impl FnOnce(&mut ControlState)) {
        change(&mut self.view.control);
    }
}

const WATCHDOG: [&str; 1] = ["WATCHDOG"];
const NOTHING: [&str; 0] = [];

#[test]
fn ready_once_the_first_model_serves_which_may_take_any_time() {
    let mut course = Course::new();
    for _ in 0..1_000 {
        assert_eq!(course.look(), ["EXTEND_TIMEOUT_USEC", "WATCHDOG"]);
    }
    course.steer(|control| control.serving = true);
    course.view.in_play = 4;
    assert_eq!(course.play(), ["READY", "WATCHDOG"]);
    assert_eq!(course.play(), WATCHDOG, "told once");
    course.steer(|control| control.serving = false);
    course.play();
    course.steer(|control| control.serving = true);
    assert_eq!(course.play(), WATCHDOG, "a model that was withdrawn changes nothing");
}

#[test]
fn the_watchdog_is_fed_while_play_advances_or_has_no_reason_to() {
    let mut course = Course::new();
    course.steer(|control| control.serving = true);
    course.view.in_play = 4;
    course.play();
    assert_eq!(course.play(), WATCHDOG);
    assert_eq!(course.look(), NOTHING);
    course.steer(|control| control.paused = true);
    assert_eq!(course.look(), WATCHDOG);
    course.view.hangs = true;
    assert_eq!(course.look(), NOTHING, "a hang is one in a pause too");
    course.view.hangs = false;
    course.steer(|control| control.paused = false);
    assert_eq!(course.look(), NOTHING);
    course.steer(|control| control.serving = false);
    assert_eq!(course.look(), WATCHDOG, "waiting for a model");
    course.steer(|control| control.serving = true);
    course.view.in_play = 0;
    assert_eq!(course.look(), WATCHDOG, "no game may start while the disk is full");
}

#[test]
fn the_end_is_told_once_and_asks_for_time_until_its_deadline() {
    let mut course = Course::new();
    course.steer(|control| control.serving = true);
    course.play();
    course.steer(|control| control.draining = true);
    assert_eq!(course.look(), ["STOPPING", "EXTEND_TIMEOUT_USEC", "WATCHDOG"]);
    let extended = (0..1_000).filter(|_| course.look().contains(&"EXTEND_TIMEOUT_USEC".to_owned())).count();
    assert_eq!(extended as u64, (GRACE + AFTER_GRACE).as_secs() - 1);
    assert_eq!(course.story.end(), Vec::<String>::new());
    assert_eq!(Course::new().story.end(), ["STOPPING=1"], "an end that was not asked for is told too");
}

#[test]
fn a_reload_is_told_from_its_beginning_to_its_end_where_the_service_is_ready() {
    let now = || Some("MONOTONIC_USEC=7".to_owned());
    let mut course = Course::new();
    assert_eq!(course.story.reload_begins(now()), NOTHING);
    course.steer(|control| control.serving = true);
    assert_eq!(course.look()[0], "READY");
    assert_eq!(course.story.reload_ends(), NOTHING, "ready all the same, but not because of this");
    assert_eq!(course.story.reload_begins(now()), ["RELOADING=1", "MONOTONIC_USEC=7"]);
    assert_eq!(course.story.reload_ends(), ["READY=1"]);
    assert_eq!(course.story.reload_begins(now()).len(), 2);
    course.steer(|control| control.draining = true);
    course.look();
    assert_eq!(course.story.reload_ends(), NOTHING, "what ends is not ready");
    assert_eq!(course.story.reload_begins(now()), NOTHING);
}

#[test]
fn the_status_is_told_when_it_changes_and_now_and_then() {
    let mut course = Course::new();
    let mut statuses = Vec::new();
    let mut watch = |course: &mut Course, seconds: u64| {
        for _ in 0..seconds {
            course.view.progress += 500;
            course.view.evaluations += 500;
            statuses.extend(course.look_with_status().1);
        }
    };
    watch(&mut course, 5);
    course.view.in_play = 8;
    course.view.model = 3;
    course.steer(|control| control.serving = true);
    watch(&mut course, 12);
    course.steer(|control| control.paused = true);
    watch(&mut course, 3);
    course.steer(|control| control.unloaded = true);
    watch(&mut course, 3);
    course.steer(|control| control.draining = true);
    watch(&mut course, 3);
    let expected = [
        "STATUS=waiting for a model",
        "STATUS=playing 8 games with model 3",
        "STATUS=playing 8 games with model 3: 500 evaluations/s",
        "STATUS=paused",
        "STATUS=paused, the model is unloaded",
        "STATUS=ending, 8 games are in play",
    ];
    assert_eq!(statuses, expected);
}
