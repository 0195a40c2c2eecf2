"""A connection of HTTP/1.1: uvicorn's, with limits around it, and answers in JSON to what is no HTTP.

Enters bytes of a client; leaves requests for the application. A head has to be short and to arrive in time; of a body
that is refused the rest is read and thrown away for a while, since a reset would destroy the answer; a client that does
not read what waits for it is left. One that closes has gone, and one that closes its sending side alone cannot be told
from it.
"""

import asyncio
import json
import resource
from functools import cache
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from seq2seq.serving.requests import RequestRefused
from seq2seq.serving.routes.native import native_error

HEAD_BYTES = 32_768
"""Most bytes of a request's line and headers together."""
HEAD_SECONDS = 10.0
"""Time in which they have to arrive, from the first byte or from the beginning of the connection."""
WRITING_SECONDS = 30.0
"""Time in which a client has to read something of what waits for it."""
MOST_CONNECTIONS = 4096
"""Connections at once; fewer where this process may open fewer files."""
OTHER_FILES = 128
"""Files that a process needs besides connections."""
DISCARDING_SECONDS = 2.0
"""Time for which the rest of a refused body is read and thrown away, so that its sender gets to read why."""


@cache
def most_connections() -> int:
    """Return how many connections there may be, with files left for everything else; asks for more files if need be."""
    files, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_CONNECTIONS + OTHER_FILES
    if files == resource.RLIM_INFINITY or files >= wanted:
        return MOST_CONNECTIONS
    files = wanted if most_files == resource.RLIM_INFINITY else min(wanted, most_files)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most_files))
    return max(1, files - OTHER_FILES)


class Connection(HttpToolsProtocol):
    """One connection, which may carry many requests one after another."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.in_head = True
        self.head_bytes = 0
        self.is_discarding = False
        self.answering: RequestResponseCycle | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.writing_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            self._refuse(503, "too_many_connections", "There are too many connections; try again later.")
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self.resume_writing()
        self.pipeline.clear()
        answering = self.answering
        super().connection_lost(exc)
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()

    # ---- what comes in -----------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        view = memoryview(data)
        while view and not self.is_discarding and self.parser is not None:
            if self.in_head:
                if self.head_bytes == 0 and self.timer is None:
                    self._start_timer()
                room = HEAD_BYTES + 1 - self.head_bytes
                part, view = view[:room], view[room:]
                self.head_bytes += len(part)
            else:
                part, view = view, view[:0]
            self._feed(bytes(part))
            if self.in_head and self.head_bytes > HEAD_BYTES:
                self._refuse(431, "head_too_large", f"The headers are longer than {HEAD_BYTES} bytes.")

    def _feed(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade:
            if self.cycle is not None:
                self.cycle.keep_alive = False  # another protocol is not spoken; the request itself is answered
            self.is_discarding = True
        except httptools.HttpParserError:
            self._refuse(400, "invalid_http", "The request is not one of HTTP/1.1.")

    def on_headers_complete(self) -> None:
        self.in_head = False
        self.head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.in_head = True
        super().on_message_complete()

    def _refuse(self, status: int, name: str, message: str) -> None:
        """Answer what is no request, unless an answer to an earlier one is on its way; it is the last one then."""
        self.is_discarding = True
        self._stop_timer()
        cycle = self.cycle
        is_whole = cycle is not None and not cycle.more_body
        if cycle is not None and not cycle.response_complete and (is_whole or cycle.response_started):
            cycle.keep_alive = False
            return
        if cycle is not None and not cycle.response_complete:  # its body is broken, so it will not be answered
            cycle.disconnected = True
            cycle.message_event.set()
        if self.transport.is_closing():
            return
        body = json.dumps(native_error(RequestRefused(status, name, message))).encode()
        head = [b"content-type: application/json", b"content-length: %d" % len(body), b"connection: close"]
        self.transport.write(STATUS_LINE[status] + b"\r\n".join(head) + b"\r\n\r\n" + body)
        self._discard()

    # ---- what goes out -----------------------------------------------------------------------------------------------

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        unread = self.answering is not None and self.answering.more_body
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self.pipeline.clear()
            self._discard()

    def _discard(self) -> None:
        """Say that nothing follows, and read on for a while: a reset would destroy the answer on its way."""
        self.is_discarding = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.timer = self.loop.call_later(DISCARDING_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.writing_timer is None:
            self.writing_timer = self.loop.call_later(WRITING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        if self.writing_timer is not None:
            self.writing_timer.cancel()
            self.writing_timer = None
        super().resume_writing()

    # ---- time --------------------------------------------------------------------------------------------------------

    def _start_timer(self) -> None:
        self.timer = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _head_is_late(self) -> None:
        self.timer = None
        if self.transport.is_closing():
            return
        if self.head_bytes:
            message = f"The headers did not arrive within {HEAD_SECONDS:g} seconds."
            self._refuse(408, "timeout_of_request", message)
        else:
            self.transport.close()
