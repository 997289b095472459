"""Finished games as numpy arrays, read from the directory that a daemon writes them to.

The daemon writes ``NAME.yaml`` before ``NAME.npz``, and each under its final name only when it is complete: a game is
whole exactly when its npz is there. docs/formats.md says what the arrays hold.
"""

from __future__ import annotations

import ast
import functools
import io
import json
import struct
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.integer[Any]]


class GameError(ValueError):
    """A file that is no game of this daemon, or one that is torn; the text says which and why."""


class GameWarning(UserWarning):
    """A file in the directory of games was passed over."""


@dataclass(frozen=True, eq=False)
class FinishedGame:
    """One game: T rows that a policy can learn from, and notes on all of its L plies.

    Values are from the view of the player who moves, 1 is won. Policies and masks are in the network's frame, actions
    in the game's. Arrays that a file may lack are None.
    """

    path: Path
    """The npz file."""
    meta: dict[str, Any]
    """What the YAML file says: ``model_version``, ``result``, ``end_reason`` and so on."""
    input_arrays: Floats
    """Positions as network input: (T, C, H, W)."""
    policies: Floats
    """What the policy is to learn: (T, A), each row sums to 1."""
    action_masks: Floats
    """1 for legal actions, else 0: (T, A)."""
    values: Floats
    """Result for the player who moves: 1, 0 or -1, (T,)."""
    players: Ints
    """Who moves, 0 or 1: (T,)."""
    actions: Ints
    """The action that was played: (T,)."""
    root_values: Floats
    """Value of the position by its search: (T,)."""
    visit_counts: Ints
    """Visits of each action at the root: (T, A)."""
    model_versions: Ints
    """Newest model whose evaluations chose the move: (T,)."""
    weights: Floats
    """How much the row counts as a policy target, above 0: (T,)."""
    all_actions: Ints
    """The whole game: (L,)."""
    all_kinds: Ints
    """How each ply was found: 0 without a search, 1 by a full one, 2 by a cheap one, 3 before the game began: (L,)."""
    all_flags: Ints
    """Sum of 1 for a row, 2 for noise, 4 for values of several models, 8 for a proven value: (L,)."""
    all_simulations: Ints
    """Simulations of each ply's search: (L,)."""
    all_root_values: Floats
    """Value of each position by its search, NaN where there is none: (L,)."""
    all_raw_values: Floats
    """What the network says of each position by itself, or NaN: (L,)."""
    all_best_values: Floats
    """Value of the best action, or NaN: (L,)."""
    all_played_values: Floats
    """Value of the action that was played, or NaN: (L,)."""
    all_divergences: Floats
    """Divergence of the policy target from the network's policy in nats, or NaN: (L,)."""
    all_model_versions: Ints
    """Newest model whose evaluations chose each ply: (L,)."""
    root_draws: Floats | None = None
    """How likely a draw is in each row, where a network said it: (T,)."""
    all_root_draws: Floats | None = None
    """The same for every ply: (L,)."""

    @property
    def rows(self) -> int:
        """T: number of rows."""
        return len(self.values)

    @property
    def plies(self) -> int:
        """L: number of plies."""
        return len(self.all_actions)

    @property
    def row_plies(self) -> NDArray[np.intp]:
        """The ply of each row: (T,)."""
        return np.flatnonzero(self.all_flags & 1)

    @property
    def result(self) -> int:
        """1 if the first player won, -1 if the second did, 0 for a draw."""
        return {"first": 1, "second": -1, "draw": 0}[self.meta["result"]]


_ARRAYS = {f.name: str(f.type) for f in fields(FinishedGame) if f.name not in ("path", "meta")}
_OPTIONAL = ("root_draws", "all_root_draws")
_DIMENSIONS = {"policies": 2, "action_masks": 2, "visit_counts": 2}
"""Of arrays that are no vectors; those of ``input_arrays`` are the network's affair."""
_LARGEST = 1 << 28
"""Bytes that no game comes near to; a larger file is none, and is not read into memory."""


def read_game(path: Path) -> FinishedGame:
    """Read one game, given its npz file. GameError where it is no whole game of this daemon."""
    path = Path(path)
    about = path.with_suffix(".yaml")
    try:
        meta = _mapping(_content(about).decode())
    except FileNotFoundError:
        raise GameError(f"{path.name} has no {about.name} beside it, which the daemon writes first") from None
    except (ValueError, RecursionError) as e:
        raise GameError(f"{about.name} cannot be read: {e}") from e
    data = _content(path)
    try:
        found = _arrays(bytearray(data))
    except Exception as e:  # What bytes of others do to zipfile, zlib and numpy's headers has no end of kinds.
        raise GameError(f"{path.name} is torn or no npz file: {e}") from e
    missing = [name for name in _ARRAYS if name not in found and name not in _OPTIONAL]
    if missing:
        raise GameError(f"{path.name} lacks {', '.join(missing)}: it is of another program, or of an older selfplayd")
    if wrong := _what_is_wrong(found, meta.get("result")):
        raise GameError(f"{path.name}: {wrong}")
    return FinishedGame(path=path, meta=meta, **found)


def _content(path: Path) -> bytes:
    if (size := path.stat().st_size) > _LARGEST:
        raise GameError(f"{path.name} has {size} bytes, more than any game")
    return path.read_bytes()


def _what_is_wrong(found: dict[str, NDArray[Any]], result: Any) -> str | None:
    """Which of the promises of docs/formats.md the arrays break, of those that a trainer relies on."""
    rows, plies = found["values"].size, found["all_actions"].size
    if rows == 0:
        return "it has no rows"
    for name, array in found.items():
        if array.dtype.kind not in ("f" if _ARRAYS[name].startswith("Floats") else "iu"):
            return f"{name} has the type {array.dtype}"
        expected = plies if name.startswith("all_") else rows
        if array.ndim < 1 or len(array) != expected:
            return f"{name} has shape {array.shape}, but its first dimension should be {expected}"
        if name != "input_arrays" and array.ndim != (dimensions := _DIMENSIONS.get(name, 1)):
            return f"{name} has shape {array.shape}, but it should have {dimensions} dimensions"
    policies, weights, values = found["policies"], found["weights"], found["values"]
    if policies.shape != found["action_masks"].shape:
        return "policies and masks are of different shapes"
    if int((found["all_flags"] & 1).sum()) != rows or result not in ("first", "second", "draw"):
        return "its flags, its rows and its result do not fit each other"
    # Written so that NaN breaks them.
    if not (policies >= 0).all() or not (np.abs(policies.sum(1) - 1) < 0.01).all():
        return "a row of its policies is no distribution"
    if not ((weights > 0) & (weights < np.inf)).all():
        return "its weights are not all above 0 and finite"
    searched = (found["all_root_values"], *(found[name] for name in _OPTIONAL if name in found))
    if not (np.abs(values) <= 1).all() or any((np.abs(a) > 1.001).any() for a in searched):
        return "its values are not all from -1 to 1"
    return None


def _arrays(data: bytearray) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file. What numpy.load does, some ten times as fast: most games have headers seen before."""
    found = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name not in _ARRAYS:
                continue
            if info.file_size > _LARGEST:
                raise ValueError(f"{name} has {info.file_size} bytes, more than any game")
            if info.compress_type == zipfile.ZIP_STORED:
                name_size, extra_size = struct.unpack_from("<HH", data, info.header_offset + 26)
                at = info.header_offset + 30 + name_size + extra_size
                entry = memoryview(data)[at : at + info.file_size]
                if zlib.crc32(entry) != info.CRC:
                    raise zipfile.BadZipFile(f"{name} has another checksum")
            else:
                entry = memoryview(bytearray(archive.read(info)))
            if bytes(entry[:8]) != b"\x93NUMPY\x01\x00":
                raise ValueError(f"{name} is no array of npy format 1.0")
            start = 10 + int.from_bytes(entry[8:10], "little")
            dtype, shape = _npy_header(bytes(entry[10:start]))
            found[name] = np.frombuffer(entry[start:], dtype).reshape(shape)
    return found


@functools.lru_cache(maxsize=4096)
def _npy_header(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    about = ast.literal_eval(header.decode("latin1").strip())
    if about["fortran_order"]:
        raise ValueError("arrays in Fortran's order are not read")
    dtype = np.dtype(about["descr"])
    if dtype.hasobject:
        raise ValueError("arrays of objects are not read")
    return dtype, tuple(about["shape"])


def _mapping(text: str) -> dict[str, Any]:
    """The daemon's YAML: one `key: value` a line, values as in JSON or bare words."""
    meta: dict[str, Any] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if not colon or not key.strip() or line[:1].isspace() or line.startswith("#"):
            if line.strip() and not line.startswith(("#", "---")):
                raise ValueError(f"{line[:80]!r} is no key with a value")
            continue
        value = value.strip()
        try:
            meta[key.strip().strip("'\"")] = json.loads(value)
        except json.JSONDecodeError:
            meta[key.strip()] = value[1:-1].replace("''", "'") if value[:1] == value[-1:] == "'" else value
    return meta


def games(
    directory: str | Path,
    *,
    follow: bool = False,
    delete: bool = False,
    newest: int | None = None,
    move_bad_to: str | Path | None = None,
    poll_seconds: float = 0.2,
    stop: Callable[[], bool] = lambda: False,
) -> Generator[FinishedGame, None, None]:
    """Yield the finished games of a directory, oldest first, each once and whole.

    With ``follow`` go on with games as they come, until ``stop()``. With ``newest`` begin with the newest so many. With
    ``delete`` remove a game's files when the next one is asked for, so that a game whose reader dies is read again; a
    reader that gives up the iterator without asking keeps its last game. Files that are no games are passed over with a
    GameWarning, once each, and moved to ``move_bad_to`` if that is given. FileNotFoundError if there is no such
    directory and ``follow`` is off.
    """
    directory = Path(directory)
    if not follow and not directory.is_dir():
        raise FileNotFoundError(f"there is no directory {directory}")
    passed: set[str] = set()
    first = True
    while True:
        names = sorted(p.name for p in directory.glob("*.npz") if p.name not in passed) if directory.is_dir() else []
        if first and newest is not None:
            passed.update(names[: max(0, len(names) - newest)])
            names = names[max(0, len(names) - newest) :]
        first = False
        for name in names:
            path = directory / name
            try:
                game = read_game(path)
            except FileNotFoundError:
                continue  # Another reader took it meanwhile.
            except GameError as e:
                passed.add(name)
                _set_aside(path, str(e), Path(move_bad_to) if move_bad_to is not None else None)
                continue
            yield game
            if delete:
                remove_game(path)
            else:
                passed.add(name)
        if not follow or stop():
            return
        if not names:
            time.sleep(poll_seconds)


def remove_game(path: Path) -> None:
    """Remove both files of a game, the npz first, so that what is left after a crash in between is no game."""
    path.unlink(missing_ok=True)
    path.with_suffix(".yaml").unlink(missing_ok=True)


def _set_aside(path: Path, why: str, to: Path | None) -> None:
    if to is None:
        warnings.warn(f"passed over: {why}", GameWarning, stacklevel=3)
        return
    to.mkdir(parents=True, exist_ok=True)
    for part in (path, path.with_suffix(".yaml")):
        if part.exists():
            part.rename(to / part.name)
    warnings.warn(f"moved to {to}: {why}", GameWarning, stacklevel=3)
