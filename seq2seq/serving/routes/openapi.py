"""The description of the interface, OpenAPI 3.1, from the tables that requests are checked by."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from starlette.responses import Response

from seq2seq import __version__
from seq2seq.serving.requests import Served
from seq2seq.serving.routes.bodies import FORM, JSON
from seq2seq.serving.routes.fields import object_schema
from seq2seq.serving.routes.native import ERROR, native_error
from seq2seq.serving.routes.operation import Call, Operation

REFUSALS = {
    "400": "The request is none that is understood: no JSON, or malformed.",
    "401": "A token is wanted.",
    "404": "There is no such model.",
    "408": "The body came too slowly.",
    "413": "Too long: the body, a text, or the texts together. The message says what to do.",
    "415": "A body of another content-type.",
    "422": "A field, language or option that there is not, or a value that it cannot have.",
    "429": "Too much waits; `Retry-After` says when to try again.",
    "500": "A fault of the server.",
    "503": "Not ready, stopping, or out of time; `Retry-After` says when to try again.",
}
EVENT = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}}}
"""Of an event; its data are JSON, but for OpenAI's last."""
OF_BODIES = {"400", "408", "413", "415", "422"}


def description(operations: Sequence[Operation], models: Mapping[str, Served], *, wants_token: bool) -> dict[str, Any]:
    """Return the whole description as JSON has it."""
    source, target = (
        sorted({language for model in models.values() for language in getattr(model, f"{side}_languages")})
        for side in ("source", "target")
    )
    known = {"model": tuple(models), "source": tuple(source), "target": tuple(target)}
    known["source_or_auto"] = ("auto", *source)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, known, wants_token=wants_token)
    described: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "seq2seq",
            "version": __version__,
            "description": "Texts from texts. All that is not described here is refused.",
        },
        "paths": paths,
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
    }
    if wants_token:
        described["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
    return described


def description_operation(described: bytes) -> Operation:
    """Return the operation that answers with the description, which does not describe itself."""

    async def answer(call: Call) -> Response:
        return Response(described, media_type=JSON)

    return Operation(
        "GET", "/openapi.json", answer, "This description", {"type": "object"}, native_error, ERROR, "operation"
    )


def _operation(operation: Operation, known: Mapping[str, tuple[str, ...]], *, wants_token: bool) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-z]+', '_', operation.path)}".rstrip("_"),
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {"200": _answer(operation), **dict(_refusals(operation, wants_token=wants_token))},
    }
    if operation.parameters:
        described["parameters"] = [
            {"name": name, "in": "path", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in operation.parameters.items()
        ]
    if operation.fields is not None:
        content = {JSON: {"schema": object_schema(operation.fields, known)}}
        if operation.takes_forms:
            content[FORM] = {"schema": _form_schema(operation, known)}
        described["requestBody"] = {"required": True, "content": content}
    if wants_token and not operation.is_open:
        described["security"] = [{"token": []}]
    return described


def _form_schema(operation: Operation, known: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return the body as a form can have it: no lists and no nulls."""
    assert operation.fields is not None, "an operation with forms has fields"
    schema = object_schema(operation.fields, known)
    for name, field in schema["properties"].items():
        one = next((kind for kind in field.get("anyOf", [field]) if kind.get("type") != "null"), field)
        if "anyOf" in one:
            one = one["anyOf"][0]
        schema["properties"][name] = {**one, "description": field["description"]}
    return schema


def _answer(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {operation.media_type: {"schema": operation.answer}}
    if operation.streams:
        content["text/event-stream"] = {"schema": EVENT}
    return {"description": "The answer.", "content": content}


def _refusals(operation: Operation, *, wants_token: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    for status, text in REFUSALS.items():
        if status in OF_BODIES and operation.fields is None:
            continue
        if status == "401" and (operation.is_open or not wants_token):
            continue
        yield status, {"description": text, "content": {JSON: {"schema": operation.error}}}
