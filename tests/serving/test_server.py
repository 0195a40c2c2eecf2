"""The server as a process: it says where it is, answers, and ends as it should."""

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn")

from seq2seq.serving.server import Address  # noqa: E402
from tests.serving.fake_service import FakeService  # noqa: E402
from tests.serving.served import Served, served  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as server:
        yield server


def post(url: str, value: Any) -> Any:
    headers = {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(value).encode(), headers), timeout=60) as answer:
        return json.load(answer)


def exchange(port: int, data: bytes, *, close_sending: bool = False, seconds: float = 20) -> bytes:
    """Return all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(data)
        if close_sending:
            connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["name"]


def test_it_answers(server: Served) -> None:
    assert post(server.url + "/translate", {"q": "a", "source": "en", "target": "de"}) == {"translatedText": "A"}


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a client of TLS
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/generate HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_http_is_answered_in_json(server: Served, data: bytes) -> None:
    assert error_of(exchange(server.port, data)) == (400, "invalid_http")


def test_a_head_that_is_too_large(server: Served) -> None:
    data = b"GET / HTTP/1.1\r\n" + b"".join(b"name-%d: value\r\n" % number for number in range(10_000))
    assert error_of(exchange(server.port, data)) == (431, "head_too_large")
    assert error_of(exchange(server.port, b"GET /" + b"a" * 200_000)) == (431, "head_too_large")


def test_a_body_that_is_too_large_is_answered_while_it_comes(server: Served) -> None:
    head = b"POST /v1/generate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 50000000\r\n\r\n"
    assert error_of(exchange(server.port, head + b"a" * 300_000)) == (413, "body_too_large")


def test_a_client_that_closes_is_gone(server: Served) -> None:
    body = b'{"inputs": "wait"}'
    head = b"POST /v1/generate HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    for data in (head + body, head + body[:5], head, head[:30], b""):
        assert exchange(server.port, data, close_sending=True) == b""


def test_requests_in_a_row_on_one_connection(server: Served) -> None:
    request = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n"
    last = b"GET /health/live HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    assert exchange(server.port, request * 3 + last).count(b"HTTP/1.1 200 OK") == 4
    broken = exchange(server.port, request * 2 + b"nonsense\r\n\r\n")
    assert broken.count(b"HTTP/1.1 200 OK") <= 2


def test_connections_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOST_CONNECTIONS_OF_TESTS", "2")
    with served() as server:
        kept = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(2)]
        for connection in kept:  # they are there once they have an answer
            connection.sendall(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
        assert error_of(exchange(server.port, b"")) == (503, "too_many_connections")
        for connection in kept:
            connection.close()
        time.sleep(0.2)
        assert post(server.url + "/", {"inputs": "a"})[0]["generated_text"] == "A"


def test_an_upgrade_is_passed_over(server: Served) -> None:
    data = b"GET /health/live HTTP/1.1\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert exchange(server.port, data).startswith(b"HTTP/1.1 200 OK")


def test_it_finishes_what_it_accepted_and_ends() -> None:
    with served() as server:
        got: list[Any] = []
        said = {"inputs": "half a second"}
        asking = threading.Thread(target=lambda: got.append(post(server.url + "/v1/generate", said)))
        asking.start()
        time.sleep(0.2)
        status, lines = server.end()
        asking.join()
    assert got[0]["outputs"][0]["hypotheses"][0]["text"] == "HALF A SECOND"
    assert status == 0
    assert lines.splitlines() == ["Ending; 1 request is answered first.", "Closed.", "Ended."]


def test_an_address_that_is_taken() -> None:
    import asyncio

    from seq2seq.serving.server import serve

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=f"Cannot listen at 127.0.0.1:{port}"):
            asyncio.run(serve(FakeService(), Address(port=port), say=lambda line: None))
    with pytest.raises(ValueError, match="`port` must be 0 to 65535"):
        Address(port=70_000)
