"""The step by numpy alone, where no library for gradients is installed: on a core or two it is as fast as those.

Each operation keeps what it needs to send the gradient back. Boards lie as (C, H, W, B), so that the patches of a 3x3
convolution are copies of long pieces, and all the work is in products of large matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..replay import Batch
from .network import Params, forward
from .settings import Section
from .steps import BETA1, BETA2, EPSILON, MASKED, Losses, State, average_kept

Array = NDArray[np.float32]


class NumpyStepper:
    """A network in training by numpy. Its threads are those of numpy's BLAS."""

    def __init__(self, settings: Section, state: State) -> None:
        self._settings = settings
        self._state = {kind: {n: a.astype(np.float32) for n, a in params.items()} for kind, params in state.items()}
        self._blocks = sum(name.endswith(".first.w") for name in state["params"])
        self._room: dict[Any, Array] = {}

    def step(self, batch: Batch, number: int, learning_rate: float) -> Losses:
        settings, params = self._settings, self._state["params"]
        tape = _Tape(params, self._room)
        policy, value = forward(tape, self._blocks, tape.input(batch.inputs))
        legal = batch.masks > 0
        log_policy = _log_softmax(np.where(legal, policy.value, np.float32(MASKED)))
        log_value = _log_softmax(value.value)
        size = len(legal)
        of_policy = -float((batch.policies * np.where(legal, log_policy, 0)).sum()) / size
        of_value = -float((batch.outcomes * log_value).sum()) / size
        total = (batch.policies * legal).sum(1, keepdims=True)
        policy.grad = (np.exp(log_policy) * total - batch.policies) * legal / np.float32(size)
        share = np.float32(settings.value_weight / size)
        value.grad = (np.exp(log_value) * batch.outcomes.sum(1, keepdims=True) - batch.outcomes) * share
        gradients = tape.gradients()
        norm = float(np.sqrt(sum(float((g.astype(np.float64) ** 2).sum()) for g in gradients.values())))
        scale = np.float32(min(1.0, settings.gradient_clip / (norm + 1e-6)))
        kept, rate = np.float32(average_kept(settings.ema, number)), np.float32(learning_rate)
        first, second = np.float32(1 / (1 - BETA1**number)), np.float32(1 / (1 - BETA2**number))
        for name, gradient in gradients.items():
            p, mean, square, average = (self._state[k][name] for k in ("params", "mean", "square", "average"))
            g = gradient * scale
            mean += np.float32(1 - BETA1) * (g - mean)
            square += np.float32(1 - BETA2) * (g * g - square)
            decay = np.float32(settings.weight_decay if name.endswith(".w") else 0)
            p -= rate * (mean * first / (np.sqrt(square * second) + np.float32(EPSILON)) + decay * p)
            average += (1 - kept) * (p - average)
        return Losses(of_policy, of_value, norm)

    def state(self) -> State:
        return {kind: {n: a.copy() for n, a in params.items()} for kind, params in self._state.items()}

    def forward(self, params: Params, inputs: Array) -> tuple[Array, Array]:
        tape = _Tape(params, {})
        policy, value = forward(tape, self._blocks, tape.input(inputs))
        return policy.value, value.value


def _log_softmax(x: Array) -> Array:
    x = x - x.max(1, keepdims=True)
    result: Array = x - np.log(np.exp(x).sum(1, keepdims=True))
    return result


class _Node:
    """A value, and the gradient of the loss by it once that is known."""

    def __init__(self, value: Array) -> None:
        self.value = value
        self.grad: Array | None = None

    def receive(self, grad: Array) -> None:
        self.grad = grad if self.grad is None else self.grad + grad


class _Tape:
    """The operations forwards, and how gradients go back through each."""

    def __init__(self, params: Params, room: dict[Any, Array]) -> None:
        self._params, self._room = params, room
        self._back: list[Callable[[], None]] = []
        self._found: Params = {}

    def input(self, x: Array) -> _Node:
        self._start = _Node(np.ascontiguousarray(x.transpose(1, 2, 3, 0)))
        return self._start

    def gradients(self) -> Params:
        """Of all parameters, given those of the outputs."""
        for back in reversed(self._back):
            back()
        return self._found

    def _patches(self, x: Array, k: int, key: Any) -> Array:
        """(C, H, W, B) to (k·k·C, H·W·B): for each offset the board moved by it, 0 beyond its edge."""
        c, h, w, _ = x.shape
        if k == 1:
            return x.reshape(c, -1)
        room = self._room.get(key)
        if room is None or room.shape[1:] != x.shape:
            room = self._room[key] = np.zeros((k * k, *x.shape), np.float32)  # Edges are never written again.
        for i, (dy, dx) in enumerate((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
            to = (i, slice(None), slice(max(0, -dy), h - max(0, dy)), slice(max(0, -dx), w - max(0, dx)))
            room[to] = x[:, max(0, dy) : h + min(0, dy), max(0, dx) : w + min(0, dx)]
        return room.reshape(k * k * c, -1)

    def conv(self, x: _Node, name: str) -> _Node:
        weights, bias = self._params[f"{name}.w"], self._params[f"{name}.b"]
        o, i, k, _ = weights.shape
        board = x.value.shape[1:]
        patches = self._patches(x.value, k, name)
        y = weights.transpose(0, 2, 3, 1).reshape(o, -1) @ patches
        y += bias[:, None]
        out = _Node(y.reshape(o, *board))

        def back() -> None:
            assert out.grad is not None
            grad = out.grad.reshape(o, -1)
            by_weights = (grad @ patches.T).reshape(o, k, k, i)
            self._found[f"{name}.w"] = np.ascontiguousarray(by_weights.transpose(0, 3, 1, 2))
            self._found[f"{name}.b"] = grad.sum(1)
            if x is not self._start:
                turned = weights[:, :, ::-1, ::-1].transpose(1, 2, 3, 0).reshape(i, -1)
                x.receive((turned @ self._patches(out.grad, k, "back")).reshape(i, *board))

        self._back.append(back)
        return out

    def dense(self, x: _Node, name: str) -> _Node:
        weights = self._params[f"{name}.w"]
        out = _Node(x.value @ weights + self._params[f"{name}.b"])

        def back() -> None:
            assert out.grad is not None
            self._found[f"{name}.w"] = x.value.T @ out.grad
            self._found[f"{name}.b"] = out.grad.sum(0)
            x.receive(out.grad @ weights.T)

        self._back.append(back)
        return out

    def relu(self, x: _Node) -> _Node:
        out = _Node(np.maximum(x.value, 0))
        self._back.append(lambda: x.receive(np.asarray(out.grad) * (out.value > 0)))
        return out

    def add(self, a: _Node, b: _Node) -> _Node:
        out = _Node(a.value + b.value)

        def back() -> None:
            assert out.grad is not None
            a.receive(out.grad)
            b.receive(out.grad)

        self._back.append(back)
        return out

    def flatten(self, x: _Node) -> _Node:
        c, h, w, b = x.value.shape
        out = _Node(np.ascontiguousarray(x.value.transpose(3, 0, 1, 2)).reshape(b, -1))

        def back() -> None:
            assert out.grad is not None
            x.receive(np.ascontiguousarray(out.grad.reshape(b, c, h, w).transpose(1, 2, 3, 0)))

        self._back.append(back)
        return out
