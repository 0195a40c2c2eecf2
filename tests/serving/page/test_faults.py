"""What goes wrong: limits, refusals, a server that goes away, and texts that would like to be HTML."""

import pytest

from seq2seq.serving.requests import RequestRefused
from tests.serving.page.server import PageServer
from tests.serving.page.window import TEXT, TRANSLATION, Error, Opened, expect, translated, with_model
from tests.serving.page.words import INJECTION


def test_a_text_that_is_too_long_is_not_sent(opened: Opened, server: PageServer) -> None:
    page = opened()
    page.fill("#source", "😀" * 200)
    expect(page.locator("#counter")).to_have_text("200 / 200")
    page.fill("#source", "😀" * 203)
    expect(page.locator("#counter")).to_have_text("3 characters too many: 203 of 200")
    expect(page.locator("#go")).to_be_disabled()
    page.press("#source", "Control+Enter")
    assert server.service.asked == []


def test_a_refusal_says_why_and_what_helps(opened: Opened, server: PageServer) -> None:
    page = with_model(opened(), "both-ends")
    page.fill("#source", "the house " * 10)
    page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text("The text has more than 16 tokens")
    page.click("text=Go sentence by sentence")
    expect(page.locator("#output")).to_contain_text("Das Haus das Haus")
    assert [asked.split for asked in server.service.asked] == ["none", "sentences"]
    expect(page.locator("#notice")).to_be_hidden()


def test_an_alarm_is_shown_in_words(opened: Opened) -> None:
    page = translated(opened(), "house")
    expect(page.locator("#alarms")).to_have_text("The output is much longer than the source.")
    expect(translated(page).locator("#alarms")).to_be_hidden()


def test_a_full_server_is_asked_again(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.service.refusals = [RequestRefused(429, "queue_full", "Too many wait.", retry_after=30)]
    page.fill("#source", TEXT)
    page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text("Too many wait. Trying again in 30 s.")
    page.click("text=Try now")
    expect(page.locator("#output")).to_have_text(TRANSLATION)


@pytest.mark.parametrize("in_stream", [False, True])
def test_a_server_that_goes_away_and_comes_back(opened: Opened, server: PageServer, in_stream: bool) -> None:
    page = opened()
    page.fill("#source", TEXT)
    if in_stream:
        server.service.may_write.clear()
        page.click("#go")
        expect(page.locator("#output")).to_have_text("Das")
        server.stop()
    else:
        server.stop()
        page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text("The server does not answer. Your text is kept.")
    server.service.may_write.set()
    server.start()
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    expect(page.locator("#notice")).to_be_hidden()


def test_a_token_is_asked_for(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.stop()
    server.start(token="secret")
    page.reload()
    page.fill("#token", "secret")
    page.click("text=Continue")
    expect(page.locator("#model")).to_have_value("english-german")


def test_texts_and_names_are_never_html(opened: Opened, server: PageServer) -> None:
    page = translated(with_model(opened(), INJECTION), INJECTION)
    server.service.refusals = [RequestRefused(422, INJECTION, INJECTION)]
    page.click("#go")
    expect(page.get_by_role("alert")).to_contain_text(INJECTION)
    assert page.locator("img").count() == 0
    assert page.title() == f"{INJECTION} · seq2seq"


def test_the_policy_is_in_force(opened: Opened) -> None:
    page = opened()
    forbidden = "document.body.innerHTML = '<b>x</b>'"
    with pytest.raises(Error, match="TrustedHTML"):
        page.evaluate(forbidden)
    with pytest.raises(Error, match="Failed to fetch"):
        page.evaluate("fetch('http://127.0.0.1:9/')")
