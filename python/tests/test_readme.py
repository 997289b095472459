"""The examples of the README run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import MODELS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


class Network:
    """Stands in for the reader's own: it counts what it is taught."""

    taught: list[tuple[int, ...]]

    def __init__(self, input_shape: tuple[int, int, int], policy_size: int) -> None:
        assert (input_shape, policy_size) == ((2, 3, 3), 9)
        type(self).taught = []

    def export(self) -> bytes:
        return (MODELS / "games/tic_tac_toe.onnx").read_bytes()

    def learn(self, inputs: np.ndarray[Any, Any], policies: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> None:
        assert len(inputs) == len(policies) == len(values)
        self.taught.append(inputs.shape)


def test_a_trainer_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(EXAMPLES[0], "README.md", "exec"), {"Network": Network})
    assert len(Network.taught) == 60
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert EXAMPLES[0].count("\n") <= 12


def test_games_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    quick = EXAMPLES[1].replace("play__num_games=100", "play__num_games=2, hex__size=3, search__mcts_n=4")
    exec(compile("import selfplayd\n" + quick, "README.md", "exec"), {})
    assert len(list((tmp_path / "games").glob("*.npz"))) == 2
