"""Settings of the trainer: defaults.yaml, what it says of the game, a file, and single keys, later ones first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("network.blocks", "training.warm_up_steps", "training.seed", "replay.first_rows"), (0, math.inf)),
    **dict.fromkeys((f"training.{key}" for key in ("decay_share", "decay_to", "ema", "value_mix", "td")), (0, 1)),
    "replay.exponent": (0.01, math.inf),
}
"""Least and most where they are others than 1 of whole numbers, 0 of the rest, and no bound above."""

Section = SimpleNamespace
"""One section of defaults.yaml, its keys as attributes; their types are those of the defaults."""


class SettingsError(ValueError):
    """A setting that does not exist or cannot have its value."""


class Settings:
    """All sections; ``daemon`` holds the daemon's own settings, by section."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.network, self.training = Section(**tree["network"]), Section(**tree["training"])
        self.replay, self.publish = Section(**tree["replay"]), Section(**tree["publish"])
        self.daemon: dict[str, Any] = tree["daemon"]

    def __str__(self) -> str:
        tree = {name: section if name == "daemon" else vars(section) for name, section in vars(self).items()}
        text: str = yaml.safe_dump(tree, sort_keys=False)
        return text


def load(game: str, file: Path | None = None, single: Iterable[str] = ()) -> Settings:
    """Read the settings for a game. SettingsError names the key that is wrong, and OSError the file."""
    tree = yaml.safe_load(resources.files(__package__).joinpath("defaults.yaml").read_text(encoding="utf-8"))
    layers = [("defaults.yaml", tree.pop("games").get(game, {}))]
    if file is not None:
        layers.append((str(file), _yaml(file.read_text(encoding="utf-8"), str(file))))
    for text in single:
        key, _, value = text.partition("=")
        layer = _yaml(value, f"--set {text}")
        for part in reversed(key.split(".")):
            layer = {part: layer}
        layers.append((f"--set {text}", layer))
    for source, layer in layers:
        _merge(tree, layer or {}, source, "")
    return Settings(tree)


def _yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise SettingsError(f"{source} is no YAML: {e}") from e


def _merge(into: dict[str, Any], layer: Any, source: str, path: str) -> None:
    if not isinstance(layer, Mapping):
        raise SettingsError(f"{source}: {path.rstrip('.') or 'it'} should have keys with values, not {layer!r}")
    for key, value in layer.items():
        name, ours = f"{path}{key}", not path.startswith("daemon.")
        if ours and key not in into:
            raise SettingsError(f"{source}: there is no setting {name}; in its place could be {', '.join(into)}")
        if path == "daemon.":
            into.setdefault(key, {})
        if isinstance(into.get(key), dict):
            _merge(into[key], value, source, f"{name}.")
            continue
        if ours:
            value = _checked(name, value, into[key], source)
        elif isinstance(value, Mapping):
            raise SettingsError(f"{source}: {name} should have a value, not keys")
        into[key] = value


def _checked(name: str, value: Any, default: Any, source: str) -> Any:
    """The value, of the type of the default and within its range."""
    kind = type(default)
    if kind is float and type(value) in (int, str):
        with suppress(ValueError):  # YAML takes 1e-3 for a word.
            value = float(value)
    least, most = _RANGES.get(name, (1 if kind is int else 0, math.inf))
    if type(value) is not kind or (kind is not str and not least <= value <= most):
        wanted = {int: "whole number", float: "number", str: "word"}[kind]
        bounds = "" if kind is str else f", at least {least}" if most == math.inf else f" from {least} to {most}"
        raise SettingsError(f"{source}: {name} should be a {wanted}{bounds}, not {value!r}")
    return value
