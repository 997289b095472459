"""What ONNX files does this version of torch write for a small AlphaZero network?

    python exports.py export DIR [full]    with the torch to try (needs onnx too, and onnxscript for the dynamo exporter)
    python exports.py check DIR            with any onnx and onnxruntime (torch is not needed)

`export` writes one .onnx file per way of exporting and `records.jsonl` beside them; each line says how a file was
made, or why it could not be made. `reference.npz` holds eight positions and torch's answers to them.
`check` adds what each file looks like and what ONNX Runtime makes of it, and writes `checked.jsonl`.

The weights come from numpy with a fixed seed, so all versions of torch export the same function: a residual network of
one block and eight channels for 3x3 Quoridor (input [batch, 5, 9, 9], policy_logits [batch, 17], value [batch, 1]).
"""

import contextlib
import inspect
import io
import itertools
import json
import os
import sys
import time
import warnings

import numpy as np

BOARD = 3
SIZE = 2 * BOARD + 3
ACTIONS = BOARD * BOARD + 2 * (BOARD - 1) ** 2
CHANNELS, HIDDEN = 8, 8
BATCHES = (1, 2, 8)

# How the heads turn [batch, C, H, W] into [batch, C*H*W]. The first is what the trainer writes.
FLATTEN = {
    "view_size": lambda x: x.view(x.size(0), -1),
    "flatten": lambda x: x.flatten(1),
    "torch_flatten": lambda x: sys.modules["torch"].flatten(x, 1),
    "reshape_mul": lambda x: x.reshape(1 * x.shape[0], -1),
    "view_full": lambda x: x.view(x.size(0), x.size(1) * x.size(2) * x.size(3)),
    "view_minus": lambda x: x.view(-1, x.size(1) * x.size(2) * x.size(3)),
    "view_int": lambda x: x.view(int(x.shape[0]), -1),
    "view_len": lambda x: x.reshape(len(x), -1),
}
# Parts other networks of this family have, which name the batch in other places than a flatten.
PARTS = ("se", "se_view", "planes", "planes_zeros", "attention", "pool", "unflatten", "shuffle")


def positions(count=8, seed=7):
    """Inputs shaped like Quoridor positions: walls, two pawns, two planes of walls left."""
    rng = np.random.RandomState(seed)
    x = np.zeros((count, 5, SIZE, SIZE), np.float32)
    x[:, 0] = 1
    x[:, 0, 2:-2, 2:-2] = rng.rand(count, SIZE - 4, SIZE - 4) < 0.15
    for i in range(count):
        for plane in (1, 2):
            r, c = rng.randint(0, BOARD, 2)
            x[i, plane, 2 * r + 2, 2 * c + 2] = 1
        x[i, 3:] = rng.randint(0, 4, (2, 1, 1))
    return x


# --------------------------------------------------------------------------------------------------------------- export


def network(flatten, part):
    import torch
    from torch import nn

    flat = FLATTEN[flatten]

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
            self.bn1 = nn.BatchNorm2d(CHANNELS)
            self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
            self.bn2 = nn.BatchNorm2d(CHANNELS)
            if part in ("se", "se_view"):
                self.se = nn.Linear(CHANNELS, CHANNELS)

        def forward(self, x):
            out = torch.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            if part == "se":
                out = out * torch.sigmoid(self.se(out.mean((2, 3))))[:, :, None, None]
            if part == "se_view":
                scale = torch.sigmoid(self.se(out.mean((2, 3))))
                out = out * scale.view(out.size(0), out.size(1), 1, 1)
            out += x
            return torch.relu(out)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            extra = 1 if part in ("planes", "planes_zeros") else 0
            self.conv_input = nn.Conv2d(5 + extra, CHANNELS, 3, padding=1)
            self.bn_input = nn.BatchNorm2d(CHANNELS)
            self.residual_blocks = nn.ModuleList([Block()])
            if part == "planes":
                self.plane = nn.Parameter(torch.zeros(1, 1, SIZE, SIZE))
            if part == "attention":
                self.attention = nn.MultiheadAttention(CHANNELS, 2, batch_first=True)
            if part == "pool":
                self.pool = nn.Linear(CHANNELS, CHANNELS)
            self.policy_conv = nn.Conv2d(CHANNELS, 2, 1)
            self.policy_bn = nn.BatchNorm2d(2)
            self.policy_fc = nn.Linear(2 * SIZE * SIZE, ACTIONS)
            self.value_conv = nn.Conv2d(CHANNELS, 1, 1)
            self.value_bn = nn.BatchNorm2d(1)
            self.value_fc1 = nn.Linear(SIZE * SIZE, HIDDEN)
            self.value_fc2 = nn.Linear(HIDDEN, 1)

        def forward(self, x):
            if part == "planes":
                x = torch.cat([x, self.plane.expand(x.size(0), -1, -1, -1)], 1)
            if part == "planes_zeros":
                ones = torch.ones(x.size(0), 1, SIZE, SIZE, dtype=x.dtype, device=x.device)
                x = torch.cat([x, ones], 1)
            out = torch.relu(self.bn_input(self.conv_input(x)))
            for block in self.residual_blocks:
                out = block(out)
            if part == "attention":
                cells = out.view(out.size(0), CHANNELS, -1).transpose(1, 2)
                cells = cells + self.attention(cells, cells, cells, need_weights=False)[0]
                out = cells.transpose(1, 2).reshape(out.shape)
            if part == "pool":
                out = out + self.pool(out.amax((2, 3))).unsqueeze(-1).unsqueeze(-1)
            if part == "unflatten":
                out = out.view(out.size(0), 2, CHANNELS // 2, SIZE, SIZE).sum(2, keepdim=True).expand(
                    -1, -1, CHANNELS // 2, -1, -1).reshape(out.shape)
            if part == "shuffle":
                out = out.view(out.size(0), 2, CHANNELS // 2, SIZE, SIZE).transpose(1, 2).reshape(out.shape)
            policy = torch.relu(self.policy_bn(self.policy_conv(out)))
            policy = self.policy_fc(flat(policy))
            value = torch.relu(self.value_bn(self.value_conv(out)))
            value = torch.relu(self.value_fc1(flat(value)))
            value = torch.tanh(self.value_fc2(value))
            return policy, value

    net = Net().eval()
    rng = np.random.RandomState(1)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.dtype.is_floating_point:
                drawn = rng.randn(*tensor.shape) / np.sqrt(max(1, np.prod(tensor.shape[1:])))
                drawn = 0.5 + rng.rand(*tensor.shape) if name.endswith("running_var") else drawn
                drawn = 1 + 0.2 * drawn if tensor.dim() == 1 and name.endswith("weight") else drawn
                tensor.copy_(torch.tensor(drawn, dtype=torch.float32))
    return net


def half_inside(net):
    """A network in half precision that takes and gives single precision."""
    from torch import nn

    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net.half()

        def forward(self, x):
            policy, value = self.net(x.half())
            return policy.float(), value.float()

    return Half().eval()


def dynamic_arguments(how, exporter):
    """Arguments that declare the batch dynamic; None if this exporter does not take them in this form."""
    import torch

    names = ("input", "policy_logits", "value")
    if how == "none":
        return {}
    if how == "axes":
        return {"dynamic_axes": {n: {0: "batch_size"} for n in names}}
    if how == "axes_in":
        return {"dynamic_axes": {"input": {0: "batch_size"}}}
    if exporter != "dynamo" or "dynamic_shapes" not in inspect.signature(torch.onnx.export).parameters:
        return None
    if how == "shapes":
        return {"dynamic_shapes": ({0: torch.export.Dim("batch")},)}
    if how == "shapes_auto":
        dim = getattr(torch.export.Dim, "DYNAMIC", None)
        return dim and {"dynamic_shapes": ({0: dim},)}
    if how == "shapes_name":
        return {"dynamic_shapes": ({0: "batch"},)}
    raise ValueError(how)


def export_one(way, path):
    """Exports one file. Raises if torch does; returns False if this version has no such way."""
    import torch

    net = network(way["flatten"], way["part"])
    dummy = torch.zeros(way["dummy"], 5, SIZE, SIZE)
    if way["dtype"] == "fp16":
        net, dummy = net.half(), dummy.half()
    if way["dtype"] == "fp16_inside":
        net = half_inside(net)
    known = inspect.signature(torch.onnx.export).parameters
    dynamic = dynamic_arguments(way["dynamic"], way["exporter"])
    if dynamic is None:
        return False
    names = {"input_names": ["input"], "output_names": ["policy_logits", "value"]}
    if way["exporter"] == "dynamo_export":
        if not hasattr(torch.onnx, "dynamo_export") or way["dynamic"] not in ("none", "axes") or way["opset"] != 18:
            return False
        options = torch.onnx.ExportOptions(dynamic_shapes=way["dynamic"] == "axes")
        torch.onnx.dynamo_export(net, dummy, export_options=options).save(path)
        return True
    extra = {}
    if way["exporter"] == "dynamo":
        if "dynamo" not in known or "dynamic_shapes" not in known:
            return False
        extra["dynamo"] = True
        # One file, as the trainer asks for; "default" leaves it to torch.
        if "external_data" in known and way["external"] == "no":
            extra["external_data"] = False
        if way["optimize"] != "default":
            if "optimize" not in known:
                return False
            extra["optimize"] = way["optimize"] == "yes"
    elif "dynamo" in known:
        extra["dynamo"] = False
    with contextlib.nullcontext() if way["grad"] == "yes" else torch.no_grad():
        torch.onnx.export(net, (dummy,), path, opset_version=way["opset"], **names, **dynamic, **extra)
    return True


def ways(full):
    """The ways of exporting to try, each once: over batches, over opsets, over number formats, over networks.

    `full` adds the combinations that are expected to say nothing new; a dynamo export takes seconds.
    """
    base = {"flatten": "view_size", "part": "", "dtype": "fp32", "external": "no", "optimize": "default", "grad": "yes"}
    seen = set()

    def way(exporter, **changes):
        made = {**base, "exporter": exporter, "opset": 18 if exporter == "dynamo_export" else 17, **changes}
        key = json.dumps(made, sort_keys=True)
        if key not in seen:
            seen.add(key)
            yield made

    d1, d2 = {"dummy": 1, "dynamic": "axes"}, {"dummy": 2, "dynamic": "axes"}
    declared = [d1, d2, {"dummy": 1, "dynamic": "none"}, {"dummy": 2, "dynamic": "none"}] if full else [d1]
    for exporter in ("legacy", "dynamo", "dynamo_export"):
        for dummy in (1, 2):
            for dynamic in ("axes", "none", "shapes", "shapes_auto", "axes_in", "shapes_name"):
                if full or exporter == "legacy" or (dummy, dynamic) in ((1, "axes"), (1, "none"), (1, "shapes"), (1, "shapes_auto"), (2, "axes"), (2, "none"), (2, "shapes")):
                    yield from way(exporter, dummy=dummy, dynamic=dynamic)
        # Whether torch records gradients changes what it takes for a constant.
        yield from way(exporter, grad="no", **d1)
        yield from way(exporter, flatten="flatten", dummy=1, dynamic="none")
        for flatten in FLATTEN if full else ("flatten", "reshape_mul", "view_int", "view_minus"):
            for batch in declared:
                yield from way(exporter, flatten=flatten, **batch)
        yield from way(exporter, flatten="view_int", **d2)
        for batch in declared:
            yield from way(exporter, dtype="fp16", **batch)
            yield from way(exporter, dtype="fp16_inside", **batch)
        if exporter == "dynamo":
            for batch in declared:
                yield from way(exporter, optimize="no", **batch)
                yield from way(exporter, opset=18, **batch)
            yield from way(exporter, external="default", **d1)
            yield from way(exporter, opset=18, flatten="flatten", **d1)
        for opset in range(13, 25) if full or exporter == "legacy" else (13, 20, 24):
            yield from way(exporter, opset=opset, **d1)
        for part in PARTS if full else ():
            for batch in declared:
                yield from way(exporter, part=part, **batch)


def name_of(way):
    parts = [way["exporter"], f"d{way['dummy']}", way["dynamic"], f"op{way['opset']}", way["flatten"], way["part"],
             way["dtype"],
             "" if way["external"] == "no" else "external", "" if way["optimize"] == "default" else f"optimize-{way['optimize']}", "" if way["grad"] == "yes" else "no_grad"]
    return "-".join(p for p in parts if p)


def export(out, full):
    import torch

    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(1)
    x = positions()
    reference = {"input": x}
    for part in ("",) + PARTS:
        net = network("view_size", part)
        with torch.no_grad():
            policy, value = net(torch.tensor(x))
        reference[f"policy_logits{part}"], reference[f"value{part}"] = policy.numpy(), value.numpy()
    np.savez(os.path.join(out, "reference.npz"), **reference)
    versions = {"torch": torch.__version__}
    for package in ("onnx", "onnxscript", "numpy"):
        with contextlib.suppress(Exception):
            versions[package] = __import__(package).__version__
    start = time.time()
    with open(os.path.join(out, "records.jsonl"), "w") as records:
        for way in ways(full):
            record = {**way, "versions": versions, "file": name_of(way) + ".onnx"}
            said = io.StringIO()
            try:
                with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                    warnings.simplefilter("always")
                    if not export_one(way, os.path.join(out, record["file"])):
                        continue
                record["warnings"] = sorted({str(w.message).split("\n")[0][:200] for w in caught
                                             if "batch" in str(w.message) or "constant" in str(w.message)})
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                text = f"{type(error).__name__}: {error}"
                record["error"] = text if len(text) < 900 else text[:300] + " ... " + text[-500:]
            records.write(json.dumps(record) + "\n")
            records.flush()
    print(versions, f"{time.time() - start:.0f} s")


# ---------------------------------------------------------------------------------------------------------------- check


def dims(value):
    return [d.dim_param or (d.dim_value if d.HasField("dim_value") else "?") for d in value.type.tensor_type.shape.dim]


def constants(graph):
    """All small tensors of integers in the graph that do not depend on its input, by name."""
    from onnx import numpy_helper

    found = {i.name: numpy_helper.to_array(i) for i in graph.initializer if i.data_type in (6, 7) and np.prod(i.dims) < 64}
    for node in graph.node:
        if node.op_type == "Constant":
            for a in node.attribute:
                if a.name == "value" and a.t.data_type in (6, 7):
                    found[node.output[0]] = numpy_helper.to_array(a.t)
                elif a.name == "value_ints":
                    found[node.output[0]] = np.array(a.ints)
                elif a.name == "value_int":
                    found[node.output[0]] = np.array(a.i)
        elif node.op_type in ("Cast", "Identity") and node.input[0] in found:  # torch 2.5 casts its constants
            found[node.output[0]] = found[node.input[0]]
    return found


SHAPES = {"Reshape": 1, "Expand": 1, "ConstantOfShape": 0, "Tile": 1, "Slice": 2, "Split": 1, "Unsqueeze": None, "Resize": None}


def shaping(model):
    """Nodes that name a shape, with the shape where it is constant: the places where a batch can be baked in."""
    import onnx.inliner

    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    known, lines = constants(model.graph), []
    for node in model.graph.node:
        at = SHAPES.get(node.op_type)
        if at is not None and at < len(node.input):
            value = known.get(node.input[at])
            zero = [f" allowzero={a.i}" for a in node.attribute if a.name == "allowzero" and a.i]
            shown = "computed" if value is None else str(np.atleast_1d(value).tolist())
            lines.append(f"{node.op_type} {shown}{''.join(zero)}")
        elif node.op_type == "Flatten":
            lines.append("Flatten")
        elif node.op_type == "Concat" and any(i in known for i in node.input):
            parts = ",".join(str(np.atleast_1d(known[i]).tolist()) if i in known else "computed" for i in node.input)
            lines.append(f"Concat {parts}")
    return lines, known


def ask(data, inputs, half):
    """Answers of ONNX Runtime for each batch size: outputs, or the error."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return {"load": str(error)[:300]}
    name, answers = session.get_inputs()[0].name, {}
    for batch in BATCHES:
        # The last positions, so that an answer that belongs to another row shows.
        x = inputs[-batch:].astype(np.float16 if half else np.float32)
        try:
            answers[batch] = session.run(None, {name: x})
        except Exception as error:
            answers[batch] = str(error)
    return answers


def verdict(answers, reference, tolerance):
    if "load" in answers:
        return {"load": answers["load"]}
    said = {}
    for batch, got in answers.items():
        if isinstance(got, str):
            reason = got.split("Non-zero status code returned while running ")[-1]
            said[batch] = "error: " + " ".join(reason.split())[:160]
            continue
        want = [r[-batch:] for r in reference]
        if [list(g.shape) for g in got] != [list(w.shape) for w in want]:
            said[batch] = f"shapes {[list(g.shape) for g in got]}"
        else:
            worst = max(float(np.abs(g.astype(np.float32) - w).max()) for g, w in zip(got, want))
            said[batch] = "ok" if worst < tolerance else f"wrong by {worst:.3g}"
    return said


def loosened(model):
    """The same model with its declared batch dropped everywhere but in the nodes themselves."""
    import onnx

    free = onnx.ModelProto()
    free.CopyFrom(model)
    for value in list(free.graph.input) + list(free.graph.output):
        if value.type.tensor_type.shape.dim:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del free.graph.value_info[:]
    for function in free.functions:
        del function.value_info[:]
    return free


def repaired(model, dummy):
    """Loosened, and each constant shape of a Reshape that begins with the dummy batch begins with -1 (or 0) instead: can it be mended?"""
    from onnx import numpy_helper
    import onnx.inliner

    free = loosened(model)
    if free.functions:
        free = onnx.inliner.inline_local_functions(free)
        del free.graph.value_info[:]
    known, changed = constants(free.graph), 0
    for node in free.graph.node:
        if node.op_type != "Reshape" or node.input[1] not in known:
            continue
        shape = np.atleast_1d(known[node.input[1]]).astype(np.int64)
        if len(shape) == 0 or shape[0] != dummy:
            continue
        if -1 not in shape:
            shape = np.concatenate([[-1], shape[1:]])
        elif 0 in shape:
            continue
        else:  # 0 takes the batch of the input, unless allowzero says otherwise
            shape = np.concatenate([[0], shape[1:]])
            kept = [a for a in node.attribute if a.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
        changed += 1
        free.graph.initializer.append(numpy_helper.from_array(shape.astype(np.int64), f"mended_{changed}"))
        node.input[1] = f"mended_{changed}"
    return free, changed


def check(out):
    import onnx

    reference = np.load(os.path.join(out, "reference.npz"))
    with open(os.path.join(out, "records.jsonl")) as lines, open(os.path.join(out, "checked.jsonl"), "w") as checked:
        for record in map(json.loads, lines):
            path = os.path.join(out, record["file"])
            if "error" not in record:
                try:
                    look(record, path, reference, onnx)
                except Exception as error:
                    record["check_error"] = f"{type(error).__name__}: {error}"[:300]
            checked.write(json.dumps(record) + "\n")


def look(record, path, reference, onnx):
    model = onnx.load(path)
    graph = model.graph
    lines, _ = shaping(model)
    record["opset_written"] = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    record["domains"] = [o.domain for o in model.opset_import if o.domain not in ("", "ai.onnx")]
    record["ir"] = model.ir_version
    record["producer"] = f"{model.producer_name} {model.producer_version}"
    initializers = {i.name for i in graph.initializer}
    record["inputs"] = {v.name: dims(v) for v in graph.input if v.name not in initializers}
    record["outputs"] = {v.name: dims(v) for v in graph.output}
    record["types"] = sorted({v.type.tensor_type.elem_type for v in list(graph.input) + list(graph.output)})
    record["initializer_inputs"] = sum(v.name in initializers for v in graph.input)
    record["shaping"] = lines
    record["value_info_fixed"] = sum(1 for v in graph.value_info if v.name not in initializers and dims(v)[:1] == [record["dummy"]] and len(dims(v)) > 1)
    record["value_info"] = len(graph.value_info)
    record["functions"] = len(model.functions)
    ops = [n.op_type for n in graph.node]
    record["ops"] = {op: ops.count(op) for op in sorted(set(ops))}
    record["data_file"] = os.path.exists(path + ".data")
    record["size"] = os.path.getsize(path)
    if record["data_file"]:
        record["data_size"] = os.path.getsize(path + ".data")
    half = record["dtype"] == "fp16"
    answers = [reference["policy_logits" + record["part"]], reference["value" + record["part"]]]
    tolerance = 1e-4 if record["dtype"] == "fp32" else 0.03
    inputs = reference["input"]
    record["as_is"] = verdict(ask(path, inputs, half), answers, tolerance)
    record["loosened"] = verdict(ask(loosened(model).SerializeToString(), inputs, half), answers, tolerance)
    mended, changed = repaired(model, record["dummy"])
    record["mended_nodes"] = changed
    record["mended"] = verdict(ask(mended.SerializeToString(), inputs, half), answers, tolerance)


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(sys.argv[2], full="full" in sys.argv[3:])
    else:
        check(sys.argv[2])
