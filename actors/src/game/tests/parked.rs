//! Games that are parked when there is no room, and go on later.

use super::*;

#[test]
fn a_game_that_was_parked_goes_on_as_if_it_had_never_stopped() {
    play(async {
        let mut stage = Stage::new();
        stage.slot.do_send(PlayGame::New { index: 6, terms: terms() });
        let whole = stage.served().await;
        let told = |record: &GameRecord<TicTacToe>| format!("{:?}{:?}", record.plies, record.model_version);
        let mut plies_when_parked = Vec::new();
        for answers in 0..8 {
            stage.slot.do_send(ParkGame); // Of no effect without a game.
            stage.slot.do_send(PlayGame::New { index: 6, terms: terms() });
            for _ in 0..answers {
                serve(stage.lookups.next().await);
            }
            let late = stage.lookups.next().await;
            stage.slot.do_send(ParkGame);
            let SlotParked { slot, game } = stage.parked.next().await;
            let PlayGame::Parked { game: parked, .. } = &game else { panic!("{game:?}") };
            plies_when_parked.push(parked.plies.len());
            assert_eq!((slot, parked.index), (5, 6));
            serve(late);
            assert!(stage.lookups.take().await.is_empty(), "an answer that comes late changes nothing");
            stage.slot.do_send(game);
            assert_eq!(told(&stage.served().await), told(&whole), "after {answers} answers");
        }
        assert!(plies_when_parked.first() == Some(&0) && plies_when_parked.last() > Some(&0), "{plies_when_parked:?}");
        assert!(stage.parked.take().await.is_empty() && stage.free.take().await.is_empty());
        let counts = stage.stats.snapshot();
        assert_eq!((counts.games_started, counts.games_finished, counts.games_resumed), (9, 9, 0));
    });
}

#[test]
fn a_slot_without_room_gives_back_what_it_is_sent_and_lets_answers_pass() {
    play(async {
        let mut stage = Stage::new();
        stage.room.set(6, false);
        stage.slot.do_send(PlayGame::New { index: 1, terms: terms() });
        assert!(matches!(stage.parked.next().await.game, PlayGame::New { index: 1, .. }));
        assert_eq!(stage.stats.games_started.get(), 0, "it never began");

        stage.room.set(6, true);
        stage.slot.do_send(PlayGame::New { index: 2, terms: terms() });
        let lookup = stage.lookups.next().await;
        stage.room.set(6, false);
        serve(lookup);
        let lookup = stage.lookups.next().await;
        stage.room.set(5, true);
        serve(lookup);
        assert!(stage.lookups.take().await.is_empty(), "it is about to leave");
        stage.slot.do_send(ParkGame);
        assert!(matches!(stage.parked.next().await.game, PlayGame::Parked { .. }));
        assert_eq!(stage.stats.games_started.get(), 1);
    });
}
