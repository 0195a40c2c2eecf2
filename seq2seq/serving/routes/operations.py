"""What who runs a server asks it: whether it lives, whether it can decode, and what it has counted."""

from typing import Any

from starlette.responses import Response

from seq2seq.serving.measures import CONTENT_TYPE
from seq2seq.serving.requests import RequestRefused
from seq2seq.serving.routes.native import ERROR, native_error
from seq2seq.serving.routes.operation import Call, Operation, json_response

STATUS = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}


def operating_operations() -> list[Operation]:
    family: dict[str, Any] = {"shape": native_error, "error": ERROR, "tag": "operation"}
    text = {"media_type": "text/plain", **family}
    return [
        Operation("GET", "/health/live", _live, "Whether the server answers", STATUS, is_open=True, **family),
        Operation("GET", "/health/ready", _ready, "Whether every model decodes", STATUS, is_open=True, **family),
        Operation("GET", "/metrics", _metrics, "Numbers for Prometheus", {"type": "string"}, **text),
    ]


async def _live(call: Call) -> Response:
    return json_response({"status": "ok"})


async def _ready(call: Call) -> Response:
    if not call.service.is_ready:
        raise RequestRefused(503, "not_ready", "A model does not decode yet, or no longer.", retry_after=1)
    return json_response({"status": "ok"})


async def _metrics(call: Call) -> Response:
    return Response(call.measures.written(), headers={"content-type": CONTENT_TYPE})
