"""What people do with the page, in a real Chromium."""

from tests.serving.page.server import PageServer
from tests.serving.page.window import TEXT, TRANSLATION, Opened, expect, piece, style, translated, with_model


def test_a_text_is_translated(opened: Opened, server: PageServer) -> None:
    page = translated(opened())
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    [asked] = server.service.asked
    assert (asked.texts, asked.model, asked.options) == ((TEXT,), "english-german", {"n_best": 3})
    assert (asked.split, asked.source_language, asked.target_language) == ("sentences", "en", "de")
    expect(page).to_have_title("english-german · seq2seq")
    expect(page.locator("#colophon")).to_have_text(
        "Asked of english-german · English to German · beam search, 5 hypotheses wide · 3 suggestions · "
        "sentence by sentence"
    )


def test_the_model_says_what_its_limits_are(opened: Opened) -> None:
    page = opened()
    page.click("#about summary")
    expect(page.locator("#limits")).to_contain_text("200 characters")
    expect(page.locator("#limits")).to_contain_text("16 tokens")
    expect(page.locator("#counter")).to_have_text("0 / 200")


def test_text_is_shown_as_it_comes(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.service.may_write.clear()
    page.fill("#source", TEXT)
    page.click("#go")
    expect(page.locator("#output")).to_have_text("Das")
    expect(page.locator("#output")).to_have_attribute("aria-busy", "true")
    server.service.may_write.set()
    expect(page.locator("#output")).to_have_text(TRANSLATION)
    expect(page.locator("#output")).to_have_attribute("aria-busy", "false")


def test_escape_cancels(opened: Opened, server: PageServer) -> None:
    page = opened()
    server.service.may_write.clear()
    page.fill("#source", TEXT)
    page.press("#source", "Control+Enter")
    expect(page.locator("#output")).to_have_text("Das")
    page.keyboard.press("Escape")
    expect(page.locator("#facts")).to_have_text("Cancelled.")
    server.service.may_write.set()
    expect(translated(page, "the river").locator("#output")).to_have_text("Das Fluss")


def test_another_suggestion_is_chosen(opened: Opened) -> None:
    page = translated(opened())
    rows = page.locator(".hypothesis")
    expect(rows).to_have_count(3)
    expect(rows.nth(1).locator("mark")).to_have_text(["winzig", "ruhig."])
    rows.nth(1).click()
    expect(page.locator("#output")).to_have_text("Das alte Haus ist winzig und ruhig.")
    assert float(rows.nth(1).locator(".score").inner_text().replace("−", "-")) < 0


def test_unsure_words_are_shaded_where_one_wants_that(opened: Opened) -> None:
    page = translated(opened())
    assert style(page, "still", "--doubt") == 0
    page.check("#confidence")
    assert style(page, "still", "--doubt") > style(page, "klein", "--doubt") > style(page, "Haus", "--doubt")
    page.reload()
    expect(page.locator("#confidence")).to_be_checked()
    assert page.context.cookies() == []


def test_a_word_of_the_output_shows_what_it_looked_at(opened: Opened, server: PageServer) -> None:
    page = translated(opened())
    piece(page, "Haus").hover()
    expect(page.locator("#inspector")).to_contain_text("Haus 97 % sure · looked at house 7")
    assert style(page, "house", "--seen-by", "mirror") == 60 > style(page, "old", "--seen-by", "mirror") > 0
    piece(page, "ist").hover()
    expect(page.locator("#inspector")).to_contain_text("looked at is")
    assert server.service.explained == [TRANSLATION]


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
    (["<de>", "▁", "8", "<eos>"], "<de> 8", ["<de>", "8"]),
    (["<de>", "▁a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "<unk>", "▁b"], "a😀 b", ["a", "😀", "b"]),
    (["a", "b", ".", "</s>"], "a b .", ["a", "b", "."]),
    (["▁the", "▁house"], "The House", ["The", "House"]),
    (["▁a", "▁b", "▁other"], "quite some text", []),
]
"""Tokens as vocabularies write them, their text, and its parts that belong to one token, or to several together."""


def test_tokens_are_found_in_their_text(opened: Opened) -> None:
    page = opened()
    for tokens, text, pieces in SPELLINGS:
        found = page.evaluate("([tokens, text]) => aligned(tokens, text).pieces", [tokens, text])
        units = text.encode("utf-16-le")
        assert [units[2 * one["start"] : 2 * one["end"]].decode("utf-16-le") for one in found] == pieces


def test_the_search_from_both_ends_is_shown_step_by_step(opened: Opened) -> None:
    page = with_model(opened(), "english-german")
    expect(translated(page).locator("#search")).to_be_hidden()
    translated(with_model(page, "both-ends"))
    page.click("#search summary")
    expect(page.locator("#step_name")).to_have_text("Step 5 of 5")
    page.focus("#step")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#step_name")).to_have_text("Step 4 of 5")
    expect(page.locator("#left li").first).to_have_text("Das alte Haus →")
    expect(page.locator("#right li").first).to_have_text("← und still.")
    expect(page.locator("#right li").first.locator(".new")).to_have_text("und")
    page.click("#play")
    expect(page.locator("#step_name")).to_have_text("Step 5 of 5")
    expect(page.locator("#play")).to_have_text("Play")


def test_languages_are_exchanged_with_the_model(opened: Opened) -> None:
    page = translated(opened())
    page.click("#swap")
    expect(page.locator("#model")).to_have_value("german-english")
    expect(page.locator("#source_language option:checked")).to_have_text("German")
    expect(page.locator("#source")).to_have_value(TRANSLATION)
