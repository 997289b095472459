"""The wheel, installed as a user does."""

from __future__ import annotations

import os
import subprocess
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
published = selfplayd.publish(model, folder / "models", 1, game=game)
few = {"play__num_games": 3, "search__mcts_n": 8, "model__path": published.path, "http__listen": "none"}
with selfplayd.Daemon(game=game, games_dir=folder / "games", **few) as daemon:
    assert daemon.wait(240)
print([played.rows > 0 for played in selfplayd.games(folder / "games")])
"""


def install(folder: Path, requirement: str) -> Path:
    """Makes an environment with the wheel and what it depends on; its Python."""
    environment = folder / "environment"
    python = environment / "bin/python"
    pip = [str(python), "-m", "pip"]
    try:
        venv.create(environment, with_pip=True)
    except subprocess.CalledProcessError:
        # Debian keeps what that needs in a package of its own; the pip outside serves as well.
        venv.create(environment, clear=True)
        pip = ["python3", "-m", "pip", "--python", str(python)]
    command = [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile", requirement]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, f"pip could not install the wheel and what it needs:\n{ended.stderr}"
    return python


@pytest.mark.skipif(WHEEL is None, reason="SELFPLAYD_WHEEL names no wheel: `cargo xtask test` builds one")
def test_the_wheel_brings_all_that_it_takes_to_play(tmp_path: Path) -> None:
    assert WHEEL is not None
    python = install(tmp_path, WHEEL)
    version = subprocess.run(
        [str(python.parent / "selfplayd"), "--version"], capture_output=True, text=True, check=True
    )
    assert version.stdout.startswith("selfplayd ")
    # Nothing of this checkout may help: neither its program nor its ONNX Runtime.
    environment = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "PATH", "TMPDIR")}
    command = [str(python), "-I", "-c", PLAY, str(MODELS / "games/tic_tac_toe.onnx"), str(tmp_path)]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "[True, True, True]\n"
