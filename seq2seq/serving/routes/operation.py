"""One operation of the interface: where it is, what it takes, what it answers, and how it refuses.

The table of operations is what the application is made of, and what its description is made of. Enters a request whose
headers have been read; leaves an answer, or a refusal in the shape of the operation's family, or nothing where the
client has left: then the work for it is cancelled at once.
"""

import asyncio
import hmac
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from seq2seq.serving.measures import Measures
from seq2seq.serving.requests import Answering, Delta, Finished, GenerationRequest, Output, RequestRefused
from seq2seq.serving.routes.bodies import fields_of_json, fields_of_json_or_form, parse_form, read
from seq2seq.serving.routes.fields import Field

_Result = TypeVar("_Result")
Shape = Callable[[RequestRefused], dict[str, Any]]
"""How a family of routes writes an error."""
CLIENT_GONE = 499
"""Status of what is counted for a client that left; nobody reads it."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A request on its way through a handler."""

    request: Request
    values: Mapping[str, Any]
    """What its body says, checked."""
    service: Answering
    measures: Measures
    started: float

    async def generate(self, wanted: GenerationRequest) -> list[Output]:
        """Return the outputs; raises RequestRefused, also for a single text whose search failed."""
        outputs = await self.unless_gone(self.service.generate(wanted))
        self.measures.count(outputs, self.started)
        if len(outputs) == 1 and (error := failure_of(outputs[0])):
            raise RequestRefused(422, "search_failed", error)
        return outputs

    async def unless_gone(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return await unless_gone(self.request.receive, work)

    async def stream(self, wanted: GenerationRequest) -> AsyncIterator[Delta | Finished]:
        """Yield what is agreed on, to the last character of each best hypothesis, and the outputs.

        Raises RequestRefused, also for a single text whose search failed.
        """
        sent: dict[int, str] = {}
        began = False
        async with aclosing(self.service.stream(wanted)) as events:  # type: ignore[type-var]
            async for event in events:
                if not began:
                    began = True
                    self.measures.first_token.observe(time.monotonic() - self.started)
                if isinstance(event, Delta):
                    sent[event.index] = sent.get(event.index, "") + event.text
                elif error := failure_of(event.output):
                    self.measures.count([event.output], self.started)
                    if len(wanted.texts) == 1:
                        raise RequestRefused(422, "search_failed", error)
                else:
                    self.measures.count([event.output], self.started)
                    before = sent.get(event.index, "")
                    best = event.output.hypotheses[0].text
                    if best.startswith(before) and len(best) > len(before):
                        yield Delta(event.index, best[len(before) :])
                yield event


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True)
class Operation:
    """An entry of the table."""

    method: str
    path: str
    handler: Handler
    summary: str
    answer: Mapping[str, Any]
    """JSON Schema of what it answers."""
    shape: Shape
    error: Mapping[str, Any]
    """JSON Schema of how it refuses."""
    tag: str
    fields: tuple[Field, ...] | None = None
    """Of its body; None where it has none."""
    takes_forms: bool = False
    media_type: str = "application/json"
    streams: bool = False
    """Whether a field `stream` turns the answer into server-sent events."""
    is_open: bool = False
    """Whether it needs no token."""
    key_field: str | None = None
    """Field that may hold the token in place of a header."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Texts of what stands in the path."""


def endpoint(
    operation: Operation, service: Answering, measures: Measures, token: str | None
) -> Callable[[Request], Awaitable[Response]]:
    """Return the function that answers requests of this operation, each counted."""

    async def answer(request: Request) -> Response:
        started = time.monotonic()
        measures.running.inc()
        try:
            response = await _answered(operation, request, service, measures, token, started)
        except RequestRefused as refused:
            measures.refusals.labels(refused.name).inc()
            response = refusal(refused, operation.shape)
        except ClientDisconnect:
            measures.clients_gone.inc()
            response = Response(status_code=CLIENT_GONE)
        except Exception:
            logger.exception("%s %s failed", operation.method, operation.path)
            response = refusal(internal_error(), operation.shape)
        finally:
            measures.running.dec()
        measures.requests.labels(operation.path, str(response.status_code)).inc()
        return response

    return answer


async def _answered(
    operation: Operation,
    request: Request,
    service: Answering,
    measures: Measures,
    token: str | None,
    started: float,
) -> Response:
    may_enter = operation.is_open or token is None or _bearer(request, token)
    if not may_enter and operation.key_field is None:
        raise unauthorized()
    values: dict[str, Any] = {}
    if operation.fields is not None:
        reading = fields_of_json_or_form if operation.takes_forms else fields_of_json
        values = await reading(request, operation.fields, service.limits.body_bytes)
    if not may_enter:
        assert token is not None, "without one everybody may enter"
        assert operation.key_field is not None, "without one it was refused above"
        given = values if operation.fields is not None else await _form_of_get(request)
        if not _equal(str(given.get(operation.key_field, "")), token):
            raise unauthorized()
    return await operation.handler(Call(request, values, service, measures, started))


async def _form_of_get(request: Request) -> Mapping[str, str]:
    """Return the query, or the form that one client sends as the body of a GET."""
    return parse_form(request.scope["query_string"] or await read(request, 1000))


def _bearer(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    return kind.lower() == "bearer" and _equal(given.strip(), token)


def _equal(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode("utf-8"))


def unauthorized() -> RequestRefused:
    message = (
        "This server wants a token: send the header `Authorization: Bearer TOKEN` with the one it was started with."
    )
    return RequestRefused(401, "unauthorized", message)


def internal_error() -> RequestRefused:
    message = "The server has a fault, which it has written to its log. Other requests are not concerned."
    return RequestRefused(500, "internal_error", message)


def failure_of(output: Output) -> str | None:
    """Return why the search of a text failed; None where it did not."""
    if not output.hypotheses:
        return "The search found nothing."
    return next((hypothesis.error for hypothesis in output.hypotheses if hypothesis.error is not None), None)


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return what the work returns, or cancel it and raise ClientDisconnect as soon as the client has left."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientDisconnect
    finally:
        await _ended(working, leaving)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(*tasks: asyncio.Future[Any]) -> None:
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await asyncio.wait(pending)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json_bytes(value), status, headers, media_type="application/json")


def json_bytes(value: Any) -> bytes:
    return _ENCODER.encode(value).encode("utf-8", "replace")


def finite(number: float) -> float | None:
    """Return a number that JSON can hold; null in place of an infinite one."""
    return number if math.isfinite(number) else None


def refusal(refused: RequestRefused, shape: Shape) -> Response:
    headers = {}
    if refused.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(refused.retry_after)))
    if refused.status == 401:
        headers["www-authenticate"] = "Bearer"
    return json_response(shape(refused), refused.status, headers)


class EventStream(Response):
    """Server-sent events: the first is waited for, so that a refusal is still one of HTTP.

    The answer ends, and with it the search, as soon as the client has left.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], first: bytes) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._events = events
        self._first = first

    @classmethod
    async def begun(cls, request: Request, events: AsyncIterator[bytes]) -> "EventStream":
        """Return the answer once its first event is there."""
        return cls(events, await unless_gone(request.receive, _next(events)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(ClientDisconnect):  # `send_events` was cancelled then, and has closed the search
            await unless_gone(receive, self.send_events(send))

    async def send_events(self, send: Send) -> None:
        async with aclosing(self._events):  # type: ignore[type-var]
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self._first, "more_body": True})
            async for event in self._events:
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _next(events: AsyncIterator[bytes]) -> bytes:
    return await anext(events)


def event_of(value: Any) -> bytes:
    """Return a value as an event; JSON has no line feed in it."""
    return b"data: " + json_bytes(value) + b"\n\n"
