"""The daemon, run from Python: started, watched, steered and stopped."""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from . import client, settings
from . import program as programs
from .errors import DaemonError
from .game import Game, Rule
from .status import Status

START_WITHIN = 120.0
"""Seconds that a daemon may take until it answers. It listens before it has a model; a busy machine takes its time."""

RESTART_AFTER = (70, 74)
"""Exit codes after which another process may do better, as in the unit for systemd. 70: a part hung or failed beyond
its budget. 74: games could not be written; what holds them up may pass, and the next process goes on with every game in
play. Also any signal that we did not send (the kernel ends processes where memory is short). Never 2 and 78, mistakes
in what it was given, which a restart repeats; nor 0 and 75, by which it was told to end."""

RESTARTS = 5
RESTARTS_WITHIN = 600.0
"""More restarts than these in so many seconds, and the daemon counts as failed."""
RESTART_PAUSE = 1.0


class Daemon:
    """A daemon that plays games into ``games_dir``, with the newest model of ``model_dir``.

    ::

        with selfplayd.Daemon(game="connect_four", model_dir="run/models", games_dir="run/games") as daemon:
            print(daemon.status().state, daemon.url)

    It plays until it is stopped, and follows ``model_dir/latest.yaml``, which :func:`selfplayd.publish` writes; until
    there is one it waits. Without ``model_dir`` it plays ``play__num_games`` games and ends by itself (see
    :meth:`wait`), with the model ``model__path``, or without a network: ``inference__evaluator="uniform"``.

    Args:
        game: Name of the game, or what :func:`selfplayd.describe` said of it, rules included.
        games_dir: Where finished games go; made if it is not there.
        model_dir: Where models come from.
        rules: Rules of the game, such as ``{"size": 7}``.
        restart: Start another process where the daemon ends in a way that may pass (``RESTART_AFTER`` says which), at
            most 5 times in 10 minutes. Games in play go on with their next move; this object follows the new process.
        log: Where the daemon's log goes: a file that is appended to, or an open text stream; else to standard error.
        program: Another program than the installed one.
        settings: Any setting of the daemon, as ``section__key=value`` or ``section={"key": value}``; ``selfplayd
            config`` lists them.
    """

    def __init__(
        self,
        *,
        game: str | Game,
        games_dir: str | os.PathLike[str],
        model_dir: str | os.PathLike[str] | None = None,
        rules: Mapping[str, Rule] | None = None,
        restart: bool = False,
        log: str | os.PathLike[str] | TextIO | None = None,
        program: Path | None = None,
        **settings: Any,
    ) -> None:
        self._program = program or programs.find()
        self._restart = restart
        self._log = log
        self._settings = self._layers(
            game, Path(games_dir), None if model_dir is None else Path(model_dir), rules, settings
        )
        # Short, as the paths of Unix sockets must be.
        self._folder = tempfile.TemporaryDirectory(prefix="selfplayd-")
        self._file = Path(self._folder.name) / "settings.toml"
        self._socket = Path(self._folder.name) / "socket"
        self._write_settings()
        self._words: deque[str] = deque(maxlen=programs.LAST_WORDS)
        self._url: str | None = None
        self._process: subprocess.Popen[str] | None = None
        self._restarts: list[float] = []
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._failure: DaemonError | None = None
        # Held while a process is started, so that a stop finds the one that runs.
        self._starting = threading.Lock()

    @staticmethod
    def _layers(
        game: str | Game,
        games_dir: Path,
        model_dir: Path | None,
        rules: Mapping[str, Rule] | None,
        given: Mapping[str, Any],
    ) -> settings.Sections:
        name, of_game = (game.name, game.rules) if isinstance(game, Game) else (game, {})
        ours: settings.Sections = {
            "output": {"dir": games_dir.absolute()},
            # A Python that is killed cannot stop it.
            "daemon": {"continuous": model_dir is not None, "exit_with_parent": True},
        }
        if model_dir is not None:
            ours["model"] = {"latest_yaml": model_dir.absolute() / "latest.yaml"}
        return settings.merged(ours, settings.of_game(name, {**of_game, **(rules or {})}), settings.sections(given))

    def _write_settings(self) -> None:
        at_our_socket = settings.merged(self._settings, {"http": {"socket": self._socket}})
        self._file.write_text(settings.to_toml(at_our_socket), encoding="utf-8")

    # Starting and ending.

    def start(self) -> Daemon:
        """Starts the daemon and waits until it answers. It may have no model yet: see :meth:`wait_until_ready`.

        Raises:
            DaemonError: It ended instead, as after a wrong setting; its words say why.
        """
        if self._process is not None:
            raise RuntimeError("the daemon was started before; make another Daemon")
        Path(self._settings["output"]["dir"]).mkdir(parents=True, exist_ok=True)
        log = self._open_log()
        self._spawn()
        threading.Thread(target=self._follow, args=[log], name="selfplayd", daemon=True).start()
        atexit.register(self._kill)
        try:
            self._ask("GET", "/v1/status")
        except BaseException:
            if self._ended.is_set() and self._failure is None:
                # It has played all its games already.
                return self
            self._kill()
            raise
        return self

    def _spawn(self) -> None:
        """Starts a process, in a session of its own: Ctrl-C reaches Python alone, which then stops the daemon once."""
        self._process = subprocess.Popen(
            [self._program, "--settings", self._file],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def _follow(self, log: AbstractContextManager[TextIO]) -> None:
        """Reads the log, and sees how processes end; starts another where that may help."""
        try:
            with log as out:
                code = self._read_log(out)
                while self._may_restart(code) and self._start_anew():
                    code = self._read_log(out)
            if code != 0 and not self._stopping.is_set():
                meaning = programs.meaning(code, self._program)
                self._failure = DaemonError("the daemon ended by itself", code, meaning, self._words)
        except OSError as error:
            self._failure = DaemonError(f"the daemon could not be started anew: {error}", None, "", self._words)
        finally:
            self._ended.set()

    def _start_anew(self) -> bool:
        """Starts another process, after a pause that grows; not where it was told to stop meanwhile."""
        self._stopping.wait(RESTART_PAUSE * len(self._restarts))
        with self._starting:
            if self._stopping.is_set():
                return False
            self._spawn()
        return True

    def _may_restart(self, code: int) -> bool:
        if not self._restart or self._stopping.is_set() or not (code in RESTART_AFTER or code < 0):
            return False
        now = time.monotonic()
        self._restarts = [*(then for then in self._restarts if then > now - RESTARTS_WITHIN), now]
        return len(self._restarts) <= RESTARTS

    def _read_log(self, out: TextIO) -> int:
        """Passes on what the process writes until it ends; its exit code."""
        process = self._running()
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self._words.append(line.rstrip("\n"))
                if served := re.search(r"status and control.* url=\"?(http://[^\s\"]+)", line):
                    self._url = served[1]
                try:
                    out.write(line)
                    out.flush()
                except (OSError, ValueError):
                    # The log may be lost; the daemon must not wait for a reader.
                    continue
        return process.wait()

    def _open_log(self) -> AbstractContextManager[TextIO]:
        if isinstance(self._log, str | os.PathLike):
            return Path(self._log).open("a", encoding="utf-8")
        return nullcontext(self._log or sys.stderr)

    def stop(self, timeout: float | None = None) -> None:
        """Stops the daemon, and returns when it has ended.

        It starts no new games, and running ones may end within ``daemon.grace_seconds``; what is left goes on at the
        next start. After ``timeout`` seconds it is made to end at once, which the journal of games in play survives.

        Raises:
            DaemonError: It had ended by itself before, or it did not stop well: games could not be written.
        """
        if self._process is None:
            return
        ended_before = self._ended.is_set()
        with self._starting:
            self._stopping.set()
            process = self._running()
        process.terminate()
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._kill()
            code = 0
        self._ended.wait()
        self._close()
        if ended_before:
            self._raise_failure()
        elif code != 0:
            raise DaemonError("the daemon did not stop well", code, programs.meaning(code, self._program), self._words)

    def _kill(self) -> None:
        with self._starting:
            self._stopping.set()
            process = self._running()
        process.kill()
        process.wait()
        self._close()

    def _close(self) -> None:
        atexit.unregister(self._kill)
        self._folder.cleanup()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the daemon has ended by itself; ``False`` if it has not after so many seconds.

        Raises:
            DaemonError: It ended with an error.
        """
        if not self._ended.wait(timeout):
            return False
        self._raise_failure()
        return True

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def __enter__(self) -> Daemon:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except DaemonError:
            # What went wrong inside is told first.
            if error is None:
                raise

    # Watching.

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError("the daemon has not been started: use it in a with statement, or call start()")
        return self._process

    @property
    def pid(self) -> int:
        """The process; another one after a restart."""
        return self._running().pid

    @property
    def restarts(self) -> int:
        """How often it was started anew in the last ten minutes."""
        return len(self._restarts)

    @property
    def alive(self) -> bool:
        """It runs, or is about to be started anew."""
        return self._process is not None and not self._ended.is_set()

    @property
    def url(self) -> str | None:
        """Where its page is, once it is served (``http.listen``)."""
        return self._url

    @property
    def socket(self) -> Path:
        """Its Unix socket, for ``selfplayd status --socket``."""
        return self._socket

    def status(self) -> Status:
        """How it is doing."""
        return Status.of(self._ask("GET", "/v1/status"))

    def wait_until_ready(self, timeout: float | None = None) -> Status:
        """Waits until it plays: a model serves, and nothing holds it up.

        Raises:
            TimeoutError: Not after so many seconds; the text says why not.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (status := self.status()).ready:
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"the daemon does not play after {timeout} s: {'; '.join(status.reasons)}")
            self._ended.wait(0.1)
        return status

    # Steering.

    def pause(self) -> None:
        """Lets it rest, and leave the device to others, until :meth:`resume`."""
        self._ask("POST", "/v1/pause")

    def resume(self) -> None:
        """Lets it play on."""
        self._ask("POST", "/v1/resume")

    def drain(self) -> None:
        """Tells it to end when the games in play are over; :meth:`wait` waits for that."""
        self._ask("POST", "/v1/drain")

    def reload(self) -> str:
        """Makes it look for a model now, also at one that it refused; what it found, in words."""
        words: str = self._ask("POST", "/v1/reload")["words"]
        return words

    def set(self, **settings_: Any) -> dict[str, Any]:
        """Changes settings while games are played: ``daemon.set(play__games_per_process=64)``; what is different now.

        A process that is started anew has them as well.

        Raises:
            RefusedError: One of them cannot be changed, or not to that: then none is.
        """
        wanted = settings.sections(settings_)
        changes = self._ask(
            "POST", "/v1/settings", {f"{s}.{k}": v for s, keys in wanted.items() for k, v in keys.items()}
        )
        self._settings = settings.merged(self._settings, wanted)
        self._write_settings()
        return {change["key"]: change["to"] for change in changes["changed"]}

    def _ask(self, method: str, place: str, body: object = None, within: float = START_WITHIN) -> Any:
        """Asks the daemon, and again while it starts."""
        self._running()
        deadline = time.monotonic() + within
        while True:
            if self._ended.is_set():
                self._raise_failure()
                raise DaemonError("the daemon has ended", 0, programs.meaning(0, self._program), self._words)
            try:
                return client.ask(self._socket, method, place, body)
            except client.UnreachableError as error:
                if time.monotonic() > deadline:
                    raise DaemonError(f"the daemon does not answer: {error}", None, "", self._words) from error
            except client.StartingError:
                if time.monotonic() > deadline:
                    raise
            self._ended.wait(0.05)
