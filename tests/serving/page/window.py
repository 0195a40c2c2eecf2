"""What tests do with an opened page."""

import re
from collections.abc import Callable
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser that shows the page")
Error, expect = sync_api.Error, sync_api.expect
Opened = Callable[..., Any]
"""What opens the page: `opened(width, **options of the window)`."""
TEXT = "The old house is small and quiet."
TRANSLATION = "Das alte Haus ist klein und still."


def translated(page: Any, text: str = TEXT) -> Any:
    page.fill("#source", text)
    page.press("#source", "Control+Enter")
    expect(page.locator("#copy")).to_be_enabled()
    return page


def with_model(page: Any, name: str) -> Any:
    page.select_option("#model", name)
    return page


def piece(page: Any, word: str, side: str = "output") -> Any:
    return page.locator(f"#{side} .piece", has_text=re.compile(f"^{word}$"))


def style(page: Any, word: str, name: str, side: str = "output") -> int:
    value = piece(page, word, side).evaluate(f"(node) => node.style.getPropertyValue('{name}')")
    return int(value.removesuffix("%"))
