//! Where models come from.

use super::*;

#[test]
fn directories_and_single_files_are_followed() {
    play(async {
        let mut stage =
            Stage::new(|dir| ModelOrigin::Follow { followed: Followed::of(dir, NewestBy::Name), poll: NEVER });
        stage.look(3).await;
        stage.model(3, "good 3");
        stage.look(3).await;
        stage.model(12, "bad");
        stage.look(3).await;
        stage.model(13, "good 13");
        stage.look(3).await;
        assert_eq!(stage.swaps().await, [(1, 3), (2, 13)]);

        let mut stage = Stage::new(|dir| ModelOrigin::Follow {
            followed: Followed::of(&dir.join("model_7.onnx"), NewestBy::Name),
            poll: NEVER,
        });
        for contents in ["good", "bad", "good too", "good too", "good again"] {
            stage.model(7, contents);
            stage.look(3).await;
        }
        assert_eq!(stage.swaps().await, [(1, 7), (2, 7), (3, 7)]);
    });
}

#[test]
fn an_announced_checksum_reaches_the_source() {
    play(async {
        let mut stage = Stage::following();
        stage.model(1, "good");
        let onnx = stage.dir.path().join("model_1.onnx");
        let sum = Checksum::of(b"good");
        let text = format!("filename: {}\nversion: 1\nsha256: {sum}\n", onnx.display());
        fs::write(stage.dir.path().join("latest.yaml"), text).unwrap();
        assert_eq!(stage.look(3).await, ["model_1.onnx"]);
    });
}
