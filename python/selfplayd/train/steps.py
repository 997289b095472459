"""A step of training, one interface for torch and numpy: the same loss, gradient, clipping, AdamW and average."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..replay import Batch
from .network import Params
from .settings import Section

MASKED = -1e9
"""What takes the place of the logits of illegal actions."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Losses(NamedTuple):
    """What a step saw, before it changed anything."""

    policy: float
    """Cross-entropy of policy targets and policy over legal actions, in nats."""
    value: float
    """Cross-entropy of outcomes and chances of win, draw, loss, in nats."""
    gradient_norm: float
    """Of all gradients together, before it was clipped."""


State = dict[str, Params]
"""All that a step changes: ``params``, ``mean`` and ``square`` of AdamW, and ``average``, which is what is exported."""


class Stepper(Protocol):
    """One network in training."""

    def step(self, batch: Batch, number: int, learning_rate: float) -> Losses:
        """Learn from a batch; ``number`` counts steps from 1."""

    def state(self) -> State:
        """What it has come to, as arrays of numpy."""

    def forward(self, params: Params, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The logits of policy and outcome by its own arithmetic."""


def fresh_state(params: Params) -> State:
    """The state before the first step."""
    zeros = {name: np.zeros_like(array) for name, array in params.items()}
    return {"params": params, "mean": zeros, "square": zeros, "average": params}


def average_kept(ema: float, number: int) -> float:
    """The share of the average that stays at a step: less in the first ones, so that it does not stick to chance."""
    return min(ema, (1 + number) / (10 + number))


def stepper(settings: Section, state: State) -> Stepper:
    """The one that the settings name. ModuleNotFoundError, in plain words, where it is not installed."""
    name = settings.backend
    if name == "auto":
        name = "torch" if importlib.util.find_spec("torch") is not None else "numpy"
    if name not in ("torch", "numpy"):
        raise ValueError(f"training.backend should be torch, numpy or auto, not {name}")
    if settings.precision not in ("auto", "fp32", "bf16"):
        raise ValueError(f"training.precision should be auto, fp32 or bf16, not {settings.precision}")
    if name == "torch":
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError("torch is not installed: pip install torch, or leave training.backend at auto")
        from .steps_torch import TorchStepper

        return TorchStepper(settings, state)
    from .steps_numpy import NumpyStepper

    return NumpyStepper(settings, state)
