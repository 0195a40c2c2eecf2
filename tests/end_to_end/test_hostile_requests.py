"""A short run of what `python -m tests.end_to_end.hostile_requests 2000 SEED` does at length."""

import pytest

pytest.importorskip("uvicorn")

from tests.end_to_end.hostile_requests import KINDS, Attack, hostile_run, judged  # noqa: E402

JSON = b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


@pytest.mark.slow
def test_each_kind_of_attack_is_refused_or_closed() -> None:
    found, wrong = hostile_run(2 * len(KINDS), seed=7)
    assert wrong == []
    assert {kind for kind, _ in found} == {kind.__name__ for kind in KINDS}


@pytest.mark.parametrize(
    ("got", "came_to"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "WRONG: 200"),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}", "WRONG: 500"),
        (b"HTTP/1.1 400 Bad\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nno", "WRONG: b'text/plain'"),
        (
            b"HTTP/1.1 400 Bad\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}",
            "WRONG: no error in the answer",
        ),
        (JSON % 11 + b'{"error":1}', "400"),
    ],
)
def test_what_counts_as_wrong(got: bytes, came_to: str) -> None:
    assert judged(got, Attack((b"GET /",))) == came_to
