import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "seq2seq.apps.command"]


def closing(*numbers: int) -> Callable[[], None]:
    return lambda: [os.close(number) for number in numbers] and None


@pytest.mark.parametrize(
    ("numbers", "arguments", "code", "error"),
    [
        ((0,), ["--help"], 0, ""),
        (
            (0,),
            ["score", "--hypothesis", "-", "--reference", __file__],
            2,
            "score: error: standard input: it is closed.",
        ),
        ((1,), ["--help"], 2, ": error: standard output: it is closed."),
        ((1,), ["score"], 2, "score: error: the following arguments are required: --hypothesis, --reference; "),
        ((0, 1, 2), ["--help"], 2, ""),
        ((2,), ["score"], 2, ""),
    ],
)
def test_closed_streams_are_named(numbers: tuple[int, ...], arguments: list[str], code: int, error: str) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], preexec_fn=closing(*numbers), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stderr.startswith(f"seq2seq {error}".replace(" :", ":") if error else "")
    assert done.stderr.count("\n") == bool(error)


def test_what_a_library_prints_goes_into_no_file(tmp_path: Path) -> None:
    """A closed stream's number is not that of the next file to be opened."""
    program = (
        "import os; from seq2seq.apps.streams import replace_closed_streams; replace_closed_streams()\n"
        f"file = open({str(tmp_path)!r} + '/file', 'w'); assert file.fileno() > 2\n"
        "try: os.write(1, b'noise')\n"
        "except OSError: os._exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program], preexec_fn=closing(0, 1, 2), check=False).returncode == 7
