"""The program ``selfplayd``: where it is, and its commands that end by themselves."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from .errors import DaemonError, ProgramNotFoundError
from .settings import Sections, to_toml

VARIABLE = "SELFPLAYD_PROGRAM"
"""Names the program, where it is another one than pip installed: a build, or a game, of one's own."""

LAST_WORDS = 20
"""Lines of standard error that an error holds."""


def find() -> Path:
    """The program: of ``SELFPLAYD_PROGRAM``, else the one installed with this package, else the one on the PATH.

    Raises:
        ProgramNotFoundError: There is none.
    """
    if named := os.environ.get(VARIABLE):
        if not os.access(named, os.X_OK):
            raise ProgramNotFoundError(f"{VARIABLE} names {named}, which is no program")
        return Path(named)
    places = [sysconfig.get_path("scripts"), str(Path(sysconfig.get_path("scripts", f"{os.name}_user")))]
    for place in places:
        if found := shutil.which("selfplayd", path=place):
            return Path(found)
    if found := shutil.which("selfplayd"):
        return Path(found)
    raise ProgramNotFoundError(
        f"there is no program selfplayd in {' or '.join(places)}, nor on the PATH: "
        f"install the package with pip, or name a program with {VARIABLE}"
    )


@contextmanager
def settings_file(settings: Sections) -> Iterator[Path]:
    """A file for ``--settings``, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="selfplayd-") as folder:
        path = Path(folder) / "settings.toml"
        path.write_text(to_toml(settings), encoding="utf-8")
        yield path


def run(
    program: Path | None, arguments: Sequence[str | os.PathLike[str]], also: Sequence[int] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a command of the program to its end. Exit codes in ``also`` are as good as 0.

    Raises:
        DaemonError: It ended with another exit code.
    """
    program = program or find()
    ended = subprocess.run(
        [program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace"
    )
    if ended.returncode != 0 and ended.returncode not in also:
        words = [line for line in ended.stderr.splitlines() if line.strip()][-LAST_WORDS:]
        what = f"selfplayd {arguments[0]} failed"
        raise DaemonError(what, ended.returncode, meaning(ended.returncode, program), words)
    return ended


def meaning(code: int, program: Path) -> str:
    """What an exit code of the daemon means, as its ``--help`` says."""
    if code < 0:
        try:
            return f"ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"ended by signal {-code}"
    return _meanings(program).get(code, "which has no meaning of its own")


@cache
def _meanings(program: Path) -> dict[int, str]:
    """The table of exit codes at the end of ``--help``."""
    try:
        shown = subprocess.run(
            [program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    _, _, table = shown.stdout.partition("\nExit codes:\n")
    rows = re.findall(r"^  (\d+) +(.+(?:\n {6}.+)*)", table, flags=re.MULTILINE)
    return {int(code): " ".join(text.split()) for code, text in rows}
