"""A replay buffer on disk: a ring of rows, memory-mapped, that survives the death of its process.

A row takes 35 bytes for Connect Four and 976 for 5x5 Quoridor, so that millions fit in memory or on a disk. Rows are
written before the header that counts them, and rows that they replace are given up before: whatever moment the process
dies at, every row that counts is whole. (A loss of power may cost what the system had not written yet.)
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .game import Game
from .games import FinishedGame

Floats = NDArray[np.float32]

_HEADER_BYTES = 4096
# Two slots, written in turn; the valid one with the higher turn counts. Turn, oldest row that counts, rows ever, games
# ever, name of the last game, CRC.
_SLOT = struct.Struct("<qqqq200sI")
_SLOT_AT = (1024, 2048)
_MAGIC = b"selfplayd replay 1\n"


class Batch(NamedTuple):
    """What a step of training takes."""

    inputs: Floats
    """(B, C, H, W)"""
    policies: Floats
    """What the policy is to learn: (B, A)."""
    masks: Floats
    """1 for legal actions, else 0: (B, A)."""
    outcomes: Floats
    """Chances of win, draw and loss for the player who moves, which the value is to learn: (B, 3)."""


@dataclass(frozen=True)
class Window:
    """How many of the newest rows are sampled from: c·(1 + growth·((N/c)^exponent - 1)/exponent) of N rows ever."""

    start: int = 20_000
    """c: all rows are in the window until there are so many."""
    growth: float = 0.4
    exponent: float = 0.75

    def rows(self, ever: int) -> int:
        """Size of the window: at most ``ever``."""
        if ever <= self.start:
            return ever
        grown = self.start * (1 + self.growth * ((ever / self.start) ** self.exponent - 1) / self.exponent)
        return min(ever, int(grown))


class ReplayBuffer:
    """The newest ``capacity`` rows of the games added, in the file ``path``.

    One process may write at a time; others may open the file with ``readonly``. Planes are kept as bits where all
    entries are 0 or 1 (``bits``; by default every game but Quoridor, which has numbers of walls), else as bytes.
    ``td`` is h of the value targets TD(lambda) kept beside the result (docs/formats.md): 1 is the search's own value.
    """

    def __init__(
        self,
        path: str | Path,
        game: Game,
        capacity: int = 1_000_000,
        *,
        window: Window | None = None,
        bits: bool | None = None,
        td: float = 1.0,
        readonly: bool = False,
    ) -> None:
        self.path = Path(path)
        self.game = game
        self.window = window or Window()
        self.td = td
        self._bits = game.name != "quoridor" if bits is None else bits
        self._cells = int(np.prod(game.input_shape))
        self._row = np.dtype(
            [
                ("input", np.uint8, ((self._cells + 7) // 8 if self._bits else self._cells,)),
                ("mask", np.uint8, ((game.policy_size + 7) // 8,)),
                ("policy", np.float16, (game.policy_size,)),
                ("weight", np.float32),
                ("value", np.float16),  # TD target, mover's view
                ("draw", np.float16),  # the same for the chance of a draw
                ("result", np.int8),
            ]
        )
        about = _MAGIC + f"{game.name} {dict(game.rules)} {self._row.itemsize} {self._bits} {capacity}\n".encode()
        size = _HEADER_BYTES + capacity * self._row.itemsize
        if not self.path.exists():
            if readonly:
                raise FileNotFoundError(f"there is no replay buffer {self.path}")
            self.path.parent.mkdir(parents=True, exist_ok=True)
            fresh = self.path.with_name(self.path.name + ".new")
            with fresh.open("wb") as file:  # Sparse: takes room only as rows come.
                file.write(about.ljust(_HEADER_BYTES, b"\0"))
                file.truncate(size)
            fresh.rename(self.path)
        with self.path.open("rb") as file:
            there = file.read(1024).rstrip(b"\0")
        if there != about or self.path.stat().st_size != size:
            raise ValueError(
                f"{self.path} is of another game, capacity or version ({there.decode(errors='replace').strip()!r}, "
                f"not {about.decode().strip()!r}): remove it, or change the settings back"
            )
        # Read through the map, written by pwrite: on a full disk that is an error, where a store to the map would kill.
        self._rows: Any = np.memmap(self.path, self._row, "r", _HEADER_BYTES, (capacity,))
        self._file = None if readonly else os.open(self.path, os.O_WRONLY)
        self.capacity = capacity
        self.rows, self._heaviest = 0, 0.0
        self.refresh()
        self._inputs = np.stack([s.input for s in game.symmetries])
        self._policies = np.stack([s.policy for s in game.symmetries])

    @property
    def held(self) -> int:
        """Rows that are there: the newest of ``rows``, the number ever added."""
        return self.rows - self._first

    @property
    def window_rows(self) -> int:
        """Of how many of the newest rows samples are drawn."""
        return min(self.window.rows(self.rows), self.held)

    def refresh(self) -> None:
        """Look again how many rows there are, in a process that only reads."""
        known = self.rows
        self._turn, self._first, self.rows, self.games, self.last_game = 0, 0, 0, 0, ""
        for at in _SLOT_AT:
            with self.path.open("rb") as file:
                file.seek(at)
                raw = file.read(_SLOT.size)
            turn, first, rows, games, name, crc = _SLOT.unpack(raw)
            if turn > self._turn and crc == zlib.crc32(raw[:-4]):
                self._turn, self._first, self.rows, self.games = turn, first, rows, games
                self.last_game = name.rstrip(b"\0").decode()
        fresh = np.arange(max(known, self._first), self.rows) % self.capacity
        self._heaviest = max(self._heaviest, float(self._rows["weight"][fresh].max(initial=0)))

    def _write_header(self, first: int, rows: int, games: int, name: str) -> None:
        raw = _SLOT.pack(self._turn + 1, first, rows, games, name.encode()[:200], 0)[:-4]
        self._write(raw + struct.pack("<I", zlib.crc32(raw)), _SLOT_AT[(self._turn + 1) % 2])
        self._turn, self._first, self.rows, self.games, self.last_game = self._turn + 1, first, rows, games, name

    def _write(self, data: bytes, at: int) -> None:
        if self._file is None:
            raise ValueError(f"{self.path} was opened to be read only")
        while data:
            written = os.pwrite(self._file, data, at)
            data, at = data[written:], at + written

    def close(self) -> None:
        """Close the file; what was added is there already."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def add(self, game: FinishedGame) -> bool:
        """Add the rows of a game; False if it is the one added last, as after a crash before its files were removed.

        ValueError where the game does not fit: another board, or planes that are not 0 and 1. OSError, such as on a
        full disk: the game is not in the buffer, and may be added again later.
        """
        name = game.path.name
        if name and name == self.last_game:
            return False
        count = game.rows
        inputs = np.asarray(game.input_arrays).reshape(count, -1)
        if inputs.shape[1] != self._cells or game.policies.shape[1] != self.game.policy_size:
            raise ValueError(f"{name} is of another game or board than {self.game.name}{dict(self.game.rules)}")
        whole = inputs.astype(np.uint8)
        if not np.array_equal(whole, inputs) or (self._bits and whole.max(initial=0) > 1):
            raise ValueError(f"{name} has inputs other than {'0 and 1' if self._bits else 'whole numbers to 255'}")
        if count > self.capacity:
            raise ValueError(f"{name} has {count} rows, more than the buffer's {self.capacity}")
        block = np.empty(count, self._row)
        block["input"] = np.packbits(whole, axis=1) if self._bits else whole
        block["mask"] = np.packbits(np.asarray(game.action_masks) > 0, axis=1)
        block["policy"] = game.policies
        block["weight"] = game.weights
        block["result"] = np.sign(game.values)
        value, draw = td_targets(game, self.td)
        block["value"], block["draw"] = value[game.row_plies], draw[game.row_plies]
        rows, first = self.rows + count, max(self._first, self.rows + count - self.capacity)
        if first > self._first:
            self._write_header(first, self.rows, self.games, self.last_game)
        at = self.rows % self.capacity
        room = min(count, self.capacity - at)
        self._write(block[:room].tobytes(), _HEADER_BYTES + at * self._row.itemsize)
        self._write(block[room:].tobytes(), _HEADER_BYTES)
        self._write_header(first, rows, self.games + 1, name)
        self._heaviest = max(self._heaviest, float(game.weights.max()))
        return True

    def sample(
        self,
        size: int,
        rng: np.random.Generator,
        *,
        value_mix: float = 0.0,
        augment: bool = True,
        weighted: bool = True,
    ) -> Batch:
        """Draw rows of the window with replacement, each as probably as it weighs, and turn each by a random symmetry.

        ``value_mix`` is the share of the TD target in the value's, beside the result.
        """
        window = self.window_rows
        if window == 0:
            raise ValueError("the replay buffer is empty")
        index = self._draw(size, window, rng) if weighted else rng.integers(self.rows - window, self.rows, size)
        rows = self._rows[index % self.capacity]
        inputs = np.unpackbits(rows["input"], axis=1, count=self._cells) if self._bits else rows["input"]
        masks = np.unpackbits(rows["mask"], axis=1, count=self.game.policy_size)
        policies = rows["policy"]
        if augment and len(self._inputs) > 1:
            s = rng.integers(len(self._inputs), size=size)
            inputs = np.take_along_axis(inputs, self._inputs[s], 1)
            masks, policies = (np.take_along_axis(a, self._policies[s], 1) for a in (masks, policies))
        policies = policies.astype(np.float32)
        policies /= policies.sum(1, keepdims=True)  # Half precision does not sum to 1 exactly.
        z = outcomes(rows["result"].astype(np.float32), (rows["result"] == 0).astype(np.float32))
        if value_mix > 0:
            z = (1 - value_mix) * z + value_mix * outcomes(
                rows["value"].astype(np.float32), rows["draw"].astype(np.float32)
            )
        return Batch(
            inputs.reshape(size, *self.game.input_shape).astype(np.float32), policies, masks.astype(np.float32), z
        )

    def _draw(self, size: int, window: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Row numbers by rejection: what is drawn evenly is kept with probability weight / heaviest."""
        kept: list[NDArray[np.int64]] = []
        have = 0
        while have < size:
            index = rng.integers(self.rows - window, self.rows, 2 * size)
            index = index[rng.random(2 * size) * self._heaviest < self._rows["weight"][index % self.capacity]]
            kept.append(index)
            have += len(index)
        return np.concatenate(kept)[:size]

    def batches(
        self, size: int, *, seed: int | list[int] = 0, count: int | None = None, value_mix: float = 0.0
    ) -> Iterator[Batch]:
        """Batches without end, or ``count`` of them, as numpy arrays; in a process that only reads, of new rows too."""
        rng = np.random.default_rng(seed)
        for _ in itertools.count() if count is None else range(count):
            if self._file is None:
                self.refresh()
            yield self.sample(size, rng, value_mix=value_mix)

    def torch_dataset(self, size: int, *, seed: int = 0, count: int | None = None, value_mix: float = 0.0) -> Any:
        """The same as an iterable dataset for ``torch.utils.data.DataLoader(…, batch_size=None)``.

        Each of its workers opens the file by itself and draws differently; ``count`` is for each of them.
        """
        from torch.utils.data import IterableDataset, get_worker_info

        path, game, capacity, window, bits, td = self.path, self.game, self.capacity, self.window, self._bits, self.td

        class Rows(IterableDataset):  # type: ignore[misc, type-arg, unused-ignore]
            def __iter__(self) -> Iterator[Batch]:
                info = get_worker_info()
                buffer = ReplayBuffer(path, game, capacity, window=window, bits=bits, td=td, readonly=True)
                of_worker = [seed, info.id if info else 0]
                return buffer.batches(size, seed=of_worker, count=count, value_mix=value_mix)

        return Rows()


def outcomes(value: Floats, draw: Floats) -> Floats:
    """Chances of win, draw and loss: (N, 3), from the value and the chance of a draw."""
    draw = np.minimum(draw, 1 - np.abs(value))
    return np.stack([(1 - draw + value) / 2, draw, (1 - draw - value) / 2], 1).astype(np.float32)


def td_targets(game: FinishedGame, h: float) -> tuple[Floats, Floats]:
    """TD(lambda) targets of all plies, backwards from the result: the value, mover's view, and the chance of a draw.

    T_t = (1 - h)·(-T_(t+1)) + h·q_t: h = 0 gives the result, h = 1 the value of the search. Plies without a search
    have no value of their own. Where no network said how likely draws are, the result says it.
    """
    plies = game.plies
    searched = np.isin(game.all_kinds, (1, 2)) & np.isfinite(game.all_root_values)
    drawn = float(game.result == 0)
    draws = np.full(plies, np.nan) if game.all_root_draws is None else game.all_root_draws
    value, draw = np.empty(plies, np.float32), np.empty(plies, np.float32)
    v, d = float(game.result) * (1 if plies % 2 == 0 else -1), drawn  # seen by the player after the last ply
    for ply in reversed(range(plies)):
        last = ply == plies - 1
        v = -v
        if searched[ply] and not (last and h < 1):
            v = (1 - h) * v + h * float(game.all_root_values[ply])
            d = (1 - h) * d + h * (float(draws[ply]) if np.isfinite(draws[ply]) else drawn)
        value[ply], draw[ply] = v, d
    return value, draw
