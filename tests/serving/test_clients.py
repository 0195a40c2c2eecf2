"""Clients that others wrote, against a real server: they must work as they are."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("uvicorn")

from tests.serving.served import Served, served  # noqa: E402


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with served() as server:
        yield server


def test_libretranslatepy(server: Served) -> None:
    client = pytest.importorskip("libretranslatepy").LibreTranslateAPI(server.url)
    assert client.translate("A text & more.", "en", "de") == "A TEXT & MORE."
    assert client.detect("A text.") == [{"confidence": 0, "language": "en"}]
    assert {"code": "en", "name": "English", "targets": ["de"]} in client.languages()


def test_deep_translator(server: Served) -> None:
    translators = pytest.importorskip("deep_translator")
    client = translators.LibreTranslator("en", "de", api_key="any", custom_url=server.url + "/")
    assert client.translate("Größe & mehr?") == "GRÖSSE & MEHR?"
    assert client.translate_batch(["a", "b"]) == ["A", "B"]


def test_openai(server: Served) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(api_key="any", base_url=server.url + "/v1", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == ["en-de"]
        assert client.models.retrieve("en-de").id == "en-de"
        answer = client.completions.create(model="en-de", prompt=["a b", "c"], n=2, logprobs=1, max_tokens=20)
        assert [choice.text for choice in answer.choices] == ["A B", "A B!", "C", "C!"]
        assert answer.choices[0].logprobs.token_logprobs == [-0.5] * 3
        assert answer.usage.total_tokens == 13
        stream = client.completions.create(
            model="en-de", prompt="a b c", stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "A B C"
        assert chunks[-1].usage.total_tokens == 7
        with pytest.raises(openai.RateLimitError, match="Too much waits"):
            client.completions.create(model="en-de", prompt="full")
        with pytest.raises(openai.NotFoundError, match="no model other"):
            client.completions.create(model="other", prompt="a")
        with pytest.raises(openai.UnprocessableEntityError, match="`echo` must be false"):
            client.completions.create(model="en-de", prompt="a", echo=True)


def test_the_inference_client_of_hugging_face(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    hub: Any = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # this machine is asked, not the Hub
    for model in (server.url, server.url + "/models/en-de"):
        client = hub.InferenceClient(model=model, token="any")
        assert client.translation("a b", src_lang="en", tgt_lang="de").translation_text == "A B"
        assert client.translation("a", generate_parameters={"num_beams": 2}).translation_text == "A"
        assert client.summarization("a b").summary_text == "A B"
        assert client.text_generation("a b", max_new_tokens=5) == "A B"
    with pytest.raises(hub.errors.HfHubHTTPError, match="422"):
        client.translation("a", truncation="only_first")
