"""The application: routes of all families over one service, with errors in the shape of each, and the page.

Enters a service; leaves an ASGI application. Nothing in it reads a file after it was made, so no request can name one.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from seq2seq.serving.measures import Measures
from seq2seq.serving.requests import Answering, RequestRefused
from seq2seq.serving.routes.huggingface import huggingface_operations
from seq2seq.serving.routes.libretranslate import libretranslate_operations
from seq2seq.serving.routes.native import ERROR, native_error, native_operations
from seq2seq.serving.routes.openai import openai_operations
from seq2seq.serving.routes.openapi import description, description_operation
from seq2seq.serving.routes.operation import (
    Call,
    Operation,
    Shape,
    endpoint,
    internal_error,
    json_bytes,
    refusal,
)
from seq2seq.serving.routes.operations import operating_operations

PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": "frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
"""What a page cannot say of itself, such as that it stands in no other; what it may load, it says."""


def application(service: Answering, token: str | None = None) -> Starlette:
    """Return the application.

    Args:
        service: what answers.
        token: what requests have to bring, all but those for health and for the page; None: nothing.
    """
    measures = Measures(service)
    operations = all_operations(service)
    if page := page_text():
        operations.append(_page_operation(page))
    described = json_bytes(description(operations, service.models, wants_token=token is not None))
    operations.append(description_operation(described))
    routes = [
        Route(operation.path, endpoint(operation, service, measures, token), methods=[operation.method])
        for operation in operations
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={HTTPException: _http_error(operations), Exception: _fault},  # type: ignore[dict-item]
    )
    app.router.redirect_slashes = False
    app.state.service, app.state.measures = service, measures
    return app


def all_operations(service: Answering) -> list[Operation]:
    limits = service.limits
    return [
        *native_operations(limits),
        *openai_operations(limits),
        *libretranslate_operations(limits),
        *huggingface_operations(limits),
        *operating_operations(),
    ]


def page_text() -> str | None:
    """Return the page, where the package has it."""
    page = files("seq2seq.serving") / "page" / "index.html"
    return page.read_text(encoding="utf-8") if page.is_file() else None


def _page_operation(text: str) -> Operation:
    """Return the operation that answers with the page; what it asks for needs the token, the page itself does not."""

    async def answer(call: Call) -> Response:
        return HTMLResponse(text, headers=PAGE_HEADERS)

    shape: dict[str, Any] = {"shape": native_error, "error": ERROR, "media_type": "text/html"}
    return Operation("GET", "/", answer, "The page", {"type": "string"}, tag="page", is_open=True, **shape)


def _http_error(operations: list[Operation]) -> Callable[[Request, HTTPException], Awaitable[Response]]:
    """Return the handler of paths and methods that there are not, which answers in the shape of the next family."""
    shapes = {operation.path.partition("{")[0]: operation.shape for operation in operations if operation.path != "/"}

    async def answer(request: Request, error: HTTPException) -> Response:
        path = request.scope["path"]
        found = max((begin for begin in shapes if path.startswith(begin)), key=len, default=None)
        shape: Shape = native_error if found is None else shapes[found]
        if error.status_code == 405:
            allowed = sorted(operation.method for operation in operations if _matches(operation.path, path))
            message = (
                f"{request.method} is not what {path[:80]} understands; it takes {' and '.join(allowed) or 'GET'}."
            )
            response = refusal(RequestRefused(405, "method_not_allowed", message), shape)
            response.headers["allow"] = ", ".join(allowed or ["GET"])
            return response
        if error.status_code == 404:
            message = f"There is nothing at {path[:80]}; /openapi.json says what there is."
            return refusal(RequestRefused(404, "not_found", message), shape)
        return refusal(RequestRefused(error.status_code, "invalid_request", str(error.detail)), shape)

    return answer


def _matches(template: str, path: str) -> bool:
    begin, brace, _ = template.partition("{")
    return path.startswith(begin) if brace else path == begin


async def _fault(request: Request, error: Exception) -> Response:
    return refusal(internal_error(), native_error)
