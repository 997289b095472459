"""What the daemon says of its games."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import selfplayd
from selfplayd import Game

GAMES = ["quoridor", "tic_tac_toe", "mnk", "connect_four", "othello", "hex", "breakthrough"]


def described(name: str) -> Game:
    # Quoridor has no board of its own.
    return selfplayd.describe(name, board_size=5, max_walls=3) if name == "quoridor" else selfplayd.describe(name)


@pytest.mark.parametrize("name", GAMES)
def test_every_game_is_described(name: str) -> None:
    game = described(name)
    assert game.name == name
    assert len(game.plane_names) == game.input_shape[0]
    assert (game.max_plies is None) == (name == "quoridor")
    assert len(game.symmetries) in (2, 8)
    entries = int(np.prod(game.input_shape))
    for number, symmetry in enumerate(game.symmetries):
        for permutation, length in [(symmetry.input, entries), (symmetry.policy, game.policy_size)]:
            assert permutation.dtype == np.int32
            assert sorted(permutation) == list(range(length))
            assert (number == 0) == bool((permutation == np.arange(length)).all()) or name == "hex"


def test_rules_are_given_and_told() -> None:
    game = selfplayd.describe("hex", size=5, swap=False)
    assert game.rules == {"size": 5, "swap": False}
    assert (game.title, game.input_shape, game.max_plies) == ("hex(size=5,swap=false)", (2, 5, 5), 25)
    assert selfplayd.describe("quoridor", board_size=4, max_walls=2, max_steps=60).max_plies == 60


def test_symmetries_move_what_stands_on_the_board() -> None:
    game = selfplayd.describe("connect_four")
    x = np.arange(84).reshape(2, 6, 7)
    mirrored = x.ravel()[game.symmetries[1].input].reshape(x.shape)
    assert (mirrored == x[:, :, ::-1]).all()
    assert game.symmetries[1].policy.tolist() == [6, 5, 4, 3, 2, 1, 0]


def test_images_of_positions_that_were_played_are_positions(tmp_path: Path) -> None:
    """Also of positions from files: a cell is legal where no mark stands, in every image."""
    game = selfplayd.describe("tic_tac_toe")
    played: dict[str, Any] = {
        "play__num_games": 20,
        "play__seed": 1,
        "search__mcts_n": 4,
        "inference__evaluator": "uniform",
    }
    with selfplayd.Daemon(game=game, games_dir=tmp_path, http__listen="none", **played) as daemon:
        assert daemon.wait(120)
    files = sorted(tmp_path.glob("*.npz"))
    assert len(files) == 20
    for file in files:
        arrays = np.load(file)
        for x, mask in zip(arrays["input_arrays"], arrays["action_masks"], strict=True):
            for symmetry in game.symmetries:
                image = x.ravel()[symmetry.input].reshape(x.shape)
                assert (mask[symmetry.policy] == 1 - image.sum(axis=0).ravel()).all()


def test_a_game_that_is_not_there_is_refused_in_the_daemons_words() -> None:
    with pytest.raises(selfplayd.DaemonError, match="connect_four") as refused:
        selfplayd.describe("connect_for")
    assert refused.value.code == 78
    with pytest.raises(selfplayd.DaemonError, match=r"hex\.size = 2 .* must be a whole number from 3 to 13"):
        selfplayd.describe("hex", size=2)
    with pytest.raises(selfplayd.DaemonError, match=r"hex\.sise.*hex\.size"):
        selfplayd.describe("hex", sise=2)


def test_people_read_a_table(the_program: Path) -> None:
    command = [str(the_program), "describe", "--game", "tic_tac_toe"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.startswith("tic_tac_toe\npolicy         9 actions: cell, row by row from the top\n")
    assert "\n  plane 1      the opponent's marks\n" in told
    refused = subprocess.run([*command, "--device", "cpu"], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--device has no meaning for `selfplayd describe`" in refused.stderr
