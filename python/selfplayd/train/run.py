"""What a run keeps on the disk: lock, checkpoints, models, figures; each file is written whole or not at all."""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from .network import Params
from .steps import State, Stepper


class RunError(RuntimeError):
    """Why a run cannot go on; the text is for its user."""


@dataclass
class Progress:
    """Where a run stands; all of it is in a checkpoint, besides the state of the network."""

    step: int = 0
    samples: int = 0
    version: int = 0
    """Of the newest model published."""
    seconds: float = 0.0
    """Of training in all, earlier starts included."""


def write_whole(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a file under another name, bring it to the disk if it is to be ``durable``, and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Hold a run's lock, which ends with this process. RunError where another trainer holds it."""
    run.mkdir(parents=True, exist_ok=True)
    with (run / "trainer.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise RunError(
                f"another trainer (process {file.read().strip() or 'unknown'}) trains in {run}: "
                "stop it, or name another --out"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def save_checkpoint(directory: Path, progress: Progress, state: State, rng: np.random.Generator) -> None:
    """Write ``step_N.npz`` and remove all but the newest two."""
    about = json.dumps({"progress": vars(progress), "rng": rng.bit_generator.state})
    data = io.BytesIO()
    arrays: dict[str, Any] = {f"{kind}/{name}": a for kind, params in state.items() for name, a in params.items()}
    np.savez(data, about=np.array(about), **arrays)
    write_whole(directory / f"step_{progress.step:09}.npz", data.getvalue())
    for old in sorted(directory.glob("step_*.npz"))[:-2]:
        old.unlink(missing_ok=True)


def load_checkpoint(directory: Path, say: Any) -> tuple[Progress, State, np.random.Generator] | None:
    """The newest checkpoint that can be read, or None; what cannot be read is told of through ``say``."""
    for path in sorted(directory.glob("step_*.npz"), reverse=True):
        try:
            with np.load(path, allow_pickle=False) as file:
                about = json.loads(str(file["about"]))
                state: State = {}
                for key in file.files:
                    kind, slash, name = key.partition("/")
                    if slash:
                        state.setdefault(kind, {})[name] = file[key]
            rng = np.random.default_rng()
            rng.bit_generator.state = about["rng"]
            return Progress(**about["progress"]), state, rng
        except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as e:
            say(f"{path} cannot be read and is passed over: {e}")
    return None


def check_export(data: bytes, params: Params, stepper: Stepper, inputs: NDArray[np.float32], tolerance: float) -> float:
    """The largest difference of log-probabilities between a model in ONNX Runtime and the trained network.

    RunError beyond the tolerance, or where either is not finite: such a model is another network than the trained one.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    exported = session.run(["policy_logits", "value"], {"input": inputs})
    trained = stepper.forward(params, inputs)
    worst = max(float(np.abs(_log_softmax(a) - _log_softmax(b)).max()) for a, b in zip(exported, trained, strict=True))
    if not worst <= tolerance:  # NaN too
        raise RunError(
            f"the exported model is not the trained network: on {len(inputs)} positions their log-probabilities "
            f"differ by up to {worst:.3g}, allowed are {tolerance} (publish.tolerance); it was not published"
        )
    return worst


def _log_softmax(x: NDArray[np.float32]) -> NDArray[np.float64]:
    x = x.astype(np.float64)
    x = x - x.max(1, keepdims=True)
    result: NDArray[np.float64] = x - np.log(np.exp(x).sum(1, keepdims=True))
    return result


def published_version(models: Path) -> int | None:
    """The version in latest.yaml, if there is one."""
    try:
        for line in (models / "latest.yaml").read_text(encoding="utf-8").splitlines():
            if line.startswith("version:"):
                return int(line.partition(":")[2])
    except (FileNotFoundError, ValueError):
        pass
    return None


def write_figures(models: Path, figures: dict[str, Any]) -> None:
    """Write trainer.json, which the daemon shows beside its own figures."""
    write_whole(models / "trainer.json", json.dumps({"updated": time.time(), **figures}).encode(), durable=False)
