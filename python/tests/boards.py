"""Small games as data, so that tests of buffer and trainer need no daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from selfplayd.game import Game, Symmetry

Turn = Callable[[NDArray[np.int32]], NDArray[np.int32]]


def _cells(planes: int, rows: int, columns: int, turn: Turn) -> NDArray[np.int32]:
    index = np.arange(planes * rows * columns, dtype=np.int32).reshape(planes, rows, columns)
    return np.stack([turn(plane) for plane in index]).ravel()


def connect_four(rows: int = 6, columns: int = 7) -> Game:
    """Two planes, an action for each column, one mirror."""
    identity = Symmetry(_cells(2, rows, columns, lambda b: b), np.arange(columns, dtype=np.int32))
    mirror = Symmetry(_cells(2, rows, columns, lambda b: b[:, ::-1]), np.arange(columns, dtype=np.int32)[::-1].copy())
    rules = {"rows": rows, "columns": columns, "length": 4}
    return Game(
        "connect_four", rules, (2, rows, columns), ("mine", "theirs"), columns, rows * columns, (identity, mirror)
    )


def tic_tac_toe() -> Game:
    """Two planes, an action for each cell, eight symmetries."""

    def turn(quarters: int, mirrored: bool) -> Turn:
        return lambda board: np.rot90(board[:, ::-1] if mirrored else board, quarters)

    turns = [turn(quarters, mirrored) for quarters in range(4) for mirrored in (False, True)]
    symmetries = tuple(Symmetry(_cells(2, 3, 3, t), _cells(1, 3, 3, t)) for t in turns)
    return Game("tic_tac_toe", {}, (2, 3, 3), ("mine", "theirs"), 9, 9, symmetries)


def made_up_game(
    directory: Path, number: int = 0, rows: int = 5, plies: int = 8, result: str = "first", **other: Any
) -> Path:
    """Write a game of Connect Four whose arrays have the right shapes; its npz file. Row r is ply r."""
    rng = np.random.default_rng(number)
    sign = {"first": 1.0, "second": -1.0, "draw": 0.0}[result]
    turn = np.where(np.arange(plies) % 2 == 0, 1, -1)
    policies = rng.dirichlet(np.ones(7), rows).astype(np.float32)
    arrays: dict[str, NDArray[Any]] = {
        "input_arrays": (rng.random((rows, 2, 6, 7)) < 0.3).astype(np.float32),
        "policies": policies,
        "action_masks": np.ones((rows, 7), np.float32),
        "values": (sign * turn[:rows]).astype(np.float32),
        "players": (np.arange(rows) % 2).astype(np.int32),
        "actions": rng.integers(0, 7, rows).astype(np.int32),
        "root_values": rng.uniform(-1, 1, rows).astype(np.float32),
        "visit_counts": np.ones((rows, 7), np.int32),
        "model_versions": np.zeros(rows, np.int64),
        "weights": np.ones(rows, np.float32),
        "all_actions": rng.integers(0, 7, plies).astype(np.int32),
        "all_kinds": np.ones(plies, np.uint8),
        "all_flags": (np.arange(plies) < rows).astype(np.uint8),
        "all_simulations": np.full(plies, 16, np.int32),
        "all_root_values": rng.uniform(-1, 1, plies).astype(np.float32),
        "all_raw_values": np.full(plies, np.nan, np.float32),
        "all_best_values": np.zeros(plies, np.float32),
        "all_played_values": np.zeros(plies, np.float32),
        "all_divergences": np.zeros(plies, np.float32),
        "all_model_versions": np.zeros(plies, np.int64),
    }
    path = directory / f"game_{1796043835471 + number}_{number:04}_1-00000000.npz"
    path.with_suffix(".yaml").write_text(
        f"model_version: 3\ngame_length: {rows}\nresult: '{result}'\nend_reason: 'win'\n"
    )
    np.savez(path, **(arrays | other))
    return path
