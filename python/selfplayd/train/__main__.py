"""The loop: games come, rows are learned from, models go to the daemon."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .. import Daemon, SelfplaydError, describe, publish
from ..games import GameError, read_game, remove_game
from ..replay import ReplayBuffer, Window
from . import network, run, settings, steps
from .run import RunError


class Trainer:
    """One run in a directory, from its newest checkpoint or from nothing."""

    def __init__(
        self, game_name: str, out: Path, options: settings.Settings, minutes: float | None, http: str | None
    ) -> None:
        self.options, self.minutes, self.out = options, minutes, out
        self.models, self.games_dir, self.checkpoints = out / "models", out / "games", out / "checkpoints"
        rules = options.daemon.get("game" if game_name == "quoridor" else game_name, {})
        self.game = describe(game_name, **rules)
        r, t = options.replay, options.training
        window = Window(r.window, r.growth, r.exponent)
        self.buffer = ReplayBuffer(out / "replay" / "rows.bin", self.game, r.capacity, window=window, td=t.td)
        found = run.load_checkpoint(self.checkpoints, self.say)
        self.rng = np.random.default_rng(t.seed)
        self.progress = run.Progress()
        state = steps.fresh_state(network.initial(self.game, options.network, self.rng))
        if found is not None:
            self.progress, state_found, self.rng = found
            shapes = [{n: a.shape for n, a in s["params"].items()} for s in (state, state_found)]
            if shapes[0] != shapes[1]:
                raise RunError(
                    f"the checkpoints of {out} are of another network: change the settings back, or name another --out"
                )
            state = state_found
        self.stepper = steps.stepper(t, state)
        # Rows that are no longer there, as after rows.bin was removed, were not learned from.
        self.progress.samples = min(self.progress.samples, int(t.samples_per_row * self.buffer.rows))
        published = run.published_version(self.models)
        self.progress.version = max(self.progress.version, published or 0)
        self.losses = steps.Losses(float("nan"), float("nan"), float("nan"))
        self.rate = self.speed = 0.0
        self.trouble = ""
        self.stopping = False
        listen = {"http": options.daemon.get("http", {}) | ({"listen": http} if http else {})}
        # The section `game` is in self.game: the name, and the rules of Quoridor.
        others = {name: section for name, section in (options.daemon | listen).items() if name != "game"}
        self.daemon = Daemon(
            game=self.game,
            games_dir=self.games_dir,
            model_dir=self.models,
            restart=True,
            log=out / "daemon.log",
            **others,
        )
        self.restarts = 0
        self.published_step = self.progress.step
        self.lock = threading.Lock()  # of the buffer
        self.full_disk = ""
        self.failure: BaseException | None = None
        if published is None:
            self.publish(self.progress.version)

    def say(self, text: str) -> None:
        """A line above the progress bar."""
        self.print("\r\x1b[K" * sys.stderr.isatty() + text + "\n")

    def print(self, text: str) -> None:
        """What has no reader any more is lost, and training goes on."""
        with suppress(OSError):
            print(text, end="", file=sys.stderr, flush=True)

    def publish(self, version: int) -> None:
        """Publish the average of the network; positions of the buffer check it, or random ones while there are none."""
        if self.buffer.held:
            with self.lock:
                inputs = self.buffer.sample(64, self.rng, weighted=False).inputs
        else:
            inputs = self.rng.integers(0, 2, (64, *self.game.input_shape)).astype(np.float32)
        average = self.stepper.state()["average"]
        model = network.to_onnx(average, self.game)
        run.check_export(model, average, self.stepper, inputs, self.options.publish.tolerance)
        publish(model, self.models, version, game=self.game, check=version == 0)
        self.progress.version, self.published_step = version, self.progress.step

    def learning_rate(self) -> float:
        """Rises at the begin; falls in the last part of a run whose length is known."""
        t = self.options.training
        rate: float = t.learning_rate * min(1.0, (self.progress.step + 1) / max(1, t.warm_up_steps))
        if self.minutes and t.decay_share > 0:
            left = (1 - self.progress.seconds / (60 * self.minutes)) / t.decay_share
            rate *= min(1.0, max(t.decay_to, left))
        return rate

    def read_games(self) -> None:
        """In a thread of its own, as removing files may take its time: move finished games into the buffer."""
        while not self.stopping:
            try:
                paths = sorted(self.games_dir.glob("*.npz"), key=str)
                for path in paths:
                    if self.stopping:
                        return
                    self.take(path)
                if not paths:
                    time.sleep(0.05)
                self.full_disk = ""
            except OSError as e:
                self.full_disk = f"games wait: {e}"
                time.sleep(1)
            except BaseException as e:
                self.failure = e
                return

    def take(self, path: Path) -> None:
        """Move one game into the buffer, or aside if it is none."""
        try:
            game = read_game(path)
            with self.lock:
                self.buffer.add(game)
        except (GameError, ValueError) as e:
            aside = self.games_dir / "not_read"
            aside.mkdir(exist_ok=True)
            for part in (path, path.with_suffix(".yaml")):
                if part.exists():
                    part.rename(aside / part.name)
            self.say(f"moved to {aside}: {e}")
        else:
            remove_game(path)

    def ahead(self) -> bool:
        """Whether games have to come before the next step."""
        first, t = self.options.replay.first_rows, self.options.training
        return self.buffer.rows < first or bool(
            self.progress.samples >= t.samples_per_row * (self.buffer.rows - first / 2)
        )

    def step(self) -> None:
        """One step of training."""
        t = self.options.training
        with self.lock:
            batch = self.buffer.sample(t.batch, self.rng, value_mix=t.value_mix)
        self.rate = self.learning_rate()
        losses = self.stepper.step(batch, self.progress.step + 1, self.rate)
        if not all(np.isfinite(losses)):
            raise RunError(
                f"the loss is no longer finite at step {self.progress.step + 1}: go on from the last checkpoint "
                f"with a lower training.learning_rate (now {t.learning_rate})"
            )
        fresh = 1.0 if np.isnan(self.losses.policy) else 0.02
        self.losses = steps.Losses(
            *(b if fresh == 1.0 else a + fresh * (b - a) for a, b in zip(self.losses, losses, strict=True))
        )
        self.progress.step += 1
        self.progress.samples += t.batch

    def figures(self, state: str) -> dict[str, Any]:
        """What trainer.json says."""
        known: dict[str, Any] = {
            "state": state,
            "version": self.progress.version,
            "step": self.progress.step,
            "window_rows": self.buffer.window_rows,
            "rows": self.buffer.rows,
            "samples_per_second": round(self.speed, 1),
            "samples_per_row": self.progress.samples / max(1, self.buffer.rows),
            "learning_rate": self.rate,
        }
        if np.isfinite(self.losses.policy):
            total = self.losses.policy + self.options.training.value_weight * self.losses.value
            known |= {"loss": total, "policy_loss": self.losses.policy, "value_loss": self.losses.value}
            known |= {"gradient_norm": self.losses.gradient_norm}
        return known

    def line(self, state: str) -> str:
        """The progress bar."""
        p, minutes = self.progress, self.progress.seconds / 60
        share = f"[{'#' * round(20 * min(1, minutes / self.minutes)):20}] " if self.minutes else ""
        text = f"{share}{minutes:.1f} min, games {self.buffer.games}, rows {self.buffer.rows}, step {p.step}"
        text += f" ({self.speed:.0f} rows/s), model {p.version}"
        if np.isfinite(self.losses.policy):
            text += f", loss {self.losses.policy:.3f} + {self.losses.value:.3f}"
        return f"{text}, {'waiting for the disk' if self.trouble else state}"

    def loop(self) -> None:
        """Train until the time is over or somebody stops it."""
        options, bar = self.options, sys.stderr.isatty()
        self.say(f"the daemon plays; watch it at {self.daemon.url or 'its page'}, its log is {self.out / 'daemon.log'}")
        state = "waiting for games"
        now = time.monotonic()
        last = dict.fromkeys(("publish", "checkpoint", "figures", "line"), now)
        mark, mark_samples = now, self.progress.samples
        while not self.stopping and not (self.minutes and self.progress.seconds >= 60 * self.minutes):
            turn = time.monotonic()
            try:
                self.watch()
                if self.ahead():
                    missing = max(0, options.replay.first_rows - self.buffer.rows)
                    state = f"waiting for games ({missing} rows to the first step)" if missing else "waiting for games"
                    time.sleep(0.05)
                else:
                    state = "training"
                    self.step()
                now = time.monotonic()
                if now - last["publish"] >= options.publish.seconds and self.progress.step > self.published_step:
                    self.publish(self.progress.version + 1)
                    last["publish"] = now
                if now - last["checkpoint"] >= options.publish.checkpoint_seconds:
                    self.save()
                    last["checkpoint"] = now
                if now - last["figures"] >= 3:
                    self.speed = (self.progress.samples - mark_samples) / (now - mark)
                    mark, mark_samples, last["figures"] = now, self.progress.samples, now
                    run.write_figures(self.models, self.figures(state.partition(" (")[0]))
                self.tell_trouble(self.full_disk)
            except OSError as e:
                self.tell_trouble(f"models or checkpoints wait: {e}")
                time.sleep(1)
            now = time.monotonic()
            self.progress.seconds += now - turn
            if now - last["line"] >= (1 if bar else 20):
                self.print(f"\r\x1b[K{self.line(state)}" if bar else f"{self.line(state)}\n")
                last["line"] = now

    def watch(self) -> None:
        """Say when the daemon was started anew; its own error where it ended for good."""
        if self.failure is not None:
            raise self.failure
        self.daemon.wait(0)
        if not self.daemon.alive:
            raise RunError("the daemon was stopped by someone else; the same command goes on")
        if self.daemon.restarts > self.restarts:
            self.say(f"the daemon ended by itself and was started anew; why is in {self.out / 'daemon.log'}")
        self.restarts = self.daemon.restarts

    def tell_trouble(self, trouble: str) -> None:
        """Say once what is wrong with the disk, and once that it is over."""
        if trouble != self.trouble:
            self.say(trouble or "the disk takes files again")
        self.trouble = trouble

    def save(self) -> None:
        """Write a checkpoint."""
        run.save_checkpoint(self.checkpoints, self.progress, self.stepper.state(), self.rng)

    def close(self) -> None:
        """Write the checkpoint that the next start goes on from, and publish what was learned last."""
        self.buffer.close()
        try:
            self.save()
            if self.progress.step > self.published_step:
                self.publish(self.progress.version + 1)
            run.write_figures(self.models, self.figures("stopped"))
        except OSError as e:
            raise RunError(f"the end of the run is not all on the disk: {e}; the same command goes on") from e


def with_threads(threads: int) -> None:
    """Start this program again with so many threads for numpy's products, which it takes from the environment alone."""
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(threads)
        os.execv(sys.executable, [sys.executable, "-m", __package__, *sys.argv[1:]])


def main() -> int:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="python -m selfplayd.train", description="Learn a game from nothing, beside the daemon."
    )
    parser.add_argument("--game", required=True, help="connect_four, tic_tac_toe, othello and so on")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="RUN", help="directory of the run; an earlier run in it goes on"
    )
    parser.add_argument(
        "--minutes",
        type=float,
        help="minutes of training in all; the learning rate falls towards their end [until Ctrl-C]",
    )
    parser.add_argument("--settings", type=Path, metavar="FILE", help="YAML with what differs from the defaults")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, such as training.batch=128"
    )
    parser.add_argument(
        "--http-listen", metavar="IP:PORT", help="where the daemon serves its page [the daemon's default]"
    )
    parser.add_argument("--print-settings", action="store_true", help="print the settings and end")
    args = parser.parse_args()
    try:
        options = settings.load(args.game, args.settings, args.set)
        with_threads(options.training.threads)
        if args.print_settings:
            print(options)
            return 0
        with run.locked(args.out):
            trainer = Trainer(args.game, args.out.resolve(), options, args.minutes, args.http_listen)

            def stop(_signal: int, _frame: Any) -> None:
                if trainer.stopping:
                    os._exit(130)  # Every file is whole at any moment, and the daemon ends with its parent.
                trainer.stopping = True  # No word of it here, where another may be half printed.

            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # As by nohup.
                    signal.signal(number, stop)
            reader = threading.Thread(target=trainer.read_games, name="games", daemon=True)
            with trainer.daemon:
                reader.start()
                try:
                    trainer.loop()
                finally:
                    trainer.stopping = True
                    reader.join()
                # Before the daemon ends, which may take its time or fail.
                trainer.say("stopping; another signal ends it at once")
                trainer.close()
            trainer.say(f"{trainer.line('stopped')}\nmodels are in {trainer.models}; the same command goes on")
    except (RunError, SelfplaydError, ValueError, ModuleNotFoundError, OSError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
