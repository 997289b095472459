//! What is asked of a new model before games ask.

use super::*;

#[test]
fn what_was_asked_most_of_the_model_before_is_asked_of_the_next_in_idle_time() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1, 2, 3, 4]);
        let batch = stage.misses();
        stage.run(batch, 1).await;
        stage.ask(2, &[3, 4, 2, 3, 4, 3]);
        stage.table.warm(9);
        assert!(stage.misses().is_empty(), "nothing to do before there is another model");
        stage.table.change_model(nth(2));
        stage.table.warm(1);
        let warmed = stage.misses();
        assert_eq!((positions(&warmed), warmed.generation()), (vec![3], 2));

        // A game that asks first, of what is under way too, is answered like any other.
        stage.ask(3, &[3, 4]);
        let asked = stage.misses();
        assert_eq!(positions(&asked), [4]);
        stage.table.warm(9);
        assert!(stage.misses().is_empty(), "each is asked once, and no more than two are");
        stage.run(warmed, 2).await;
        stage.run(asked, 2).await;
        let answered = stage.answered().await;
        assert_eq!(answered[&3], Ok((2, vec![value(2, 3), value(2, 4)])));
        stage.ask(4, &[3]);
        assert!(stage.misses().is_empty());
        assert_eq!((stage.table.counts.warmed, stage.table.counts.misses), (1, 5));
    });
}

#[test]
fn a_list_to_warm_ends_with_its_model_and_with_the_table() {
    play(async {
        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1, 2]);
        let batch = stage.misses();
        stage.run(batch, 1).await;
        stage.ask(2, &[1, 2]);
        stage.table.change_model(nth(2));
        stage.table.warm(1);
        let warmed = stage.misses();
        stage.table.change_model(nth(3));
        stage.table.warm(9);
        assert!(stage.misses().is_empty());
        // What comes back too late is of no use, and does no harm.
        stage.run(warmed, 2).await;
        stage.ask(3, &[1]);
        assert_eq!(positions(&stage.misses()), [1]);

        let mut stage = Stage::serving(ROOMY);
        stage.ask(1, &[1]);
        let batch = stage.misses();
        stage.run(batch, 1).await;
        stage.ask(2, &[1]);
        stage.restart();
        stage.table.change_model(nth(2));
        stage.table.warm(9);
        assert!(stage.misses().is_empty());
    });
}
