"""AlphaZero self-play beside your trainer: a daemon that plays games, and what a trainer needs of it."""

from .daemon import Daemon
from .errors import DaemonError, ModelRefusedError, ProgramNotFoundError, RefusedError, SelfplaydError
from .game import Game, Symmetry, describe
from .games import FinishedGame, GameError, GameWarning, games, read_game
from .models import Published, check_model, publish
from .replay import Batch, ReplayBuffer, Window
from .status import Bottleneck, Status

__all__ = [
    "Batch",
    "Bottleneck",
    "Daemon",
    "DaemonError",
    "FinishedGame",
    "Game",
    "GameError",
    "GameWarning",
    "ModelRefusedError",
    "ProgramNotFoundError",
    "Published",
    "RefusedError",
    "ReplayBuffer",
    "SelfplaydError",
    "Status",
    "Symmetry",
    "Window",
    "check_model",
    "describe",
    "games",
    "publish",
    "read_game",
]
