"""The replay buffer keeps what it was given, through crashes and turns of its ring, and samples as it says."""

from __future__ import annotations

import errno
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplayd import ReplayBuffer, Window, read_game
from selfplayd.games import FinishedGame
from selfplayd.replay import outcomes, td_targets

from .boards import connect_four, made_up_game, tic_tac_toe


def game(directory: Path, number: int, rows: int = 5, **other: Any) -> FinishedGame:
    return read_game(made_up_game(directory, number, rows, **other))


def everything(buffer: ReplayBuffer) -> set[bytes]:
    """The inputs of all rows that can be sampled."""
    rng = np.random.default_rng(0)
    return {row.tobytes() for row in buffer.sample(2000, rng, augment=False).inputs}


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 100)
    added = game(tmp_path, 1)
    assert buffer.add(added)
    batch = buffer.sample(500, np.random.default_rng(0), augment=False)
    whole = {row.tobytes(): i for i, row in enumerate(added.input_arrays)}
    index = [whole[row.tobytes()] for row in batch.inputs]
    assert set(index) == set(range(5))
    assert np.allclose(batch.policies, added.policies[index], atol=1e-3)
    assert np.allclose(batch.policies.sum(1), 1, atol=1e-6)
    assert np.array_equal(batch.masks, added.action_masks[index])
    assert np.array_equal(batch.outcomes[:, 0] - batch.outcomes[:, 2], added.values[index])


def test_the_ring_keeps_the_newest_rows(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 12)
    added = [game(tmp_path, number) for number in range(7)]
    for one in added:
        buffer.add(one)
    newest = np.concatenate([g.input_arrays for g in added])[-12:]
    assert (buffer.rows, buffer.held, buffer.games) == (35, 12, 7)
    assert everything(buffer) == {row.tobytes() for row in newest}
    again = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 12)
    assert (again.rows, again.held, again.games) == (35, 12, 7)
    assert everything(again) == everything(buffer)


class Killed(BaseException):
    """The process ended here."""


def test_no_moment_of_death_leaves_a_row_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added = [game(tmp_path, number) for number in range(4)]
    known = {row.tobytes() for g in added for row in g.input_arrays}
    write = os.pwrite
    deaths = 0
    for moment in range(40):
        path = tmp_path / f"{moment}.bin"
        left = moment

        def dying(file: int, data: bytes, at: int) -> int:
            nonlocal left
            if left == 0:
                write(file, data[: len(data) // 2], at)
                raise Killed
            left -= 1
            return write(file, data, at)

        buffer = ReplayBuffer(path, connect_four(), 12)
        monkeypatch.setattr(os, "pwrite", dying)
        done = 0
        try:
            for one in added:
                buffer.add(one)
                done += 1
        except Killed:
            deaths += 1
        monkeypatch.setattr(os, "pwrite", write)
        after = ReplayBuffer(path, connect_four(), 12)
        assert after.games == done
        assert after.rows == 5 * done
        if after.held:
            assert everything(after) <= known
        # The trainer reads the games again that were not removed, the last one it added among them.
        for one in added[max(0, done - 1) :]:
            after.add(one)
        assert (after.games, after.rows, after.held) == (4, 20, 12)
        assert everything(after) == {row.tobytes() for row in np.concatenate([g.input_arrays for g in added])[-12:]}
    assert deaths > 8, "every write was tried as the last one"


def test_a_full_disk_is_an_error_and_the_game_can_be_added_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 100)
    buffer.add(game(tmp_path, 0))
    late = game(tmp_path, 1)

    def full(file: int, data: bytes, at: int) -> int:
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="no space"):
            buffer.add(late)
    assert buffer.rows == 5
    assert buffer.add(late)
    assert buffer.rows == 10


def test_the_window_grows_slower_than_the_rows() -> None:
    window = Window(start=20_000, growth=0.4, exponent=0.75)
    assert window.rows(7) == 7
    assert window.rows(20_000) == 20_000
    # c·(1 + 0.4·((N/c)^0.75 - 1)/0.75) of N = 320,000: 8 in place of N/c.
    assert window.rows(320_000) == int(20_000 * (1 + 0.4 * 7 / 0.75))
    sizes = [window.rows(n) for n in range(0, 400_000, 1000)]
    assert all(a <= b for a, b in itertools.pairwise(sizes))


def test_samples_come_from_the_window_alone(tmp_path: Path) -> None:
    window = Window(start=10, growth=0.1, exponent=0.5)
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 1000, window=window)
    added = [game(tmp_path, number) for number in range(20)]
    for one in added:
        buffer.add(one)
    size = window.rows(100)
    assert buffer.window_rows == size < 100
    newest = np.concatenate([g.input_arrays for g in added])[-size:]
    assert everything(buffer) == {row.tobytes() for row in newest}


def test_rows_are_drawn_in_proportion_to_their_weights(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 100)
    weights = np.array([0.5, 1, 2, 4, 0.1], np.float32)
    added = game(tmp_path, 1, weights=weights)
    buffer.add(added)
    for again in (buffer, ReplayBuffer(tmp_path / "rows.bin", connect_four(), 100)):
        batch = again.sample(40_000, np.random.default_rng(3), augment=False)
        shares = [(batch.inputs == row).all(axis=(1, 2, 3)).mean() for row in added.input_arrays]
        assert np.allclose(shares, weights / weights.sum(), atol=0.012)
        even = again.sample(40_000, np.random.default_rng(3), augment=False, weighted=False)
        shares = [(even.inputs == row).all(axis=(1, 2, 3)).mean() for row in added.input_arrays]
        assert np.allclose(shares, 0.2, atol=0.012)


def test_symmetries_turn_position_policy_and_mask_together(tmp_path: Path) -> None:
    added = game(tmp_path, 5, rows=1)
    added.action_masks[0, 0] = 0
    added.policies[0] = [0, 0.5, 0.3, 0.1, 0.05, 0.05, 0]
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 10)
    buffer.add(added)
    batch = buffer.sample(200, np.random.default_rng(1))
    as_is = (batch.inputs == added.input_arrays[0]).all(axis=(1, 2, 3))
    mirrored = (batch.inputs == added.input_arrays[0][:, :, ::-1]).all(axis=(1, 2, 3))
    assert (as_is | mirrored).all()
    assert 60 < as_is.sum() < 140
    assert np.allclose(batch.policies[as_is], added.policies[0], atol=1e-3)
    assert np.allclose(batch.policies[mirrored], added.policies[0][::-1], atol=1e-3)
    assert (batch.masks[mirrored] == added.action_masks[0][::-1]).all()


def test_all_eight_symmetries_of_a_square_are_drawn(tmp_path: Path) -> None:
    board = np.zeros((1, 2, 3, 3), np.float32)
    board[0, 0, 0, 1] = board[0, 1, 2, 2] = 1
    policy = board[:, 0].reshape(1, 9)
    added = game(tmp_path, 1, rows=1, input_arrays=board, policies=policy, action_masks=1 - board[:, 1].reshape(1, 9))
    buffer = ReplayBuffer(tmp_path / "rows.bin", tic_tac_toe(), 10)
    buffer.add(added)
    batch = buffer.sample(400, np.random.default_rng(1))
    assert len({row.tobytes() for row in batch.inputs}) == 8
    assert np.array_equal(batch.policies.reshape(-1, 3, 3), batch.inputs[:, 0])
    assert np.array_equal(batch.masks.reshape(-1, 3, 3), 1 - batch.inputs[:, 1])


def test_value_targets_look_back_from_the_result(tmp_path: Path) -> None:
    for result, sign in (("first", 1.0), ("second", -1.0), ("draw", 0.0)):
        one = read_game(made_up_game(tmp_path, 0, plies=9, rows=9, result=result))
        turn = np.where(np.arange(9) % 2 == 0, 1, -1)
        value, draw = td_targets(one, 0)
        assert np.allclose(value, sign * turn)
        assert np.allclose(draw, float(result == "draw"))
        assert np.allclose(td_targets(one, 1)[0], one.all_root_values)
        # By the definition, term by term.
        h, expected = 0.3, np.zeros(9)
        expected[8] = sign * turn[8]
        for ply in range(7, -1, -1):
            expected[ply] = (1 - h) * -expected[ply + 1] + h * one.all_root_values[ply]
        assert np.allclose(td_targets(one, h)[0], expected, atol=1e-6)


def test_plies_without_a_search_have_no_value_of_their_own(tmp_path: Path) -> None:
    kinds = np.array([3, 3, 1, 2, 0, 1, 1, 1], np.uint8)
    values = np.full(8, 0.25, np.float32)
    values[:2] = np.nan
    one = game(tmp_path, 0, all_kinds=kinds, all_root_values=values)
    value, _ = td_targets(one, 1)
    assert np.isfinite(value).all()
    assert value[4] == -value[5]
    assert value[0] == -value[1] == value[2]


def test_outcomes_are_chances() -> None:
    value = np.array([1, -1, 0, 0.5, -0.9], np.float32)
    draw = np.array([0, 0, 1, 0.2, 0.5], np.float32)
    wdl = outcomes(value, draw)
    assert (wdl >= 0).all()
    assert np.allclose(wdl.sum(1), 1)
    assert np.allclose(wdl[:, 0] - wdl[:, 2], value)


def test_a_mix_of_result_and_search(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 10, td=1.0)
    added = game(tmp_path, 1, rows=1)
    buffer.add(added)
    batch = buffer.sample(1, np.random.default_rng(0), value_mix=0.25)
    expected = 0.75 * added.values[0] + 0.25 * added.all_root_values[0]
    assert np.allclose(batch.outcomes[:, 0] - batch.outcomes[:, 2], expected, atol=1e-3)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 10)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        buffer.add(game(tmp_path, 1, input_arrays=np.full((5, 2, 6, 7), 3, np.float32)))
    with pytest.raises(ValueError, match="of another game or board"):
        buffer.add(game(tmp_path, 1, input_arrays=np.zeros((5, 2, 3, 3), np.float32)))
    with pytest.raises(ValueError, match="more than the buffer's"):
        buffer.add(read_game(made_up_game(tmp_path, 1, rows=11, plies=11)))
    assert buffer.rows == 0
    with pytest.raises(ValueError, match="is empty"):
        buffer.sample(1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="of another game, capacity or version"):
        ReplayBuffer(tmp_path / "rows.bin", tic_tac_toe(), 10)
    with pytest.raises(ValueError, match="of another game, capacity or version"):
        ReplayBuffer(tmp_path / "rows.bin", connect_four(), 11)


def test_numbers_of_walls_are_kept_as_bytes(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 10, bits=False)
    added = game(tmp_path, 1, rows=1, input_arrays=np.full((1, 2, 6, 7), 10, np.float32))
    buffer.add(added)
    assert (buffer.sample(3, np.random.default_rng(0)).inputs == 10).all()


def test_batches_come_without_end_or_counted(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 100)
    buffer.add(game(tmp_path, 1))
    first = [b.inputs.tobytes() for b in buffer.batches(8, seed=4, count=3)]
    assert len(first) == 3
    assert first == [b.inputs.tobytes() for b in buffer.batches(8, seed=4, count=3)]
    endless = buffer.batches(8)
    assert next(endless).policies.shape == next(endless).policies.shape == (8, 7)


def test_one_that_only_reads_finds_rows_that_come_later(tmp_path: Path) -> None:
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 12)
    buffer.add(game(tmp_path, 0))
    reader = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 12, readonly=True)
    batches = reader.batches(4000)
    next(batches)
    added = [game(tmp_path, number, weights=np.full(5, number, np.float32)) for number in (1, 2, 3)]
    for one in added:
        buffer.add(one)
    found = next(batches).inputs
    assert (reader.rows, reader.held) == (20, 12)
    # The heavier rows of later games are drawn as often as they weigh: 15 of 27.
    heaviest = {row.tobytes() for x in added[2].input_arrays for row in (x, x[:, :, ::-1])}
    assert np.mean([row.tobytes() in heaviest for row in found]) == pytest.approx(15 / 27, abs=0.05)
    with pytest.raises(ValueError, match="read only"):
        reader.add(game(tmp_path, 4))


def test_pytorch_loads_batches_in_several_processes(tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    buffer = ReplayBuffer(tmp_path / "rows.bin", connect_four(), 100)
    buffer.add(game(tmp_path, 1))
    loader = data.DataLoader(buffer.torch_dataset(8, count=3), batch_size=None, num_workers=2)
    batches = list(loader)
    assert len(batches) == 6
    assert len({b.inputs.numpy().tobytes() for b in batches}) == 6
    assert tuple(batches[0].outcomes.shape) == (8, 3)
