//! Pointers, and models on their way.

use super::*;

fn name(number: usize) -> Name {
    format!("w{number}").parse().unwrap()
}

fn model(generation: i64) -> ModelFile {
    ModelFile { generation, sha256: Hash::of(&generation.to_le_bytes()), size: 5_000_000 }
}

/// How many of so many workers serve the newest model.
fn takers(pointer: &Pointer, workers: usize) -> usize {
    (0..workers).filter(|&number| pointer.model_of(&name(number)) == Some(&pointer.model)).count()
}

fn on_its_way(percent: f64) -> Pointer {
    Pointer { previous: Some(model(1)), ..Pointer::new(model(2), percent, "5e77".to_owned()) }
}

fn says(number: usize, generation: i64, standing: Standing) -> Presence {
    Presence { worker: name(number), model: Some(model(generation).sha256), standing }
}

#[test]
fn a_pointer_is_read_back_and_others_are_refused_in_words() {
    let pointer = on_its_way(5.5);
    let text = pointer.to_json();
    assert_eq!(Pointer::read(text.as_bytes()).unwrap(), pointer);
    assert!(text.starts_with(r#"{"v":1,"generation":2,"sha256":""#), "{text}");
    let refusal = |text: &str| Pointer::read(text.as_bytes()).unwrap_err().to_string();
    assert!(refusal(&text.replace("\"v\":1", "\"v\":2")).contains("it has format 2, this program reads 1"));
    assert!(refusal(&text.replace("5.5", "101")).contains("percent is 101"));
    assert!(refusal(&text.replace("5.5", "-1")).contains("percent is -1"));
    assert!(refusal(&text.replace("5000000", "0")).contains("size is 0"));
    assert!(refusal(&text.replace("5000000", "99000000000")).contains("size is 99000000000"));
    assert!(refusal(&text.replacen("\"sha256\":\"", "\"sha256\":\"G", 1)).contains("64 hexadecimal digits"));
    assert!(refusal("{").contains("read the pointer"));
    assert!(refusal(&" ".repeat(5_000)).contains("it has 5000 bytes, and may have 4096"));
    let minimal = r#"{"v":1,"generation":7,"sha256":"#.to_owned()
        + &format!("{:?}", "0a".repeat(32))
        + r#","size":1,"percent":100,"settings_hash":"x","more":[]}"#;
    let read = Pointer::read(minimal.as_bytes()).unwrap();
    assert_eq!((read.previous, read.withdrawn, read.model.chunks()), (None, false, 1));
    assert_eq!(model(1).chunks(), 10);
}

#[test]
fn a_share_of_the_workers_takes_it_others_each_time() {
    for (percent, workers, about) in [(5.0, 100, 5), (5.0, 10_000, 500), (25.0, 100, 25), (25.0, 10_000, 2_500)] {
        let found = takers(&on_its_way(percent), workers);
        assert!(found.abs_diff(about) * 5 <= about * 4, "{percent}% of {workers}: {found}");
    }
    assert_eq!((takers(&on_its_way(0.0), 1_000), takers(&on_its_way(100.0), 1_000)), (0, 1_000));
    // Who takes it at a small share takes it at a larger one.
    let (small, large) = (on_its_way(10.0), on_its_way(30.0));
    assert!((0..500).all(|number| !small.is_canary(&name(number)) || large.is_canary(&name(number))));
    let other = Pointer { model: model(3), ..small.clone() };
    assert!((0..500).any(|number| small.is_canary(&name(number)) != other.is_canary(&name(number))));
}

#[test]
fn who_does_not_take_it_serves_the_one_before() {
    let pointer = Pointer { withdrawn: true, ..on_its_way(100.0) };
    assert_eq!(pointer.model_of(&name(1)), Some(&model(1)));
    let alone = Pointer { previous: None, ..on_its_way(5.0) };
    assert_eq!(takers(&alone, 100), 100, "there is no other to serve");
    assert_eq!(Pointer { withdrawn: true, ..alone }.model_of(&name(1)), None);
}

#[test]
fn the_first_model_is_for_all_and_the_next_for_some() {
    let stages = Stages::default();
    let first = stages.begin(None, model(1), "5e77");
    assert_eq!((first.percent, first.previous), (100.0, None));
    let second = stages.begin(Some(&first), model(2), "5e77");
    assert_eq!((second.percent, second.previous), (5.0, Some(model(1))));
    let third = stages.begin(Some(&second), model(3), "5e77");
    assert_eq!(third.previous, Some(model(1)), "the second has proven nothing");
    let bad = Pointer { percent: 100.0, withdrawn: true, ..second };
    assert_eq!(stages.begin(Some(&bad), model(3), "5e77").previous, Some(model(1)));
}

#[test]
fn it_goes_further_when_all_who_took_it_have_proven_it() {
    let stages = Stages::default();
    let mut pointer = on_its_way(5.0);
    let mut percents = Vec::new();
    while pointer.percent < 100.0 {
        let canaries: Vec<_> = (0..100).filter(|&number| pointer.is_canary(&name(number))).collect();
        let present = |proven: usize| -> Vec<_> {
            let of = |number: usize| match canaries.iter().position(|&canary| canary == number) {
                Some(place) if place < proven => says(number, 2, Standing::Proven),
                Some(place) if place == proven => says(number, 2, Standing::Trying),
                // Not yet.
                _ => says(number, 1, Standing::Proven),
            };
            (0..100).map(of).collect()
        };
        for proven in 0..canaries.len() {
            assert_eq!(stages.decide(&pointer, &present(proven)), Decision::Wait { proven, of: canaries.len() });
        }
        let Decision::Raise { percent } = stages.decide(&pointer, &present(canaries.len())) else { panic!() };
        percents.push(percent);
        pointer.percent = percent;
    }
    assert_eq!(percents, [25.0, 100.0]);
    assert_eq!(stages.decide(&pointer, &[]), Decision::Rest);
}

#[test]
fn of_few_workers_one_is_found_to_begin_with() {
    let stages = Stages::default();
    for generation in 2..40 {
        let pointer = Pointer { model: model(generation), ..on_its_way(0.01) };
        let present: Vec<_> = (0..3).map(|number| says(number, 1, Standing::Proven)).collect();
        // At one in ten thousand it could be one of these three to begin with.
        assert!((0..3).all(|number| !pointer.is_canary(&name(number))));
        let Decision::Raise { percent } = stages.decide(&pointer, &present) else { panic!("{pointer:?}") };
        let raised = Pointer { percent, ..pointer };
        assert_eq!((0..3).filter(|&number| raised.is_canary(&name(number))).count(), 1);
        assert_eq!(stages.decide(&raised, &present), Decision::Wait { proven: 0, of: 1 });
    }
    assert_eq!(stages.decide(&on_its_way(5.0), &[]), Decision::Wait { proven: 0, of: 0 }, "no worker is there");
}

#[test]
fn one_who_finds_it_bad_takes_it_back_from_all() {
    let stages = Stages::default();
    let bad = says(3, 2, Standing::Bad("not finite".to_owned()));
    let withdrawn = Decision::Withdraw { worker: name(3), reason: "not finite".to_owned() };
    for percent in [5.0, 60.0, 100.0] {
        let present = [says(1, 2, Standing::Proven), bad.clone()];
        assert_eq!(stages.decide(&on_its_way(percent), &present), withdrawn);
    }
    let of_another = says(3, 1, Standing::Bad("old news".to_owned()));
    assert_eq!(stages.decide(&on_its_way(100.0), &[of_another]), Decision::Rest);
    let gone = Pointer { withdrawn: true, ..on_its_way(5.0) };
    assert_eq!(stages.decide(&gone, std::slice::from_ref(&bad)), Decision::Rest);
    let first = Pointer { previous: None, ..on_its_way(100.0) };
    assert_eq!(stages.decide(&first, &[bad]), Decision::Rest, "there is nothing to go back to");
    assert_eq!(Stages::new(vec![50.0, 7.0, 100.0, 300.0, f64::NAN]), Stages::new(vec![7.0, 50.0]));
}
