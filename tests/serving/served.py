"""A real server over the fake service, in a process of its own."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

ENDING_SECONDS = 60


@dataclass
class Served:
    process: "subprocess.Popen[str]"
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def end(self) -> tuple[int, str]:
        """Ask it to end, and return its exit status and whatever else it has said."""
        self.process.terminate()
        said = self.process.communicate(timeout=ENDING_SECONDS)[1]
        return self.process.returncode, said


@contextmanager
def served() -> Iterator[Served]:
    """Start a server at a free port and wait until it says where; it is ended behind the block."""
    command = [sys.executable, "-m", "tests.serving.fake_service", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None, "it is a pipe"
    try:
        line = process.stderr.readline()
        if " at http" not in line:
            raise AssertionError(line + process.stderr.read())
        yield Served(process, line.split(" at ")[1].split(";")[0])
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
