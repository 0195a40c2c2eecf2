"""Every verb with too little of something: one line, exit code 2, nothing half-written, and right when it is repeated.

A case is a command in a process of its own and what it lacks: memory, open files, space for a file or on a disk, the
right to write, or a stream. Full and read-only disks are file systems in memory, which only root may mount.
"""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tiny_run import write_copy_task

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits are kept under Linux only")

COMMANDS = {
    "decode": "decode --model {run} --input {texts} --output {place}/output.txt --processes 1",
    "decode by two": "decode --model {run} --input {texts} --output {place}/output.txt --processes 2",
    "decode by twenty": "decode --model {run} --input {texts} --output {place}/output.txt --processes 20",
    "decode to a pipe": "decode --model {run} --input {texts} --processes 2",
    "decode a pipe": "decode --model {run} --processes 1",
    "score": "score --hypothesis {texts} --reference {texts}",
    "info": "info {run}",
    "average": "average --model {run} {run} --output {place}/mean",
    "export": "export --model {run} --output {place}/served",
    "diagnose": "diagnose --model {run} --source {texts} --reference {texts} --max-rows 3 --beam-widths 1 "
    "--output {place}/report",
    "report": "report {run} --source {texts} --reference {texts} --max-rows 3 --processes 1 --output {place}/report",
    "prepare": "prepare {config} --run_directory {place}/new",
    "train": "train {config} --run_directory {place}/new --training.max_steps 2",
}
RESULTS = ("output.txt", "mean", "served", "report/report.json")
"""What a command leaves in its place when it is done; a training exports whole models as they come."""
PROGRESS = re.compile(r"(validation at|step|Going on from) ")
"""How lines begin that a training says before anything is wanting."""

MEGABYTE = 2**20
MEMORY, SPACE = "there is not enough memory", "no space left on device|No space left on device"
TOO_LARGE, READ_ONLY = "[Ff]ile too large", "read-only file system"

LIMITED = [
    ("score", {resource.RLIMIT_AS: 100 * MEGABYTE}, MEMORY),
    ("info", {resource.RLIMIT_AS: 300 * MEGABYTE}, MEMORY),
    ("decode", {resource.RLIMIT_AS: 300 * MEGABYTE}, MEMORY),
    ("decode", {resource.RLIMIT_AS: 500 * MEGABYTE}, MEMORY),
    ("decode", {resource.RLIMIT_AS: 650 * MEGABYTE}, MEMORY),
    ("decode by two", {resource.RLIMIT_AS: 700 * MEGABYTE}, f"{MEMORY}|want of memory"),
    ("average", {resource.RLIMIT_AS: 300 * MEGABYTE}, MEMORY),
    ("export", {resource.RLIMIT_AS: 300 * MEGABYTE}, MEMORY),
    ("diagnose", {resource.RLIMIT_AS: 300 * MEGABYTE}, MEMORY),
    ("report", {resource.RLIMIT_AS: 900 * MEGABYTE}, MEMORY),
    ("prepare", {resource.RLIMIT_AS: 900 * MEGABYTE}, MEMORY),
    ("train", {resource.RLIMIT_AS: 900 * MEGABYTE}, MEMORY),
    ("decode", {resource.RLIMIT_NOFILE: 5}, "too many files are open"),
    ("decode by two", {resource.RLIMIT_NOFILE: 7}, "too many files are open"),
    ("decode by twenty", {resource.RLIMIT_NOFILE: 20}, "too many files are open"),
    ("decode", {resource.RLIMIT_FSIZE: 10}, TOO_LARGE),
    ("decode by two", {resource.RLIMIT_FSIZE: 1000}, TOO_LARGE),
    ("average", {resource.RLIMIT_FSIZE: 3000}, TOO_LARGE),
    ("export", {resource.RLIMIT_FSIZE: 3000}, TOO_LARGE),
    ("diagnose", {resource.RLIMIT_FSIZE: 100}, TOO_LARGE),
    ("report", {resource.RLIMIT_FSIZE: 100}, TOO_LARGE),
    ("prepare", {resource.RLIMIT_FSIZE: 1000}, TOO_LARGE),
    ("train", {resource.RLIMIT_FSIZE: 3000}, TOO_LARGE),
]
WRITING = ("decode", "decode by two", "average", "export", "diagnose", "prepare", "train")
TALKING = ("decode to a pipe", "score", "info", "average", "prepare")


def parts_of(command: str, copy_task: Path, place: Path) -> list[str]:
    values = {"run": copy_task / "run", "texts": copy_task / "test.txt", "config": place.parent / "task" / "run.yaml"}
    return [part.format(place=place, **values) for part in COMMANDS[command].split()]


def run(
    parts: list[str], prepare: Callable[[], None] | None = None, stdout: str | None = None
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    with open(stdout or os.devnull, "w") as output:
        return subprocess.run(
            [sys.executable, "-m", "seq2seq.apps.command", *parts],
            preexec_fn=prepare,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=Path(__file__).parents[2],
            text=True,
            timeout=300,
            check=False,
        )


def check(done: subprocess.CompletedProcess[str], verb: str, message: str, place: Path) -> None:
    """Fail unless there is one line that says what is wanting, and nothing that looks like a result."""
    lines = [line for line in done.stderr.splitlines() if line.strip() and not PROGRESS.match(line)]
    assert done.returncode == 2, done.stderr
    assert len([line for line in lines if "Not enough memory for a whole batch" not in line]) == 1, done.stderr
    assert lines[-1].startswith(f"seq2seq {verb}: error: "), done.stderr
    assert re.search(message, lines[-1]), done.stderr
    assert [name for name in RESULTS if (place / name).exists()] == []
    found = [name for _, folders, files in os.walk(place) for name in (*folders, *files)]
    assert [name for name in found if name.endswith((".unfinished", ".replaced", ".tmp"))] == []


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_copy_task(tmp_path / "task")
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def disk(place: Path) -> Iterator[Path]:
    """Mount a file system of its own on the place."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def limited(limits: dict[int, int]) -> Callable[[], None]:
    return lambda: [resource.setrlimit(kind, (most, most)) for kind, most in limits.items()] and None


@pytest.mark.slow
@pytest.mark.parametrize(("command", "limits", "message"), LIMITED)
def test_limits_of_a_process(command: str, limits: dict[int, int], message: str, copy_task: Path, place: Path) -> None:
    parts = parts_of(command, copy_task, place)
    if parts[0] == "export":
        pytest.importorskip("ctranslate2")
    check(run(parts, limited(limits)), parts[0], message, place)


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITING)
def test_a_full_disk(command: str, copy_task: Path, disk: Path) -> None:
    parts = parts_of(command, copy_task, disk)
    if parts[0] == "export":
        pytest.importorskip("ctranslate2")
    filler = os.open(disk / "filler", os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):
        try:
            while os.write(filler, b"x" * size):
                pass
        except OSError:
            pass
    os.close(filler)
    check(run(parts), parts[0], SPACE, disk)


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITING)
def test_a_disk_that_is_read_only(command: str, copy_task: Path, disk: Path) -> None:
    parts = parts_of(command, copy_task, disk)
    if parts[0] == "export":
        pytest.importorskip("ctranslate2")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    check(run(parts), parts[0], READ_ONLY, disk)


@pytest.mark.slow
@pytest.mark.parametrize("command", TALKING)
def test_standard_output_that_cannot_be_written(command: str, copy_task: Path, place: Path) -> None:
    parts = parts_of(command, copy_task, place)
    for stdout, prepare, message in (("/dev/full", None, SPACE), (None, lambda: os.close(1), "output: it is closed")):
        done = run(parts, prepare, stdout)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert re.search(message, done.stderr)
        for name in RESULTS:  # done before it was said
            subprocess.run(["rm", "-rf", str(place / name)], check=True)


@pytest.mark.slow
def test_standard_input_that_is_closed(copy_task: Path, place: Path) -> None:
    parts = parts_of("decode a pipe", copy_task, place)
    check(run(parts, lambda: os.close(0)), "decode", "standard input: it is closed", place)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "result"), [("decode by two", "output.txt"), ("average", "mean"), ("train", "new/model")]
)
def test_the_same_command_with_enough_is_right(command: str, result: str, copy_task: Path, place: Path) -> None:
    parts = parts_of(command, copy_task, place)
    assert run(parts, limited({resource.RLIMIT_FSIZE: 3000 if command != "decode by two" else 1000})).returncode == 2
    assert run(parts).returncode == 0
    other = place.parent / "other"
    other.mkdir()
    assert run(parts_of(command, copy_task, other)).returncode == 0
    for file in [place / result] if (place / result).is_file() else (place / result).rglob("*.safetensors"):
        assert file.read_bytes() == (other / file.relative_to(place)).read_bytes()


def test_a_verb_without_memory_to_begin_with(copy_task: Path, place: Path) -> None:
    parts = parts_of("score", copy_task, place)
    check(run(parts, limited({resource.RLIMIT_AS: 100 * MEGABYTE})), "score", MEMORY, place)
