"""Games are read whole, once, and oldest first; what is no game is passed over with its reason."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from selfplayd import Daemon, GameError, GameWarning, games, read_game

from .boards import made_up_game


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Games of the daemon itself."""
    directory = tmp_path_factory.mktemp("played")
    with Daemon(
        game="connect_four",
        games_dir=directory,
        inference__evaluator="hash",
        search__mcts_n=16,
        play__num_games=6,
        play__full_search_share=0.5,
        play__cheap_simulations=8,
        daemon__continuous=False,
        http__listen="none",
    ) as daemon:
        daemon.wait()
    return directory


def test_games_of_the_daemon_are_read_as_numpy_reads_them(played: Path) -> None:
    found = list(games(played))
    assert [g.path for g in found] == sorted(played.glob("*.npz"))
    for game in found:
        with np.load(game.path) as file:
            for name in file.files:
                assert np.array_equal(getattr(game, name), file[name], equal_nan=file[name].dtype.kind == "f")
        assert game.rows == game.meta["game_length"] == len(game.row_plies)
        assert game.plies == len(game.all_kinds) >= game.rows
        turn = np.where(game.row_plies % 2 == 0, 1, -1)
        assert np.array_equal(game.values, game.result * turn)
        assert game.meta["rules"] == "connect_four(rows=6,columns=7,length=4)"


def test_the_newest_come_oldest_first(tmp_path: Path) -> None:
    paths = [made_up_game(tmp_path, number) for number in (2, 0, 1, 3)]
    assert [g.path for g in games(tmp_path)] == sorted(paths)
    assert [g.path for g in games(tmp_path, newest=2)] == sorted(paths)[2:]


def test_a_yaml_without_its_npz_is_no_game_yet(tmp_path: Path) -> None:
    path = made_up_game(tmp_path)
    content = path.read_bytes()
    path.unlink()
    assert not list(games(tmp_path))
    path.write_bytes(content)
    assert len(list(games(tmp_path))) == 1


def test_a_game_is_deleted_when_the_next_is_asked_for(tmp_path: Path) -> None:
    first, second = (made_up_game(tmp_path, number) for number in range(2))
    reader = games(tmp_path, delete=True)
    assert next(reader).path == first
    assert first.exists()
    assert next(reader).path == second
    assert not first.exists()
    assert not first.with_suffix(".yaml").exists()
    reader.close()
    assert second.exists(), "its reader did not come back for more"


def test_following_finds_games_that_come_later(tmp_path: Path) -> None:
    directory = tmp_path / "later"
    seen: list[int] = []

    def stop() -> bool:
        directory.mkdir(exist_ok=True)
        made_up_game(directory, len(seen))
        return len(seen) == 3

    for game in games(directory, follow=True, poll_seconds=0.001, stop=stop):
        seen.append(int(game.path.name.split("_")[2]))
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:900]), "torn or no npz"),
        (lambda p: p.write_bytes(b"not at all a game"), "torn or no npz"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"\x80\x3f", b"\x81\x3f")), "checksum"),
        (lambda p: p.with_suffix(".yaml").unlink(), "has no game_"),
        (lambda p: p.with_suffix(".yaml").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda p: p.with_suffix(".yaml").write_text("result: 'nobody'\n"), "do not fit"),
        (lambda p: np.savez(p, policies=np.ones((1, 7))), "of another program, or of an older selfplayd"),
        (lambda p: made_up_game(p.parent, weights=np.ones(4, np.float32)), "first dimension should be 5"),
        (lambda p: made_up_game(p.parent, all_flags=np.zeros(8, np.uint8)), "do not fit"),
        (lambda p: made_up_game(p.parent, values=np.array([{}] * 5, object)), "objects"),
        (lambda p: made_up_game(p.parent, weights=np.array([1, 1, 1, 1, np.nan], np.float32)), "weights are not all"),
        (lambda p: made_up_game(p.parent, weights=np.array([1, 1, 1, 1, np.inf], np.float32)), "weights are not all"),
        (lambda p: made_up_game(p.parent, weights=np.zeros(5, np.float32)), "weights are not all"),
        (lambda p: made_up_game(p.parent, weights=np.ones((5, 2), np.float32)), "should have 1 dimensions"),
        (lambda p: made_up_game(p.parent, policies=np.full((5, 7), np.nan, np.float32)), "no distribution"),
        (lambda p: made_up_game(p.parent, values=np.full(5, 3, np.float32)), "from -1 to 1"),
        (lambda p: made_up_game(p.parent, all_root_values=np.full(8, np.inf, np.float32)), "from -1 to 1"),
        (lambda p: made_up_game(p.parent, all_flags=np.ones(8, np.float32)), "all_flags has the type float32"),
        (lambda p: p.with_suffix(".yaml").write_text("result: " + "[" * 100_000), "cannot be read"),
    ],
)
def test_what_is_no_game_is_told_of_and_nothing_is_lost(tmp_path: Path, spoil, words: str) -> None:  # type: ignore[no-untyped-def]
    directory, aside = tmp_path / "games", tmp_path / "aside"
    directory.mkdir()
    bad, good = made_up_game(directory, 0), made_up_game(directory, 1)
    spoil(bad)
    with pytest.raises(GameError, match=words):
        read_game(bad)
    with pytest.warns(GameWarning, match=words) as told:
        assert [g.path for g in games(directory)] == [good]
    assert len(told) == 1
    assert bad.exists()
    content = bad.read_bytes()
    with pytest.warns(GameWarning, match="moved to"):
        assert len(list(games(directory, move_bad_to=aside))) == 1
    assert (aside / bad.name).read_bytes() == content
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(games(directory))) == 1


def test_bytes_that_others_changed_are_no_game_or_a_whole_one(tmp_path: Path) -> None:
    path = made_up_game(tmp_path)
    stored = path.read_bytes()
    with np.load(path) as file:
        np.savez_compressed(path, **file)
    deflated = path.read_bytes()
    rng = np.random.default_rng(0)
    for content in (stored, deflated):
        for _ in range(400):
            changed = bytearray(content)
            # The end is the directory of the archive, where most can go wrong.
            at = len(changed) - 1 - rng.integers(1600 if rng.random() < 0.6 else len(changed), size=2)
            for i in at:
                changed[i] = rng.integers(256)
            path.write_bytes(changed)
            with suppress(GameError):
                assert read_game(path).rows == 5


def test_a_file_larger_than_any_game_is_not_read(tmp_path: Path) -> None:
    path = made_up_game(tmp_path)
    os.truncate(path, 1 << 40)
    with pytest.raises(GameError, match="has 1099511627776 bytes, more than any game"):
        read_game(path)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no directory"):
        next(games(tmp_path / "none"))
