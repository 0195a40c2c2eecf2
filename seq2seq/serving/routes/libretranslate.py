"""The interface of LibreTranslate, which many programs already speak, written from its public documentation.

There is no detection of languages: `auto` is the only source language where there is one, with a confidence of 0, and
refused where there are several. HTML is refused rather than translated with its tags in the wrong places.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from starlette.responses import Response

from seq2seq.serving.choice import chosen
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import GenerationRequest, Output, RequestRefused, Served
from seq2seq.serving.routes.fields import Field
from seq2seq.serving.routes.language_names import language_name
from seq2seq.serving.routes.native import texts_of_field
from seq2seq.serving.routes.operation import Call, Operation, failure_of, json_response
from seq2seq.serving.routes.several_outputs import options_for_outputs

AUTO = "auto"
TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
ERROR = {"type": "object", "required": ["error", "name"], "properties": {"error": TEXT, "name": TEXT}}
DETECTED = {"type": "object", "properties": {"confidence": {"type": "number"}, "language": TEXT}}
TRANSLATION = {
    "type": "object",
    "required": ["translatedText"],
    "properties": {
        "translatedText": {"anyOf": [TEXT, TEXTS]},
        "alternatives": {"anyOf": [TEXTS, {"type": "array", "items": TEXTS}]},
        "detectedLanguage": {"anyOf": [DETECTED, {"type": "array", "items": DETECTED}]},
    },
}
LANGUAGE = {
    "type": "object",
    "required": ["code", "name", "targets"],
    "properties": {"code": TEXT, "name": TEXT, "targets": TEXTS},
}
API_KEY = Field("api_key", "text", "The token that the server was started with, in place of a header.")
DETECT_FIELDS = (
    Field("q", "text", "A text.", required=True, example="A text."),
    API_KEY,
)


def libretranslate_error(refused: RequestRefused) -> dict[str, Any]:
    """Return `{"error": message, "name"}`."""
    return {"error": refused.message, "name": refused.name}


def libretranslate_operations(limits: Limits) -> list[Operation]:
    family: dict[str, Any] = {"shape": libretranslate_error, "error": ERROR, "tag": "libretranslate"}
    family |= {"key_field": "api_key"}
    posted = {**family, "method": "POST", "takes_forms": True}
    languages = {"type": "array", "items": LANGUAGE}
    settings = {"type": "object", "required": ["charLimit", "language"]}
    health = {"type": "object", "properties": {"status": TEXT}}
    return [
        Operation(
            path="/translate",
            handler=_translate,
            fields=translate_fields(limits),
            **posted,
            summary="Translate texts",
            answer=TRANSLATION,
        ),
        Operation(
            path="/detect",
            handler=_detect,
            fields=DETECT_FIELDS,
            **posted,
            summary="The source language, if there is only one",
            answer={"type": "array", "items": DETECTED},
        ),
        Operation("GET", "/languages", _languages, "Languages and where each goes", languages, **family),
        Operation("GET", "/frontend/settings", _settings, "What a page needs to know", settings, **family),
        Operation("GET", "/health", _health, "Whether it can translate", health, is_open=True, **family),
    ]


def translate_fields(limits: Limits) -> tuple[Field, ...]:
    return (
        Field(
            "q",
            "texts",
            "A text or several.",
            required=True,
            least=1,
            most=limits.texts,
            example="A text.",
        ),
        Field(
            "source",
            "text",
            "Language of the texts; `auto` where there is only one.",
            required=True,
            example="en",
            names="source_or_auto",
        ),
        Field("target", "text", "Language to translate to.", required=True, example="de", names="target"),
        Field("format", "text", "`text` alone; HTML is not understood.", choices=("text",)),
        Field(
            "alternatives",
            "integer",
            "Other translations of each text, at most.",
            least=0,
            most=max(min(limits.n_best, limits.beam_width) - 1, 0),  # one hypothesis at least is kept for each
        ),
        API_KEY,
    )


async def _translate(call: Call) -> Response:
    values = call.values
    texts = texts_of_field(values["q"])
    source = None if values["source"] == AUTO else values["source"]
    model = chosen(call.service.models, None, source, values["target"])
    if source is None:
        source = only_source(call.service.models, values["target"])
    alternatives = values.get("alternatives", 0)
    options = options_for_outputs(alternatives + 1, model.search)
    wanted = GenerationRequest(texts, model.name, source, values["target"], None, options, "sentences")
    outputs = await call.generate(wanted)
    for text, output in zip(texts, outputs, strict=True):
        if error := failure_of(output):
            raise RequestRefused(422, "search_failed", f"“{text[:40]}”: {error}")
    answer: dict[str, Any] = {"translatedText": [output.hypotheses[0].text for output in outputs]}
    if alternatives:
        answer["alternatives"] = [_others(output) for output in outputs]
    if values["source"] == AUTO:
        answer["detectedLanguage"] = [_assumed(source)] * len(texts)
    if isinstance(values["q"], str):
        answer = {name: each[0] for name, each in answer.items()}
    return json_response(answer)


def _others(output: Output) -> list[str]:
    return [hypothesis.text for hypothesis in output.hypotheses[1:]]


def only_source(models: Mapping[str, Served], target: str | None = None) -> str:
    """Return the source language of all models with this target language, if there is no other."""
    found = sorted(
        {
            language
            for model in models.values()
            if target is None or target in model.target_languages
            for language in model.source_languages
        }
    )
    if len(found) != 1:
        there_are = f"say which: {', '.join(found)}" if found else "no model here has a language that is known"
        raise RequestRefused(422, "unknown_language", f"Languages are not detected here; {there_are}.")
    return found[0]


def _assumed(language: str) -> dict[str, Any]:
    """Return a detection that says what it is worth: nothing was looked at."""
    return {"confidence": 0, "language": language}


async def _detect(call: Call) -> Response:
    return json_response([_assumed(only_source(call.service.models))])


async def _languages(call: Call) -> Response:
    targets: dict[str, set[str]] = {}
    for source, target in _pairs(call.service.models):
        targets.setdefault(source, set()).add(target)
        targets.setdefault(target, set())
    return json_response(
        [{"code": code, "name": language_name(code), "targets": sorted(targets[code])} for code in sorted(targets)]
    )


def _pairs(models: Mapping[str, Served]) -> Iterator[tuple[str, str]]:
    for model in models.values():
        yield from ((source, target) for source in model.source_languages for target in model.target_languages)


async def _settings(call: Call) -> Response:
    limits = call.service.limits
    source, target = next(_pairs(call.service.models), ("", ""))
    return json_response(
        {
            **{"charLimit": limits.characters, "frontendTimeout": 500, "apiKeys": False, "keyRequired": False},
            **{"suggestions": False, "filesTranslation": False, "supportedFilesFormat": []},
            "language": {
                "source": {"code": source, "name": language_name(source)},
                "target": {"code": target, "name": language_name(target)},
            },
        }
    )


async def _health(call: Call) -> Response:
    if not call.service.is_ready:
        raise RequestRefused(503, "not_ready", "A model does not decode yet, or no longer.", retry_after=1)
    return json_response({"status": "ok"})
