"""What the tests need: the program, as ``cargo xtask test`` has built it, and small networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfplayd import ProgramNotFoundError, program

MODELS = Path(__file__).parents[2] / "tests/data/models"


@pytest.fixture(scope="session", autouse=True)
def the_program() -> Path:
    """Fails once and clearly where there is no program to test with."""
    try:
        return program.find()
    except ProgramNotFoundError as error:
        pytest.exit(f"{error}; or run `cargo xtask test`", returncode=1)


@pytest.fixture
def tic_tac_toe() -> Path:
    """A network that plays tic-tac-toe, untrained."""
    return MODELS / "games/tic_tac_toe.onnx"
