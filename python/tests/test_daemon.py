"""The daemon from Python: started, watched, steered, stopped, and ended by others."""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import selfplayd
from selfplayd import Daemon

LIMIT = 120.0
"""Seconds that anything may take; a busy machine takes its time."""


def until(what: str, reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not reached():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


def playing(folder: Path, **settings: Any) -> Daemon:
    """A daemon that follows ``folder/models``, with few small games at once."""
    small = {
        "search__mcts_n": 8,
        "play__games_per_process": 2,
        "inference__device": "cpu",
        "http__listen": "127.0.0.1:0",
    }
    return Daemon(game="tic_tac_toe", model_dir=folder / "models", games_dir=folder / "games", **{**small, **settings})


def test_it_plays_with_the_model_that_is_published(tmp_path: Path, tic_tac_toe: Path) -> None:
    log = io.StringIO()
    with playing(tmp_path, log=log) as daemon:
        status = daemon.status()
        assert (status.rules, status.pid) == ("tic_tac_toe", daemon.pid)
        assert status.state in ("starting", "waiting_for_model")
        assert not status.ready
        assert status.reasons
        selfplayd.publish(tic_tac_toe, tmp_path / "models", 3, game="tic_tac_toe")
        status = daemon.wait_until_ready(LIMIT)
        assert (status.state, status.model_version, status.device) == ("playing", 3, "cpu")
        until("games", lambda: daemon.status().games_written > 2)
        assert daemon.url is not None
        assert daemon.url.startswith("http://127.0.0.1:")
        assert daemon.status().raw["schema"] == 2
        assert daemon.alive
    assert not daemon.alive
    assert daemon.wait(0)
    assert list((tmp_path / "games").glob("*.npz"))
    assert "stopping: no new games" in log.getvalue()
    assert not daemon.socket.parent.exists()


def test_it_is_steered(tmp_path: Path, tic_tac_toe: Path) -> None:
    selfplayd.publish(tic_tac_toe, tmp_path / "models", 1, game="tic_tac_toe")
    with playing(tmp_path) as daemon:
        daemon.wait_until_ready(LIMIT)
        daemon.pause()
        until("the pause", lambda: daemon.status().state == "paused")
        daemon.resume()
        until("the end of the pause", lambda: daemon.status().state == "playing")
        assert daemon.set(play__games_per_process=3) == {"play.games_per_process": 3}
        with pytest.raises(selfplayd.RefusedError, match=r"search\.mcts_n needs a restart"):
            daemon.set(search__mcts_n=9)
        assert "model 1" in daemon.reload()
        daemon.drain()
        assert daemon.wait(LIMIT)
        with pytest.raises(selfplayd.DaemonError, match="the daemon has ended"):
            daemon.status()


def test_games_without_a_network_are_played_and_it_ends(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"inference__evaluator": "uniform", "play": {"num_games": 3}, "search": {"mcts_n": 4}}
    with Daemon(
        game="mnk", rules={"m": 4, "n": 3, "k": 3}, games_dir=tmp_path, http__listen="none", **settings
    ) as daemon:
        assert daemon.wait(LIMIT)
    assert len(list(tmp_path.glob("*.npz"))) == 3


def test_what_is_wrong_is_said_in_the_daemons_words(tmp_path: Path) -> None:
    with pytest.raises(selfplayd.DaemonError) as failed:
        playing(tmp_path, search__temperature="hot", search__mcts=3).start()
    assert failed.value.code == 78
    assert "the settings" in failed.value.meaning
    text = str(failed.value)
    assert "2 mistakes in the settings" in text
    assert 'search.temperature = "hot"' in text
    assert "search.mcts" in text


def test_a_daemon_that_is_killed_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    daemon = playing(tmp_path).start()
    os.kill(daemon.pid, signal.SIGKILL)
    with pytest.raises(selfplayd.DaemonError, match=r"ended by itself \(ended by SIGKILL\)") as failed:
        daemon.wait(LIMIT)
    assert failed.value.code == -signal.SIGKILL
    assert any("waiting for a model" in line or "status and control" in line for line in failed.value.words)
    with pytest.raises(selfplayd.DaemonError, match="SIGKILL"):
        daemon.status()
    with pytest.raises(selfplayd.DaemonError, match="SIGKILL"):
        daemon.stop()


def test_an_error_inside_is_told_before_what_the_daemon_did(tmp_path: Path) -> None:
    def use() -> None:
        with playing(tmp_path) as daemon:
            os.kill(daemon.pid, signal.SIGKILL)
            raise KeyError

    with pytest.raises(KeyError):
        use()


def test_it_is_started_anew_and_followed(tmp_path: Path, tic_tac_toe: Path) -> None:
    selfplayd.publish(tic_tac_toe, tmp_path / "models", 1, game="tic_tac_toe")
    with playing(tmp_path, restart=True) as daemon:
        daemon.wait_until_ready(LIMIT)
        daemon.set(play__games_per_process=3)
        first = daemon.pid
        os.kill(first, signal.SIGKILL)
        until("another process", lambda: daemon.status().pid != first)
        status = daemon.wait_until_ready(LIMIT)
        assert status.pid == daemon.pid
        assert daemon.restarts == 1
        # What was changed while it played holds in the new process.
        assert status.raw["games"]["target"] == 3


def test_mistakes_are_not_tried_again(tmp_path: Path) -> None:
    daemon = playing(tmp_path, restart=True, search__temperature="hot")
    with pytest.raises(selfplayd.DaemonError) as failed:
        daemon.start()
    assert (failed.value.code, daemon.restarts) == (78, 0)


def test_restarts_are_bounded(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    program = tmp_path_factory.mktemp("bin") / "selfplayd"
    program.write_text("#!/bin/sh\necho failing again >&2\nexit 70\n")
    program.chmod(0o755)
    with pytest.raises(selfplayd.DaemonError, match="failing again") as failed:
        playing(tmp_path, restart=True, program=program).start()
    assert failed.value.code == 70


def test_a_stop_that_takes_too_long_is_cut_short(tmp_path: Path) -> None:
    daemon = playing(tmp_path).start()
    # It cannot hear the signal.
    os.kill(daemon.pid, signal.SIGSTOP)
    daemon.stop(timeout=0.1)
    assert not daemon.alive


def test_two_uses_of_one_object_are_refused(tmp_path: Path) -> None:
    daemon = playing(tmp_path)
    with pytest.raises(RuntimeError, match="has not been started"):
        daemon.status()
    daemon.stop()
    with daemon, pytest.raises(RuntimeError, match="started before"):
        daemon.start()


def test_a_log_that_cannot_be_written_is_said_before_anything_starts(tmp_path: Path) -> None:
    daemon = playing(tmp_path, log=tmp_path / "nowhere/log")
    with pytest.raises(FileNotFoundError, match="nowhere/log"):
        daemon.start()
    assert not daemon.alive


def test_a_program_that_is_gone_is_no_reason_to_wait(tmp_path: Path, the_program: Path) -> None:
    program = tmp_path / "selfplayd"
    program.symlink_to(the_program.absolute())
    daemon = playing(tmp_path, restart=True, program=program).start()
    program.unlink()
    os.kill(daemon.pid, signal.SIGKILL)
    with pytest.raises(selfplayd.DaemonError, match="could not be started anew"):
        daemon.wait(LIMIT)
