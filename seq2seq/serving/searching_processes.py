"""Searching processes of a server: forked from one that holds the weights, replaced when they die.

The server itself must not be forked once it has connections: a child would keep them open. So a keeper is forked before
there are any, which has all engines, never computes, and forks whatever process is asked of it. Where a GPU searches,
whose state does not survive a fork, each process loads its model itself.
"""

import asyncio
import atexit
import logging
import multiprocessing
import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from seq2seq.generation.engine import TextEngine
from seq2seq.serving.searching import work

Load = Callable[[], TextEngine]
"""Returns an engine that may search in this process."""

logger = logging.getLogger(__name__)


class Keeper:
    """Forks searching processes. To be made before this process has connections or threads.

    Args:
        loads: by the name of a model, what returns its engine in the new process.
    """

    def __init__(self, loads: Mapping[str, Load]) -> None:
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        process = multiprocessing.get_context("fork").Process(target=_keep, args=(there, here, loads), daemon=False)
        process.start()
        there.close()
        self._socket = here
        self._process = process
        atexit.register(self.close)  # before multiprocessing waits for processes, which would be for ever

    def start(self, name: str) -> Connection:
        """Return the connection to a new process that searches with the model of this name.

        Raises:
            ChildProcessError: the keeper is gone.
        """
        here, there = multiprocessing.Pipe()
        try:
            socket.send_fds(self._socket, [name.encode() + b"\n"], [there.fileno()])
        except OSError:
            here.close()
            raise ChildProcessError("The process that holds the models is gone; start the server again.") from None
        finally:
            there.close()
        return here

    def close(self) -> None:
        """End the keeper; its processes end when their connections are closed."""
        atexit.unregister(self.close)
        self._socket.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


def _keep(control: socket.socket, other: socket.socket, loads: Mapping[str, Load]) -> None:
    """Fork a process for every name that comes with a connection, until nobody is there any more."""
    other.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that end
    while True:
        words, handles, _, _ = socket.recv_fds(control, 4096, 1)
        if not words:
            return
        if os.fork() == 0:
            _search(control, handles[0], loads[words.decode().strip()])
        os.close(handles[0])


def _search(control: socket.socket, handle: int, load: Load) -> None:
    code = 1
    try:
        control.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with Connection(handle) as connection:
            work(connection, load())
        code = 0
    except BaseException:
        logger.exception("A searching process ended.")
    finally:
        os._exit(code)


class SearchingProcess:
    """One searching process, seen from the event loop.

    Args:
        start: returns the connection of a new process.
        receive: is given each message that comes.
        died: is called when the process is gone; `close` does not.
    """

    def __init__(
        self,
        start: Callable[[], Connection],
        receive: Callable[["SearchingProcess", Any], None],
        died: Callable[["SearchingProcess"], None],
    ) -> None:
        self._receive, self._died = receive, died
        self._connection = start()
        self.is_ready = False
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._arrived)

    def send(self, message: Any) -> None:
        """Send a message; if the process is gone, that is noticed when nothing comes back."""
        with suppress(OSError):
            self._connection.send(message)

    def close(self) -> None:
        """Close the connection, at which the process ends."""
        if not self._connection.closed:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._connection.close()

    def _arrived(self) -> None:
        try:
            while self._connection.poll():
                message = self._connection.recv()
                self._receive(self, message)
                if self._connection.closed:
                    return
        except (EOFError, OSError):
            self.close()
            self._died(self)
