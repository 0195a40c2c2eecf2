"""How a benchmark talks with its workers: one process per system, of which never more than one works.

The parent sends one line of JSON, the job. The worker prepares everything up to a warmed-up model and answers
`{"ready": true, ...facts}`; then each line `go` is answered with what one round measured, and `quit` ends it. All
answers are lines of JSON with the worker's `peak_memory_mib` so far. In between a worker blocks on its input and uses
no CPU. What libraries print goes to stderr, which is shown where a worker dies.

Only the standard library is needed, so a worker may run in the environment of another toolkit. What of our package
needs no more than that environment has can be imported there, too.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NoReturn

Values = dict[str, Any]
"""What JSON can hold."""

FOLDER = Path(__file__).resolve().parent
BENCHMARKS = FOLDER.parent

SHOWN_ERROR_CHARACTERS = 4000
SECONDS_TO_QUIT = 30.0


# ---- the worker's side -----------------------------------------------------------------------------------------------


def serve(prepare: Callable[[Values], tuple[Values, Callable[[], Values]]]) -> None:
    """Be a worker until the parent says `quit` or is gone.

    Args:
        prepare: from the job to facts about the system, and the function that runs one round and says what it measured.
    """
    answers = _private_stdout()

    def answer(values: Values) -> None:
        print(json.dumps(values | {"peak_memory_mib": peak_memory_mib()}), file=answers, flush=True)

    facts, run_round = prepare(json.loads(sys.stdin.readline()))
    answer({"ready": True} | facts)
    for line in iter(sys.stdin.readline, ""):
        command = line.strip()
        if command == "quit":
            return
        if command != "go":
            raise ValueError(f"A worker understands `go` and `quit`, but not {command!r}.")
        answer(run_round())


def _private_stdout() -> IO[str]:
    """Return what was stdout, which from now on is stderr: for Python, for C libraries and for child processes."""
    private = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return private


def now(device: str) -> float:
    """Return the time in seconds, once all work given to the device is done."""
    if device != "cpu":
        import torch  # only here: a worker of another engine has none

        torch.accelerator.synchronize()
    return time.perf_counter()


def peak_memory_mib() -> float:
    """Return the most resident memory that this process has used.

    On Linux `getrusage` starts a process with the peak of its parent, so the kernel's own mark is read there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return round(int(fields["VmHWM"].removesuffix("kB")) / 2**10, 1)
    unit = 1 if sys.platform == "darwin" else 2**10  # bytes on macOS, KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


# ---- the parent's side -----------------------------------------------------------------------------------------------


class Worker:
    """A process that serves one job; as a context manager it is started, and ended on any way out.

    Args:
        module: the file in this folder that calls `serve`, without its ending.
        environment: variables on top of the parent's own.
        python: interpreter of another environment.
    """

    def __init__(
        self,
        module: str,
        job: Values,
        environment: Mapping[str, str] | None = None,
        *,
        python: str | Path = sys.executable,
    ) -> None:
        self.module = module
        self.job = job
        self.environment = dict(environment or {})
        self.python = python

    def start(self) -> None:
        """Start the process; it begins to prepare."""
        path = os.pathsep.join(filter(None, [str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH")]))
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `quit` closes it; nobody would empty a pipe
        self._process = subprocess.Popen(
            [str(self.python), "-m", f"{FOLDER.name}.{self.module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": path} | self.environment,
            encoding="utf-8",
        )
        self._send(json.dumps(self.job))

    def ready(self) -> Values:
        """Wait until all is prepared; return the facts."""
        facts = self._answer()
        assert facts.pop("ready"), f"the first answer of {self.module} must be that it is ready"
        return facts

    def go(self) -> Values:
        """Run one round; return what it measured."""
        self._send("go")
        return self._answer()

    def quit(self) -> None:
        """End the process, in whatever state it is."""
        with suppress(RuntimeError):
            self._send("quit")
        try:
            self._process.wait(SECONDS_TO_QUIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self) -> "Worker":
        self.start()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._process.kill()  # it may be in the middle of a round
        self.quit()

    def _send(self, line: str) -> None:
        try:
            print(line, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._raise_death()

    def _answer(self) -> Values:
        line = self._process.stdout.readline()
        return json.loads(line) if line else self._raise_death()

    def _raise_death(self) -> NoReturn:
        code = self._process.wait()
        self._errors.seek(0)
        tail = self._errors.read().decode(errors="replace")[-SHOWN_ERROR_CHARACTERS:]
        raise RuntimeError(f"The worker {self.module} ended with code {code}:\n{tail}")
