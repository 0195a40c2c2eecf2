"""SIGTERM, Ctrl-C and the end of a limit of processor time as a request that the training loop looks at between steps.

A second Ctrl-C kills at once, or goes to who handles it in a way of his own. A SIGTERM after a Ctrl-C does not, because
launchers of several processes send one to each of them when they are interrupted.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU)
"""The last one comes when `ulimit -t`, or a scheduler's, is reached, a while before SIGKILL."""


class StopRequest:
    """Which signal asked to stop, if one did."""

    signal_number: int | None = None
    second_interrupt: Any = signal.SIG_DFL
    """Who gets a second Ctrl-C."""

    def receive(self, signal_number: int, frame: FrameType | None) -> None:
        self.signal_number = self.signal_number or signal_number
        if signal_number == signal.SIGINT:
            signal.signal(signal.SIGINT, self.second_interrupt)


@contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Catch `STOP_SIGNALS` while the block lasts; outside the main thread, where none arrive, nothing is caught."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in STOP_SIGNALS}
    if before[signal.SIGINT] not in (signal.default_int_handler, signal.SIG_IGN, None):
        request.second_interrupt = before[signal.SIGINT]
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
