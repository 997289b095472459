"""The wheel, installed as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from .conftest import MODELS

WHEEL = os.environ.get("SELFPLAYD_WHEEL")

PLAY = """
import sys
from pathlib import Path
import selfplayd

model, folder = sys.argv[1], Path(sys.argv[2])
assert Path(selfplayd.__file__).is_relative_to(sys.prefix), selfplayd.__file__
game = selfplayd.describe("tic_tac_toe")
selfplayd.publish(model, folder / "models", 1, game=game)
few = {"play__num_games": 3, "search__mcts_n": 8, "model__path": folder / "models/model_1.onnx", "http__listen": "none"}
with selfplayd.Daemon(game=game, games_dir=folder / "games", inference__device=sys.argv[3], **few) as daemon:
    assert daemon.wait(240)
print(len(list((folder / "games").glob("*.npz"))), "games")
"""


def installed(folder: Path, requirement: str) -> Path:
    """The Python of a new environment with the wheel in it."""
    environment = folder / "environment"
    # What this Python can use of its own: some lack the pip that new environments get.
    venv.create(environment, with_pip=True)
    python = environment / "bin/python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", requirement]
    ended = subprocess.run(pip, capture_output=True, text=True)
    assert ended.returncode == 0, f"pip could not install the wheel and what it needs:\n{ended.stderr}"
    return python


def plays(python: Path, folder: Path, device: str) -> None:
    # Nothing of this checkout may help: neither its program nor its ONNX Runtime.
    environment = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PATH", "TMPDIR")}
    arguments = ["-I", "-c", PLAY, str(MODELS / "games/tic_tac_toe.onnx"), str(folder), device]
    ended = subprocess.run([str(python), *arguments], env=environment, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "3 games\n"
    assert f"{python.parents[1]}/lib/python" in ended.stderr or device == "cpu"


@pytest.mark.skipif(WHEEL is None, reason="SELFPLAYD_WHEEL names no wheel: `cargo xtask test` builds one")
def test_the_wheel_brings_all_that_it_takes_to_play(tmp_path: Path) -> None:
    assert WHEEL is not None
    python = installed(tmp_path, WHEEL)
    version = subprocess.run([python.parent / "selfplayd", "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("selfplayd ")
    plays(python, tmp_path, "cpu")
    assert sys.version_info >= (3, 10)
