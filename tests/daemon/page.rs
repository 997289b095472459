//! The status page in a browser, on a daemon that plays.

use std::{fs, net::SocketAddr, path::Path};

use crate::{
    ask::{get, status},
    browser::{Browser, END, HOME, LEFT, RIGHT},
    config::{Config, model},
    daemon::{Daemon, Running, Signal},
    http::{listening, token, trainer},
    trainer::{Scalar, Trainer},
    wait,
};

/// A daemon that plays, and a page that shows it.
struct Stage {
    browser: Browser,
    daemon: Running,
    address: SocketAddr,
    trainer: Trainer,
}

impl Stage {
    /// `None` where there is no browser, which has said so.
    fn new(args: &str) -> Option<Self> {
        let browser = Browser::start(1280, 900)?;
        let trainer = trainer();
        let mut daemon = listening(&trainer).args(args).start();
        let address = daemon.serves("status and control");
        browser.open(address);
        browser.reads("#state", |state| state == "Playing");
        Some(Self { browser, daemon, address, trainer })
    }

    /// The daemon ends well, and the page had nothing to complain of before.
    fn end(self) {
        assert_eq!(self.browser.complaints(), [""; 0]);
        self.daemon.signal(Signal::TERM);
        self.daemon.wait().succeeded();
    }
}

/// A number of the page, such as 1,234.
fn number(text: &str) -> f64 {
    text.replace(',', "").parse().unwrap_or(0.0)
}

#[test]
fn the_page_shows_a_daemon_and_is_kept_up_to_date() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, .. } = &stage;
    browser.reads("#health-words", |words| words == "Healthy, and ready");
    browser.reads("#model-words", |words| words.starts_with("Version 3, for "));
    browser.reads("#state-line", |words| words == "2 of 2 games in play, until told to stop.");
    browser.reads(".rate .now", |speed| number(speed) > 0.0);
    browser.reads("#data dd", |games| number(games.split(' ').next().unwrap()) > 0.0);
    browser.reads("#swaps strong", |version| version == "3");
    assert!(!browser.shows("#trouble"), "nothing was restarted");
    browser.reads("#recent strong", |game| game.starts_with("Game "));

    // Boards go on by themselves, as far as games last; so does the newest of the finished games.
    let board = browser.reads("#viewer-words", |words| words.starts_with("After ply "));
    browser.reads("#viewer-words", |words| words != board);
    let newest = browser.text("#recent strong");
    browser.reads("#recent strong", |game| game != newest);
    let drawn = "document.querySelectorAll('#boards .board').length == 2 && document.querySelectorAll('#boards .pawn').length == 4";
    // A slot may be between two games.
    wait::until("both boards", || (browser.value(drawn) == true).then_some(()));
    let lines =
        "[...document.querySelectorAll('.spark polyline')].map(line => line.getAttribute('points').split(' ').length)";
    wait::until("speeds over time", || browser.value(lines)[0].as_u64().filter(|&points| points > 1));

    stage.trainer.publish_network(4, Scalar::Plain);
    browser.reads("#said", |words| words == "Model 4 took over.");
    browser.reads("#model-words", |words| words.starts_with("Version 4, for "));
    stage.end();
}

#[test]
fn a_finished_game_can_be_gone_through_ply_by_ply() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, .. } = &stage;
    browser.reads("#recent strong", |game| game.starts_with("Game "));
    // Nothing ends meanwhile: however slow the browser, the game stays among those that are kept.
    browser.click("#pause");
    browser.reads("#state", |state| state == "Paused");
    browser.click("#recent .row");
    let title = browser.reads("#viewer-title", |title| title.contains("won") || title.contains("a draw"));
    let start = browser.reads("#viewer-words", |words| words.starts_with("After ply 0 of "));
    let plies: u32 = start["After ply 0 of ".len()..].split(':').next().unwrap().parse().unwrap();
    assert!(browser.shows("#viewer-follow") && plies > 0);
    let top = browser.value("document.querySelectorAll('#top-moves strong').length");
    assert!(top.as_u64() > Some(1), "the search's moves: {top}");

    browser.click("#forward");
    browser.reads("#viewer-words", |words| words.starts_with(&format!("After ply 1 of {plies}: first player played ")));
    // Bars are to be compared: words beside them take nothing of their width.
    let widths =
        "[...document.querySelectorAll('#top-moves .meter')].map(bar => Math.round(bar.getBoundingClientRect().width))";
    // The move that was played is not always one of the first.
    for ply in 2..=plies {
        if browser.text("#top-moves").contains(", played") {
            break;
        }
        browser.press("#slider", RIGHT);
        browser.reads("#viewer-words", |words| words.starts_with(&format!("After ply {ply} of ")));
    }
    assert!(browser.text("#top-moves").contains(", played"));
    assert_eq!(browser.value(&format!("new Set({widths}).size")), 1, "{}", browser.value(widths));
    browser.press("#slider", HOME);
    browser.press("#slider", RIGHT);
    browser.press("#slider", RIGHT);
    browser
        .reads("#viewer-words", |words| words.starts_with(&format!("After ply 2 of {plies}: second player played ")));
    browser.press("#viewer", RIGHT);
    browser.reads("#viewer-words", |words| words.starts_with(&format!("After ply 3 of {plies}: ")));
    browser.press("#slider", END);
    browser.reads("#viewer-words", |words| words.starts_with(&format!("After ply {plies} of {plies}: ")));
    assert_eq!(browser.text("#viewer-title"), title, "no other game takes its place");

    // A slot whose game ended in the moment of the pause has none until play goes on.
    browser.click("#pause");
    browser.reads("#state", |state| state == "Playing");
    // So has, for the page, every slot at the first look.
    let between = "let looks = 0; const real = fetch; window.fetch = (path, ...rest) => \
        `${path}`.includes('v1/games/') && looks++ == 0 ? Promise.resolve(Response.json(null)) : real(path, ...rest);";
    browser.run(between);
    browser.click("#viewer-follow");
    browser.reads("#viewer-title", |title| title.contains("in play in slot "));
    assert!(!browser.shows("#viewer-follow"));

    // What is there changes with the games: it is clicked in the moment in which it is found.
    let click = |selector: &str| {
        let found = format!("const found = document.querySelector('{selector}'); found?.click(); return found != null");
        browser.run(&found) == true
    };
    wait::until("a look back", || (click("#first") && browser.shows("#viewer-follow")).then_some(()));
    wait::until("a small board", || click(".mini").then_some(()));
    wait::until("the live board", || (!browser.shows("#viewer-follow")).then_some(()));
    stage.end();
}

#[test]
fn the_list_of_finished_games_holds_still_while_somebody_chooses() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, address, .. } = &stage;
    browser.reads("#recent strong", |game| game.starts_with("Game "));
    browser.run("document.querySelector('#recent .row').focus()");
    let newest = browser.text("#recent strong");
    let finished = |status: &serde_json::Value| status["games"]["finished"].as_u64().unwrap();
    let before = finished(&get(*address, "/v1/status").json());
    status(*address, "more games", |status| finished(status) >= before + 3);
    wait::until("the word that it holds", || browser.shows("#recent-held").then_some(()));
    assert_eq!(browser.text("#recent strong"), newest);
    browser.run("document.activeElement.blur()");
    browser.reads("#recent strong", |game| game != newest);
    wait::until("the list to go on", || (!browser.shows("#recent-held")).then_some(()));
    stage.end();
}

#[test]
fn many_games_are_shown_in_pages() {
    let Some(stage) = Stage::new("--games-per-process 100") else { return };
    let Stage { browser, .. } = &stage;
    let boards = |most: u64| {
        let count = "document.querySelectorAll('#boards .mini').length";
        wait::until("boards", || browser.value(count).as_u64().filter(|&count| count > 0 && count <= most))
    };
    browser.reads("#boards-more", |label| label == "Show more");
    assert!(boards(6) <= 6 && !browser.shows("#boards-pages"));
    browser.click("#boards-more");
    browser.reads("#boards-range", |range| range.starts_with("1 to 48 of "));
    browser.click("#boards-after");
    browser.reads("#boards-range", |range| range.starts_with("49 to 96 of "));
    browser.click("#boards-before");
    browser.reads("#boards-range", |range| range.starts_with("1 to 48 of "));
    browser.click("#boards-more");
    browser.reads("#boards-more", |label| label == "Show more");
    boards(6);
    stage.end();
}

#[test]
fn a_page_without_a_model_says_what_is_missing_and_nothing_else() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let trainer = Trainer::new(Config { board: 5, walls: 3, simulations: 400, games: 2, network: "resnet" });
    let mut daemon = listening(&trainer).start();
    browser.open(daemon.serves("status and control"));
    browser.reads("#state", |state| state == "Waiting for a model");
    browser.reads("#threads", |threads| threads.contains("without a model in service"));
    assert!(!browser.text("#threads").contains("swapping"));
    browser.reads("#writer", |writer| writer.contains("Waiting0 games"));
    assert!(!browser.text("#writer").contains("room for"));
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn a_batch_is_shown_with_what_is_left_of_it() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let dir = tempfile::TempDir::new().unwrap();
    let mut daemon = Daemon::playing(&Config::QUICK.write(dir.path()), &dir.path().join("games"))
        .args("--evaluator hash --num-games 5000000 --http-listen 127.0.0.1:0 --eval-cache-max-size 50")
        .start();
    browser.open(daemon.serves("status and control"));
    browser
        .reads("#state-line", |line| line.contains(" of 5,000,000 games written, about ") && line.ends_with(" left."));
    browser.reads("#cache", |cache| cache.contains("50 of 50") && cache.contains("entries, 100% full"));
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn the_page_controls_the_daemon() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, address, .. } = &stage;
    assert!(!browser.shows("#unlock"));
    browser.click("#pause");
    browser.reads("#state", |state| state == "Paused");
    status(*address, "a pause", |status| status["state"] == "paused");
    browser.reads("#pause", |label| label == "Resume");
    browser.click("#pause");
    browser.reads("#state", |state| state == "Playing");
    browser.click("#reload");
    browser.reads("#said", |words| words == "No setting changed. Nothing changed: model 3 serves.");

    browser.click("#drain");
    browser.click("#drain-dialog button[value=no]");
    assert!(!browser.shows("#drain-dialog"));
    assert_eq!(get(*address, "/v1/status").json()["state"], "playing", "thought better of it");
    assert_eq!(browser.complaints(), [""; 0]);
    browser.click("#drain");
    browser.click("#drain-dialog button[value=yes]");
    let Stage { browser, daemon, .. } = stage;
    daemon.wait().succeeded();
    browser.reads("#gone-words", |words| words.starts_with("The daemon has ended: it was draining"));
}

#[test]
fn a_token_opens_control() {
    let trainer = trainer();
    let token = token(&trainer, "0123456789abcdef");
    let Some(stage) = Stage::new(&format!("--http-token-file {}", token.display())) else { return };
    let Stage { browser, address, .. } = &stage;
    assert!(browser.shows("#unlock") && !browser.shows("#pause"));
    browser.click("#unlock");
    browser.press("#token", "fedcba9876543210\n");
    browser.reads("#token-said", |words| words == "This token does not open control here.");
    browser.press("#token", "0123456789abcdef\n");
    wait::until("the buttons", || browser.shows("#pause").then_some(()));
    assert!(!browser.shows("#token-dialog") && !browser.shows("#unlock"));
    browser.click("#pause");
    status(*address, "a pause", |status| status["state"] == "paused");
    browser.reads("#pause", |label| label == "Resume");
    browser.click("#pause");
    browser.reads("#state", |state| state == "Playing");
    stage.end();
}

#[test]
fn a_page_that_may_not_read_asks_for_the_token() {
    let Some(browser) = Browser::start(1280, 900) else { return };
    let trainer = trainer();
    let token = token(&trainer, "0123456789abcdef");
    let daemon = listening(&trainer).option("--http-token-file", token).env("SELFPLAYD__HTTP__TOKEN_FOR_READS", "true");
    let mut daemon = daemon.start();
    browser.open(daemon.serves("status and control"));
    browser.reads("#state", |state| state == "Locked");
    assert!(browser.shows("#unlock") && !browser.shows("#gone"));
    browser.click("#unlock");
    browser.press("#token", "fedcba9876543210\n");
    browser.reads("#token-said", |words| words == "This token does not open control here.");
    browser.press("#token", "0123456789abcdef\n");
    browser.reads("#state", |state| state == "Playing");
    browser.reads("#recent strong", |game| game.starts_with("Game "));
    browser.click("#pause");
    browser.reads("#state", |state| state == "Paused");
    daemon.signal(Signal::TERM);
    daemon.wait().succeeded();
}

#[test]
fn the_page_names_the_run_and_leads_to_the_daemons_beside_it() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, trainer, .. } = &stage;
    browser.reads("#run", |run| run == "e2e");
    let places = browser.text("#places");
    assert!(places.contains(&format!("Games go to {}", trainer.ready().display())), "{places}");
    assert!(places.contains("models come from") && !browser.shows("#siblings"), "{places}");
    let mut other = listening(trainer).start();
    let address = other.serves("status and control");
    browser.reads("#siblings-words", |words| words.contains(&format!("process {}", other.id())));
    assert_eq!(browser.value("document.querySelector('#siblings a').href"), format!("http://{address}/"));
    other.signal(Signal::TERM);
    other.wait().succeeded();
    wait::until("its end", || (!browser.shows("#siblings")).then_some(()));
    stage.end();
}

#[test]
fn the_page_says_when_the_daemon_is_gone_and_finds_the_next_one_by_itself() {
    let Some(Stage { browser, daemon, address, trainer }) = Stage::new("") else { return };
    assert!(!browser.shows("#gone"));
    daemon.signal(Signal::KILL);
    browser.reads("#gone-words", |words| words.starts_with(&format!("The daemon at {address} does not answer since ")));
    assert!(browser.shows("#gone") && browser.text("title").starts_with("No answer"));
    drop(daemon);
    let mut next = trainer.daemon().args("--evaluator hash").option("--http-listen", address.to_string()).start();
    next.serves("status and control");
    browser.reads("#about", |about| about.contains(&format!(", process {}, ", next.id())));
    browser.reads("#state", |state| state == "Playing");
    assert!(!browser.shows("#gone"));
    next.signal(Signal::TERM);
    next.wait().succeeded();
}

#[test]
fn the_page_shows_what_is_learned_by_version_and_any_two_side_by_side() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, address, trainer, .. } = &stage;
    trainer.tell(r#"{"state": "training", "step": 1200, "loss": 1.25}"#);
    let games = |version: i64| {
        move |learned: &serde_json::Value| {
            learned["versions"]
                .as_array()
                .unwrap()
                .iter()
                .any(|row| row["version"] == version && row["games"].as_u64() > Some(0))
        }
    };
    let learned = |what: &str, is: &dyn Fn(&serde_json::Value) -> bool| {
        wait::until(what, || Some(get(*address, "/v1/learning").json()).filter(is))
    };
    learned("a game of model 3", &games(3));
    trainer.publish_network(4, Scalar::Plain);
    learned("a game of model 4", &games(4));
    browser.click("#tab-learning");
    browser.reads("#verdicts-of", |words| words.contains(" of version"));
    assert!(browser.shows("#curves .chart:not([hidden]) svg") && !browser.shows("#viewer") && browser.shows("#state"));
    let labels =
        browser.value("[...document.querySelectorAll('#curves .chart svg text')].map(text => text.textContent)");
    let labels: Vec<_> = labels.as_array().unwrap().iter().filter_map(serde_json::Value::as_str).collect();
    assert!(labels.contains(&"3") && labels.contains(&"4"), "versions stand at the axis: {labels:?}");
    browser.reads("#name-a", |name| name == "3");
    browser.reads("#name-b", |name| name == "4");
    let rows = browser.value("[...document.querySelectorAll('#compared tr')].map(row => row.textContent)");
    assert!(rows.to_string().contains("Game length, plies"), "{rows}");
    // What one points at is told in all curves.
    browser.press("#curves .chart:nth-child(2) svg", LEFT);
    browser.press("#curves .chart:nth-child(2) svg", LEFT);
    browser.reads("#hovered", |words| words.starts_with("Version 3: "));
    browser.run("document.activeElement.blur()");
    browser.reads("#hovered", str::is_empty);
    browser.run(
        "const list = document.querySelector('#version-b'); list.value = '3'; list.dispatchEvent(new Event('change'))",
    );
    browser.reads("#name-b", |name| name == "3");
    browser.resize(390, 844);
    let wide = browser.value("document.documentElement.scrollWidth");
    assert!(wide.as_u64() <= Some(390), "{wide}");
    browser.click("#tab-play");
    wait::until("the games", || (browser.shows("#viewer") && !browser.shows("#curves")).then_some(()));
    browser.reads("#trainer-pairs", |words| words.contains("Training") && words.contains("1.25"));
    stage.end();
}

#[test]
fn the_page_fits_every_width() {
    let Some(stage) = Stage::new("") else { return };
    let Stage { browser, .. } = &stage;
    browser.reads("#recent strong", |game| game.starts_with("Game "));
    for width in [320, 390, 700, 1000, 1920] {
        browser.resize(width, 844);
        let wide = browser.value("document.documentElement.scrollWidth");
        let widest = "[...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > innerWidth + 1) \
                      .map(node => `${node.tagName}#${node.id}.${node.className} ${node.getBoundingClientRect().right}`).join('; ')";
        assert!(wide.as_u64() <= Some(width.into()), "{wide} on {width}: {}", browser.value(widest));
        // Nothing that is shown is too small to read, and nothing sticks out of what holds it.
        let small = "[...document.querySelectorAll('body *')].filter(node => node.checkVisibility() && node.childElementCount == 0 \
                     && node.textContent.trim() && !node.closest('svg') && parseFloat(getComputedStyle(node).fontSize) < 10).length";
        assert_eq!(browser.value(small), 0, "on {width}");
        let out = format!(
            "[...document.querySelectorAll('main *')].filter(node => node.checkVisibility() && !node.closest('.scroll, svg, .words') \
             && node.getBoundingClientRect().right > {width} + 1).map(node => node.id || node.className)"
        );
        assert_eq!(browser.value(&out), serde_json::json!([]), "on {width}");
    }
    browser.resize(390, 844);
    browser.click("#recent .row");
    browser.reads("#viewer-title", |title| title.contains("won") || title.contains("a draw"));
    stage.end();
}

/// Takes the pictures of the page that the documentation shows, of a daemon that plays on this machine.
#[test]
#[ignore = "writes docs/images: run it by name after the page has changed"]
fn pictures_for_the_documentation() {
    let browser = Browser::start(1280, 900).expect("pictures are taken in a browser");
    browser.resize(1120, 800);
    let trainer = Trainer::new(Config { board: 9, walls: 10, simulations: 60, games: 6, network: "resnet" });
    trainer.publish(41, &model("b9w10_resnet_2x32.onnx"), Scalar::Plain);
    let mut daemon = trainer.daemon().args("--device cpu --http-listen 127.0.0.1:0").start();
    browser.open(daemon.serves("status and control"));
    browser.reads("#recent strong", |game| game.starts_with("Game "));
    trainer.publish(42, &model("b9w10_resnet_6x32.onnx"), Scalar::Plain);
    browser.reads("#model-words", |words| words.starts_with("Version 42, for "));
    let points = "document.querySelector('.spark polyline').getAttribute('points').split(' ').length";
    wait::until("a minute of speeds", || browser.value(points).as_u64().filter(|&points| points >= 25));
    browser.reads("#viewer-words", |words| words.split(' ').nth(2).is_some_and(|ply| number(ply) > 20.0));
    let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
    fs::create_dir_all(&images).unwrap();
    let take = |name: &str| fs::write(images.join(name), browser.picture()).unwrap();
    take("page-light.png");
    browser.theme("dark");
    browser.click("#recent .row");
    browser.reads("#viewer-words", |words| words.starts_with("After ply 0 of "));
    (0..9).for_each(|_| browser.click("#forward"));
    browser.value("document.activeElement.blur()");
    browser.value("scrollTo(0, 0)");
    take("page-replay-dark.png");
    browser.theme("light");
    browser.resize(390, 844);
    browser.value("scrollTo(0, 0)");
    take("page-phone.png");
}
