"""What a trainer must know of a game: shapes, and symmetries as data, told by the daemon itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rule = bool | int
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
    max_plies: int
    """The most plies that a game can last."""
    symmetries: tuple[Symmetry, ...]
    """All symmetries; the first changes nothing."""
