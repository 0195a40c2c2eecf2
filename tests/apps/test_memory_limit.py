"""Under a limit of memory a child works, and whatever ends it becomes a line and a code."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are kept under Linux only")

PROGRAM = """
import os, signal, sys, time
from threading import Thread
from seq2seq.apps import memory_limit
from seq2seq.apps.memory_limit import within_memory_limit
memory_limit.SECONDS_TO_END = 0.3
def hang():
    Thread(target=time.sleep, args=(60,)).start()
def work():
    print(os.getpid(), flush=True)
    {work}
code = within_memory_limit('info', work, lambda message: print(message, file=sys.stderr))
raise SystemExit(code)
"""


def limited(megabytes: int = 500) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)


def started(work: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(work=work)],
        preexec_fn=limited(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("work", "code", "message"),
    [
        ("return 0", 0, ""),
        ("return 1", 1, ""),
        ("raise SystemExit(3)", 3, ""),
        ("os.kill(os.getpid(), signal.SIGSEGV)", 2, "within the 500 MiB that `ulimit -v` allows (a library's SIGSEGV)"),
        ("os.abort()", 2, "(a library's SIGABRT)"),
        ("hang(); return 1", 1, ""),
        ("hang(); raise SystemExit(7)", 2, ""),
        ("os._exit(1)", 2, "(a library's exit code 1)"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 2, "(a library's SIGKILL)"),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
    ],
)
def test_ends_of_the_child(work: str, code: int, message: str) -> None:
    with started(work) as process:
        _, errors = process.communicate()
    assert process.returncode == code
    assert message in errors
    assert ("there is not enough memory" in errors) == bool(message)
    assert "Traceback" not in errors


@pytest.mark.parametrize("verb", ["train", "prepare"])
def test_what_is_too_little_to_begin_with_is_said_at_once(verb: str) -> None:
    command = [sys.executable, "-m", "seq2seq.apps.command", verb, "run.yaml"]
    done = subprocess.run(command, preexec_fn=limited(1000), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"seq2seq {verb}: error: there is not enough memory: `ulimit -v` allows 1,000 MiB, but" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_go_to_the_child(number: signal.Signals) -> None:
    work = f"signal.signal({number.value}, lambda *_: os._exit(9)); print('ready', flush=True); time.sleep(30)"
    with started(work) as process:
        assert process.stdout is not None
        [_, _] = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(number)
        _, errors = process.communicate()
    assert (process.returncode, "exit code 9" in errors) == (2, True)


def test_the_child_ends_with_its_parent() -> None:
    with started("time.sleep(30)") as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert child != process.pid
        process.kill()
    for _ in range(100):
        if not os.path.exists(f"/proc/{child}"):
            return
        time.sleep(0.05)
    raise AssertionError("it is still there")
