"""What a person sees while a model trains: a bar on a terminal, a plain line now and then elsewhere, on stderr."""

import math
import sys
import time
from collections import deque
from collections.abc import Mapping
from typing import TextIO

from tqdm import tqdm

RATE_SECONDS = 300.0
"""Of a training, what its latest speed is measured over: from the second minute on, with what it had, the time left was
never off by more than 16 % then, and by up to 55 % over the steps since the line before (docs/results/fit.md)."""


class ProgressDisplay:
    """Shows steps done, loss, speed and time left.

    Args:
        num_steps: of the whole run.
        first_step: steps done before, in an earlier part of the run.
        first_seconds: time spent in steps before.
        max_seconds: time in steps after which the run ends in any case; 0 sets no limit.
        may_end_early: whether patience may end it before either.
        enabled: False on all processes but the main one, where nothing is shown.
    """

    def __init__(
        self,
        num_steps: int,
        first_step: int = 0,
        *,
        first_seconds: float = 0.0,
        max_seconds: float = 0.0,
        may_end_early: bool = False,
        enabled: bool = True,
        stream: TextIO | None = None,
    ) -> None:
        self.num_steps = num_steps
        self.first_seconds = first_seconds
        self.max_seconds = max_seconds
        self.may_end_early = may_end_early
        self.started = time.perf_counter()
        self.lines = deque([(first_seconds, first_step)])
        self.enabled = enabled
        self.stream = stream or sys.stderr
        self.bar: tqdm | None = None
        if enabled and self.stream.isatty():
            self.bar = tqdm(
                total=num_steps, initial=first_step, unit="step", dynamic_ncols=True, file=self.stream, smoothing=0.05
            )

    def advance(self, loss: float, tokens_per_second: float, seconds: float) -> None:
        """Show that a step is done, after so much time over all parts of the run."""
        if self.bar is not None:
            if self.max_seconds:  # as many steps as there is time for
                expected = math.ceil((self.bar.n + 1) * self.max_seconds / max(seconds, 1e-9))
                self.bar.total = max(self.bar.n + 1, min(self.num_steps, expected))
            self.bar.set_postfix_str(f"loss {loss:.3f}, {tokens_per_second:,.0f} target tokens/s", refresh=False)
            self.bar.update()

    def report(self, step: int, values: Mapping[str, float]) -> None:
        """Write a line about a step where there is no bar."""
        if self.enabled and self.bar is None:
            seconds = (self.num_steps - step) * self.seconds_per_step(step, values["seconds"])
            if self.max_seconds:
                seconds = min(seconds, self.max_seconds - values["seconds"])
            left = f"{'at most ' if self.may_end_early else ''}{_clock(seconds * self._wall_share(values['seconds']))}"
            loss, speed = values.get("loss", math.nan), values.get("tokens_per_second", 0.0)
            self.write(f"step {step}/{self.num_steps}, loss {loss:.4f}, {speed:,.0f} target tokens/s, {left} left")

    def seconds_per_step(self, step: int, seconds: float) -> float:
        """Return what a step takes of late, at a step after so much time in steps; told of one line after another."""
        while len(self.lines) > 1 and seconds - self.lines[1][0] >= RATE_SECONDS:
            self.lines.popleft()
        first_seconds, first_step = self.lines[0]
        self.lines.append((seconds, step))
        return (seconds - first_seconds) / max(1, step - first_step)

    def _wall_share(self, seconds: float) -> float:
        """Return the seconds that have gone by for each one in steps: validations and checkpoints take theirs, too."""
        in_steps = seconds - self.first_seconds
        return max(1.0, (time.perf_counter() - self.started) / in_steps) if in_steps > 0 else 1.0

    def write(self, message: str) -> None:
        """Write a line of its own, above the bar if there is one."""
        if self.bar is not None:
            self.bar.write(message, file=self.stream)
        elif self.enabled:
            print(message, file=self.stream, flush=True)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes:d}:{seconds:02d}"
