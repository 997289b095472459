"""Small games as data, so that tests of buffer and trainer need no daemon."""

from __future__ import annotations

from collections.abc import Callable

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
    return Game("connect_four", rules, (2, rows, columns), ("mine", "theirs"), columns, rows * columns, (identity, mirror))


def tic_tac_toe() -> Game:
    """Two planes, an action for each cell, eight symmetries."""
    turns: list[Turn] = []
    for quarter in range(4):
        turns.append(lambda b, k=quarter: np.rot90(b, k))
        turns.append(lambda b, k=quarter: np.rot90(b[:, ::-1], k))
    symmetries = tuple(Symmetry(_cells(2, 3, 3, t), _cells(1, 3, 3, t)) for t in turns)
    return Game("tic_tac_toe", {}, (2, 3, 3), ("mine", "theirs"), 9, 9, symmetries)
