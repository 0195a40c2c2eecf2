"""How the page looks and is handled: keyboard, narrow screens, dark mode, accessibility, pictures.

The picture of the README is of a real model: with `seq2seq serve en-de=runs/multi30k_en_de` at work,

    PAGE_ADDRESS=http://127.0.0.1:8000 PAGE_PICTURE=docs/pictures/page.png pytest tests/serving/page/test_looks.py
"""

import os
from pathlib import Path
from typing import Any

import pytest

from seq2seq.serving.requests import RequestRefused
from tests.browser import violations
from tests.serving.page.policy import PAGE
from tests.serving.page.server import PageServer
from tests.serving.page.window import TEXT, TRANSLATION, Opened, expect, piece, translated, with_model
from tests.serving.page.words import INJECTION


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened(permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator("#source")).to_be_focused()
    page.keyboard.type(TEXT)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    for name in ("go", "output"):
        page.keyboard.press("Tab")
        expect(page.locator(f"#{name}")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#inspector")).to_contain_text("Haus 97 % sure · looked at house")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#output")).to_have_text("Das alte Haus ist winzig und ruhig.")
    page.keyboard.press("Alt+c")
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "Das alte Haus ist winzig und ruhig."


def test_a_narrow_screen_needs_no_horizontal_scrolling(opened: Opened, server: PageServer) -> None:
    page = translated(with_model(opened(360), "both-ends"), "Donaudampfschifffahrtsgesellschaft" * 3)
    page.click("#search summary")
    page.click("#about summary")
    server.service.refusals = [RequestRefused(429, "queue_full", "w" * 80, retry_after=30)]
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    page.click("#go")
    expect(page.locator("#notice")).to_be_visible()
    with_model(page, INJECTION)
    assert page.evaluate(width) == 360


def test_dark_and_light(opened: Opened) -> None:
    page = opened(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(20, 23, 22)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(246, 245, 241)"
    page.reload()
    expect(page.locator("#theme")).to_have_text("Theme: light")


def test_nothing_moves_where_that_is_not_wanted(opened: Opened, server: PageServer) -> None:
    server.service.may_write.clear()
    moving = "getComputedStyle(document.querySelector('#output'), '::after').animationName"
    for wish, name in (("no-preference", "blink"), ("reduce", "none")):
        page = opened(reduced_motion=wish)
        page.fill("#source", TEXT)
        page.click("#go")
        expect(page.locator("#output.live")).to_have_text("Das")
        assert page.evaluate(moving) == name


def test_an_engine_in_the_page_takes_the_place_of_the_server(opened: Opened, server: PageServer) -> None:
    page = opened()
    line, engine = '<script type="module" src="engine.js"></script>', Path(__file__).with_name("engine.js")
    body = PAGE.read_text(encoding="utf-8").replace("<script>", f"{line}<script>")
    page.route(server.address, lambda route: route.fulfill(body=body, content_type="text/html"))
    page.route("**/engine.js", lambda route: route.fulfill(path=engine, content_type="text/javascript"))
    page.reload()
    expect(page.locator("#title")).to_have_text("in-the-page")
    expect(translated(page, "abc").locator("#output")).to_have_text("cba")
    assert server.service.asked == []
    page.route("**/engine.js", lambda route: route.abort())
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("engine.js does not load")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(opened: Opened, server: PageServer, width: int, scheme: str) -> None:
    page = opened(width, color_scheme=scheme, reduced_motion="reduce")
    found = [*violations(page)]
    page.check("#confidence")
    translated(with_model(page, "both-ends"))
    page.click("#search summary")
    page.click("#about summary")
    piece(page, "klein").click()
    expect(page.locator("#inspector")).to_contain_text("looked at")
    page.evaluate("notify('A message.', 'A remedy'); $('access').hidden = false")
    assert found + violations(page) == []


def test_pictures(opened: Opened, tmp_path: Path) -> None:
    """Take pictures of the page; whether they are beautiful is for people to say."""
    for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"), ("narrow", 360, "light")):
        page = opened(width, color_scheme=scheme, device_scale_factor=1.5)
        page.check("#confidence")
        page.fill("#source", f"{TEXT} A river runs behind it.")
        page.click("#go")
        piece(page, "Haus").hover()
        expect(page.locator("#inspector")).to_contain_text("looked at")
        picture = tmp_path / f"{name}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000


def test_a_picture_of_a_real_model(browser: Any) -> None:
    """Take the picture of the README from a server that runs, as the head of this file says."""
    address, kept = os.environ.get("PAGE_ADDRESS"), os.environ.get("PAGE_PICTURE")
    if not address or not kept:
        pytest.skip("PAGE_ADDRESS and PAGE_PICTURE name no server and no picture")
    page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.5)
    page.goto(address)
    page.check("#confidence")
    page.fill("#source", os.environ.get("PAGE_TEXT", "Two men in green shirts are standing in a yard."))
    page.click("#go")
    expect(page.locator("#output")).not_to_be_empty()
    words = page.locator("#output .piece")
    words.nth(words.count() // 2).hover()
    expect(page.locator("#inspector")).to_contain_text("looked at")
    Path(kept).parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=kept)
    page.close()
