"""The trainer: what it exports is what it trained, its gradients are right, its runs survive what befalls them."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplayd.replay import Batch
from selfplayd.train import network, run, settings, steps
from selfplayd.train.steps import State, Stepper

from .boards import connect_four, made_up_game, tic_tac_toe

SMALL = ["network.blocks=2", "network.channels=8", "training.backend=numpy"]


def a_batch(size: int = 16, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    masks = (rng.random((size, 7)) < 0.8).astype(np.float32)
    masks[:, 3] = 1
    policies = rng.dirichlet(np.ones(7), size).astype(np.float32) * masks
    policies /= policies.sum(1, keepdims=True)
    inputs = (rng.random((size, 2, 6, 7)) < 0.3).astype(np.float32)
    return Batch(inputs, policies, masks, rng.dirichlet(np.ones(3), size).astype(np.float32))


def a_state(options: settings.Settings, seed: int = 0) -> State:
    state = steps.fresh_state(network.initial(connect_four(), options.network, np.random.default_rng(seed)))
    rng = np.random.default_rng(seed)
    # Biases away from 0, so that none is forgotten.
    params = {n: (a + rng.normal(0, 0.05, a.shape)).astype(np.float32) for n, a in state["params"].items()}
    return steps.fresh_state(params)


def after(options: settings.Settings, state: State, count: int) -> tuple[Stepper, list[steps.Losses]]:
    stepper = steps.stepper(options.training, state)
    return stepper, [stepper.step(a_batch(seed=i), i + 1, 1e-3) for i in range(count)]


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_exported_network_is_the_trained_one(backend: str) -> None:
    pytest.importorskip(backend)
    options = settings.load("connect_four", None, [*SMALL, f"training.backend={backend}"])
    stepper, _ = after(options, a_state(options), 3)
    params = stepper.state()["average"]
    model = network.to_onnx(params, connect_four())
    assert run.check_export(model, params, stepper, a_batch(32, 9).inputs, 1e-4) < 1e-4
    params["block1.second.w"] = params["block1.second.w"] * 1.05
    with pytest.raises(run.RunError, match=r"the exported model is not the trained network.*not published"):
        run.check_export(model, params, stepper, a_batch(32, 9).inputs, 1e-4)
    params["policy.dense.b"] = params["policy.dense.b"] * np.nan
    with pytest.raises(run.RunError, match="differ by up to nan"):
        run.check_export(model, params, stepper, a_batch(32, 9).inputs, 1e-4)


def test_gradients_are_those_of_the_loss() -> None:
    options = settings.load("connect_four", None, [*SMALL, "training.value_weight=0.7"])
    state, batch = a_state(options), a_batch()

    def loss(params: network.Params) -> float:
        policy, value = steps.stepper(options.training, state).forward(params, batch.inputs)
        log_policy = run._log_softmax(np.where(batch.masks > 0, policy, np.float32(steps.MASKED)))
        of_policy = -(batch.policies * np.where(batch.masks > 0, log_policy, 0)).sum(1).mean()
        return float(of_policy - 0.7 * (batch.outcomes * run._log_softmax(value)).sum(1).mean())

    # After the first step AdamW's mean is a tenth of the gradient.
    open_clip = settings.load("connect_four", None, [*SMALL, "training.value_weight=0.7", "training.gradient_clip=1e9"])
    stepper = steps.stepper(open_clip.training, state)
    seen = stepper.step(batch, 1, 0.0)
    assert seen.policy + 0.7 * seen.value == pytest.approx(loss(state["params"]), abs=1e-5)
    gradient = {name: 10 * mean.astype(np.float64) for name, mean in stepper.state()["mean"].items()}
    assert seen.gradient_norm == pytest.approx(np.sqrt(sum((g**2).sum() for g in gradient.values())), rel=1e-4)
    rng = np.random.default_rng(1)
    for name, found in gradient.items():
        direction = found / np.linalg.norm(found) + rng.normal(0, 0.3 / np.sqrt(found.size), found.shape)
        moved = [
            state["params"] | {name: (state["params"][name] + e * direction).astype(np.float32)} for e in (1e-2, -1e-2)
        ]
        slope = (loss(moved[0]) - loss(moved[1])) / 2e-2
        assert slope == pytest.approx(float((found * direction).sum()), rel=0.03, abs=2e-4), name


def test_torch_and_numpy_make_the_same_steps() -> None:
    pytest.importorskip("torch")
    runs = []
    for backend in ("torch", "numpy"):
        options = settings.load(
            "connect_four",
            None,
            [*SMALL, f"training.backend={backend}", "training.precision=fp32", "training.gradient_clip=0.5"],
        )
        stepper, losses = after(options, a_state(options), 5)
        runs.append((losses, stepper.state()))
    assert np.allclose(runs[0][0], runs[1][0], atol=1e-4)
    for kind, arrays in runs[0][1].items():
        for name, array in arrays.items():
            assert np.allclose(array, runs[1][1][kind][name], atol=2e-4), (kind, name)


@pytest.mark.parametrize(("backend", "precision"), [("numpy", "fp32"), ("torch", "fp32"), ("torch", "bf16")])
def test_a_network_learns_one_batch_by_heart(backend: str, precision: str) -> None:
    pytest.importorskip(backend)
    single = [*SMALL, f"training.backend={backend}", f"training.precision={precision}"]
    options = settings.load("connect_four", None, single)
    stepper = steps.stepper(options.training, a_state(options))
    batch = a_batch(8)
    # Targets without doubt, so that the loss can reach 0.
    batch = batch._replace(
        policies=np.eye(7, dtype=np.float32)[np.argmax(batch.policies, 1)],
        outcomes=np.eye(3, dtype=np.float32)[np.argmax(batch.outcomes, 1)],
    )
    losses = [stepper.step(batch, n + 1, 4e-3) for n in range(300)]
    assert losses[0].policy > 1
    assert losses[-1].policy < 0.05
    assert losses[-1].value < 0.05


def test_logits_of_illegal_actions_teach_nothing() -> None:
    options = settings.load("connect_four", None, SMALL)
    batch = a_batch()
    batch.masks[:, 5:] = 0
    batch.policies[:, 5:] = 0
    stepper = steps.stepper(options.training, a_state(options))
    stepper.step(batch, 1, 0.0)
    mean = stepper.state()["mean"]
    assert not mean["policy.dense.b"][5:].any()
    assert mean["policy.dense.b"][:5].all()


@pytest.mark.parametrize(
    ("single", "words"),
    [
        ("training.bach=3", "there is no setting training.bach; in its place could be .*batch"),
        ("trainings.batch=3", "there is no setting trainings"),
        ("training.batch=3.5", "training.batch should be a whole number"),
        ("training.batch=-3", "at least 1, not -3"),
        ("replay.window=0", "replay.window should be a whole number, at least 1, not 0"),
        ("training.value_mix=1.5", "training.value_mix should be a number from 0 to 1, not 1.5"),
        ("training.learning_rate=.nan", "at least 0, not nan"),
        ("replay.exponent=0", r"at least 0\.01, not 0"),
        ("daemon.mcts_n=3", "daemon.mcts_n should have keys with values, not 3"),
        ("daemon.search.mcts_n={a: 1}", "daemon.search.mcts_n should have a value, not keys"),
        ("training.ema=true", "training.ema should be a number"),
        ("training=3", "training should have keys with values"),
        ("training.batch=[", "is no YAML"),
    ],
)
def test_wrong_settings_are_named(single: str, words: str) -> None:
    with pytest.raises(settings.SettingsError, match=words):
        settings.load("connect_four", None, [single])


def test_later_settings_replace_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("training: {batch: 64, ema: 1, learning_rate: 1e-3}\ndaemon: {search: {c_puct: 1.1}}\n")
    options = settings.load("tic_tac_toe", file, ["training.batch=32", "daemon.play.seed=5"])
    assert (options.training.batch, options.training.ema, options.training.learning_rate) == (32, 1.0, 1e-3)
    assert options.network.channels == settings.load("tic_tac_toe").network.channels
    assert options.daemon["search"]["c_puct"] == 1.1
    assert options.daemon["play"]["seed"] == 5
    assert options.daemon["search"]["solver"] is True
    # What is printed can be given again.
    file.write_text(str(options))
    assert str(settings.load("tic_tac_toe", file)) == str(options)


def test_checkpoints_bring_everything_back(tmp_path: Path) -> None:
    options = settings.load("connect_four", None, SMALL)
    stepper, _ = after(options, a_state(options), 2)
    rng = np.random.default_rng(5)
    progress = run.Progress(step=2, samples=32, version=4, seconds=1.5)
    for step in (1, 2, 3):
        progress.step = step
        run.save_checkpoint(tmp_path, progress, stepper.state(), rng)
    assert len(list(tmp_path.iterdir())) == 2
    said: list[str] = []
    found = run.load_checkpoint(tmp_path, said.append)
    assert found is not None
    assert found[0] == progress
    for kind, arrays in stepper.state().items():
        for name, array in arrays.items():
            assert np.array_equal(found[1][kind][name], array)
    assert found[2].random() == rng.random()
    newest = tmp_path / "step_000000003.npz"
    newest.write_bytes(newest.read_bytes()[:1000])
    found = run.load_checkpoint(tmp_path, said.append)
    assert found is not None
    assert found[0].step == 2
    assert len(said) == 1
    assert "step_000000003.npz cannot be read" in said[0]


def test_a_full_disk_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    run.write_whole(path, b"old")

    def full(_file: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        run.write_whole(path, b"new", durable=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# The whole of it, with the daemon.


def start(
    out: Path, *arguments: str, game: str = "tic_tac_toe", under: tuple[str, ...] = (), words: Any = subprocess.PIPE
) -> subprocess.Popen[str]:
    command = [*under, sys.executable, "-m", "selfplayd.train", "--game", game, "--out", str(out)]
    command += ["--http-listen", "127.0.0.1:0", "--set", "training.backend=numpy", *arguments]
    # Its sources, wherever the tests are run from.
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=words, text=True)


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "in vain"
        time.sleep(0.05)


QUICK = ["--set", "replay.first_rows=100", "--set", "publish.seconds=0.5", "--set", "publish.checkpoint_seconds=0.2"]


def figures(out: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((out / "models/trainer.json").read_text())
    except FileNotFoundError:
        return {}
    return found


def test_a_run_goes_on_after_kill_and_after_interrupt(tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = start(out, *QUICK)
    wait_for(lambda: figures(out).get("version", 0) >= 2 and list(out.glob("checkpoints/step_*.npz")), first)
    other = start(out, *QUICK)
    assert "another trainer (process " + str(first.pid) in other.communicate()[1]
    assert other.returncode == 1
    made_up_game(out / "games", 1)  # Of another board.
    first.kill()
    first.communicate()
    known = run.load_checkpoint(out / "checkpoints", pytest.fail)
    assert known is not None
    version = run.published_version(out / "models")
    assert version is not None

    second = start(out, *QUICK, under=("nohup",))
    wait_for(lambda: list(out.glob("games/not_read/*.npz")), second)
    second.send_signal(signal.SIGHUP)
    wait_for(lambda: figures(out).get("step", 0) > known[0].step and figures(out).get("version", 0) > version, second)
    second.send_signal(signal.SIGINT)
    words = second.communicate()[1]
    assert second.returncode == 0, words
    assert "the same command goes on" in words
    assert "is of another game or board" in words
    assert figures(out)["state"] == "stopped"
    last = run.load_checkpoint(out / "checkpoints", pytest.fail)
    assert last is not None
    assert last[0].step == figures(out)["step"] > known[0].step
    assert not list(out.glob("**/.*.part"))


def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    out, words = tmp_path / "run", tmp_path / "words"
    with words.open("w") as file:
        trainer = start(out, *QUICK, words=file)
    wait_for(lambda: figures(out).get("rows", 0) >= 500 and figures(out).get("version", 0) >= 1, trainer)
    # No file of the trainer's may grow beyond this, while the daemon, another process, plays on.
    limits = resource.prlimit(trainer.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(trainer.pid, resource.RLIMIT_FSIZE, (8192, limits[1]))
    wait_for(lambda: "models or checkpoints wait: " in words.read_text(), trainer)
    wait_for(lambda: len(list(out.glob("games/*.npz"))) >= 50, trainer)
    waiting = set(out.glob("games/*.npz"))
    before = figures(out)
    resource.prlimit(trainer.pid, resource.RLIMIT_FSIZE, limits)
    wait_for(lambda: not waiting & set(out.glob("games/*.npz")), trainer)
    wait_for(lambda: "the disk takes files again" in words.read_text(), trainer)
    wait_for(lambda: figures(out)["version"] > before["version"] and figures(out)["step"] > before["step"], trainer)
    trainer.send_signal(signal.SIGINT)
    assert trainer.wait() == 0, words.read_text()
    assert not list(out.glob("games/not_read/*"))


def test_a_daemon_that_hangs_at_the_end_takes_nothing_with_it(tmp_path: Path) -> None:
    out = tmp_path / "run"
    trainer = start(out, *QUICK, "--set", "publish.checkpoint_seconds=1000")
    wait_for(lambda: figures(out).get("step", 0) >= 5, trainer)
    (daemon,) = Path(f"/proc/{trainer.pid}/task/{trainer.pid}/children").read_text().split()
    os.kill(int(daemon), signal.SIGSTOP)
    trainer.send_signal(signal.SIGTERM)
    wait_for(lambda: figures(out)["state"] == "stopped", trainer)
    last = run.load_checkpoint(out / "checkpoints", pytest.fail)
    assert last is not None
    assert last[0].step == figures(out)["step"]
    assert run.published_version(out / "models") == figures(out)["version"]
    trainer.send_signal(signal.SIGTERM)
    assert trainer.wait() == 130
    os.kill(int(daemon), signal.SIGKILL)


@pytest.mark.parametrize(
    ("game", "rules"),
    [
        ("quoridor", {"game.board_size": 3, "game.max_walls": 2, "game.max_steps": 40}),
        ("othello", {"othello.size": 4}),
        ("hex", {"hex.size": 3}),
    ],
)
def test_every_kind_of_board_is_trained(tmp_path: Path, game: str, rules: dict[str, int]) -> None:
    out = tmp_path / "run"
    small = ["network.blocks=1", "network.channels=8", "daemon.search.mcts_n=16", "daemon.play.cheap_simulations=8"]
    single = [*small, *(f"daemon.{key}={value}" for key, value in rules.items())]
    trainer = start(out, *QUICK, *(word for one in single for word in ("--set", one)), game=game)
    wait_for(lambda: figures(out).get("version", 0) >= 1 and figures(out).get("step", 0) >= 2, trainer)
    trainer.send_signal(signal.SIGTERM)
    words = trainer.communicate()[1]
    assert trainer.returncode == 0, words
    assert not list(out.glob("games/not_read/*")), words


def test_a_wrong_setting_of_the_daemon_is_told_in_its_words(tmp_path: Path) -> None:
    process = start(tmp_path / "run", "--set", "daemon.search.mcts_n=1")
    words = process.communicate()[1]
    assert process.returncode == 1
    assert "mcts_n" in words
    assert "Traceback" not in words


def all_positions() -> list[list[int]]:
    """A way to each position of tic-tac-toe that is not the end of a game: 4520."""
    lines = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
    ways: dict[tuple[int, ...], list[int]] = {}

    def play(board: tuple[int, ...], moves: list[int]) -> None:
        over = len(moves) == 9 or any(board[a] == board[b] == board[c] != 0 for a, b, c in lines)
        if over or board in ways:
            return
        ways[board] = moves
        for cell in range(9):
            if not board[cell]:
                play((*board[:cell], 1 + len(moves) % 2, *board[cell + 1 :]), [*moves, cell])

    play((0,) * 9, [])
    return list(ways.values())


@pytest.mark.learns
def test_tic_tac_toe_is_learned_from_nothing_to_no_mistake(tmp_path: Path) -> None:
    from selfplayd import program

    out, positions = tmp_path / "run", tmp_path / "positions.jsonl"
    ways = all_positions()
    assert len(ways) == 4520
    positions.write_text("".join(json.dumps({"moves": way}) + "\n" for way in ways))

    def mistakes(version: int) -> tuple[int, int]:
        """Of the policy alone, and of searches of 50 simulations."""
        model = out / f"models/model_{version}.onnx"
        arguments = ["--game", "tic_tac_toe", "--positions", str(positions), "--model", str(model), "--device", "cpu"]
        told = json.loads(program.run(None, ["judge", *arguments, "--simulations", "50", "--json"]).stdout)
        return told["policy"]["mistakes"], told["search"][0]["mistakes"]

    trainer = start(out, "--minutes", "20")
    curve: list[tuple[int, int]] = []

    def learned() -> bool:
        newest = run.published_version(out / "models")
        if newest is not None and newest >= 10 * len(curve):
            curve.append(mistakes(newest))
        return bool(curve) and curve[-1][1] == 0

    begin = time.monotonic()
    wait_for(learned, trainer, 900)
    print(f"{time.monotonic() - begin:.0f} s; mistakes of every tenth model, alone and with a search: {curve}")
    trainer.send_signal(signal.SIGINT)
    words = trainer.communicate()[1]
    assert trainer.returncode == 0, words
    assert curve[0][1] > 0, "an untrained network makes mistakes"


def test_a_game_of_tic_tac_toe_has_eight_symmetries() -> None:
    assert len({s.policy.tobytes() for s in tic_tac_toe().symmetries}) == 8
