"""A report on a terminal: a short table, the verdict, and where the page is."""

import textwrap
from collections.abc import Sequence

from seq2seq.reporting.results import Report
from seq2seq.reporting.scores import MeasuredScore
from seq2seq.reporting.task import name_of_metric

WIDTH = 100
MOST_SCORES = 3
"""Metrics that are printed; the page has all."""


def format_report(report: Report) -> str:
    """Return the report as text."""
    pairs = "1 pair" if report.data.num_pairs == 1 else f"{report.data.num_pairs:,} pairs"
    names = [name_of_metric(score.metric) for score in report.runs[0].scores[:MOST_SCORES]]
    rows = [[f"{pairs}: {report.data.described}", *names]]
    rows += [[run.name, *map(_score, run.scores[:MOST_SCORES])] for run in report.runs]
    rows += [[f"  {b.description}", *map(_score, b.scores[:MOST_SCORES])] for b in report.runs[0].baselines]
    sentences = [
        textwrap.fill(sentence, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for sentence in report.verdict
    ]
    return "\n".join([_aligned(rows), "", *sentences, "", f"page: {report.page}"])


def _score(score: MeasuredScore) -> str:
    interval = "" if score.low is None or score.high is None else f" [{score.low:.1f}, {score.high:.1f}]"
    return f"{score.value:.2f}{interval}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
