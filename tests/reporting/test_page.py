"""The page: markup that no text can break, pictures, and how it looks in a real Chromium."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seq2seq.reporting import Report, write_report
from seq2seq.reporting.page.charts import Line, curve, ticks
from seq2seq.reporting.page.markup import Markup, element, together
from tests.browser import violations

INJECTION = '<img src=x onerror=alert(1)> & "quotes" </td></table>'


def test_texts_are_escaped_and_elements_are_not() -> None:
    inner = element("b", "<script>", title='"x"')
    assert str(inner) == '<b title="&quot;x&quot;">&lt;script&gt;</b>'
    assert str(element("p", ["a & ", inner, None], class_="x")) == f'<p class="x">a &amp; {inner}</p>'
    assert together("<") == Markup("&lt;")


def test_ticks_are_round_and_hold_the_range() -> None:
    assert ticks(0.0, 10.0) == [0, 2, 4, 6, 8, 10]
    assert ticks(22.9, 33.3) == [20, 25, 30, 35]
    assert ticks(1.0, 1.0) == [1.0]


@pytest.mark.parametrize("points", [[(1.0, 2.0)], [(1.0, 2.0), (2.0, 2.0)], [(0.0, 0.0), (1e6, 1e-9)]])
def test_curves_of_few_or_equal_points(points: list[tuple[float, float]]) -> None:
    drawn = curve([Line("<a>", tuple(points), 0)], "title", "steps")
    assert "nan" not in drawn
    assert "<a>" not in drawn


@pytest.fixture(scope="module")
def report(copy_task: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Return the report of a run on pairs that would like to be HTML, compared with itself under another name."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "other").symlink_to(copy_task / "run")
    texts = [*(copy_task / "test.txt").read_text().split(), INJECTION, "abc<script>alert(1)</script>", "ab" * 60]
    (folder / "test.txt").write_text("".join(f"{text}\n" for text in texts))
    return write_report(
        [copy_task / "run", folder / "other"],
        folder / "report",
        files=(folder / "test.txt", folder / "test.txt"),
        progress=False,
    )


def test_the_page_is_one_file_without_scripts(report: Report) -> None:
    page = report.page.read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<img" not in page
    assert "style=" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert not re.findall(r"\b(?:src|href)=\"(?!#)", page)
    assert "&lt;script&gt;" in page


Shown = Callable[..., Any]


@pytest.fixture
def shown(browser: Any, report: Report) -> Iterator[Shown]:
    """Return what opens the page with all that is folded; no window may have complained at the end."""
    contexts, complaints = [], []

    def opened(width: int = 1280, **options: Any) -> Any:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(report.page.as_uri())
        for folded in page.locator("details").all():
            folded.evaluate("(node) => { node.open = true }")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def test_texts_are_never_html(shown: Shown) -> None:
    page = shown()
    assert page.locator("img, script").count() == 0
    assert INJECTION in page.locator("#examples").inner_text()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(shown: Shown, width: int) -> None:
    assert shown(width).evaluate("document.documentElement.scrollWidth") == width


def test_every_link_leads_to_a_section(shown: Shown) -> None:
    page = shown()
    links = [link.get_attribute("href") for link in page.locator("nav a").all()]
    assert len(links) >= 8
    assert all(page.locator(link).count() == 1 for link in links)


def test_dark_and_light(shown: Shown) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    assert shown(color_scheme="dark").evaluate(background) == "rgb(20, 23, 22)"
    assert shown(color_scheme="light").evaluate(background) == "rgb(246, 245, 241)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(shown: Shown, width: int, scheme: str) -> None:
    assert violations(shown(width, color_scheme=scheme)) == []


def test_numbers_are_json(report: Report) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    facts = json.loads(report.page.with_name("report.json").read_text(), parse_constant=refuse)
    assert facts["verdict"] == list(report.verdict)
    assert [run["name"] for run in facts["runs"]] == ["run", "other"]
    assert facts["comparisons"][0]["differences"][0]["difference"] == 0.0
    lines = report.page.with_name("outputs.jsonl").read_text().splitlines()
    assert len(lines) == 2 * report.data.num_pairs
    assert json.loads(lines[0]).keys() == {"run", "source", "reference", "output", "scores"}
