"""Small networks, never trained, for every game but Quoridor: `python make.py` writes them beside this file.

Needs numpy and onnx. The same numbers come out each time: weights are drawn from a fixed seed.

One convolution of 3x3 with 8 channels and ReLU. The policy is a convolution of 1x1 with as many channels as there are actions a cell,
cells first; Connect Four takes the sum of each column, and Othello gets the pass from the mean of the board. The value is the tanh of a
weighted mean.

In `../others/` it writes networks for Tic-tac-toe as other programs might: `win_draw_loss.onnx` with other names and logits of win, draw and
loss, `flat.onnx` with its planes in one row, logits of loss, draw and win, and an output that is not used. `counts.onnx` gives chances that
can be told by hand: with m stones of the mover and o of the opponent, win : draw : loss as 2^m : 1 : 2^o.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 8
# Name: planes, rows, columns, actions a cell.
GAMES = {
    "tic_tac_toe": (2, 3, 3, 1),
    "mnk": (2, 9, 9, 1),
    "connect_four": (2, 6, 7, 1),
    "othello": (2, 8, 8, 1),
    "hex": (3, 11, 11, 1),
    "breakthrough": (2, 8, 8, 12),
}


def length(name, rows, columns, actions):
    return {"connect_four": columns, "othello": rows * columns + 1}.get(name, rows * columns * actions)


def network(name, planes, rows, columns, actions, names=("input", "policy_logits", "value"), flat=False):
    board, logits, outcome = names
    random = np.random.default_rng(sum(name.encode()))
    weights, nodes = [], []

    def weight(label, *shape, scale):
        weights.append(numpy_helper.from_array((random.standard_normal(shape) * scale).astype(np.float32), label))
        return label

    def shape(label, *numbers):
        weights.append(numpy_helper.from_array(np.array(numbers, dtype=np.int64), label))
        return label

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    first = weight("first", CHANNELS, planes, 3, 3, scale=0.5)
    seen = node("Reshape", [board, shape("shape", -1, planes, rows, columns)], "seen") if flat else board
    body = node("Relu", [node("Conv", [seen, first], "sums", pads=[1, 1, 1, 1])], "body")
    mean = node("Flatten", [node("GlobalAveragePool", [body], "means")], "mean")
    by_cell = node("Conv", [body, weight("policy", actions, CHANNELS, 1, 1, scale=0.5)], "by_plane")
    by_cell = node("Transpose", [by_cell], "by_cell", perm=[0, 2, 3, 1])
    if name == "connect_four":
        by_cell = node("ReduceSum", [by_cell, shape("rows", 1)], "by_column", keepdims=0)
    policy = "flat" if name == "othello" else logits
    node("Flatten", [by_cell], policy)
    if name == "othello":
        node("Gemm", [mean, weight("pass", CHANNELS, 1, scale=0.5)], "pass_logit")
        node("Concat", [policy, "pass_logit"], logits, axis=1)
    if outcome == "value":
        node("Tanh", [node("Gemm", [mean, weight("worth", CHANNELS, 1, scale=0.5)], "score")], outcome)
    else:
        node("Gemm", [mean, weight("worth", CHANNELS, 3, scale=2.0)], outcome)
    outputs = [(logits, length(name, rows, columns, actions)), (outcome, 1 if outcome == "value" else 3)]
    if flat:
        outputs.append((node("Gemm", [mean, weight("length", CHANNELS, 1, scale=0.5)], "moves_left"), 1))

    position = [planes * rows * columns] if flat else [planes, rows, columns]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(board, TensorProto.FLOAT, ["batch", *position])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", size]) for output, size in outputs],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="make.py")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def counts():
    random = np.random.default_rng(4)
    two = float(np.log(2.0))
    weights = {
        "axes": np.array([2, 3], dtype=np.int64),
        "odds": np.array([[two, 0, 0], [0, 0, two]], dtype=np.float32),
        "cells": random.standard_normal((18, 9)).astype(np.float32),
    }
    nodes = [
        helper.make_node("ReduceSum", ["input", "axes"], ["stones"], keepdims=0),
        helper.make_node("MatMul", ["stones", "odds"], ["wdl"]),
        helper.make_node("Flatten", ["input"], ["row"]),
        helper.make_node("MatMul", ["row", "cells"], ["policy"]),
    ]

    def port(name, *dims):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *dims])

    outputs = [port("policy", 9), port("wdl", 3)]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "counts", [port("input", 2, 3, 3)], outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="make.py")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    for name, shape in GAMES.items():
        onnx.save(network(name, *shape), Path(__file__).with_name(f"{name}.onnx"))
    others = Path(__file__).parent.with_name("others")
    others.mkdir(exist_ok=True)
    onnx.save(network("tic_tac_toe", *GAMES["tic_tac_toe"], names=("board", "Policy", "wdl")), others / "win_draw_loss.onnx")
    onnx.save(network("tic_tac_toe", *GAMES["tic_tac_toe"], names=("x", "pi", "ldw"), flat=True), others / "flat.onnx")
    onnx.save(counts(), others / "counts.onnx")
