"""The network, written once: its parameters, its arithmetic in terms of a few operations, and those as an ONNX graph.

A residual network of 3x3 convolutions without batch norm. The policy has a logit for each action, the value logits of
win, draw and loss for the player who moves.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ..game import Game
from .settings import Section

Params = dict[str, NDArray[np.float32]]
"""``NAME.w`` and ``NAME.b`` of each layer: weights (O, I, k, k) of convolutions, (I, O) of dense layers."""

T = TypeVar("T")


class Ops(Protocol[T]):
    """What the network is made of, by one kind of arrays."""

    def conv(self, x: T, name: str) -> T:
        """Convolve with the layer's weights, padded so that the board keeps its size, and add its bias."""

    def dense(self, x: T, name: str) -> T:
        """Multiply by the layer's weights and add its bias."""

    def relu(self, x: T) -> T:
        """Set what is below 0 to 0."""

    def add(self, a: T, b: T) -> T:
        """Sum of two."""

    def flatten(self, x: T) -> T:
        """(B, C, H, W) to (B, C·H·W)."""


def forward(ops: Ops[T], blocks: int, x: T) -> tuple[T, T]:
    """Logits of the policy (B, A), and of win, draw and loss (B, 3), from positions (B, C, H, W)."""
    h = ops.relu(ops.conv(x, "stem"))
    for b in range(blocks):
        h = ops.relu(ops.add(h, ops.conv(ops.relu(ops.conv(h, f"block{b}.first")), f"block{b}.second")))
    policy = ops.dense(ops.flatten(ops.relu(ops.conv(h, "policy.conv"))), "policy.dense")
    value = ops.relu(ops.dense(ops.flatten(ops.relu(ops.conv(h, "value.conv"))), "value.hidden"))
    return policy, ops.dense(value, "value.dense")


def initial(game: Game, size: Section, rng: np.random.Generator) -> Params:
    """Fresh parameters: He's scale, less where a residual block or the network ends, so that it begins even."""
    params: Params = {}

    def layer(name: str, shape: tuple[int, ...], fan_in: int, scale: float = 1.0) -> None:
        params[f"{name}.w"] = (rng.standard_normal(shape) * scale * np.sqrt(2 / fan_in)).astype(np.float32)
        params[f"{name}.b"] = np.zeros(shape[0] if len(shape) == 4 else shape[1], np.float32)

    planes, height, width = game.input_shape
    c, p, v = size.channels, size.head_channels, max(1, size.head_channels // 2)
    cells = height * width
    layer("stem", (c, planes, 3, 3), planes * 9)
    for b in range(size.blocks):
        layer(f"block{b}.first", (c, c, 3, 3), c * 9, 0.7)
        layer(f"block{b}.second", (c, c, 3, 3), c * 9, 0.1)
    layer("policy.conv", (p, c, 1, 1), c)
    layer("policy.dense", (p * cells, game.policy_size), p * cells, 0.1)
    layer("value.conv", (v, c, 1, 1), c)
    layer("value.hidden", (v * cells, size.value_hidden), v * cells)
    layer("value.dense", (size.value_hidden, 3), size.value_hidden, 0.1)
    return params


class _Graph:
    """The operations as nodes of an ONNX graph; arrays are names of tensors."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.nodes: list[Any] = []

    def _node(self, op: str, inputs: list[str], name: str | None = None, **attributes: Any) -> str:
        output = name or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def conv(self, x: str, name: str) -> str:
        return self._node("Conv", [x, f"{name}.w", f"{name}.b"], pads=[self.params[f"{name}.w"].shape[2] // 2] * 4)

    def dense(self, x: str, name: str) -> str:
        output = {"policy.dense": "policy_logits", "value.dense": "value"}.get(name)
        return self._node("Gemm", [x, f"{name}.w", f"{name}.b"], output)

    def relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def add(self, a: str, b: str) -> str:
        return self._node("Add", [a, b])

    def flatten(self, x: str) -> str:
        return self._node("Flatten", [x])


def to_onnx(params: Params, game: Game) -> bytes:
    """The network as an ONNX model, with an open batch."""
    graph = _Graph(params)
    forward(graph, sum(name.endswith(".first.w") for name in params), "input")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            game.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *game.input_shape])],
            [
                helper.make_tensor_value_info("policy_logits", TensorProto.FLOAT, ["batch", game.policy_size]),
                helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 3]),
            ],
            [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in params.items()],
        ),
        producer_name="selfplayd",
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data
