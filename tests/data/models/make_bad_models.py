"""Writes the tiny models of the model checks: one that is right, some unusual but right, and one wrong in each way.

    python make_bad_models.py [FOLDER]        (needs the `onnx` package)

All fit the 3x3 board of b3w1_resnet_1x16 unless their name says otherwise: input [batch, 5, 9, 9], 17 policy entries.
"""

import sys
from pathlib import Path

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, save

F32, F64 = TensorProto.FLOAT, TensorProto.DOUBLE
PLANES, POLICY = [5, 9, 9], 17


def constant(name, values, kind=np.float32):
    return numpy_helper.from_array(np.array(values, dtype=kind), name)


def head(policy=POLICY, kind=np.float32):
    """Means over the planes, then one linear layer for the logits and one for the value."""
    rng = np.random.default_rng(1)
    weights = [
        constant("wp", rng.normal(size=(5, policy)), kind),
        constant("wv", rng.normal(size=(5, 1)) * 0.1, kind),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["means"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["means", "wp"], ["policy_logits"]),
        helper.make_node("MatMul", ["means", "wv"], ["value"]),
    ]
    return nodes, weights


def write(name, nodes, weights, inputs, outputs, check=True, opset=17):
    def ports(shapes):
        return [helper.make_tensor_value_info(port, kind, dims) for port, kind, dims in shapes]

    graph = helper.make_graph(nodes, name, ports(inputs), ports(outputs), weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if check:
        checker.check_model(model)
    save(model, folder / f"{name}.onnx")


def standard(name, batch="batch", policy=POLICY, planes=PLANES, kind=F32, edit=None, outputs=None, policy_dim=None):
    nodes, weights = head(policy, np.float64 if kind == F64 else np.float32)
    if edit:
        edit(nodes, weights)
    outputs = outputs or [
        ("policy_logits", kind, [batch, policy_dim or policy]),
        ("value", kind, [batch, 1]),
    ]
    write(name, nodes, weights, [("input", kind, [batch, *planes])], outputs)


def rename(old, new):
    def edit(nodes, _):
        for node in nodes:
            node.output[:] = [new if output == old else output for output in node.output]

    return edit


def value_from(*extra):
    """Sends the value through more nodes, from `value_in` to `value`."""

    def edit(nodes, weights):
        rename("value", "value_in")(nodes, weights)
        for part in extra:
            (weights if isinstance(part, TensorProto) else nodes).append(part)

    return edit


def main():
    # Right.
    standard("tiny")

    # One row of zeros for each position of a batch of 4, which therefore cannot be opened.
    def four_rows(nodes, weights):
        rename("policy_logits", "rows")(nodes, weights)
        weights.append(constant("zeros", np.zeros((4, POLICY))))
        nodes.append(helper.make_node("Add", ["rows", "zeros"], ["policy_logits"]))

    standard("tiny_fixed_batch_4", batch=4, edit=four_rows)
    standard("tiny_symbolic_planes", planes=[5, "height", "width"], policy_dim="actions")
    standard(
        "tiny_value_rank_1",
        edit=value_from(constant("axis", [1], np.int64), helper.make_node("Squeeze", ["value_in", "axis"], ["value"])),
        outputs=[("policy_logits", F32, ["batch", POLICY]), ("value", F32, ["batch"])],
    )
    # Values far outside [-1, 1]: 1000 times the mean of plane 0, minus 100.
    standard(
        "tiny_wide_value",
        edit=value_from(
            constant("scale", [[1000], [0], [0], [0], [0]]),
            constant("offset", [-100]),
            helper.make_node("MatMul", ["means", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], ["value"]),
        ),
    )
    # log(1 + first entry of the input): finite until that entry is -1 (-inf) or smaller (NaN).
    standard(
        "tiny_log_value",
        edit=value_from(
            constant("flat", [-1, 405], np.int64),
            constant("start", [0], np.int64),
            constant("end", [1], np.int64),
            constant("axis", [1], np.int64),
            constant("one", [1]),
            helper.make_node("Reshape", ["input", "flat"], ["row"]),
            helper.make_node("Slice", ["row", "start", "end", "axis"], ["first"]),
            helper.make_node("Add", ["first", "one"], ["shifted"]),
            helper.make_node("Log", ["shifted"], ["value"]),
        ),
    )

    # The value computed in double precision on the way.
    standard(
        "tiny_double_inside",
        edit=value_from(
            constant("half", [0.5], np.float64),
            helper.make_node("Cast", ["value_in"], ["wide"], to=F64),
            helper.make_node("Mul", ["wide", "half"], ["halved"]),
            helper.make_node("Cast", ["halved"], ["value"], to=F32),
        ),
    )

    # Two heads more than are needed.
    def heads(nodes, weights):
        weights += [constant("wm", np.ones((5, 1))), constant("wo", np.ones((5, 81)))]
        nodes.append(helper.make_node("MatMul", ["means", "wm"], ["moves_left"]))
        nodes.append(helper.make_node("MatMul", ["means", "wo"], ["ownership"]))

    standard(
        "tiny_three_heads",
        edit=heads,
        outputs=[
            ("moves_left", F32, ["batch", 1]),
            ("policy_logits", F32, ["batch", POLICY]),
            ("value", F32, ["batch", 1]),
            ("ownership", F32, ["batch", 81]),
        ],
    )

    # As other trainers write them: other names, logits of win, draw and loss for the value, planes in one row.
    def names(nodes, _):
        nodes[0].input[0] = "x"
        rename("policy_logits", "Policy")(nodes, _)
        rename("value", "v")(nodes, _)

    nodes, weights = head()
    names(nodes, weights)
    outputs = [("v", F32, ["batch", 1]), ("Policy", F32, ["batch", POLICY])]
    write("tiny_other_names", nodes, weights, [("x", F32, ["batch", *PLANES])], outputs)

    def three(output="value", order=(0, 1, 2), offset=(0.0, 0.0, 0.0), more=()):
        """Logits of win, draw and loss in this order, with something added to each."""

        def edit(nodes, weights):
            rows = np.random.default_rng(2).normal(size=(5, 3))
            weights[1] = constant("wv", rows[:, order])
            weights.append(constant("offset", offset))
            rename("value", "rows")(nodes, weights)
            last = "logits" if more else output
            nodes.append(helper.make_node("Add", ["rows", "offset"], [last]))
            nodes.extend(more)

        return edit

    def with_three(name, output="value", width=3, **of):
        outputs = [("policy_logits", F32, ["batch", POLICY]), (output, F32, ["batch", width])]
        standard(name, edit=three(output, **of), outputs=outputs)

    with_three("tiny_win_draw_loss")
    with_three("tiny_loss_draw_win", "ldw", order=(2, 1, 0))
    softmax_of_three = helper.make_node("Softmax", ["logits"], ["value"], axis=1)
    with_three("odd_win_draw_loss", more=[softmax_of_three])
    with_three("bad_win_draw_loss_nan", offset=(0.0, np.nan, 0.0))
    first_two = [helper.make_node("Gather", ["logits", "places"], ["wdl"], axis=1)]
    nodes, weights = head()
    three("wdl", more=first_two)(nodes, weights)
    weights.append(constant("places", [0, 1], np.int64))
    outputs = [("policy_logits", F32, ["batch", POLICY]), ("wdl", F32, ["batch", 2])]
    write("bad_win_draw_loss_width", nodes, weights, [("input", F32, ["batch", *PLANES])], outputs)

    nodes, weights = head()
    nodes[0].input[0] = "planes"
    nodes.insert(0, helper.make_node("Reshape", ["input", "shape"], ["planes"]))
    weights.append(constant("shape", [-1, *PLANES], np.int64))
    outputs = [("policy_logits", F32, ["batch", POLICY]), ("value", F32, ["batch", 1])]
    write("tiny_flat", nodes, weights, [("input", F32, ["batch", int(np.prod(PLANES))])], outputs)

    # Doubtful: probabilities where logits belong, and weights that are all 0.
    def softmax(nodes, _):
        rename("policy_logits", "logits")(nodes, _)
        nodes.append(helper.make_node("Softmax", ["logits"], ["policy_logits"], axis=1))

    standard("odd_probabilities", edit=softmax)

    def zero(_, weights):
        weights[:] = [constant("wp", np.zeros((5, POLICY))), constant("wv", np.zeros((5, 1)))]

    standard("odd_zero_weights", edit=zero)

    # Wrong.
    # A tenth of the means is dropped, as in training. (ONNX Runtime leaves out a `Dropout` whose mode is constant.)
    def drop(nodes, weights):
        rename("means", "all_means")(nodes, weights)
        weights += [constant("ratio", 0.1), constant("nothing", 0.0)]
        nodes[1:1] = [
            helper.make_node("RandomUniformLike", ["all_means"], ["chances"]),
            helper.make_node("Less", ["chances", "ratio"], ["dropped"]),
            helper.make_node("Where", ["dropped", "nothing", "all_means"], ["means"]),
        ]

    standard("bad_dropout", edit=drop)
    standard(
        "bad_output_name",
        edit=rename("policy_logits", "prediction"),
        outputs=[("prediction", F32, ["batch", POLICY]), ("value", F32, ["batch", 1])],
    )
    standard("bad_no_value", outputs=[("policy_logits", F32, ["batch", POLICY])])
    standard("bad_f64", kind=F64)
    standard("bad_policy_width", policy=57)
    standard(
        "bad_value_width",
        edit=value_from(helper.make_node("Concat", ["value_in"] * 2, ["value"], axis=1)),
        outputs=[("policy_logits", F32, ["batch", POLICY]), ("value", F32, ["batch", 2])],
    )
    standard(
        "bad_nan",
        edit=value_from(
            constant("nan", [np.nan]),
            helper.make_node("Add", ["value_in", "nan"], ["value"]),
        ),
    )
    # One row of logits, the mean over the batch, whatever the batch.
    def forget_batch(nodes, _):
        rename("policy_logits", "rows")(nodes, _)
        nodes.append(helper.make_node("ReduceMean", ["rows"], ["policy_logits"], axes=[0], keepdims=1))

    standard("bad_forgets_batch", edit=forget_batch)
    # The value tells how far a position is from the mean of its batch: 0 when it is alone.
    standard(
        "bad_mixes_batch",
        edit=value_from(
            constant("ten", [10]),
            helper.make_node("ReduceMean", ["value_in"], ["mean"], axes=[0], keepdims=1),
            helper.make_node("Sub", ["value_in", "mean"], ["from_mean"]),
            helper.make_node("Mul", ["from_mean", "ten"], ["value"]),
        ),
    )

    # Weights of a diverged training run.
    def diverge(nodes, weights):
        weights[0] = constant("wp", np.full((5, POLICY), np.nan))

    standard("bad_nan_weights", edit=diverge)
    nodes, weights = head()
    nodes[0] = helper.make_node("ReduceMean", ["unfolded"], ["means"], axes=[2, 3], keepdims=0)
    nodes.insert(0, helper.make_node("Reshape", ["input", "planes"], ["unfolded"]))
    weights.append(constant("planes", [-1, 5, 9, 9], np.int64))
    outputs = [("policy_logits", F32, ["batch", POLICY]), ("value", F32, ["batch", 1])]
    write("bad_rank_3", nodes, weights, [("input", F32, ["batch", 45, 9])], outputs)

    nodes, weights = head()
    weights[0].ClearField("raw_data")
    weights[0].data_location = TensorProto.EXTERNAL
    location = weights[0].external_data.add()
    location.key, location.value = "location", "bad_external_data.bin"
    write("bad_external_data", nodes, weights, [("input", F32, ["batch", *PLANES])], outputs, check=False)

    # Operators of a future that this ONNX Runtime does not know.
    nodes, weights = head()
    write("bad_opset", nodes, weights, [("input", F32, ["batch", *PLANES])], outputs, check=False, opset=999)

    nodes, weights = head()
    nodes.append(helper.make_node("Identity", ["extra"], ["ignored"]))
    inputs = [("input", F32, ["batch", *PLANES]), ("extra", F32, ["batch", 1])]
    write("bad_two_inputs", nodes, weights, inputs, [*outputs, ("ignored", F32, ["batch", 1])])


folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
main()
