"""A search from both ends as a page: both beams as they grow, the results, and who attended to whom."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from seq2seq.decoding.running.trace import TokenIds, Trace
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.generation.output import write_lines

STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --faint: #6b6b6b; --line: #ddd; --page: #fff; --ink: 20 80 160 }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e4; --faint: #9a9a9a; --line: #3a3a3a; --page: #161616; --ink: 120 180 255 } }
body { font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem;
  color: var(--text); background: var(--page) }
h1 { font-size: 1.3rem } h2 { font-size: 1.05rem; margin-top: 2rem } h1, td { overflow-wrap: anywhere }
table { border-collapse: collapse; margin: .5rem 0 } td, th { padding: .15rem .5rem; vertical-align: top }
.beams { table-layout: fixed; width: 100% } .beams td { border-top: 1px solid var(--line); font-size: 14px }
.beams .step { width: 2rem; padding-left: 0 } .beams .right { text-align: right } .step, .seen { color: var(--faint) }
.first { font-weight: 600 } .scroll { overflow-x: auto } .results td:nth-child(-n+2) { white-space: nowrap }
.results th { text-align: left } .heat td { min-width: 1.3rem; height: 1.2rem; padding: 0 }
.heat td { background: rgb(var(--ink) / var(--w)); border: 1px solid var(--line) }
.heat th { font-weight: 400; font-size: 12px; white-space: nowrap; text-align: right } .up { writing-mode: vertical-rl }
@media (max-width: 40rem) {
  .beams tr { display: grid; grid-template-columns: 2rem 1fr; border-top: 1px solid var(--line) }
  .beams td { border: 0 } .beams .right { grid-column: 2 } }
"""

EXPLANATION = (
    "<p>From the left on the left side, from the right on the right side, both in reading order; best first. Of what "
    "all agree in, only the newest tokens are shown, faint.</p>"
)

SHARED_TOKENS = 3
"""Of the tokens that all hypotheses of a side agree in, so many are shown of the best; of the others none."""
MOST_TOKENS = 12
"""The newest tokens of a hypothesis that are shown: those before them have stood in earlier lines."""

Words = Callable[[Sequence[int]], list[str]]


def write_trace_page(path: Path, source: str, trace: Trace, words: Words, text: Callable[[Hypothesis], str]) -> None:
    """Write the page.

    Args:
        words: the tokenizer's entries of target tokens.
        text: a hypothesis as text.
    """
    sections = [
        "<h2>The beams, step by step</h2>",
        EXPLANATION,
        _beams(trace.steps, words),
        "<h2>Results</h2>",
        _results(trace.hypotheses, text),
    ]
    if trace.attention is not None:
        sections += _attention(trace, words)
    title = f"<h1>{html.escape(source)}</h1>"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Trace</title>'
    opening = f"<html><head>{head}<style>{STYLE}</style></head><body>"
    write_lines(path, ["<!doctype html>", opening, title, *sections, "</body></html>"], may_be_stream=True)


def _beams(steps: list[list[list[TokenIds]]], words: Words) -> str:
    rows = []
    for number, sides in enumerate(steps[1:], start=1):
        cells = [
            f'<td class="{name}">{_hypotheses(side, words, is_right=name == "right")}</td>'
            for name, side in zip(("left", "right"), sides, strict=True)
        ]
        rows.append(f'<tr><td class="step">{number}</td>{"".join(cells)}</tr>')
    return f'<table class="beams">{"".join(rows)}</table>'


def _hypotheses(rows: list[TokenIds], words: Words, *, is_right: bool) -> str:
    """Return hypotheses under each other, the first set off; one that two rows hold stands once."""
    best, *others = dict.fromkeys(rows)
    shared = _num_shared([best, *others]) if others else len(best) - 1
    lines = [f'<span class="first">{_newest(best, shared, shared - SHARED_TOKENS, words, is_right=is_right)}</span>']
    lines += [_newest(row, shared, shared, words, is_right=is_right) for row in others]
    return "<br>".join(lines)


def _num_shared(rows: list[TokenIds]) -> int:
    """Return how many tokens all rows begin with."""
    return next((i for i, tokens in enumerate(zip(*rows, strict=True)) if len(set(tokens)) > 1), len(rows[0]))


def _newest(row: TokenIds, shared: int, start: int, words: Words, *, is_right: bool) -> str:
    """Return a hypothesis in reading order from token `start` on, faint as far as all agree, and where it grows.

    Words are those of the whole row: what a token looks like may depend on its neighbours.
    """
    start = max(start, len(row) - MOST_TOKENS, 0)
    shown = [
        f'<span class="seen">{html.escape(word)}</span>' if place < shared else html.escape(word)
        for place, word in enumerate(words(row))
        if place >= start
    ]
    words_so_far = ['<span class="seen">…</span>', *shown] if start else shown
    if is_right:
        return "←&nbsp;" + " ".join(reversed(words_so_far))
    return " ".join(words_so_far) + "&nbsp;→"


def _results(hypotheses: list[Hypothesis], text: Callable[[Hypothesis], str]) -> str:
    rows = [
        f"<tr><td>{h.normalized_score:.3f}</td><td>{h.direction}</td><td>{html.escape(text(h))}</td></tr>"
        for h in hypotheses
    ]
    head = "<tr><th>score</th><th>direction</th><th>text</th></tr>"
    return f'<table class="results">{head}{"".join(rows)}</table>'


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
            f"<p>{name}: each line is a token that was just fed; the stronger the colour, the more.</p>",
            _heat(own, other, weights),
        ]
    return sections


def _content(hypothesis: Hypothesis) -> tuple[int, ...]:
    return hypothesis.tokens[:-1] if hypothesis.finished else hypothesis.tokens


def _heat(own: list[str], other: list[str], weights: Tensor) -> str:
    head = "".join(f'<th class="up">{html.escape(word)}</th>' for word in other)
    rows = [
        f"<tr><th>{html.escape(word)}</th>"
        + "".join(f'<td style="--w: {float(w):.2f}" title="{float(w):.2f}"></td>' for w in line)
        + "</tr>"
        for word, line in zip(own, weights[: len(own), : len(other)].tolist(), strict=True)
    ]
    return f'<div class="scroll"><table class="heat"><tr><th></th>{head}</tr>{"".join(rows)}</table></div>'
