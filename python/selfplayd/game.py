"""What a trainer must know of a game: shapes, and symmetries as data, told by the daemon itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import program as programs
from . import settings
from .errors import SelfplaydError

Rule = bool | int | float | str
"""A parameter of a game, such as the size of its board."""


@dataclass(frozen=True, eq=False)
class Symmetry:
    """One way to turn or mirror the board under which the rules and the network's view stay the same.

    ``x`` is a position as network input, ``pi`` a policy (or a mask of legal moves), both in the network's frame:
    ``image.flat[i] = x.flat[input[i]]`` and ``image_of_pi[a] = pi[policy[a]]``.
    """

    input: NDArray[np.int32]
    """For each entry of the image's flattened input, the entry of the position's that stands there: (C*H*W,)."""
    policy: NDArray[np.int32]
    """For each action of the image, the action of the position that it comes from: (A,)."""


@dataclass(frozen=True)
class Game:
    """The shapes and symmetries of a game under certain rules."""

    name: str
    """Name of the game, such as ``hex``."""
    rules: Mapping[str, Rule]
    """Its parameters, all of them: ``{"size": 11, "swap": True}``."""
    input_shape: tuple[int, int, int]
    """Planes, rows and columns of one position as network input."""
    plane_names: tuple[str, ...]
    """What each plane holds, in words."""
    policy_size: int
    """Number of actions: the length of a policy."""
    max_plies: int | None
    """No game is longer, in plies; ``None`` if nothing ends games (Quoridor without ``max_steps``)."""
    symmetries: tuple[Symmetry, ...] = field(repr=False, compare=False)
    """All symmetries; the first changes nothing."""
    title: str = ""
    """Name and parameters, as files of games have them: ``hex(size=11,swap=true)``."""
    policy: str = field(default="", repr=False)
    """What the actions are, by number, in words."""
    frame: str = field(default="", repr=False)
    """How the board lies before the network, in words."""


def describe(name: str, *, program: Path | None = None, **rules: Rule) -> Game:
    """Asks the daemon what a trainer must know of a game; rules that are not given are the daemon's defaults.

    >>> describe("connect_four").input_shape
    (2, 6, 7)

    Raises:
        DaemonError: There is no such game, or not by these rules; the daemon's words say what there is.
    """
    with programs.settings_file(settings.of_game(name, rules)) as file:
        told = programs.run(program, ["describe", "--json", "--settings", file]).stdout
    return _game(json.loads(told))


def _game(told: dict[str, Any]) -> Game:
    layout = told["encodings"][0]
    shape = tuple(layout["shape"])
    if len(shape) != 3:
        raise SelfplaydError(
            f"the network input of {told['title']} has the shape {shape}, and no planes of rows and columns"
        )
    permutations = zip(layout["symmetries"], told["policy_symmetries"], strict=True)
    return Game(
        name=told["game"],
        rules=told["rules"],
        input_shape=shape,
        plane_names=tuple(layout["planes"]),
        policy_size=told["policy_size"],
        max_plies=told["max_plies"],
        symmetries=tuple(Symmetry(np.array(x, np.int32), np.array(pi, np.int32)) for x, pi in permutations),
        title=told["title"],
        policy=told["policy"],
        frame=told["frame"],
    )
