"""Models for the daemon: checked as it checks them, and handed over so that none is ever seen half."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from . import program as programs
from . import settings
from .errors import ModelRefusedError, SelfplaydError
from .game import Game


@dataclass(frozen=True)
class Published:
    """A model that a daemon may take."""

    path: Path
    """The ONNX file."""
    version: int
    """Its version, which is recorded with games."""
    sha256: str
    """Of the file."""
    warnings: tuple[str, ...]
    """What is most likely wrong with it although it may serve."""


def publish(
    model: Path | str | bytes,
    models_dir: Path | str,
    version: int,
    *,
    check: bool = True,
    game: Game | str | None = None,
    program: Path | None = None,
    **settings_: Any,
) -> Published:
    """Hands a model over to the daemon that follows ``models_dir``.

    Writes ``model_{version}.onnx``, then ``latest.yaml``, each under another name first, synchronised and renamed: at
    no moment is there half of one, and after a power loss there is the old or the new.

    Args:
        model: The ONNX file, or what is in it. Weights in files of their own do not come along: export them inside.
        models_dir: Where models are; made if it is not there.
        version: Of the model: at least 0, and higher than those before.
        check: Ask ``selfplayd check-model`` first whether it may serve. For that ``game`` is needed.
        game: What :func:`selfplayd.describe` said of the game, or its name.
        program: Another program than the installed one.
        settings_: Settings to check it by; unless they say otherwise it runs on the CPU.

    Raises:
        ModelRefusedError: It must not serve. Nothing has changed.
        DaemonError: It could not be checked, such as without ONNX Runtime.
    """
    if version < 0:
        raise ValueError(f"version must be at least 0, and is {version}")
    if check and game is None:
        raise TypeError("publish() needs game=… to check the model, or check=False")
    content = model if isinstance(model, bytes) else Path(model).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    folder = Path(models_dir)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.absolute() / f"model_{version}.onnx"
    warnings: tuple[str, ...] = ()
    with _replacing(path) as (file, name):
        file.write(content)
        file.flush()
        if check and game is not None:
            try:
                warnings = check_model(name, game, program=program, **settings_)
            except ModelRefusedError as error:
                raise ModelRefusedError(error.reason.replace(str(name), path.name), error.step) from None
    with _replacing(folder / "latest.yaml") as (file, _):
        # JSON's strings are YAML's.
        latest = f"filename: {json.dumps(str(path))}\nversion: {version}\nsha256: {sha256}\n"
        file.write(latest.encode())
    return Published(path, version, sha256, warnings)


def check_model(
    model: Path | str, game: Game | str, *, program: Path | None = None, **settings_: Any
) -> tuple[str, ...]:
    """Asks ``selfplayd check-model`` whether a model may serve; what is most likely wrong with it all the same.

    Raises:
        ModelRefusedError: It must not.
        DaemonError: It could not be checked, such as without ONNX Runtime.
    """
    name, rules = (game.name, game.rules) if isinstance(game, Game) else (game, {})
    on_cpu: settings.Sections = {"inference": {"device": "cpu"}}
    wanted = settings.merged(on_cpu, settings.of_game(name, rules), settings.sections(settings_))
    with programs.settings_file(wanted) as file:
        told = programs.run(program, ["check-model", "--json", "--settings", file, model], also=[1]).stdout
    try:
        steps = json.loads(told)["steps"]
    except (ValueError, KeyError) as error:
        raise SelfplaydError(f"selfplayd check-model answered in another form: {told[:200]!r}") from error
    warnings = []
    for step in steps:
        if reason := step["outcome"].get("refused"):
            raise ModelRefusedError(reason, step["step"])
        if warning := step["outcome"].get("warned"):
            warnings.append(warning)
    return tuple(warnings)


@contextmanager
def _replacing(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file that takes the place of ``path`` at the end, whole and on the disk; an error removes it."""
    # Daemons that follow the directory pass over names that begin with a dot.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            # As files are made otherwise: a daemon of another user may have to read them.
            os.fchmod(file.fileno(), 0o666 & ~_umask())
            yield file, Path(name)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
