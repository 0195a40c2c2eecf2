"""OpenAI's `/v1/completions` and `/v1/models`, for clients that know nothing else.

A prompt is a source, a completion its output. Without a `temperature` above 0 the model searches as it always does;
with one it samples. What there is not here, such as `echo` or penalties, is refused and not passed over.
"""

import logging
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.responses import Response

from seq2seq.generation.output import TextHypothesis
from seq2seq.serving.choice import chosen, unknown_model
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import Delta, GenerationRequest, Output, RequestRefused, Served
from seq2seq.serving.routes.fields import Field, invalid
from seq2seq.serving.routes.native import texts_of_field
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
from seq2seq.serving.routes.several_outputs import options_for_outputs

STARTED = int(time.time())
"""What each model is said to be created at."""
TEXT, WHOLE, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": ["number", "null"]}
LOG_PROBS = {
    "type": ["object", "null"],
    "properties": {"tokens": {"type": "array", "items": TEXT}, "token_logprobs": {"type": "array", "items": NUMBER}},
}
CHOICE = {
    "type": "object",
    "required": ["text", "index", "finish_reason", "logprobs"],
    "properties": {
        **{"text": TEXT, "index": WHOLE, "logprobs": LOG_PROBS},
        "finish_reason": {"enum": ["stop", "length", None]},
    },
}
USAGE = {
    "type": "object",
    "properties": {"prompt_tokens": WHOLE, "completion_tokens": WHOLE, "total_tokens": WHOLE},
}
COMPLETION = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {
        **{"id": TEXT, "object": {"const": "text_completion"}, "created": WHOLE, "model": TEXT, "usage": USAGE},
        "choices": {"type": "array", "items": CHOICE},
    },
}
MODEL = {
    "type": "object",
    "required": ["id", "object", "created", "owned_by", "engine", "source_languages", "target_languages", "limits"],
    "properties": {
        **{"id": TEXT, "object": {"const": "model"}, "created": WHOLE, "owned_by": TEXT, "engine": TEXT},
        **{"source_languages": {"type": "array", "items": TEXT}, "target_languages": {"type": "array", "items": TEXT}},
        **{"generation_order": TEXT, "max_source_tokens": {"type": ["integer", "null"]}},
        **{"search": {"type": "object"}, "explains": {"type": "boolean"}, "limits": {"type": "object"}},
    },
}
MODELS = {
    "type": "object",
    "required": ["object", "data"],
    "properties": {"object": {"const": "list"}, "data": {"type": "array", "items": MODEL}},
}
ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": TEXT, "type": TEXT, "param": {"type": ["string", "null"]}, "code": TEXT},
        }
    },
}

logger = logging.getLogger(__name__)


def openai_error(refused: RequestRefused) -> dict[str, Any]:
    """Return `{"error": {"message", "type", "param", "code"}}`."""
    kind = {401: "authentication_error", 429: "rate_limit_error"}.get(refused.status, "invalid_request_error")
    kind = "server_error" if refused.status >= 500 else kind
    return {"error": {"message": refused.message, "type": kind, "param": None, "code": refused.name}}


def openai_operations(limits: Limits) -> list[Operation]:
    family: dict[str, Any] = {"shape": openai_error, "error": ERROR, "tag": "openai"}
    one = {"parameters": {"name": "Name of a model."}, **family}
    return [
        Operation(
            method="POST",
            path="/v1/completions",
            handler=_complete,
            fields=completion_fields(limits),
            summary="Generate outputs for prompts",
            answer=COMPLETION,
            streams=True,
            **family,
        ),
        Operation("GET", "/v1/models", _list, "The models, and what each can do", MODELS, **family),
        Operation("GET", "/v1/models/{name:path}", _one, "One model", MODEL, **one),
    ]


def completion_fields(limits: Limits) -> tuple[Field, ...]:
    return (
        Field("model", "text", "Name of the model; may be left out where there is only one.", names="model"),
        Field(
            "prompt",
            "texts",
            "What to generate from.",
            required=True,
            least=1,
            most=limits.texts,
            example="A text.",
        ),
        Field("n", "integer", "Completions of a prompt.", least=1, most=limits.n_best),
        Field("best_of", "integer", "Hypotheses they are the best of.", least=1, most=limits.beam_width),
        Field(
            "logprobs", "integer", "Whether tokens come with log-probabilities; no others than theirs.", least=0, most=1
        ),
        Field("max_tokens", "integer", "Most tokens of a completion.", least=1, most=limits.output_tokens),
        Field("temperature", "number", "0 searches, more than 0 samples.", least=0, most=2),
        Field("top_p", "number", "Probability mass within which to sample.", least=0.001, most=1),
        Field("stream", "boolean", "Whether completions are sent as they grow."),
        Field(
            "stream_options",
            "fields",
            "What a stream tells besides.",
            fields=(Field("include_usage", "boolean", "Whether its last event counts tokens."),),
        ),
        Field("seed", "integer", "Of what is drawn; a search draws nothing.", least=0),
        *(Field(name, "nothing", "There is none; null is passed over.") for name in ("stop", "suffix", "logit_bias")),
        Field("echo", "boolean", "A prompt is no part of its output.", choices=(False,)),
        Field("frequency_penalty", "number", "There is none.", choices=(0,)),
        Field("presence_penalty", "number", "There is none.", choices=(0,)),
        Field("user", "text", "Passed over."),
    )


def search_of_completion(values: Mapping[str, Any], model: Served) -> dict[str, Any]:
    """Return the flat options of the search that these fields mean."""
    count = values.get("n", 1)
    options: dict[str, Any] = {"n_best": count} if count > 1 else {}
    if values.get("best_of", count) < count:
        raise invalid("best_of", f"must be at least `n` ({count})")
    if "max_tokens" in values:
        options["max_length"] = values["max_tokens"]
    if values.get("temperature", 0) > 0:
        options |= {"method": "sampling", "temperature": values["temperature"]}
        options |= {"top_p": values["top_p"]} if values.get("top_p", 1) < 1 else {}
        if "best_of" in values and values["best_of"] != count:
            raise invalid("best_of", "must be `n` where a `temperature` samples")
        options |= {"seed": values["seed"]} if "seed" in values else {}
    elif values.get("top_p", 1) < 1:
        raise invalid("top_p", "does nothing without a `temperature` above 0; leave it out or set that")
    elif "best_of" in values:
        options["beam_width"] = values["best_of"]
    else:
        options |= options_for_outputs(count, model.search)
        options |= {"seed": values["seed"]} if "seed" in values and "seed" in model.search else {}
    return options


async def _complete(call: Call) -> Response:
    values = call.values
    model = chosen(call.service.models, values.get("model"))
    if "stream_options" in values and not values.get("stream"):
        raise invalid("stream_options", "needs `stream`")
    texts = texts_of_field(values["prompt"])
    options = search_of_completion(values, model)
    wanted = GenerationRequest(texts, model.name, options=options, token_scores="logprobs" in values)
    head: dict[str, Any] = {"id": f"cmpl-{uuid.uuid4().hex}", "object": "text_completion", "created": int(time.time())}
    head["model"] = model.name
    if values.get("stream"):
        if values.get("n", 1) > 1:
            raise invalid("n", "must be 1 in a stream")
        return await EventStream.begun(call.request, _chunks(call, wanted, head))
    outputs = await call.generate(wanted)
    choices = []
    for text, output in zip(texts, outputs, strict=True):
        if error := failure_of(output):
            raise RequestRefused(422, "search_failed", f"“{text[:40]}”: {error}")
        choices += [_choice(hypothesis, "logprobs" in values) for hypothesis in output.hypotheses]
    choices = [{"index": index, **choice} for index, choice in enumerate(choices)]
    return json_response({**head, "choices": choices, "usage": _usage(outputs)})


def _choice(hypothesis: TextHypothesis, with_log_probs: bool) -> dict[str, Any]:
    reason = "stop" if hypothesis.finished else "length"
    return {
        "text": hypothesis.text,
        "logprobs": _log_probs(hypothesis) if with_log_probs else None,
        "finish_reason": reason,
    }


def _log_probs(hypothesis: TextHypothesis) -> dict[str, Any]:
    numbers = [finite(log_prob) for log_prob in hypothesis.token_log_probs]
    return {"tokens": list(hypothesis.tokens), "token_logprobs": numbers, "top_logprobs": None, "text_offset": None}


def _usage(outputs: Sequence[Output]) -> dict[str, int]:
    prompts = sum(output.source_tokens for output in outputs)
    completions = sum(len(hypothesis.tokens) for output in outputs for hypothesis in output.hypotheses)
    return {"prompt_tokens": prompts, "completion_tokens": completions, "total_tokens": prompts + completions}


async def _chunks(call: Call, wanted: GenerationRequest, head: Mapping[str, Any]) -> AsyncIterator[bytes]:
    outputs: list[Output] = []
    began = False
    try:
        async for event in call.stream(wanted):
            began = True
            choice: dict[str, Any] = {"index": event.index, "logprobs": None, "finish_reason": None}
            if isinstance(event, Delta):
                choice |= {"text": event.text}
            else:
                if error := failure_of(event.output):
                    raise RequestRefused(422, "search_failed", error)
                outputs.append(event.output)
                choice |= {**_choice(event.output.hypotheses[0], "logprobs" in call.values), "text": ""}
            yield event_of({**head, "choices": [choice]})
        if call.values.get("stream_options", {}).get("include_usage"):
            yield event_of({**head, "choices": [], "usage": _usage(outputs)})
        yield b"data: [DONE]\n\n"
    except RequestRefused as refused:
        if not began:
            raise
        call.measures.refusals.labels(refused.name).inc()
        yield event_of(openai_error(refused))
    except Exception:
        if not began:
            raise
        logger.exception("a stream failed")
        yield event_of(openai_error(internal_error()))


async def _list(call: Call) -> Response:
    models = [model_object(model, call.service.limits) for model in call.service.models.values()]
    return json_response({"object": "list", "data": models})


async def _one(call: Call) -> Response:
    name = call.request.path_params["name"]
    if name not in call.service.models:
        raise unknown_model(call.service.models, name)
    return json_response(model_object(call.service.models[name], call.service.limits))


def model_object(model: Served, limits: Limits) -> dict[str, Any]:
    """Return what is known of a model, in OpenAI's fields and ours."""
    return {
        **{"id": model.name, "object": "model", "created": STARTED, "owned_by": "seq2seq"},
        "engine": model.engine,
        "source_languages": list(model.source_languages),
        "target_languages": list(model.target_languages),
        "generation_order": model.generation_order,
        "max_source_tokens": model.max_source_tokens,
        "search": dict(model.search),
        "explains": model.explains,
        "limits": asdict(limits),
    }
