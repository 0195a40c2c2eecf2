"""What all routes share: health, numbers, tokens, paths that there are not, and the description of it all."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from seq2seq.serving.app import all_operations, application, page_text
from seq2seq.serving.routes.openapi import description
from tests.serving.fake_service import FakeService


def test_health(client: TestClient, service: FakeService) -> None:
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/health/ready").status_code == client.get("/health").status_code == 200
    service.is_ready = False
    assert client.get("/health/live").status_code == 200
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.headers["retry-after"], ready.json()["error"]["name"]) == (503, "1", "not_ready")
    assert client.get("/health").json()["name"] == "not_ready"


def test_the_page_says_what_browsers_may_do_with_it(client: TestClient) -> None:
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert {
        name: response.headers[name] for name in ("referrer-policy", "x-content-type-options", "x-frame-options")
    } == {
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }
    assert response.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert "default-src 'none'" in response.text, "the rest it says itself, also where no server of ours sends it"


def test_numbers(client: TestClient) -> None:
    for text in ("a b", "full", "fail", "again again again"):
        client.post("/v1/generate", json={"inputs": text})
    client.post("/v1/generate", json={"inputs": "a b", "stream": True})
    text = client.get("/metrics").text
    for line in (
        'seq2seq_requests_total{route="/v1/generate",status="200"} 3.0',
        'seq2seq_refusals_total{name="queue_full"} 1.0',
        'seq2seq_alarms_total{name="repetition"} 1.0',
        "seq2seq_search_failures_total 1.0",
        "seq2seq_source_tokens_total 7.0",
        "seq2seq_target_tokens_total 10.0",
        "seq2seq_seconds_to_first_token_count 1.0",
        "seq2seq_seconds_to_last_token_count 4.0",
        "seq2seq_queue_tokens 7.0",
        "seq2seq_batch_rows 3.0",
        "seq2seq_requests_running 1.0",
        "seq2seq_ready 1.0",
    ):
        assert line + "\n" in text


def test_numbers_are_of_one_service_alone(client: TestClient) -> None:
    client.post("/v1/generate", json={"inputs": "a"})
    assert "seq2seq_source_tokens_total 0.0" in TestClient(application(FakeService())).get("/metrics").text


def test_a_token_is_wanted_by_all_but_health() -> None:
    client = TestClient(application(FakeService(), token="sécret"))
    open_paths = {"/health", "/health/live", "/health/ready"}
    for operation in all_operations(FakeService()):
        path = operation.path.replace("{name:path}", "en-de")
        said: Any = {"q": "a", "source": "en", "target": "de"} if operation.takes_forms else {}
        said = {name: said[name] for name in said if path == "/translate" or name == "q"}
        response = client.request(operation.method, path, json=said if operation.method == "POST" else None)
        assert (response.status_code == 401) is (path not in open_paths), path
        if response.status_code == 401:
            assert response.headers["www-authenticate"] == "Bearer"
    assert client.get("/openapi.json").status_code == 401
    wrong = {"authorization": "Bearer secret"}
    assert client.get("/v1/models", headers=wrong).json()["error"]["code"] == "unauthorized"
    right = {"authorization": b"Bearer s\xc3\xa9cret"}
    assert client.get("/v1/models", headers=right).status_code == 401  # headers are Latin-1
    assert TestClient(application(FakeService(), token="secret")).get("/v1/models", headers=wrong).status_code == 200


def test_the_key_of_libretranslate_is_the_token() -> None:
    client = TestClient(application(FakeService(), token="secret"))
    said = {"q": "a", "source": "en", "target": "de"}
    assert client.post("/translate", data={**said, "api_key": "secret"}).json() == {"translatedText": "A"}
    assert client.post("/translate", data={**said, "api_key": "other"}).json()["name"] == "unauthorized"
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.request("GET", "/languages", content=b"api_key=secret", headers=form).status_code == 200
    assert client.get("/languages?api_key=secret").status_code == 200
    assert client.get("/languages").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "status", "shape"),
    [
        ("GET", "/nothing", 404, {"error": {"name": "not_found"}}),
        ("GET", "/v1/completions", 405, {"error": {"code": "method_not_allowed", "type": "invalid_request_error"}}),
        ("DELETE", "/translate", 405, {"name": "method_not_allowed"}),
        ("PUT", "/models/en-de", 405, {"error_type": "method_not_allowed"}),
        ("POST", "/translate/", 404, {"name": "not_found"}),
    ],
)
def test_paths_and_methods_that_there_are_not(
    client: TestClient, method: str, path: str, status: int, shape: dict[str, Any]
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert ("allow" in response.headers) is (status == 405)
    found, wanted = response.json(), shape
    if isinstance(shape.get("error"), dict):
        found, wanted = found["error"], shape["error"]
    assert {name: found[name] for name in wanted} == wanted


def test_the_description_is_of_what_is_checked(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    assert described["openapi"] == "3.1.0"
    operations = all_operations(FakeService())
    has_page = page_text() is not None
    assert sum(len(path) for path in described["paths"].values()) == len(operations) + has_page
    for operation in operations:
        path = described["paths"][operation.path.replace(":path", "")][operation.method.lower()]
        if operation.fields is None:
            assert "requestBody" not in path
            continue
        schema = path["requestBody"]["content"]["application/json"]["schema"]
        assert schema["properties"].keys() == {field.name for field in operation.fields}
        assert schema["additionalProperties"] is False
    assert "security" not in json.dumps(described)
    with_token = description(operations, FakeService().models, wants_token=True)
    assert with_token["paths"]["/v1/generate"]["post"]["security"] == [{"token": []}]
    assert "security" not in with_token["paths"]["/health/live"]["get"]
    fields = described["paths"]["/v1/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert fields["properties"]["target_language"]["anyOf"] == [{"enum": ["de"]}, {"type": "null"}]
    assert fields["properties"]["model"]["anyOf"][0] == {"enum": ["en-de"]}
    identifiers = [one["operationId"] for path in described["paths"].values() for one in path.values()]
    assert len({*identifiers}) == len(identifiers)


def test_the_page_is_served_and_needs_no_token() -> None:
    text = page_text()
    if text is None:
        pytest.skip("the package has no page")
    response = TestClient(application(FakeService(), token="secret")).get("/")
    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.text == text
