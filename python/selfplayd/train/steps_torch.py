"""The step by torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ..replay import Batch
from .network import Params, forward
from .settings import Section
from .steps import BETA1, BETA2, EPSILON, MASKED, Losses, State, average_kept


class TorchStepper:
    """A network in training by torch, on the first GPU if there is one."""

    def __init__(self, settings: Section, state: State) -> None:
        torch.set_num_threads(settings.threads)
        self._settings = settings
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._bf16 = settings.precision == "bf16" or (settings.precision == "auto" and _bf16_is_fast(self._device))
        self._blocks = sum(name.endswith(".first.w") for name in state["params"])
        self._state = {k: {n: self._tensor(a) for n, a in arrays.items()} for k, arrays in state.items()}
        self._params = self._state["params"]
        for p in self._params.values():
            p.requires_grad_()

    def _tensor(self, array: NDArray[np.float32]) -> Any:
        tensor = torch.tensor(array, dtype=torch.float32, device=self._device)
        # Channels last, as convolutions are fastest; what it means stays the same.
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor

    def step(self, batch: Batch, number: int, learning_rate: float) -> Losses:
        settings = self._settings
        inputs, targets, masks, outcomes = (self._tensor(a) for a in batch)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            policy, value = forward(_Ops(self._params), self._blocks, inputs)
        policy, value = policy.float(), value.float()
        legal = masks > 0
        log_policy = functional.log_softmax(policy.masked_fill(~legal, MASKED), 1)
        of_policy = -(targets * log_policy.masked_fill(~legal, 0)).sum(1).mean()
        of_value = -(outcomes * functional.log_softmax(value, 1)).sum(1).mean()
        names = list(self._params)
        found = torch.autograd.grad(of_policy + settings.value_weight * of_value, [self._params[n] for n in names])
        norm = torch.sqrt(sum((g**2).sum() for g in found))
        scale = torch.clamp(settings.gradient_clip / (norm + 1e-6), max=1)
        kept = average_kept(settings.ema, number)
        with torch.no_grad():
            for name, gradient in zip(names, found, strict=True):
                p, mean, square, average = (self._state[k][name] for k in ("params", "mean", "square", "average"))
                g = gradient * scale
                mean.mul_(BETA1).add_(g, alpha=1 - BETA1)
                square.mul_(BETA2).addcmul_(g, g, value=1 - BETA2)
                update = mean / (1 - BETA1**number) / (torch.sqrt(square / (1 - BETA2**number)) + EPSILON)
                decay = settings.weight_decay if name.endswith(".w") else 0.0
                p.sub_(learning_rate * (update + decay * p))
                average.mul_(kept).add_(p, alpha=1 - kept)
        return Losses(of_policy.item(), of_value.item(), norm.item())

    def state(self) -> State:
        return {k: {n: a.detach().cpu().numpy().copy() for n, a in arrays.items()} for k, arrays in self._state.items()}

    def forward(self, params: Params, inputs: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        with torch.no_grad():
            ops = _Ops({name: self._tensor(array) for name, array in params.items()})
            policy, value = forward(ops, self._blocks, self._tensor(inputs))
        return policy.cpu().numpy(), value.cpu().numpy()


def _bf16_is_fast(device: Any) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


class _Ops:
    def __init__(self, params: Any) -> None:
        self.params = params

    def conv(self, x: Any, name: str) -> Any:
        w = self.params[f"{name}.w"]
        return functional.conv2d(x, w, self.params[f"{name}.b"], padding=w.shape[2] // 2)

    def dense(self, x: Any, name: str) -> Any:
        return x @ self.params[f"{name}.w"] + self.params[f"{name}.b"]

    def relu(self, x: Any) -> Any:
        return functional.relu(x)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def flatten(self, x: Any) -> Any:
        return x.flatten(1)
