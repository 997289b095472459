"""Models handed over."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import selfplayd

from .conftest import MODELS


def test_a_good_model_is_written_with_its_news(tmp_path: Path, tic_tac_toe: Path) -> None:
    game = selfplayd.describe("tic_tac_toe")
    content = tic_tac_toe.read_bytes()
    published = selfplayd.publish(content, tmp_path / "new", 7, game=game)
    assert published.path == tmp_path / "new/model_7.onnx"
    assert published.path.read_bytes() == content
    assert published.sha256 == hashlib.sha256(content).hexdigest()
    assert published.warnings == ()
    latest = (tmp_path / "new/latest.yaml").read_text()
    assert latest == f'filename: "{published.path}"\nversion: 7\nsha256: {published.sha256}\n'
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["latest.yaml", "model_7.onnx"]
    assert selfplayd.publish(tic_tac_toe, tmp_path / "new", 8, check=False).version == 8


def test_a_model_that_must_not_serve_changes_nothing(tmp_path: Path, tic_tac_toe: Path) -> None:
    selfplayd.publish(tic_tac_toe, tmp_path, 1, game="tic_tac_toe")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(selfplayd.ModelRefusedError, match=r"model_2\.onnx takes input .* expected") as refused:
        selfplayd.publish(MODELS / "games/othello.onnx", tmp_path, 2, game="tic_tac_toe")
    assert refused.value.step == "structure"
    with pytest.raises(selfplayd.ModelRefusedError, match="not a complete ONNX model"):
        selfplayd.publish(b"nonsense", tmp_path, 2, game="tic_tac_toe")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_odd_about_a_model_is_told() -> None:
    game = selfplayd.describe("quoridor", board_size=3, max_walls=1)
    warnings = selfplayd.check_model(MODELS / "odd_zero_weights.onnx", game)
    assert any("same answer" in warning for warning in warnings)


def test_a_check_needs_the_game(tmp_path: Path, tic_tac_toe: Path) -> None:
    with pytest.raises(TypeError, match="game="):
        selfplayd.publish(tic_tac_toe, tmp_path, 1)
    with pytest.raises(ValueError, match="at least 0"):
        selfplayd.publish(tic_tac_toe, tmp_path, -1, check=False)


def test_a_check_that_is_not_possible_is_no_verdict(tmp_path: Path, tic_tac_toe: Path) -> None:
    with pytest.raises(selfplayd.DaemonError, match="ONNX Runtime") as failed:
        selfplayd.publish(tic_tac_toe, tmp_path, 1, game="tic_tac_toe", inference__ort_library="/nowhere/lib.so")
    assert failed.value.code == 78
    assert list(tmp_path.iterdir()) == []
