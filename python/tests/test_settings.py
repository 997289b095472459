"""Settings on their way from Python to the daemon."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from selfplayd import settings


def test_settings_are_given_flat_or_by_section() -> None:
    flat = settings.sections({"search__mcts_n": 64, "play__p2": "random"})
    assert flat == {"search": {"mcts_n": 64}, "play": {"p2": "random"}}
    assert settings.sections({"search": {"mcts_n": 64}, "search__root": "gumbel"}) == {
        "search": {"mcts_n": 64, "root": "gumbel"}
    }
    with pytest.raises(TypeError, match="'mcts_n' names no setting"):
        settings.sections({"mcts_n": 64})
    with pytest.raises(TypeError, match="given twice"):
        settings.sections({"search": {"mcts_n": 64}, "search__mcts_n": 32})


@pytest.mark.skipif(sys.version_info < (3, 11), reason="no tomllib to read it with")
def test_the_file_says_what_was_meant() -> None:
    import tomllib

    odd = 'a "quoted" \\ back\nslash \x7f ünd \U0001f600'
    given: settings.Sections = {
        "run": {"name": odd, "odd key": "x"},
        "search": {"mcts_n": 64, "temperature": 0.5, "tree_reuse": False},
        "output": {"dir": Path("/tmp/a b")},
        "inference": {"batch_buckets": [1, 8, 32], "ort_library": None},
    }
    read = tomllib.loads(settings.to_toml(given))
    given["output"]["dir"] = "/tmp/a b"
    given["inference"]["ort_library"] = "none"
    assert read == given
    with pytest.raises(TypeError, match=r"search\.mcts_n cannot be a set"):
        settings.to_toml({"search": {"mcts_n": {1}}})


def test_rules_of_quoridor_are_in_the_section_of_the_game() -> None:
    assert settings.of_game("quoridor", {"board_size": 5}) == {"game": {"name": "quoridor", "board_size": 5}}
    assert settings.of_game("hex", {"size": 5}) == {"game": {"name": "hex"}, "hex": {"size": 5}}
