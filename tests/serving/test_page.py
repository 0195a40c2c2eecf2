"""The page in a real Chromium, before a server of a few words; the tests skip where there is no browser.

`PAGE_PICTURE=docs/pictures/page.png` in the environment keeps the picture that one of them takes.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.serving.page_policy import PAGE, policy, with_policy
from tests.serving.page_server import INJECTION, PageServer

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser that shows the page")
expect = sync_api.expect
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

TEXT = "The old house is small and quiet."
TRANSLATION = "Das alte Haus ist klein und still."
Opened = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def server() -> Iterator[PageServer]:
    server = PageServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def opened(browser: Any, server: PageServer) -> Iterator[Opened]:
    """Return what opens the page in a window of its own; no window may have complained at the end."""
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


# Without a browser.


def test_the_policy_allows_the_page_as_it_is_and_nothing_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert with_policy(page) == page, "run python -m tests.serving.page_policy"
    assert policy(page.replace('"use strict"', '"use  strict"')) != policy(page)


def test_the_page_names_no_outside_address_and_writes_no_html() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"\w+://[\w.]+", page)) == {"http://www.w3.org"}  # the name space of pictures
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "cookie", "sessionStorage"):
        assert word not in page


# What the page does.


@in_chromium
def test_a_text_is_translated(opened: Opened, server: PageServer) -> None:
    page = translated(opened())
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    [asked] = server.asked
    assert (asked["inputs"], asked["model"], asked["n_best"]) == (TEXT, "english-german", 3)
    assert (asked["split"], asked["source_language"], asked["target_language"]) == ("sentences", "en", "de")
    expect(page).to_have_title("english-german · seq2seq")
    expect(page.locator("#colophon")).to_have_text(
        "Asked of english-german · English to German · beam search, 5 hypotheses wide · 3 suggestions · "
        "sentence by sentence"
    )


@in_chromium
def test_the_model_says_what_its_limits_are(opened: Opened) -> None:
    page = opened()
    page.click("#about summary")
    expect(page.locator("#limits")).to_contain_text("200 characters")
    expect(page.locator("#limits")).to_contain_text("16 tokens")
    expect(page.locator("#counter")).to_have_text("0 / 200")


@in_chromium
def test_text_is_shown_as_it_comes(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.may_write.clear()
    page.fill("#source", TEXT)
    page.click("#go")
    expect(page.locator("#output")).to_have_text("Das")
    expect(page.locator("#output")).to_have_attribute("aria-busy", "true")
    server.may_write.set()
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    expect(page.locator("#output")).to_have_attribute("aria-busy", "false")


@in_chromium
def test_escape_cancels(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.may_write.clear()
    page.fill("#source", TEXT)
    page.press("#source", "Control+Enter")
    expect(page.locator("#output")).to_have_text("Das")
    page.keyboard.press("Escape")
    expect(page.locator("#facts")).to_have_text("Cancelled.")
    server.may_write.set()
    expect(translated(page, "the river").locator("#output")).to_have_text("Das Fluss")


@in_chromium
def test_another_suggestion_is_chosen(opened: Opened) -> None:
    page = translated(opened())
    rows = page.locator(".hypothesis")
    expect(rows).to_have_count(3)
    expect(rows.nth(1).locator("mark")).to_have_text(["winzig", "ruhig."])
    rows.nth(1).click()
    expect(page.locator("#output")).to_have_text("Das alte Haus ist winzig und ruhig.")
    assert float(rows.nth(1).locator(".score").inner_text().replace("−", "-")) < 0


@in_chromium
def test_unsure_words_are_shaded_where_one_wants_that(opened: Opened) -> None:
    page = translated(opened())
    assert style(page, "still", "--doubt") == 0
    page.check("#confidence")
    assert style(page, "still", "--doubt") > style(page, "klein", "--doubt") > style(page, "Haus", "--doubt")
    page.reload()
    expect(page.locator("#confidence")).to_be_checked()
    assert page.context.cookies() == []


@in_chromium
def test_a_word_of_the_output_shows_what_it_looked_at(opened: Opened, server: PageServer) -> None:
    page = translated(opened())
    piece(page, "Haus").hover()
    expect(page.locator("#inspector")).to_contain_text("Haus 97 % sure · looked at house 7")
    assert style(page, "house", "--seen-by", "mirror") == 60 > style(page, "old", "--seen-by", "mirror") > 0
    piece(page, "ist").hover()
    expect(page.locator("#inspector")).to_contain_text("looked at is")
    assert [asked["path"] for asked in server.asked].count("/v1/explain") == 1


@in_chromium
def test_a_word_of_the_source_shows_what_looked_at_it(opened: Opened) -> None:
    page = translated(opened())
    page.hover("#source", position={"x": 5, "y": 5})
    expect(page.locator("#mirror .piece").first).to_be_attached()
    box = piece(page, "small", "mirror").bounding_box()
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    expect(page.locator("#inspector")).to_contain_text("small · looked at for klein")
    assert style(page, "klein", "--seen-by") == 60
    page.mouse.move(5, 5)
    assert style(page, "klein", "--seen-by") == 0


SPELLINGS = [
    (["▁Gr", "ü", "▁x", "</s>"], "Grü x", ["Gr", "ü", "x"]),
    (["Gr", "Ã¼", "ĠðŁ", "ĺĢ", "!", "</s>"], "Grü 😀!", ["Gr", "ü", "😀", "!"]),
    (["<de>", "▁a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<unk>", "▁b"], "a😀 b", ["a", "😀", "b"]),
    (["a", "b", ".", "</s>"], "a b .", ["a", "b", "."]),
    (["▁the", "▁house"], "The House", ["The", "House"]),
    (["▁a", "▁b", "▁other"], "quite some text", []),
]
"""Tokens as vocabularies write them, their text, and its parts that belong to one token, or to several together."""


@in_chromium
def test_tokens_are_found_in_their_text(opened: Opened) -> None:
    page = opened()
    for tokens, text, pieces in SPELLINGS:
        found = page.evaluate("([tokens, text]) => aligned(tokens, text).pieces", [tokens, text])
        units = text.encode("utf-16-le")
        assert [units[2 * one["start"] : 2 * one["end"]].decode("utf-16-le") for one in found] == pieces


@in_chromium
def test_the_search_from_both_ends_is_shown_step_by_step(opened: Opened) -> None:
    page = with_model(opened(), "english-german")
    expect(translated(page).locator("#search")).to_be_hidden()
    translated(with_model(page, "both-ends"))
    page.click("#search summary")
    expect(page.locator("#step_name")).to_have_text("Step 4 of 4")
    page.focus("#step")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#step_name")).to_have_text("Step 3 of 4")
    expect(page.locator("#left li").first).to_have_text("Das alte Haus →")
    expect(page.locator("#right li").first).to_have_text("← und still.")
    expect(page.locator("#right li").first.locator(".new")).to_have_text("und")
    page.click("#play")
    expect(page.locator("#step_name")).to_have_text("Step 4 of 4")
    expect(page.locator("#play")).to_have_text("Play")


@in_chromium
def test_languages_are_exchanged_with_the_model(opened: Opened) -> None:
    page = translated(opened())
    page.click("#swap")
    expect(page.locator("#model")).to_have_value("german-english")
    expect(page.locator("#source_language option:checked")).to_have_text("German")
    expect(page.locator("#source")).to_have_value(TRANSLATION)


# What goes wrong.


@in_chromium
def test_a_text_that_is_too_long_is_not_sent(opened: Opened, server: PageServer) -> None:
    page = opened()
    page.fill("#source", "😀" * 200)
    expect(page.locator("#counter")).to_have_text("200 / 200")
    page.fill("#source", "😀" * 203)
    expect(page.locator("#counter")).to_have_text("3 characters too many: 203 of 200")
    expect(page.locator("#go")).to_be_disabled()
    page.press("#source", "Control+Enter")
    assert server.asked == []


@in_chromium
def test_a_refusal_says_why_and_what_helps(opened: Opened, server: PageServer) -> None:
    page = with_model(opened(), "both-ends")
    page.fill("#source", "the house " * 10)
    page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text("The text has more than 16 tokens")
    page.click("text=Go sentence by sentence")
    expect(page.locator("#output")).to_contain_text("Das Haus das Haus")
    assert [asked["split"] for asked in server.asked] == ["none", "sentences"]
    expect(page.locator("#notice")).to_be_hidden()


@in_chromium
def test_an_alarm_is_shown_in_words(opened: Opened) -> None:
    page = translated(opened(), "house")
    expect(page.locator("#alarms")).to_have_text("The output is much longer than the source.")
    expect(translated(page).locator("#alarms")).to_be_hidden()


@in_chromium
def test_a_full_server_is_asked_again(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.refusals = [(429, {"Retry-After": "30"}, {"name": "queue_full", "message": "Too many wait."})]
    page.fill("#source", TEXT)
    page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text("Too many wait. Trying again in 30 s.")
    page.click("text=Try now")
    expect(page.locator("#output")).to_have_text(TRANSLATION)


@in_chromium
@pytest.mark.parametrize("in_stream", [False, True])
def test_a_server_that_goes_away_and_comes_back(opened: Opened, server: PageServer, in_stream: bool) -> None:
    page = opened()
    page.fill("#source", TEXT)
    if in_stream:
        server.may_write.clear()
        page.click("#go")
        expect(page.locator("#output")).to_have_text("Das")
        server.stop()
    else:
        server.stop()
        page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer. Your text is kept.")
    server.start()
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    expect(page.locator("#notice")).to_be_hidden()


@in_chromium
def test_a_token_is_asked_for(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.token = "secret"
    page.reload()
    page.fill("#token", "secret")
    page.click("text=Continue")
    expect(page.locator("#model")).to_have_value("english-german")


@in_chromium
def test_texts_and_names_are_never_html(opened: Opened, server: PageServer) -> None:
    page = translated(with_model(opened(), INJECTION), INJECTION)
    server.refusals = [(422, {}, {"name": INJECTION, "message": INJECTION})]
    page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text(INJECTION)
    assert page.locator("img").count() == 0
    assert page.title() == f"{INJECTION} · seq2seq"


@in_chromium
def test_the_policy_is_in_force(opened: Opened) -> None:
    page = opened()
    forbidden = "document.body.innerHTML = '<b>x</b>'"
    with pytest.raises(sync_api.Error, match="TrustedHTML"):
        page.evaluate(forbidden)
    with pytest.raises(sync_api.Error, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:9/')")


# How it is used and looks.


@in_chromium
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


@in_chromium
def test_a_narrow_screen_needs_no_horizontal_scrolling(opened: Opened, server: PageServer) -> None:
    page = translated(with_model(opened(360), "both-ends"), "Donaudampfschifffahrtsgesellschaft" * 3)
    page.click("#search summary")
    page.click("#about summary")
    server.refusals = [(429, {"Retry-After": "30"}, {"name": "queue_full", "message": "w" * 80})]
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) == 360
    page.click("#go")
    expect(page.locator("#notice")).to_be_visible()
    with_model(page, INJECTION)
    assert page.evaluate(width) == 360


@in_chromium
def test_dark_and_light(opened: Opened) -> None:
    page = opened(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(background) == "rgb(20, 23, 22)"
    page.click("#theme")
    assert page.evaluate(background) == "rgb(246, 245, 241)"
    page.reload()
    expect(page.locator("#theme")).to_have_text("Theme: light")


@in_chromium
def test_nothing_moves_where_that_is_not_wanted(opened: Opened, server: PageServer) -> None:
    server.may_write.clear()
    moving = "getComputedStyle(document.querySelector('#output'), '::after').animationName"
    for wish, name in (("no-preference", "blink"), ("reduce", "none")):
        page = opened(reduced_motion=wish)
        page.fill("#source", TEXT)
        page.click("#go")
        expect(page.locator("#output.live")).to_have_text("Das")
        assert page.evaluate(moving) == name


@in_chromium
def test_an_engine_in_the_page_takes_the_place_of_the_server(opened: Opened, server: PageServer) -> None:
    page = opened()
    line, engine = '<script type="module" src="engine.js"></script>', Path(__file__).with_name("page_engine.js")
    body = PAGE.read_text(encoding="utf-8").replace("<script>", f"{line}<script>")
    page.route(server.address, lambda route: route.fulfill(body=body, content_type="text/html"))
    page.route("**/engine.js", lambda route: route.fulfill(path=engine, content_type="text/javascript"))
    page.reload()
    expect(page.locator("#title")).to_have_text("in-the-page")
    expect(translated(page, "abc").locator("#output")).to_have_text("cba")
    assert server.asked == []


@in_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(opened: Opened, server: PageServer, width: int, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe examines how accessible a page is")
    page = opened(width, color_scheme=scheme, reduced_motion="reduce")
    found = [*violations(axe, page)]
    page.check("#confidence")
    translated(with_model(page, "both-ends"))
    page.click("#search summary")
    page.click("#about summary")
    server.refusals = [(422, {}, {"name": "search_failed", "message": "The search failed."})]
    piece(page, "klein").click()
    expect(page.locator("#inspector")).to_contain_text("looked at")
    page.evaluate("notify('A message.', 'A remedy'); $('access').hidden = false")
    assert found + violations(axe, page) == []


def violations(axe: Any, page: Any) -> list[str]:
    """Return what axe calls serious or critical: its rule and where."""
    response = axe.Axe().run(page).response
    return [
        f"{rule['id']}: {node['html']}"
        for rule in response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


@in_chromium
def test_pictures(opened: Opened, tmp_path: Path) -> None:
    """Take pictures of the page; whether they are beautiful is for people to say."""
    for name, width, scheme in (("light", 1280, "light"), ("dark", 1280, "dark"), ("narrow", 360, "light")):
        page = opened(width, color_scheme=scheme, device_scale_factor=1.5)
        page.check("#confidence")
        translated(page, f"{TEXT} A river runs behind it.")
        piece(page, "Haus").hover()
        expect(page.locator("#inspector")).to_contain_text("looked at")
        picture = tmp_path / f"{name}.png"
        page.screenshot(path=picture)
        assert picture.stat().st_size > 10_000
    if kept := os.environ.get("PAGE_PICTURE"):
        Path(kept).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "light.png", kept)
