"""What can go wrong, in the daemon's own words."""

from __future__ import annotations

from collections.abc import Sequence


class SelfplaydError(Exception):
    """Any error of this package."""


class ProgramNotFoundError(SelfplaydError):
    """The program ``selfplayd`` is not where this Python's programs are, nor on the PATH."""


class DaemonError(SelfplaydError):
    """The daemon, or a command of the program, ended with an error. The text holds its own last words."""

    def __init__(self, what: str, code: int | None, meaning: str, words: Sequence[str]) -> None:
        self.code = code
        """Its exit code; negative after a signal; ``None`` if it has not ended."""
        self.meaning = meaning
        """What the exit code means."""
        self.words = tuple(words)
        """The last lines that it wrote to standard error."""
        how = "" if code is None else f" (exit code {code}: {meaning})" if code >= 0 else f" ({meaning})"
        super().__init__("\n".join([f"{what}{how}", *(f"  {line}" for line in self.words)]))


class RefusedError(SelfplaydError):
    """A running daemon would not do what it was told."""

    def __init__(self, error: str, hint: str) -> None:
        self.error = error
        """Why not."""
        self.hint = hint
        """What to do."""
        super().__init__(f"{error}; {hint}" if hint else error)


class ModelRefusedError(SelfplaydError):
    """A model must not serve: ``selfplayd check-model`` says why. It was not published."""

    def __init__(self, reason: str, step: str) -> None:
        self.reason = reason
        """Why not."""
        self.step = step
        """The check that it failed, such as ``structure``."""
        super().__init__(f"the model must not serve: {reason} (step {step!r} of selfplayd check-model)")
