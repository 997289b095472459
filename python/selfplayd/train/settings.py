"""Settings of the trainer: defaults.yaml, what it says of the game, a file, and single keys, later ones first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml


class SettingsError(ValueError):
    """A setting that does not exist or cannot have its value."""


@dataclass(frozen=True)
class Network:
    """Size of the network; defaults.yaml says what each field means, here and below."""

    blocks: int
    channels: int
    head_channels: int
    value_hidden: int


@dataclass(frozen=True)
class Training:
    """How steps are made."""

    backend: str
    threads: int
    batch: int
    learning_rate: float
    warm_up_steps: int
    decay_share: float
    decay_to: float
    weight_decay: float
    gradient_clip: float
    ema: float
    value_weight: float
    value_mix: float
    td: float
    samples_per_row: float
    seed: int


@dataclass(frozen=True)
class Replay:
    """What is sampled from."""

    capacity: int
    first_rows: int
    window: int
    growth: float
    exponent: float


@dataclass(frozen=True)
class Publish:
    """When models and checkpoints are written."""

    seconds: float
    checkpoint_seconds: float
    tolerance: float


@dataclass(frozen=True)
class Settings:
    """All of them; ``daemon`` holds the daemon's own, by section."""

    network: Network
    training: Training
    replay: Replay
    publish: Publish
    daemon: dict[str, Any]


def load(game: str, file: Path | None = None, single: Iterable[str] = ()) -> Settings:
    """Read the settings for a game. SettingsError names the key that is wrong, and OSError the file."""
    tree = yaml.safe_load(resources.files(__package__).joinpath("defaults.yaml").read_text(encoding="utf-8"))
    _merge(tree, tree.pop("games").get(game, {}))
    layers = []
    if file is not None:
        try:
            layers.append(yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        except yaml.YAMLError as e:
            raise SettingsError(f"{file} is no YAML: {e}") from e
    for text in single:
        key, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"--set {text} should be section.key=value")
        layer: Any = yaml.safe_load(value)
        for part in reversed(key.split(".")):
            layer = {part: layer}
        layers.append(layer)
    for layer in layers:
        if not isinstance(layer, Mapping):
            raise SettingsError(f"settings should be sections with keys, not {layer!r}")
        _merge(tree, layer)
    sections = {f.name for f in fields(Settings)}
    for name in tree.keys() - sections:
        raise SettingsError(f"there is no section {name}: there are {', '.join(sorted(sections))}")
    return Settings(
        _section(Network, tree), _section(Training, tree), _section(Replay, tree), _section(Publish, tree), tree["daemon"]
    )


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


T = TypeVar("T")


def _section(kind: type[T], tree: dict[str, Any]) -> T:
    name = kind.__name__.lower()
    section = tree[name]
    known = {f.name: f.type for f in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(section, dict):
        raise SettingsError(f"{name} should be a section with keys, not {section!r}")
    for key in section.keys() - known.keys():
        raise SettingsError(f"there is no setting {name}.{key}: there are {', '.join(known)}")
    values = {}
    for key, expected in known.items():
        value = section[key]
        if expected == "float" and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value).__name__ != expected or (isinstance(value, float | int) and value < 0):
            raise SettingsError(f"{name}.{key} should be a {expected}, at least 0, not {value!r}")
        values[key] = value
    return kind(**values)
