"""The real server before a list of words, in a thread; it can go away and return at the same address."""

import asyncio
import threading

import uvicorn

from seq2seq.serving.app import application
from seq2seq.serving.connection import Connection
from tests.serving.page.words import WordService


class PageServer:
    """Serves from `start` to `stop`, as often as one likes.

    Attributes:
        service: what answers, also of the next start.
    """

    def __init__(self) -> None:
        self.service = WordService()
        self.port = 0
        self.server: uvicorn.Server | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, token: str | None = None) -> None:
        options = {"http": Connection, "ws": "none", "lifespan": "off", "timeout_graceful_shutdown": 0}
        app = application(self.service, token)
        self.server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=self.port, log_config=None, **options))
        self.began = threading.Event()
        self.thread = threading.Thread(target=asyncio.run, args=(self._serve(self.server),))
        self.thread.start()
        assert self.began.wait(10), "the server does not start"

    async def _serve(self, server: uvicorn.Server) -> None:
        running = asyncio.create_task(server.serve())
        while not server.started and not running.done():
            await asyncio.sleep(0.001)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        self.began.set()
        await running

    def stop(self) -> None:
        """End all that runs, streams included, as a process that dies does."""
        if self.server is not None:
            self.server.should_exit = self.server.force_exit = True
            self.thread.join()
            self.server = None
