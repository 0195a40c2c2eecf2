"""`seq2seq serve`: real models behind a real address, from the first request to the signal that ends it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

for library in ("starlette", "uvicorn", "httptools", "prometheus_client", "sentencex"):
    pytest.importorskip(library, reason=f"{library} is of the extra `serve`")

from seq2seq.apps.command import main  # noqa: E402
from seq2seq.apps.serve import LIMITS, folder_name, named_models  # noqa: E402
from seq2seq.assembly.generator import load  # noqa: E402
from seq2seq.serving.limits import Limits  # noqa: E402
from tests.tiny_run import copy_task, distinct_texts, private_cache, without_curves  # noqa: E402

__all__ = ["copy_task", "private_cache", "without_curves"]

TEXTS = distinct_texts()[:29]


class Server:
    """A server in a process of its own."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "seq2seq.apps.command", "serve", *words, "--port", "0"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert " at http" in line, line + self.process.stderr.read()
        self.url = line.split(" at ")[1].split(";")[0]
        for _ in range(600):
            if self.get("/health/ready")[0] == 200:
                return
            time.sleep(0.05)
        raise AssertionError("it is never ready")

    def get(self, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def best(self, text: str, **fields: Any) -> str:
        status, answer = self.get("/v1/generate", {"inputs": text, **fields})
        assert status == 200, answer
        return str(json.loads(answer)["outputs"][0]["hypotheses"][0]["text"])

    def end(self) -> tuple[int, str]:
        self.process.terminate()
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said


@pytest.fixture(scope="module")
def export(copy_task: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")
    folder = tmp_path_factory.mktemp("exported") / "served"
    assert main(["export", "--model", str(copy_task / "run"), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def server(copy_task: Path, export: Path) -> Iterator[Server]:
    found = Server(f"en-de={copy_task / 'run'}", f"de-en={export}", "--processes", "2")
    yield found
    found.process.kill()
    found.process.communicate()


def test_both_engines_say_what_decode_says(server: Server, copy_task: Path) -> None:
    expected = [hypotheses[0].text for hypotheses in load(copy_task / "run", device="cpu")(TEXTS)]
    for model in ("en-de", "de-en"):
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(lambda text: server.best(text, model=model), TEXTS)) == expected  # noqa: B023


def test_models_are_told_by_their_languages(server: Server) -> None:
    status, answer = server.get("/v1/models")
    assert status == 200
    models = {model["id"]: model for model in json.loads(answer)["data"]}
    assert {name: model["engine"] for name, model in models.items()} == {"en-de": "seq2seq", "de-en": "ctranslate2"}
    assert models["de-en"]["source_languages"] == ["de"]
    assert (models["en-de"]["explains"], models["de-en"]["explains"]) == (True, False)
    status, answer = server.get("/translate", {"q": "abc", "source": "de", "target": "en"})
    assert (status, list(json.loads(answer))) == (200, ["translatedText"])
    assert server.get("/translate", {"q": "abc", "source": "de", "target": "fr"})[0] >= 400


def test_what_an_engine_cannot_do_is_said(server: Server) -> None:
    status, answer = server.get("/v1/generate", {"inputs": "abc", "model": "de-en", "options": {"method": "sampling"}})
    assert status == 422
    assert "decode with the run" in json.loads(answer)["error"]["message"]
    status, answer = server.get("/v1/explain", {"input": "abc", "model": "de-en"})
    assert status == 422


def test_attention_and_the_page(server: Server) -> None:
    status, answer = server.get("/v1/explain", {"input": "abc", "model": "en-de"})
    assert status == 200
    assert len(json.loads(answer)["source_tokens"]) == 4
    status, page = server.get("/")
    assert (status, page[:15].lower()) == (200, "<!doctype html>")


def test_a_searching_process_that_is_killed_is_replaced(server: Server) -> None:
    for victim in searching_processes(server.process.pid):
        os.kill(victim, signal.SIGKILL)
    for _ in range(200):
        status, answer = server.get("/v1/generate", {"inputs": "abc", "model": "en-de"})
        assert status in (200, 503), answer
        if status == 200:
            break
        time.sleep(0.05)
    assert status == 200
    assert server.best("abc", model="de-en")


def searching_processes(pid: int) -> list[int]:
    """Return the processes that the keeper of a server has forked."""
    [keeper] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(name) for name in Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()]


def test_sigterm_answers_what_was_accepted(copy_task: Path) -> None:
    server = Server(str(copy_task / "run"), "--processes", "1")
    slow = {"inputs": "abc", "options": {"min_length": 400, "max_length": 500}}
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(server.get, "/v1/generate", slow) for _ in range(5)]
        time.sleep(0.3)
        code, said = server.end()
        assert [answer.result()[0] for answer in answers] == [200] * 5
    assert code == 0
    assert "Traceback" not in said
    assert searching_is_over(server.process.pid)


def searching_is_over(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_server_without_its_keeper_ends(copy_task: Path) -> None:
    server = Server(str(copy_task / "run"), "--processes", "1")
    [keeper] = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    victims = searching_processes(server.process.pid)
    os.kill(int(keeper), signal.SIGKILL)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    said = server.process.communicate(timeout=60)[1]
    assert "process that holds the models is gone" in said
    assert "Traceback" not in said


def test_a_token_is_wanted_where_one_is_given(copy_task: Path, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    server = Server(str(copy_task / "run"), "--processes", "1", "--token-file", str(tmp_path / "token"))
    try:
        assert server.get("/v1/generate", {"inputs": "abc"})[0] == 401
        assert server.get("/v1/generate", {"inputs": "abc"}, authorization="Bearer secret")[0] == 200
    finally:
        server.end()


def test_names_of_models(tmp_path: Path) -> None:
    assert named_models(["runs/mine", "en-de=other"]) == {"mine": "runs/mine", "en-de": "other"}
    assert folder_name("runs/mine/model") == "mine"
    (tmp_path / "a=b").mkdir()
    with pytest.raises(ValueError, match="a model's name is of letters"):
        named_models([str(tmp_path / "a=b")])
    with pytest.raises(ValueError, match="Two models are called `mine`"):
        named_models(["runs/mine", "others/mine"])


def test_there_is_an_option_for_every_limit() -> None:
    assert list(LIMITS) == list(asdict(Limits()))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere holds no model"),
        (["nowhere", "--max-texts", "0"], "`texts` must be positive"),
        (["nowhere", "--port", "70000"], "`port` must be 0 to 65535"),
        (["nowhere", "--processes", "-1"], "`--processes` must be at least 0"),
        (["nowhere", "--token-file", "none.txt"], "none.txt: no such file"),
        ([], "[NAME=]MODEL"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
