"""A real Chromium, a server of a few words before it, and pages in windows of their own.

The tests skip where there is no browser, or nothing that drives it.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser import browser
from tests.serving.page.server import PageServer

__all__ = ["browser"]


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def opened(browser: Any, server: PageServer) -> Iterator[Any]:
    """Return what opens the page in a window of its own; no window may have complained at the end."""
    from tests.serving.page.window import expect  # which skips where nothing drives a browser

    contexts, complaints = [], []

    def opened(width: int = 1280, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(5000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(server.address)
        expect(page.locator("#asked")).not_to_contain_text("Loading")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints
