"""A server: an application behind one address, until it is told to end.

SIGTERM and SIGINT end it: no connection is accepted any more, every request that was accepted is answered, and then the
service is closed. A second SIGINT does not wait.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette

from seq2seq.serving.app import application
from seq2seq.serving.connection import Connection
from seq2seq.serving.requests import Answering

KEEP_ALIVE_SECONDS = 30
"""Time for which a connection is kept without a request."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str = "127.0.0.1"
    """Name or number of an interface; by default programs of this machine alone reach it."""
    port: int = 8000
    """0 takes any that is free."""

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise ValueError(f"`port` must be 0 to 65535, but is {self.port}.")

    def url(self, port: int) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{port}"


def to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def serve(
    service: Answering,
    address: Address,
    token: str | None = None,
    say: Callable[[str], None] = to_standard_error,
    close: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Answer requests until a signal ends it.

    Args:
        service: what answers; it is to be running.
        address: where to listen.
        token: what requests have to bring; None: nothing.
        say: writes a line for people.
        close: ends the service, after the last answer.

    Raises:
        ValueError: the address cannot be listened at.
    """
    app = application(service, token)
    app.router.lifespan_context = _closing(close)
    server = _Server(_config(app, address, service.limits.seconds), address, service, say)
    if token is None and address.host not in LOOPBACK:
        say(f"Warning: {address.host} may be reached by others, and no token is wanted; give one by --token-file.")
    await server.serve()
    if not server.started:
        raise ValueError(
            f"Cannot listen at {address.host}:{address.port}; is another server there? Choose another --port."
        )


def _closing(close: Callable[[], Awaitable[None]] | None) -> Any:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        if close is not None:
            await close()

    return lifespan


def _config(app: Starlette, address: Address, seconds: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=address.host,
        port=address.port,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(seconds) + 5,
    )


class _Server(uvicorn.Server):
    """uvicorn's, which ends without an error when it is told to, and says where it is."""

    def __init__(
        self, config: uvicorn.Config, address: Address, service: Answering, say: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self.address = address
        self.service = service
        self.say = say

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:  # the address is taken, or is none of this machine
            self.should_exit = True
            return
        port = self.servers[0].sockets[0].getsockname()[1]
        self.say(f"Serving {', '.join(self.service.models)} at {self.address.url(port)}; Ctrl-C ends it.")

    async def shutdown(self, sockets: Any = None) -> None:
        if running := len(self.server_state.tasks):
            self.say(f"Ending; {running} request{'s are' if running > 1 else ' is'} answered first.")
        await super().shutdown(sockets)
        self.say("Ended.")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take signals without raising them again in the end, as uvicorn would."""
        try:
            before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run_server(
    service: Answering,
    address: Address,
    token: str | None = None,
    close: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve, in an event loop of its own; see `serve`."""
    asyncio.run(serve(service, address, token, close=close))
