"""Settings of the daemon as Python has them, and the file that ``--settings`` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Sections = dict[str, dict[str, Any]]


def sections(settings: Mapping[str, Any]) -> Sections:
    """Sorts ``search__mcts_n=64`` and ``search={"mcts_n": 64}`` into sections of keys.

    Whether there are such keys, and which values they take, the daemon says.

    Raises:
        TypeError: A setting without a section, or one that is given twice.
    """
    found: Sections = {}
    for name, value in settings.items():
        section, _, key = name.partition("__")
        if not key and not isinstance(value, Mapping):
            raise TypeError(f"{name!r} names no setting: write section__key=value, or section={{'key': value}}")
        keys = {key: value} if key else value
        for key, value in keys.items():
            if key in found.setdefault(section, {}):
                raise TypeError(f"the setting {section}.{key} is given twice")
            found[section][key] = value
    return found


def of_game(name: str, rules: Mapping[str, Any]) -> Sections:
    """The settings that choose a game and its rules; those of Quoridor are in the section ``game``."""
    chosen: Sections = {"game": {"name": name}}
    if rules:
        chosen.setdefault("game" if name == "quoridor" else name, {}).update(rules)
    return chosen


def merged(*layers: Sections) -> Sections:
    """All of them; later ones replace earlier ones key by key."""
    result: Sections = {}
    for layer in layers:
        for section, keys in layer.items():
            result.setdefault(section, {}).update(keys)
    return result


def to_toml(settings: Sections) -> str:
    """The file for ``--settings``."""
    lines: list[str] = []
    for section, keys in settings.items():
        lines.append(f"[{_key(section)}]")
        lines.extend(f"{_key(key)} = {_value(f'{section}.{key}', value)}" for key, value in keys.items())
        lines.append("")
    return "\n".join(lines)


def _key(name: str) -> str:
    # Of odd names the daemon says that there are no such settings.
    return name if name.replace("_", "").isalnum() and name.isascii() else _text(name)


def _text(text: str) -> str:
    # JSON's strings are TOML's, but for one sign that TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(name: str, value: object) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str | Path):
        return _text(str(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(name, item) for item in value)}]"
    raise TypeError(f"the setting {name} cannot be a {type(value).__name__}: {value!r}")
