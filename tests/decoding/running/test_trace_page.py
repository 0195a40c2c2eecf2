"""What the page of a search from both ends shows, and how wide: read back by a parser, not by eye."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from seq2seq.decoding.running.trace import TokenIds, Trace
from seq2seq.decoding.running.trace_page import MOST_TOKENS, SHARED_TOKENS, STYLE, write_trace_page
from seq2seq.generation.hypothesis import Hypothesis


class Cells(HTMLParser):
    """The text of each cell of a row of the beams, a line for each hypothesis."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        elif tag == "br":
            self.rows[-1][-1] += "\n"

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.replace("\xa0", " ")


def page_of(tmp_path: Path, steps: list[list[list[TokenIds]]], attention: torch.Tensor | None = None) -> str:
    longest = max(steps[-1][0], key=len)
    found = [Hypothesis((*longest, 2), (-0.1,) * (len(longest) + 1), -1.0, -0.2, True, direction="l2r")]
    path = tmp_path / "page.html"
    words = lambda ids: [f"w{token}" for token in ids]  # noqa: E731
    write_trace_page(path, "a < b", Trace(steps, found, attention), words, lambda h: "<text>")
    return path.read_text(encoding="utf-8")


def beams_of(page: str) -> list[list[str]]:
    parser = Cells()
    parser.feed(page[page.index('<table class="beams">') : page.index("</table>")])
    return parser.rows


def test_a_short_search_is_shown_whole(tmp_path: Path) -> None:
    steps = [[[()], [()]], [[(3,), (4,)], [(5,), (5,)]], [[(3, 6), (4, 7)], [(5, 8), (5, 9)]]]
    page = page_of(tmp_path, steps)
    assert beams_of(page) == [
        ["1", "w3 →\nw4 →", "← w5"],
        ["2", "w3 w6 →\nw4 w7 →", "← w8 w5\n← w9 …"],
    ]
    assert "a &lt; b" in page
    assert "&lt;text&gt;" in page


@pytest.mark.parametrize("length", [19, 67])
def test_lines_do_not_grow_with_the_search(tmp_path: Path, length: int) -> None:
    """Two hypotheses that agree but in their last token, and two that part at the first."""
    steps = [[[()], [()]]]
    for step in range(1, length + 1):
        shared = tuple(range(3, 2 + step))
        steps.append([[(*shared, 90), (*shared, 91)], [(1, *shared), (2, *shared)]])
    *_, last = beams_of(page_of(tmp_path, steps))
    left, right = last[1].split("\n"), last[2].split("\n")
    newest = [f"w{token}" for token in range(2 + length - SHARED_TOKENS, 2 + length)]
    assert left == [f"… {' '.join(newest)} w90 →", "… w91 →"]
    assert [len(line.split()) for line in right] == [MOST_TOKENS + 2] * 2
    assert right[0].startswith(f"← w{1 + length}")
    assert right[0].endswith(" …")


def test_the_beams_share_the_page_and_the_numbers_take_none_of_it() -> None:
    """A width for all cells would hold for the column of numbers too, and three columns would claim half each."""
    assert "table-layout: fixed; width: 100%" in STYLE
    assert re.search(r"\.beams \.step \{ width: 2rem", STYLE)
    assert not re.search(r"\.beams td \{[^}]*width", STYLE)
    assert "prefers-color-scheme: dark" in STYLE


def test_attention_is_a_table_for_each_side(tmp_path: Path) -> None:
    attention = torch.zeros(2, 3, 3)
    attention[1, 2, 1] = 0.25
    page = page_of(tmp_path, [[[()], [()]], [[(3,)], [(4,)]], [[(3, 5)], [(4, 6)]]], attention)
    assert page.count('<table class="heat">') == 2
    assert page.count('title="0.25"') == page.count("--w: 0.25") == 1
