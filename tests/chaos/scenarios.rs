//! One fault each.

use crate::{
    books::Books,
    config::Config,
    ingest::Ingest,
    models::{Kind, Models},
    session::Launch,
    site::Site,
    wait,
};

#[test]
fn a_daemon_killed_goes_on_with_its_games_exactly_once() {
    let mut site = Site::new(Config { simulations: 100, games: 6, ..Config::QUICK }, false);
    let (mut models, mut ingest, mut books) = (Models::new(&site), Ingest::new(), Books::default());
    models.publish(Kind::Good);
    for _ in 0..3 {
        let daemon = Launch::plain().start(&mut site, &models);
        let before = ingest.taken().len();
        wait::until("some games", || {
            ingest.round(&site, &models);
            (ingest.taken().len() > before).then_some(())
        });
        books.enter(&daemon.kill());
    }
    let mut last = Launch::plain().start(&mut site, &models);
    last.says("model in service");
    books.enter(&last.terminate().exited_with(0));
    ingest.round(&site, &models);
    books.balance(&ingest);
    assert_eq!(site.leftovers(), [""; 0]);
}
