"""The interface of this toolkit: `/v1/generate`, streamed or whole, and `/v1/explain`."""

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from seq2seq.generation.output import TextHypothesis
from seq2seq.serving.choice import chosen
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import Delta, Explanation, GenerationRequest, Output, RequestRefused
from seq2seq.serving.routes.fields import Field, invalid
from seq2seq.serving.routes.operation import (
    Call,
    EventStream,
    Operation,
    event_of,
    failure_of,
    finite,
    internal_error,
    json_response,
)

logger = logging.getLogger(__name__)

NUMBER = {"type": ["number", "null"]}
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
TEXTS = {"type": "array", "items": TEXT}
USAGE = {"type": "object", "properties": {"source_tokens": WHOLE, "target_tokens": WHOLE}}
ALARM = {"type": "object", "required": ["name", "message"], "properties": {"name": TEXT, "message": TEXT}}
HYPOTHESIS = {
    "type": "object",
    "required": ["text", "score", "normalized_score", "finished", "direction"],
    "properties": {
        **{"text": TEXT, "score": NUMBER, "normalized_score": NUMBER, "finished": {"type": "boolean"}},
        **{"direction": TEXT, "tokens": TEXTS, "token_log_probs": {"type": "array", "items": NUMBER}},
    },
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["name", "message"],
            "properties": {"name": TEXT, "message": TEXT, "limit": {"type": "number"}},
        }
    },
}
OUTPUT = {
    "type": "object",
    "required": ["hypotheses", "source_tokens", "segments", "alarms"],
    "properties": {
        **{"hypotheses": {"type": "array", "items": HYPOTHESIS}, "source_tokens": WHOLE, "segments": WHOLE},
        **{"alarms": {"type": "array", "items": ALARM}, "error": ERROR["properties"]["error"]},  # type: ignore[index]
    },
}
ANSWER = {
    "type": "object",
    "required": ["model", "outputs", "usage", "seconds"],
    "properties": {
        **{"model": TEXT, "outputs": {"type": "array", "items": OUTPUT}},
        **{"usage": USAGE, "seconds": {"type": "number"}},
    },
}
ROWS = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}}
EXPLANATION = {
    "type": "object",
    "required": ["source_tokens", "target_tokens", "attention", "trace"],
    "properties": {
        **{"source_tokens": TEXTS, "target_tokens": TEXTS, "attention": {"anyOf": [ROWS, {"type": "null"}]}},
        "trace": {"type": ["object", "null"]},
    },
}
MODEL = Field(
    "model", "text", "Name of the model; by default the only one, or the first that has the languages.", names="model"
)
LANGUAGES = (
    Field("source_language", "text", "Language of the texts, where a model has several.", example="en", names="source"),
    Field(
        "target_language", "text", "Language of the outputs, where a model has several.", example="de", names="target"
    ),
)


def native_error(refused: RequestRefused) -> dict[str, Any]:
    """Return `{"error": {"name", "message", "limit"?}}`."""
    limit = {} if refused.limit is None else {"limit": refused.limit}
    return {"error": {"name": refused.name, "message": refused.message, **limit}}


def native_operations(limits: Limits) -> list[Operation]:
    family: dict[str, Any] = {"shape": native_error, "error": ERROR, "tag": "native"}
    return [
        Operation(
            method="POST",
            path="/v1/generate",
            handler=_generate,
            fields=generate_fields(limits),
            summary="Generate outputs for texts",
            answer=ANSWER,
            streams=True,
            **family,
        ),
        Operation(
            method="POST",
            path="/v1/explain",
            handler=_explain,
            fields=EXPLAIN_FIELDS,
            summary="Attention and search behind an output",
            answer=EXPLANATION,
            **family,
        ),
    ]


def generate_fields(limits: Limits) -> tuple[Field, ...]:
    number: dict[str, Any] = {"least": 1, "most": limits.n_best}
    return (
        Field(
            "inputs",
            "texts",
            "What to generate from: a text, or several, whose outputs come in the same order.",
            required=True,
            least=1,
            most=limits.texts,
            example=["A text."],
        ),
        MODEL,
        *LANGUAGES,
        Field("prefix", "texts", "How outputs must begin: one text for all, or one each.", most=limits.texts),
        Field("n_best", "integer", "Hypotheses returned of each text.", **number),
        Field(
            "split",
            "text",
            "`sentences` cuts texts into sentences first; needed for long ones.",
            choices=("none", "sentences"),
        ),
        Field(
            "options",
            "options",
            "Options of the search: method, beam_width, length_penalty, temperature, …",
            example={"beam_width": 5},
        ),
        Field("tokens", "boolean", "Whether hypotheses have their tokens and the log-probability of each."),
        Field(
            "seconds",
            "number",
            "Time limit, waiting included.",
            least=1,
            most=limits.seconds,
        ),
        Field("stream", "boolean", "Whether the answer is server-sent events; what was sent is never taken back."),
    )


EXPLAIN_FIELDS = (
    Field("input", "text", "The source.", required=True, example="A text."),
    Field("output", "text", "The output to explain; by default the best."),
    MODEL,
    *LANGUAGES,
    Field("options", "options", "Options of the search."),
)


def wanted_of(values: Mapping[str, Any]) -> GenerationRequest:
    texts = texts_of_field(values["inputs"])
    prefixes = values.get("prefix")
    if isinstance(prefixes, str):
        prefixes = [prefixes] * len(texts)
    if prefixes is not None and len(prefixes) != len(texts):
        raise invalid("prefix", f"must be one text, or one for each of the {len(texts)} inputs, but is {len(prefixes)}")
    options = {name: value for name, value in values.get("options", {}).items() if value is not None}
    if "n_best" in values:
        if options.get("n_best", values["n_best"]) != values["n_best"]:
            raise invalid("n_best", "stands in `options` with another value")
        options["n_best"] = values["n_best"]
    return GenerationRequest(
        texts=texts,
        model=values.get("model"),
        source_language=values.get("source_language"),
        target_language=values.get("target_language"),
        prefixes=None if prefixes is None else tuple(prefixes),
        options=options,
        split=values.get("split", "none"),
        token_scores=bool(values.get("tokens")),
        seconds=values.get("seconds"),
    )


def texts_of_field(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


async def _generate(call: Call) -> Response:
    wanted = wanted_of(call.values)
    model = chosen(call.service.models, wanted.model, wanted.source_language, wanted.target_language).name
    with_tokens = bool(call.values.get("tokens"))
    if call.values.get("stream"):
        return await EventStream.begun(call.request, _events(call, wanted, with_tokens))
    outputs = await call.generate(wanted)
    return json_response(
        {
            "model": model,
            "outputs": [output_object(output, with_tokens) for output in outputs],
            "usage": token_usage(outputs),
            "seconds": round(time.monotonic() - call.started, 6),
        }
    )


async def _events(call: Call, wanted: GenerationRequest, with_tokens: bool) -> AsyncIterator[bytes]:
    """Yield events; a refusal is raised where nothing has been sent, and is an event later."""
    outputs: list[Output] = []
    began = False
    try:
        async for event in call.stream(wanted):
            began = True
            if isinstance(event, Delta):
                yield event_of({"event": "text", "index": event.index, "text": event.text})
            else:
                outputs.append(event.output)
                output = output_object(event.output, with_tokens)
                yield event_of({"event": "output", "index": event.index, "output": output})
        yield event_of({"event": "done", "usage": token_usage(outputs), "seconds": time.monotonic() - call.started})
    except RequestRefused as refused:
        if not began:
            raise
        call.measures.refusals.labels(refused.name).inc()
        yield event_of({"event": "error", **native_error(refused)})
    except Exception:
        if not began:
            raise
        logger.exception("a stream failed")
        yield event_of({"event": "error", **native_error(internal_error())})


def output_object(output: Output, with_tokens: bool) -> dict[str, Any]:
    error = failure_of(output)
    said: dict[str, Any] = {
        "hypotheses": [] if error else [_hypothesis(hypothesis, with_tokens) for hypothesis in output.hypotheses],
        "source_tokens": output.source_tokens,
        "segments": output.segments,
        "alarms": [{"name": alarm.name, "message": alarm.message} for alarm in output.alarms],
    }
    return said | ({"error": {"name": "search_failed", "message": error}} if error else {})


def _hypothesis(hypothesis: TextHypothesis, with_tokens: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "text": hypothesis.text,
        "score": finite(hypothesis.score),
        "normalized_score": finite(hypothesis.normalized_score),
        "finished": hypothesis.finished,
        "direction": hypothesis.direction,
    }
    if with_tokens:
        said["tokens"] = list(hypothesis.tokens)
        said["token_log_probs"] = [finite(log_prob) for log_prob in hypothesis.token_log_probs]
    return said


def token_usage(outputs: Sequence[Output]) -> dict[str, int]:
    """Return the tokens of all sources and of all hypotheses that are returned."""
    targets = (len(hypothesis.tokens) for output in outputs for hypothesis in output.hypotheses)
    return {"source_tokens": sum(output.source_tokens for output in outputs), "target_tokens": sum(targets)}


async def _explain(call: Call) -> Response:
    values = call.values
    wanted = wanted_of({"inputs": values["input"], **{name: values[name] for name in values.keys() - {"input"}}})
    model = chosen(call.service.models, wanted.model, wanted.source_language, wanted.target_language)
    if not model.explains:
        raise RequestRefused(
            422, "unknown_option", f"The engine {model.engine} of {model.name} does not tell why; serve a run folder."
        )
    explanation: Explanation = await call.unless_gone(call.service.explain(wanted, values.get("output")))
    return json_response(
        {
            "source_tokens": list(explanation.source_tokens),
            "target_tokens": list(explanation.target_tokens),
            "attention": None if explanation.attention is None else [list(row) for row in explanation.attention],
            "trace": explanation.trace,
        }
    )
