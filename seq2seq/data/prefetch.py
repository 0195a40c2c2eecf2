"""Makes the next items in a background thread while the caller works on the present one."""

from collections.abc import Generator, Iterator
from queue import Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """Yield `items` in order, with up to `depth` of them made ahead.

    The thread starts with the first item asked for and has ended when this generator is closed, deleted or exhausted.
    An exception of `items` is raised where its item would have come.
    """
    buffer: Queue[tuple[list[Item], BaseException | None]] = Queue(maxsize=depth)
    closed = Event()

    def fill() -> None:
        try:
            for item in items:
                buffer.put(([item], None))
                if closed.is_set():
                    return
            buffer.put(([], None))
        except BaseException as error:  # whatever it is, it belongs to the caller
            buffer.put(([], error))

    thread = Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            item, error = buffer.get()
            if error is not None:
                raise error
            if not item:
                return
            yield item[0]
    finally:
        closed.set()
        while not buffer.empty():  # room for the one item that the thread may be waiting to leave
            buffer.get()
        thread.join()
