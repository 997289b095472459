"""AlphaZero self-play beside your trainer: a daemon that plays games, and what a trainer needs of it."""

from .daemon import Daemon
from .errors import DaemonError, ModelRefusedError, ProgramNotFoundError, RefusedError, SelfplaydError
from .game import Game, Symmetry, describe
from .models import Published, check_model, publish
from .status import Bottleneck, Status

__all__ = [
    "Bottleneck",
    "Daemon",
    "DaemonError",
    "Game",
    "ModelRefusedError",
    "ProgramNotFoundError",
    "Published",
    "RefusedError",
    "SelfplaydError",
    "Status",
    "Symmetry",
    "check_model",
    "describe",
    "publish",
]
