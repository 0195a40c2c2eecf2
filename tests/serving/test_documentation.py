"""The examples of docs/serving.md: requests are sent to a real server, files for its operation are read."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")

from seq2seq.apps.command import VERBS  # noqa: E402
from seq2seq.serving.limits import Limits  # noqa: E402
from tests.serving.served import Served, served  # noqa: E402

DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, flags=re.DOTALL | re.MULTILINE)


CURLS = [line for block in blocks("sh") for line in block.split("\n") if line.startswith("curl")]


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as server:
        yield server


def test_there_are_examples() -> None:
    assert len(CURLS) >= 7
    assert len(blocks("python")) == 4


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
@pytest.mark.parametrize("line", CURLS)
def test_requests_by_curl(server: Served, line: str) -> None:
    command = [word.replace("localhost:8000", f"127.0.0.1:{server.port}") for word in shlex.split(line)]
    answer = subprocess.run([*command, "--fail-with-body"], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stdout
    if "/metrics" in line:
        named = set(re.findall(r"seq2seq_\w+", DOCUMENT))
        assert {name for name in named if name not in answer.stdout} == set()
    elif "stream" in line:
        assert '"event":"done"' in answer.stdout
    else:
        assert "error" not in json.loads(answer.stdout)


@pytest.mark.parametrize("block", blocks("python"))
def test_requests_from_python(server: Served, block: str) -> None:
    library = re.findall(r"^(?:from|import) (\w+)", block, flags=re.MULTILINE)[0]
    pytest.importorskip(library)
    block = block.replace("localhost:8000", f"127.0.0.1:{server.port}")
    environment = {**os.environ, "HF_HUB_OFFLINE": "0"}  # it is this machine that is asked
    command = [sys.executable, "-c", block]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert answer.stdout.startswith("A TEXT."), answer.stderr


def test_limits_are_as_they_are() -> None:
    row = re.compile(r"^\| (`--max-[^|]*) \| ([\d,]+) \|", flags=re.MULTILINE)
    said = {
        name: float(value.replace(",", ""))
        for names, value in row.findall(DOCUMENT)
        for name in re.findall(r"--max-([\w-]+)", names)
    }
    assert said == {name.replace("_", "-"): value for name, value in asdict(Limits()).items()}


def test_every_name_of_a_refusal_is_explained() -> None:
    package = Path(__file__).resolve().parents[2] / "seq2seq" / "serving"
    text = "".join(file.read_text(encoding="utf-8") for file in package.rglob("*.py"))
    raised = set(re.findall(r'RequestRefused\(\s*\d+,\s*"(\w+)"', text)) - {"internal_error", "invalid_request"}
    assert len(raised) > 10
    assert {name for name in raised if f"`{name}`" not in DOCUMENT} == set()


def serve_commands() -> list[list[str]]:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(blocks("ini")[0])
    assert unit["Service"]["KillSignal"] == "SIGTERM"
    lines = [line for block in blocks("dockerfile") for line in block.split("\n") if line.startswith("CMD")]
    in_shell = [line for block in blocks("sh") for line in block.split("\n") if line.startswith("seq2seq")]
    return [
        shlex.split(unit["Service"]["ExecStart"]),
        *(json.loads(line.removeprefix("CMD ")) for line in lines),
        *map(shlex.split, in_shell),
    ]


@pytest.mark.skipif("serve" not in VERBS, reason="the verb is not there yet")
@pytest.mark.parametrize("words", serve_commands(), ids=range(3))
def test_commands_that_start_it(words: list[str]) -> None:
    from seq2seq.apps.verb_parser import parser_of

    assert words[0].endswith("seq2seq")
    arguments = parser_of(words[1]).parse_args(words[2:])
    assert arguments.models[0].startswith("en-de=")
