"""A search from both ends as a page: both beams as they grow, the results, and who attended to whom."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from seq2seq.decoding.parts.search import Hypothesis
from seq2seq.decoding.running.output import write_lines
from seq2seq.decoding.running.trace import TokenIds, Trace

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c1c1c }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem .5rem; vertical-align: top }
.beams td { border-top: 1px solid #ddd; width: 50% } .beams td.right { text-align: right } .step { color: #888 }
.first { font-weight: 600 } .scroll { overflow-x: auto } .heat td { min-width: 1.6rem; height: 1.3rem; padding: 0 }
.heat th { font-weight: 400; font-size: 12px; white-space: nowrap; text-align: right } .up { writing-mode: vertical-rl }
"""

Words = Callable[[Sequence[int]], list[str]]


def write_trace_page(path: Path, source: str, trace: Trace, words: Words, text: Callable[[Hypothesis], str]) -> None:
    """Write the page.

    Args:
        words: the tokenizer's entries of target tokens.
        text: a hypothesis as text.
    """
    sections = [
        "<h2>The beams, step by step</h2>",
        "<p>From the left on the left side, from the right on the right side, both in reading order; best first.</p>",
        _beams(trace.steps, words),
        "<h2>Results</h2>",
        _results(trace.hypotheses, text),
    ]
    if trace.attention is not None:
        sections += _attention(trace, words)
    title = f"<h1>{html.escape(source)}</h1>"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Trace</title>'
    opening = f"<html><head>{head}<style>{STYLE}</style></head><body>"
    write_lines(path, ["<!doctype html>", opening, title, *sections, "</body></html>"])


def _beams(steps: list[list[list[TokenIds]]], words: Words) -> str:
    rows = []
    for number, (left, right) in enumerate(steps[1:], start=1):
        shown_left = [" ".join(words(row)) + " …" for row in left]
        shown_right = ["… " + " ".join(reversed(words(row))) for row in right]
        cells = "".join(
            f'<td class="{side}">{_lines(shown)}</td>' for side, shown in (("left", shown_left), ("right", shown_right))
        )
        rows.append(f'<tr><td class="step">{number}</td>{cells}</tr>')
    return f'<div class="scroll"><table class="beams">{"".join(rows)}</table></div>'


def _lines(shown: list[str]) -> str:
    """Return hypotheses under each other, the first set off; one that two rows hold stands once."""
    best, *others = dict.fromkeys(shown)
    return "<br>".join([f'<span class="first">{html.escape(best)}</span>', *map(html.escape, others)])


def _results(hypotheses: list[Hypothesis], text: Callable[[Hypothesis], str]) -> str:
    rows = [
        f"<tr><td>{h.normalized_score:.3f}</td><td>{h.direction}</td><td>{html.escape(text(h))}</td></tr>"
        for h in hypotheses
    ]
    head = "<tr><th>score</th><th>direction</th><th>text</th></tr>"
    return f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>'


def _attention(trace: Trace, words: Words) -> list[str]:
    """Return a table for each side: a line for each of its tokens, a column for each of the other side's."""
    assert trace.attention is not None, "there is nothing to show without interaction"
    best = {d: next((h for h in trace.hypotheses if h.direction == d), trace.hypotheses[0]) for d in ("l2r", "r2l")}
    left = ["(start)", *words(_content(best["l2r"]))]
    right = ["(start)", *reversed(words(_content(best["r2l"])))]
    sections = ["<h2>What each side attends to in the other, last layer</h2>"]
    for name, own, other, weights in (
        ("From the left", left, right, trace.attention[0]),
        ("From the right", right, left, trace.attention[1]),
    ):
        sections += [
            f"<p>{name}: each line is a token that was just fed, darker is more.</p>",
            _heat(own, other, weights),
        ]
    return sections


def _content(hypothesis: Hypothesis) -> tuple[int, ...]:
    return hypothesis.tokens[:-1] if hypothesis.finished else hypothesis.tokens


def _heat(own: list[str], other: list[str], weights: Tensor) -> str:
    head = "".join(f'<th class="up">{html.escape(word)}</th>' for word in other)
    rows = [
        f"<tr><th>{html.escape(word)}</th>"
        + "".join(f'<td style="background: rgb(20 80 160 / {float(w):.2f})" title="{float(w):.2f}"></td>' for w in line)
        + "</tr>"
        for word, line in zip(own, weights[: len(own), : len(other)].tolist(), strict=True)
    ]
    return f'<div class="scroll"><table class="heat"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
