"""The interface of Hugging Face's inference for texts to texts, as `huggingface_hub.InferenceClient` calls it.

An address does not say whether a model translates, summarises or does something else, and each task has its own name
for the output; so an answer has the text under all three of them. Options have transformers' names and meaning
(decision 33), as far as they exist here.
"""

import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from seq2seq.serving.choice import chosen
from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import GenerationRequest, Output, RequestRefused
from seq2seq.serving.routes.fields import Field, invalid
from seq2seq.serving.routes.native import texts_of_field
from seq2seq.serving.routes.operation import Call, Operation, failure_of, json_response
from seq2seq.serving.routes.several_outputs import draws_only

TASKS = ("translation_text", "summary_text", "generated_text")
"""What the tasks call their output."""
TEXT = {"type": "string"}
ONE = {"type": "object", "required": [*TASKS], "properties": dict.fromkeys(TASKS, TEXT)}
SEVERAL = {"type": "array", "items": ONE}
ANSWER = {"type": "array", "items": {"anyOf": [ONE, SEVERAL]}}
ERROR = {"type": "object", "required": ["error", "error_type"], "properties": {"error": TEXT, "error_type": TEXT}}
TOP_K = 50
"""Tokens among which transformers samples unless told otherwise."""


def huggingface_error(refused: RequestRefused) -> dict[str, Any]:
    """Return `{"error": message, "error_type": name}`."""
    return {"error": refused.message, "error_type": refused.name}


def huggingface_operations(limits: Limits) -> list[Operation]:
    family: dict[str, Any] = {"handler": _infer, "fields": inference_fields(limits), "answer": ANSWER}
    family |= {"method": "POST", "shape": huggingface_error, "error": ERROR, "tag": "huggingface"}
    named = {"name": "Name of a model."}
    return [
        Operation(path="/models/{name:path}", summary="Run a model on texts", parameters=named, **family),
        Operation(path="/", summary="Run the only model on texts", **family),
    ]


def generation_fields(limits: Limits) -> tuple[Field, ...]:
    """Return those of transformers' arguments that have a counterpart here, or a value that changes nothing."""
    tokens: dict[str, Any] = {"least": 1, "most": limits.output_tokens}
    return (
        Field("max_new_tokens", "integer", "Most tokens of an output.", **tokens),
        Field("max_length", "integer", "Likewise, counting the start token.", least=2, most=limits.output_tokens + 1),
        Field("min_new_tokens", "integer", "Fewest tokens of an output.", least=0, most=limits.output_tokens - 1),
        Field("num_beams", "integer", "Hypotheses that a beam keeps.", least=1, most=limits.beam_width),
        Field("num_return_sequences", "integer", "Outputs of a text.", least=1, most=limits.n_best),
        Field("length_penalty", "number", "Exponent of the length that a score is divided by.", least=-10, most=10),
        Field("no_repeat_ngram_size", "integer", "Length of n-grams that may not occur twice.", least=0, most=100),
        Field("do_sample", "boolean", "Draw outputs in place of searching the best."),
        Field("temperature", "number", "Of sampling.", least=0.01, most=100),
        Field("top_k", "integer", "Likeliest tokens among which to sample.", least=1, most=1_000_000),
        Field("top_p", "number", "Probability mass within which to sample.", least=0.001, most=1),
    )


def inference_fields(limits: Limits) -> tuple[Field, ...]:
    generation = generation_fields(limits)
    never: dict[str, Any] = {"choices": (False,)}
    parameters = (
        Field("src_lang", "text", "Language of the texts.", names="source"),
        Field("tgt_lang", "text", "Language of the outputs.", names="target"),
        Field("truncation", "text", "Texts are never cut silently.", choices=("do_not_truncate",)),
        Field("clean_up_tokenization_spaces", "boolean", "Outputs are as the tokenizer writes them.", **never),
        Field("generate_parameters", "fields", "Arguments of `generate`.", fields=generation),
        Field("return_full_text", "boolean", "Outputs do not contain the input.", **never),
        Field("details", "boolean", "For tokens and scores use /v1/generate.", **never),
        Field("decoder_input_details", "boolean", "Likewise.", **never),
        Field("watermark", "boolean", "There are none.", **never),
        *generation,
    )
    return (
        Field(
            "inputs",
            "texts",
            "A text or several.",
            required=True,
            least=1,
            most=limits.texts,
            example="A text.",
        ),
        Field("parameters", "fields", "What the task and the search are told.", fields=parameters),
        Field("stream", "boolean", "For streams use /v1/generate or /v1/completions.", **never),
    )


def options_of_generate(arguments: Mapping[str, Any], search: Mapping[str, Any]) -> dict[str, Any]:
    """Return flat options of a search that mean the same as these arguments of `generate`.

    Args:
        search: that of the model, as `Served.search` says it.
    """
    said = dict(arguments)
    renamed = {
        **{"max_new_tokens": "max_length", "min_new_tokens": "min_length", "num_return_sequences": "n_best"},
        **{"num_beams": "beam_width", "no_repeat_ngram_size": "no_repeat_ngram", "length_penalty": "length_penalty"},
    }
    samples = {"temperature", "top_k", "top_p"}
    if "max_length" in said and "max_new_tokens" in said:
        raise invalid("max_length", "says the same as `max_new_tokens`; leave out one of them")
    options = {ours: said[theirs] for theirs, ours in renamed.items() if theirs in said}
    if "max_length" in said:
        options["max_length"] = said["max_length"] - 1
    if said.get("do_sample"):
        if said.get("num_beams", 1) > 1:
            raise invalid("num_beams", "cannot be more than 1 with `do_sample`; nothing is sampled within a beam")
        options.pop("beam_width", None)
        drawn = {name: said[name] for name in samples if name in said}
        return options | {"method": "sampling", "top_k": TOP_K} | drawn
    if said.get("num_beams", math.inf) < said.get("num_return_sequences", 1):
        raise invalid("num_return_sequences", "needs `num_beams` of at least as many, or `do_sample`")
    if said.get("num_beams", 1) > 1:
        options["method"] = "beam"
    elif "num_beams" in said or ("do_sample" in said and draws_only(search)):
        options["method"] = "greedy"
        options.pop("beam_width", None)
    if idle := sorted(samples & said.keys()):
        raise invalid(idle[0], "does nothing without `do_sample`; leave it out or set that to true")
    return options


async def _infer(call: Call) -> Response:
    parameters = dict(call.values.get("parameters", {}))
    arguments = parameters.pop("generate_parameters", {}) | {
        field.name: parameters[field.name]
        for field in generation_fields(call.service.limits)
        if field.name in parameters
    }
    name = call.request.path_params.get("name")
    languages = parameters.get("src_lang"), parameters.get("tgt_lang")
    model = chosen(call.service.models, name, *languages)
    texts = texts_of_field(call.values["inputs"])
    options = options_of_generate(arguments, model.search)
    wanted = GenerationRequest(texts, model.name, *languages, None, options)
    outputs = await call.generate(wanted)
    each = [_objects(text, output) for text, output in zip(texts, outputs, strict=True)]
    if isinstance(call.values["inputs"], str):
        return json_response(each[0])
    return json_response([objects[0] if len(objects) == 1 else objects for objects in each])


def _objects(text: str, output: Output) -> list[dict[str, str]]:
    if error := failure_of(output):
        raise RequestRefused(422, "search_failed", f"“{text[:40]}”: {error}")
    return [dict.fromkeys(TASKS, hypothesis.text) for hypothesis in output.hypotheses]
