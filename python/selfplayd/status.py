"""How a daemon is doing, typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["draining", "starting", "paused", "waiting_for_model", "writer_blocked", "playing"]


@dataclass(frozen=True)
class Bottleneck:
    """What holds the daemon back."""

    kind: str
    """``device`` (best: the network is the limit), ``games``, ``search``, ``writer``, ``memory``, ``model``,
    ``endless`` or ``none``."""
    statement: str
    """The same in words, with figures."""
    advice: str | None
    """What to do about it."""


@dataclass(frozen=True)
class Status:
    """How a daemon is doing at one moment. Counts are since its start, rates of the last 10 s."""

    state: State
    """What it is doing."""
    healthy: bool
    """It is alive and gets on."""
    ready: bool
    """It plays, and may go on."""
    reasons: tuple[str, ...]
    """Why it is not healthy or not ready."""
    warnings: tuple[str, ...]
    """What spoils the games although they are played."""
    pid: int
    """Its process."""
    uptime_seconds: float
    """How long that process has run."""
    rules: str
    """The game that is played, with its parameters."""
    model_version: int | None
    """Version of the model in service."""
    device: str
    """What the network runs on."""
    games_finished: int
    """Games played to their end."""
    games_written: int
    """Those that are on the disk."""
    games_active: int
    """Games in play."""
    games_per_second: float
    positions_per_second: float
    evaluations_per_second: float
    bottleneck: Bottleneck | None
    raw: Mapping[str, Any] = field(repr=False)
    """The whole document: docs/status.md of selfplayd."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Status:
        """Reads the answer of ``GET /v1/status``."""
        rates, games, bottleneck = document["rates"], document["games"], document["bottleneck"]
        return cls(
            state=document["state"],
            healthy=document["health"]["ok"],
            ready=document["ready"]["ok"],
            reasons=(*document["health"]["reasons"], *document["ready"]["reasons"]),
            warnings=tuple(document["warnings"]),
            pid=document["pid"],
            uptime_seconds=document["uptime_seconds"],
            rules=document["run"]["rules"],
            model_version=document["model"]["version"],
            device=document["device"]["actual"],
            games_finished=games["finished"],
            games_written=document["writer"]["written"],
            games_active=games["active"],
            games_per_second=rates["games_per_s"],
            positions_per_second=rates["positions_per_s"],
            evaluations_per_second=rates["evaluations_per_s"],
            bottleneck=bottleneck and Bottleneck(bottleneck["kind"], bottleneck["statement"], bottleneck["advice"]),
            raw=document,
        )
