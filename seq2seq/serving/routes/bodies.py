"""Bodies of requests, read within bounds and then strictly: JSON, or the forms that older clients send.

Enters a request whose headers alone have been read; leaves what its body says. A body is refused before it is read
where its header already says that it is too long, and while it is read where it does not; one that comes too slowly is
refused when its time is over. Twice the same key, NaN, half of a surrogate pair and NUL are no JSON here.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from seq2seq.serving.requests import RequestRefused
from seq2seq.serving.routes.fields import Field, checked_fields, checked_form

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BODY_SECONDS = 15.0
"""Time that a body may take to arrive."""
MOST_FORM_FIELDS = 32
_SUSPICIOUS = re.compile(rb"\\u(?:d[89a-f]|0000)", re.IGNORECASE)
"""What half of a surrogate pair, or NUL, is written as; no other bytes can mean them."""


async def fields_of_json(request: Request, fields: tuple[Field, ...], most_bytes: int) -> dict[str, Any]:
    """Return what a body in JSON says of these fields."""
    _content_type(request, (JSON,))
    return checked_fields(fields, parse_json(await read(request, most_bytes)))


async def fields_of_json_or_form(request: Request, fields: tuple[Field, ...], most_bytes: int) -> dict[str, Any]:
    """Return what a body in JSON or as a form says, or, without one, the query, as some clients write it."""
    if not _has_body(request):
        query = request.scope["query_string"]
        if not query:
            raise RequestRefused(400, "invalid_json", "The request has no body; send JSON or a form.")
        return checked_form(fields, parse_form(query))
    kind = _content_type(request, (JSON, FORM))
    body = await read(request, most_bytes)
    return checked_fields(fields, parse_json(body)) if kind == JSON else checked_form(fields, parse_form(body))


def _has_body(request: Request) -> bool:
    headers = request.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _content_type(request: Request, allowed: tuple[str, ...]) -> str:
    """Return the type of a body; RequestRefused where it is none of these, or encoded in a way that is not read."""
    said = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in said.split(";"))
    charset = next((part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    if kind not in allowed:
        wanted = " or ".join(allowed)
        raise RequestRefused(
            415, "invalid_content_type", f"The body must be of content-type {wanted}, but is {said[:60] or 'of none'}."
        )
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise RequestRefused(415, "invalid_content_type", f"Bodies are read as UTF-8, not as {charset[:40]}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestRefused(415, "invalid_content_type", "Bodies are not decompressed; send it as it is.")
    return kind


async def read(request: Request, most_bytes: int) -> bytes:
    """Return the body; RequestRefused as soon as it is too long, or where it does not come in time."""
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length[:18]) > most_bytes:
        raise _too_large(most_bytes)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most_bytes:
                    raise _too_large(most_bytes)
                parts.append(part)
    except TimeoutError:
        message = f"The body did not arrive within {BODY_SECONDS:g} seconds."
        raise RequestRefused(408, "timeout_of_request", message, limit=BODY_SECONDS) from None
    return b"".join(parts)


def _too_large(most_bytes: int) -> RequestRefused:
    message = f"The body is longer than {most_bytes} bytes; send fewer texts at a time."
    return RequestRefused(413, "body_too_large", message, limit=most_bytes)


def parse_json(body: bytes) -> Any:
    """Return what JSON says.

    Raises:
        RequestRefused: it is none, says something twice or what other languages cannot hold.
    """
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _invalid(f"it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise _invalid("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg[0].lower()}{error.msg[1:]} at character {error.pos}") from None
    except ValueError as error:  # of the hooks, or an integer of more digits than Python reads
        raise _invalid("a number has too many digits" if "digits" in str(error) else str(error)) from None
    if _SUSPICIOUS.search(body):
        _check_texts(value)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f'"{twice[:60]}" stands in it twice')
    return values


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _invalid(reason: str) -> RequestRefused:
    printable = reason.encode("utf-8", "replace").decode("utf-8")
    return RequestRefused(400, "invalid_json", f"The body is not JSON as it is understood here: {printable}.")


def _check_texts(value: Any) -> None:
    """Refuse a text that is no Unicode, or with NUL in it, wherever it stands."""
    if isinstance(value, str):
        if "\0" in value:
            raise _invalid("a text has a NUL character in it")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise _invalid("a text has half of a surrogate pair in it") from None
    elif isinstance(value, dict):
        for part in (*value, *value.values()):
            _check_texts(part)
    elif isinstance(value, list):
        for part in value:
            _check_texts(part)


def parse_form(body: bytes) -> Mapping[str, str]:
    """Return the fields of a form; RequestRefused where one stands twice or is not UTF-8."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FORM_FIELDS
        )
    except ValueError:
        message = f"The form is not one in UTF-8, percent-encoded, of at most {MOST_FORM_FIELDS} fields."
        raise RequestRefused(400, "invalid_form", message) from None
    values = dict(pairs)
    if len(values) < len(pairs) or any("\0" in text for text in values.values()):
        raise RequestRefused(400, "invalid_form", "A field stands in the form twice, or has a NUL character in it.")
    return values
