"""A real browser for the pages of this package, and what axe says of how accessible they are."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="package")
def browser() -> Iterator[Any]:
    """Return one browser for all; it ends with the folder, since a loop of asyncio runs as long as it does."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser that shows the page")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


def violations(page: Any) -> list[str]:
    """Return what axe calls serious or critical of a page: its rule and where; skip where there is no axe."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe examines how accessible a page is")
    response = axe.Axe().run(page).response
    return [
        f"{rule['id']}: {node['html']}"
        for rule in response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]
