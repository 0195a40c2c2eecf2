"""The interfaces that others made: what each takes and answers, in its own shape."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from seq2seq.serving.app import application
from seq2seq.serving.limits import Limits
from tests.serving.fake_service import FakeModel, FakeService

# ---- LibreTranslate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["json", "data", "params"])
def test_translate_takes_json_a_form_and_a_query(client: TestClient, service: FakeService, form: str) -> None:
    said: Any = {form: {"q": "a text", "source": "en", "target": "de", "alternatives": 1, "format": "text"}}
    assert client.post("/translate", **said).json() == {"translatedText": "A TEXT", "alternatives": ["A TEXT!"]}
    assert service.asked[0].split == "sentences"


@pytest.mark.parametrize(
    ("search", "options"),
    [
        ({"beam_width": 9, "n_best": 1}, {"n_best": 8}),
        ({"beam_width": 5, "n_best": 1}, {"n_best": 8, "method": "beam", "beam_width": 8}),
        ({"max_length": 256}, {"n_best": 8, "method": "beam", "beam_width": 8}),
        ({"n_best": 1, "temperature": 1.0}, {"n_best": 8}),
    ],
)
def test_as_many_alternatives_as_are_asked_for(search: dict[str, Any], options: dict[str, Any]) -> None:
    service = FakeService(FakeModel("en-de", search=search))
    said = {"q": "a", "source": "en", "target": "de", "alternatives": 7}
    answer = TestClient(application(service)).post("/translate", json=said).json()
    assert len(answer["alternatives"]) == 7
    assert service.asked[0].options == options


def test_alternatives_are_no_more_than_a_search_may_keep() -> None:
    service = FakeService(limits=Limits(n_best=8, beam_width=4))
    said = {"q": "a", "source": "en", "target": "de", "alternatives": 4}
    answer = TestClient(application(service)).post("/translate", json=said)
    assert "`alternatives` must be at most 3, but is 4" in answer.json()["error"]


def test_translate_several_from_a_language_that_is_not_said(client: TestClient) -> None:
    answer = client.post("/translate", json={"q": ["a", "b"], "source": "auto", "target": "de"}).json()
    assert answer == {"translatedText": ["A", "B"], "detectedLanguage": [{"confidence": 0, "language": "en"}] * 2}


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        ({"source": "auto", "target": "fr"}, 422, "say which: en, fr"),
        ({"source": "en", "target": "xx"}, 422, "No model here goes from en to xx"),
        ({"source": "en", "target": "de", "format": "html"}, 422, '`format` must be "text", but is "html"'),
        ({"source": "en"}, 422, "`target` is missing"),
        ({"source": "en", "target": "de", "q": "fail"}, 422, "no room"),
        ({"source": "en", "target": "de", "alternatives": "many"}, 422, "`alternatives` must be a whole number"),
    ],
)
def test_translate_refuses(several: TestClient, said: dict[str, str], status: int, words: str) -> None:
    for answer in (
        several.post("/translate", json={"q": "a", **said}),
        several.post("/translate", data={"q": "a"} | said),
    ):
        assert answer.status_code == status
        assert words in answer.json()["error"]


@pytest.mark.parametrize(
    "body",
    [b"q=a&q=b&source=en&target=de", b"q=%ff&source=en&target=de", b"q=%00&source=en&target=de", b"\xff", b"a&" * 99],
)
def test_what_is_no_form(client: TestClient, body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = client.post("/translate", content=body, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (400, "invalid_form")


def test_languages_and_settings(several: TestClient) -> None:
    languages = {each["code"]: each for each in several.get("/languages").json()}
    assert languages["en"] == {"code": "en", "name": "English", "targets": ["de", "fr", "it"]}
    assert languages["de"]["targets"] == []
    settings = several.get("/frontend/settings").json()
    assert settings["charLimit"] == 20_000
    assert settings["language"]["target"] == {"code": "de", "name": "German"}


def test_detection_is_said_to_be_none(client: TestClient, several: TestClient) -> None:
    assert client.post("/detect", data={"q": "a"}).json() == [{"confidence": 0, "language": "en"}]
    assert several.post("/detect", data={"q": "a"}).status_code == 422


# ---- Hugging Face ----------------------------------------------------------------------------------------------------


def named(text: str) -> dict[str, str]:
    return {"translation_text": text, "summary_text": text, "generated_text": text}


def test_inference(client: TestClient, service: FakeService) -> None:
    assert client.post("/models/en-de", json={"inputs": "a"}).json() == [named("A")]
    parameters = {"src_lang": "en", "tgt_lang": "de", "generate_parameters": {"num_beams": 3, "max_new_tokens": 9}}
    answer = client.post("/", json={"inputs": ["a", "b"], "parameters": parameters}).json()
    assert answer == [named("A"), named("B")]
    assert service.asked[1].options == {"method": "beam", "beam_width": 3, "max_length": 9}
    assert (service.asked[1].source_language, service.asked[1].target_language) == ("en", "de")


def test_inference_of_several_outputs_and_by_sampling(client: TestClient, service: FakeService) -> None:
    parameters = {"num_return_sequences": 2, "do_sample": True, "temperature": 0.5}
    answer = client.post("/models/en-de", json={"inputs": ["a", "b"], "parameters": parameters}).json()
    assert answer == [[named("A"), named("A!")], [named("B"), named("B!")]]
    assert service.asked[0].options == {"n_best": 2, "method": "sampling", "top_k": 50, "temperature": 0.5}


@pytest.mark.parametrize("search", [{"n_best": 1, "temperature": 1.0}, {"beam_width": 5, "n_best": 1}])
def test_inference_does_not_sample_where_it_is_told_not_to(search: dict[str, Any]) -> None:
    service = FakeService(FakeModel("en-de", search=search))
    client = TestClient(application(service))
    for said in ({"do_sample": False}, {"num_beams": 1}, {"num_beams": 4}):
        assert client.post("/", json={"inputs": "a", "parameters": said}).status_code == 200
    wanted = [{"method": "greedy"} if "temperature" in search else {}, {"method": "greedy"}]
    assert [dict(asked.options) for asked in service.asked] == [*wanted, {"method": "beam", "beam_width": 4}]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"truncation": "longest_first"}, '`parameters.truncation` must be "do_not_truncate"'),
        (
            {"generate_parameters": {"num_beam": 2}},
            "`parameters.generate_parameters.num_beam`; did you mean `num_beams`",
        ),
        ({"temperature": 2}, "`temperature` does nothing without `do_sample`"),
        ({"do_sample": True, "num_beams": 4}, "`num_beams` cannot be more than 1"),
        ({"max_length": 4, "max_new_tokens": 4}, "`max_length` says the same"),
        ({"num_beams": 2, "num_return_sequences": 3}, "`num_return_sequences` needs `num_beams` of at least as many"),
    ],
)
def test_inference_refuses(client: TestClient, said: dict[str, Any], words: str) -> None:
    answer = client.post("/models/en-de", json={"inputs": "a", "parameters": said})
    assert (answer.status_code, answer.json()["error_type"]) == (422, "invalid_field")
    assert words in answer.json()["error"]


def test_inference_with_a_model_that_there_is_not(client: TestClient) -> None:
    answer = client.post("/models/../../etc/passwd", json={"inputs": "a"})
    assert answer.status_code == 404
    answer = client.post("/models/a/b", json={"inputs": "a"})
    assert (answer.status_code, answer.json()["error_type"]) == (404, "unknown_model")


# ---- OpenAI ----------------------------------------------------------------------------------------------------------


def test_completions(client: TestClient, service: FakeService) -> None:
    said = {"model": "en-de", "prompt": ["a b", "c"], "n": 2, "best_of": 6, "logprobs": 0, "max_tokens": 5}
    answer = client.post("/v1/completions", json=said).json()
    assert [(choice["index"], choice["text"]) for choice in answer["choices"]] == list(
        enumerate(["A B", "A B!", "C", "C!"])
    )
    assert answer["choices"][0]["logprobs"]["tokens"] == ["A", "B", "</s>"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 10, "total_tokens": 13}
    assert service.asked[0].options == {"n_best": 2, "beam_width": 6, "max_length": 5}


def test_a_stream_of_completions(client: TestClient) -> None:
    said = {"prompt": "a b c", "stream": True, "stream_options": {"include_usage": True}}
    *events, done = client.post("/v1/completions", json=said).text.strip().split("\n\n")
    assert done == "data: [DONE]"
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert "".join(choice["text"] for chunk in chunks for choice in chunk["choices"]) == "A B C"
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] == 7


def test_a_stream_of_completions_that_fails(client: TestClient) -> None:
    assert client.post("/v1/completions", json={"prompt": "fail", "stream": True}).status_code == 422
    late = client.post("/v1/completions", json={"prompt": ["a", "fail"], "stream": True}).text.strip().split("\n\n")
    assert json.loads(late[-1].removeprefix("data: "))["error"]["code"] == "search_failed"


@pytest.mark.parametrize(
    ("said", "options"),
    [
        ({}, {}),
        ({"temperature": 0}, {}),
        ({"temperature": 0.7, "top_p": 0.9}, {"method": "sampling", "temperature": 0.7, "top_p": 0.9}),
        ({"n": 7}, {"n_best": 7, "method": "beam", "beam_width": 7}),
        ({"n": 2, "frequency_penalty": 0.0, "presence_penalty": -0.0}, {"n_best": 2}),
        (dict.fromkeys(("stop", "suffix", "logit_bias", "seed", "logprobs", "best_of")), {}),
        ({"seed": 3}, {}),
        ({"seed": 3, "temperature": 1}, {"method": "sampling", "temperature": 1, "seed": 3}),
    ],
)
def test_how_a_completion_is_searched(
    client: TestClient, service: FakeService, said: dict[str, Any], options: dict[str, Any]
) -> None:
    assert client.post("/v1/completions", json={"prompt": "a", **said}).status_code == 200
    assert service.asked[0].options == options


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"prompt": [1, 2]}, "`prompt` must be a text or a list of texts"),
        ({"echo": True}, "`echo` must be false"),
        ({"n": 3, "best_of": 2}, "`best_of` must be at least `n` (3)"),
        ({"n": 2, "stream": True}, "`n` must be 1 in a stream"),
        ({"top_p": 0.5}, "`top_p` does nothing"),
        ({"frequency_penalty": 1}, "`frequency_penalty` must be 0"),
        ({"frequency_penalty": False}, "`frequency_penalty` must be a number"),
        ({"echo": 0.0}, "`echo` must be true or false"),
        ({"stream_options": {}}, "`stream_options` needs `stream`"),
        ({"stop": ["."]}, "`stop` must be null, since there is nothing of its kind here, but is a list"),
        ({"stops": ["."]}, "There is no field `stops`"),
    ],
)
def test_completions_refuse(client: TestClient, said: dict[str, Any], words: str) -> None:
    answer = client.post("/v1/completions", json={"prompt": "a", **said})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_field")
    assert words in answer.json()["error"]["message"]


def test_models(several: TestClient) -> None:
    models = several.get("/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["en-de", "many"]
    assert models["data"][1] == several.get("/v1/models/many").json()
    assert models["data"][1]["explains"] is False
    assert models["data"][0]["limits"]["characters"] == 20_000
    assert several.get("/v1/models/none").json()["error"]["code"] == "unknown_model"


def test_a_model_whose_name_has_slashes() -> None:
    client = TestClient(application(FakeService(FakeModel("a/b"))))
    assert client.get("/v1/models/a/b").json()["id"] == "a/b"
    assert client.post("/models/a/b", json={"inputs": "c"}).json() == [named("C")]
