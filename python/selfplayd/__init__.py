"""AlphaZero self-play beside your trainer: a daemon that plays games, and what a trainer needs of it."""

from .game import Game, Symmetry

__all__ = ["Game", "Symmetry"]
