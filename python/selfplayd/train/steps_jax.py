"""The step by jax. Parameters are one long vector there, so that what is done to each is one operation to compile."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..replay import Batch
from .network import Params, forward
from .settings import Training
from .steps import BETA1, BETA2, EPSILON, MASKED, Losses, State, average_kept


class JaxStepper:
    """A network in training by jax, compiled at the first step."""

    def __init__(self, settings: Training, state: State) -> None:
        if settings.threads == 1:  # Read when jax is imported.
            os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
        import jax

        self._settings = settings
        self._shapes = {name: array.shape for name, array in state["params"].items()}
        self._blocks = sum(name.endswith(".first.w") for name in self._shapes)
        decayed = [np.full(a.size, float(n.endswith(".w")), np.float32) for n, a in state["params"].items()]
        self._decay = settings.weight_decay * np.concatenate(decayed)
        self._state: Any = {kind: jax.numpy.asarray(_flat(params)) for kind, params in state.items()}
        self._step = jax.jit(self._compute, donate_argnums=0)
        self._forward = jax.jit(lambda vector, x: forward(_Ops(self._named(vector)), self._blocks, x))

    def step(self, batch: Batch, number: int, learning_rate: float) -> Losses:
        kept = average_kept(self._settings.ema, number)
        scalars = (np.float32(x) for x in (number, learning_rate, kept))
        self._state, seen = self._step(self._state, tuple(batch), *scalars)
        return Losses(*(float(x) for x in seen))

    def state(self) -> State:
        return {kind: self._named(np.asarray(vector).copy()) for kind, vector in self._state.items()}

    def forward(self, params: Params, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        policy, value = self._forward(_flat(params), inputs)
        return np.asarray(policy), np.asarray(value)

    def _named(self, vector: Any) -> Any:
        named, at = {}, 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            named[name] = vector[at : at + size].reshape(shape)
            at += size
        return named

    def _compute(self, state: Any, batch: Any, number: Any, rate: Any, kept: Any) -> Any:
        import jax
        import jax.numpy as jnp

        settings = self._settings
        inputs, targets, masks, outcomes = batch

        def loss(vector: Any) -> Any:
            policy, value = forward(_Ops(self._named(vector)), self._blocks, inputs)
            legal = masks > 0
            log_policy = jax.nn.log_softmax(jnp.where(legal, policy, MASKED))
            of_policy = -(targets * jnp.where(legal, log_policy, 0)).sum(1).mean()
            of_value = -(outcomes * jax.nn.log_softmax(value)).sum(1).mean()
            return of_policy + settings.value_weight * of_value, (of_policy, of_value)

        (_, (of_policy, of_value)), gradient = jax.value_and_grad(loss, has_aux=True)(state["params"])
        norm = jnp.sqrt((gradient**2).sum())
        g = gradient * jnp.minimum(1, settings.gradient_clip / (norm + 1e-6))
        mean = BETA1 * state["mean"] + (1 - BETA1) * g
        square = BETA2 * state["square"] + (1 - BETA2) * g**2
        update = mean / (1 - BETA1**number) / (jnp.sqrt(square / (1 - BETA2**number)) + EPSILON)
        params = state["params"] - rate * (update + self._decay * state["params"])
        average = kept * state["average"] + (1 - kept) * params
        return {"params": params, "mean": mean, "square": square, "average": average}, (of_policy, of_value, norm)


def _flat(params: Params) -> NDArray[np.float32]:
    return np.concatenate([array.ravel() for array in params.values()])


class _Ops:
    def __init__(self, params: Any) -> None:
        self.params = params

    def conv(self, x: Any, name: str) -> Any:
        import jax

        w, b = self.params[f"{name}.w"], self.params[f"{name}.b"]
        return jax.lax.conv_general_dilated(x, w, (1, 1), [(w.shape[2] // 2,) * 2] * 2) + b[None, :, None, None]

    def dense(self, x: Any, name: str) -> Any:
        return x @ self.params[f"{name}.w"] + self.params[f"{name}.b"]

    def relu(self, x: Any) -> Any:
        import jax

        return jax.nn.relu(x)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def flatten(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)
