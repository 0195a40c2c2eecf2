"""Commands that need each other's results, several at a time, until all are done or the time is over.

Each writes to its own log; one that has finished leaves a mark and is not repeated, so a stopped experiment goes on
when it is run again. Earlier jobs of the list come first.
"""

import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PATIENCE_SECONDS = 20
"""How long a job that is told to stop has for writing its checkpoint."""


@dataclass(frozen=True)
class Job:
    """A command, and the names of the jobs that must have finished before it."""

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()


class JobGraph:
    """Runs jobs.

    Args:
        jobs: each behind those that it needs.
        folder: gets `logs/NAME.log` and, when a job has finished, `done/NAME`.
        num_parallel: jobs at a time.

    Raises:
        ValueError: two jobs have one name, or one needs another that does not stand before it.
    """

    def __init__(self, jobs: Iterable[Job], folder: Path, num_parallel: int) -> None:
        self.jobs: dict[str, Job] = {}
        for job in jobs:
            if job.name in self.jobs or not set(job.needs) <= self.jobs.keys():
                raise ValueError(f"Job {job.name} comes twice, or before one that it needs ({', '.join(job.needs)}).")
            self.jobs[job.name] = job
        self.folder = folder
        self.num_parallel = num_parallel
        self.done = {name for name in self.jobs if self._mark(name).is_file()}
        self.failed: set[str] = set()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        for kind in ("logs", "done"):
            (folder / kind).mkdir(parents=True, exist_ok=True)

    def run(self, minutes: float = float("inf")) -> bool:
        """Run what is left, for so long; return whether everything has finished. Prints what happens."""
        started = time.monotonic()
        while time.monotonic() - started < minutes * 60:
            self._collect(started)
            ready = self._ready()
            if not ready and not self.running:
                break
            for name in ready[: self.num_parallel - len(self.running)]:
                with (self.folder / "logs" / f"{name}.log").open("ab") as log:
                    self.running[name] = subprocess.Popen(self.jobs[name].command, stdout=log, stderr=log)
            time.sleep(0.1)
        self._stop()
        left = [name for name in self.jobs if name not in self.done]
        print(f"{len(self.done)} jobs done, {len(self.failed)} failed, left: {', '.join(left) or 'none'}", flush=True)
        return not left

    def _ready(self) -> list[str]:
        """Return jobs that can begin, in order."""
        known = self.done | self.failed | self.running.keys()
        return [job.name for job in self.jobs.values() if job.name not in known and set(job.needs) <= self.done]

    def _collect(self, started: float) -> None:
        """Note which jobs have ended, and how."""
        for name, process in list(self.running.items()):
            if (code := process.poll()) is not None:
                del self.running[name]
                (self.failed if code else self.done).add(name)
                if not code:
                    self._mark(name).touch()
                print(f"{time.monotonic() - started:6.0f} s  {name}{f': exit code {code}' if code else ''}", flush=True)

    def _stop(self) -> None:
        """End what still runs; a training saves a checkpoint."""
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for process in self.running.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        self.running.clear()

    def _mark(self, name: str) -> Path:
        return self.folder / "done" / name
