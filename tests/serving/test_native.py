import asyncio
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from seq2seq.serving.app import application
from seq2seq.serving.limits import Limits
from tests.serving.fake_service import FakeService

JSON = {"content-type": "application/json"}


def events(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line]


def test_a_text(client: TestClient) -> None:
    answer = client.post("/v1/generate", json={"inputs": "a text"}).json()
    assert answer.pop("seconds") >= 0
    hypothesis = {"text": "A TEXT", "score": 0, "normalized_score": 0, "finished": True, "direction": "l2r"}
    output = {"hypotheses": [hypothesis], "source_tokens": 2, "segments": 1, "alarms": []}
    assert answer == {"model": "en-de", "outputs": [output], "usage": {"source_tokens": 2, "target_tokens": 3}}


def test_everything_that_can_be_said_reaches_the_service(client: TestClient, service: FakeService) -> None:
    said = {"inputs": ["a", "b"], "prefix": "P", "split": "sentences", "seconds": 2, "n_best": 2, "model": "en-de"}
    said |= {"options": {"beam_width": 4, "temperature": None}, "source_language": "en", "target_language": "de"}
    answer = client.post("/v1/generate", json={**said, "tokens": True}).json()
    asked = service.asked[0]
    assert (asked.texts, asked.prefixes, asked.split, asked.seconds) == (("a", "b"), ("P", "P"), "sentences", 2)
    assert (asked.source_language, asked.target_language, asked.model) == ("en", "de", "en-de")
    assert asked.options == {"beam_width": 4, "n_best": 2}
    assert [hypothesis["tokens"] for hypothesis in answer["outputs"][1]["hypotheses"]] == [["B", "</s>"]] * 2


def test_a_stream_begins_with_what_is_agreed_on_and_lacks_nothing(client: TestClient) -> None:
    response = client.post("/v1/generate", json={"inputs": ["a b c", "d"], "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    got = events(response.text)
    texts = {
        index: "".join(event["text"] for event in got if event.get("index") == index and "text" in event)
        for index in (0, 1)
    }
    assert texts == {0: "A B C", 1: "D"}
    assert [event["event"] for event in got] == ["text", "text", "text", "output", "text", "output", "done"]
    assert got[-1]["usage"] == {"source_tokens": 4, "target_tokens": 6}


def test_a_stream_that_fails_says_so(client: TestClient) -> None:
    refused = client.post("/v1/generate", json={"inputs": "full", "stream": True})
    assert (refused.status_code, refused.json()["error"]["name"]) == (429, "queue_full")
    late = events(client.post("/v1/generate", json={"inputs": ["a b", "full"], "stream": True}).text)
    assert late[-1] == {
        "event": "error",
        "error": {"name": "queue_full", "message": "Too much waits.", "limit": 50_000},
    }
    assert late[-2]["event"] == "output"


def test_a_text_that_fails_is_refused_alone_and_marked_among_others(client: TestClient) -> None:
    alone = client.post("/v1/generate", json={"inputs": ["fail"]})
    assert (alone.status_code, alone.json()) == (422, {"error": {"name": "search_failed", "message": "no room"}})
    first, second = client.post("/v1/generate", json={"inputs": ["fail", "b"]}).json()["outputs"]
    assert (first["hypotheses"], first["error"]["name"]) == ([], "search_failed")
    assert second["hypotheses"][0]["text"] == "B"


def test_a_text_of_a_stream_that_fails(client: TestClient) -> None:
    several = events(client.post("/v1/generate", json={"inputs": ["fail", "b"], "stream": True}).text)
    assert [event["event"] for event in several] == ["output", "text", "output", "done"]
    assert several[0]["output"]["error"] == {"name": "search_failed", "message": "no room"}
    alone = client.post("/v1/generate", json={"inputs": "fail", "stream": True})
    assert (alone.status_code, alone.json()["error"]["name"]) == (422, "search_failed")


def test_alarms(client: TestClient) -> None:
    answer = client.post("/v1/generate", json={"inputs": "again again again"}).json()
    assert answer["outputs"][0]["alarms"] == [{"name": "repetition", "message": "It repeats itself."}]


def test_a_refusal_of_the_service(client: TestClient) -> None:
    response = client.post("/v1/generate", json={"inputs": "full"})
    assert (response.status_code, response.headers["retry-after"]) == (429, "2")
    assert response.json() == {"error": {"name": "queue_full", "message": "Too much waits.", "limit": 50_000}}


def test_a_fault_is_an_answer_in_json_and_in_the_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    response = client.post("/v1/generate", json={"inputs": "crash"})
    assert (response.status_code, response.json()["error"]["name"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert "crash" not in response.text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"input": "a"}, "`input`; did you mean `inputs`?"),
        ({}, "`inputs` is missing"),
        ([], "`body` must be an object, but is a list"),
        ({"inputs": 3}, "`inputs` must be a text or a list of texts, but is 3"),
        ({"inputs": []}, "`inputs` must be at least 1 texts"),
        ({"inputs": ["a", None]}, "`inputs` must be a text or a list of texts"),
        ({"inputs": None}, "`inputs` must be a text"),
        ({"inputs": "a", "n_best": 0}, "`n_best` must be at least 1, but is 0"),
        ({"inputs": "a", "n_best": 17}, "`n_best` must be at most 16"),
        ({"inputs": "a", "n_best": 1.5}, "`n_best` must be a whole number"),
        ({"inputs": "a", "n_best": True}, "`n_best` must be a whole number, but is true"),
        ({"inputs": "a", "split": "words"}, '`split` must be "none" or "sentences", but is "words"'),
        ({"inputs": "a", "stream": "yes"}, "`stream` must be true or false"),
        ({"inputs": "a", "seconds": 1e300}, "`seconds` must be a number"),
        ({"inputs": "a", "options": {"beam_width": {"a": 1}}}, "`options` must be an object of names with"),
        ({"inputs": "a", "options": {"n_best": 3}, "n_best": 2}, "`n_best` stands in `options` with another value"),
        ({"inputs": ["a", "b"], "prefix": ["c"]}, "`prefix` must be one text, or one for each of the 2 inputs"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_named(client: TestClient, said: Any, words: str) -> None:
    response = client.post("/v1/generate", json=said)
    assert (response.status_code, response.json()["error"]["name"]) == (422, "invalid_field")
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "expecting value"),
        (b'{"inputs": "a"', "delimiter at character"),
        (b'{"inputs": "a", "inputs": "b"}', '"inputs" stands in it twice'),
        (b'{"inputs": "a", "seconds": NaN}', "NaN is no number of JSON"),
        (b'{"inputs": "a", "seconds": -Infinity}', "-Infinity is no number"),
        (b'{"inputs": "\\ud800"}', "half of a surrogate pair"),
        (b'{"inputs": "a\\u0000"}', "NUL"),
        (b'{"inputs": "\xff"}', "not UTF-8 at byte 12"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"inputs": ' + b"1" * 10_000 + b"}", "too many digits"),
        ('\ufeff{"inputs": "a"}'.encode(), "BOM"),
    ],
    ids=range(11),
)
def test_what_is_no_json(client: TestClient, body: bytes, words: str) -> None:
    response = client.post("/v1/generate", content=body, headers=JSON)
    assert (response.status_code, response.json()["error"]["name"]) == (400, "invalid_json")
    assert words in response.json()["error"]["message"]


def test_a_whole_number_may_have_a_point(client: TestClient, service: FakeService) -> None:
    assert client.post("/v1/generate", json={"inputs": "a", "n_best": 2.0}).status_code == 200
    assert type(service.asked[0].options["n_best"]) is int


def test_too_many_texts(client: TestClient) -> None:
    error = client.post("/v1/generate", json={"inputs": ["a"] * 129}).json()["error"]
    assert error == {
        "name": "too_many_texts",
        "message": "`inputs` has 129 texts; send at most 128 at once.",
        "limit": 128,
    }


def test_a_pair_of_surrogates_is_a_character(client: TestClient) -> None:
    response = client.post("/v1/generate", content=b'{"inputs": "\\ud83d\\ude00"}', headers=JSON)
    assert response.json()["outputs"][0]["hypotheses"][0]["text"] == "😀"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_another_content_type(client: TestClient, headers: dict[str, str]) -> None:
    response = client.post("/v1/generate", content=b'{"inputs": "a"}', headers=headers)
    assert (response.status_code, response.json()["error"]["name"]) == (415, "invalid_content_type")


def test_a_body_is_not_read_beyond_its_limit() -> None:
    client = TestClient(application(FakeService(limits=Limits(body_bytes=100))))
    response = client.post("/v1/generate", json={"inputs": "a" * 100})
    assert (response.status_code, response.json()["error"]["limit"]) == (413, 100)

    def parts() -> Any:
        yield from [b'{"inputs": "' + b"a" * 60] * 2

    response = client.post("/v1/generate", content=parts(), headers=JSON)  # no content-length
    assert (response.status_code, response.json()["error"]["name"]) == (413, "body_too_large")


def test_explain(client: TestClient, several: TestClient) -> None:
    answer = client.post("/v1/explain", json={"input": "a b", "output": "C"}).json()
    assert answer == {"source_tokens": ["a", "b"], "target_tokens": ["C"], "attention": [[0.5, 0.5]], "trace": None}
    response = several.post("/v1/explain", json={"input": "a b", "model": "many"})
    assert (response.status_code, response.json()["error"]["name"]) == (422, "unknown_option")


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"model": "en-fe"}, 404, "no model en-fe here; did you mean en-de?"),
        ({"model": "en-de", "target_language": "it"}, 422, "no target language it: it has de"),
        ({"source_language": "de", "target_language": "en"}, 422, "there are en → de; en, fr → fr, it"),
        ({}, 422, "Say which model: en-de, many"),
    ],
)
def test_a_model_that_there_is_not(several: TestClient, said: dict[str, str], status: int, words: str) -> None:
    response = several.post("/v1/generate", json={"inputs": "a", **said})
    assert response.status_code == status
    assert words in response.json()["error"]["message"]


def test_the_model_of_the_languages(several: TestClient) -> None:
    answer = several.post("/v1/generate", json={"inputs": "a", "source_language": "fr", "target_language": "it"})
    assert answer.json()["model"] == "many"


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_ends_the_work(stream: bool) -> None:
    service = FakeService()
    inputs = ["go now", "wait for it"] if stream else ["wait"]
    body = json.dumps({"inputs": inputs, "stream": stream}).encode()
    sent: list[Any] = []

    async def leave() -> None:
        begun = asyncio.Event()
        received = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            if message := next(received, None):
                return message
            if stream:
                await begun.wait()
            await asyncio.sleep(0.01)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)
            begun.set()

        scope = {"type": "http", "method": "POST", "path": "/v1/generate", "query_string": b"", "raw_path": b""}
        scope |= {"headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]}
        await asyncio.wait_for(application(service)(scope, receive, send), 5)

    asyncio.run(leave())
    assert service.cancelled == 1
