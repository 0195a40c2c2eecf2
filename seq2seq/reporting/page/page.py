"""The page of a report: its head and policy, and the sections in the order in which people ask.

Nothing on it runs or is loaded: the policy forbids scripts and whatever is not in the page itself.
"""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

from seq2seq.reporting.page.answers import (
    compared_section,
    curves_section,
    exposure_section,
    scores_section,
    stand_ins_section,
    verdict_section,
)
from seq2seq.reporting.page.details import cost_section, how_section
from seq2seq.reporting.page.markup import Markup, element, together
from seq2seq.reporting.page.parts import alarms_section, examples_section, parts_section
from seq2seq.reporting.results import Report

STYLE = Path(__file__).with_name("style.css")
SECTIONS: tuple[tuple[str, str, Callable[[Report], Markup | None]], ...] = (
    ("verdict", "Verdict", verdict_section),
    ("compared", "Side by side", compared_section),
    ("scores", "Scores", scores_section),
    ("baselines", "Against answers without a model", stand_ins_section),
    ("examples", "Examples", examples_section),
    ("parts", "Where it does well and badly", parts_section),
    ("alarms", "Warnings", alarms_section),
    ("training", "How the training went", curves_section),
    ("mistakes", "Its own mistakes", exposure_section),
    ("cost", "What it costs", cost_section),
    ("how", "How this was measured", how_section),
)


def page_of(report: Report) -> str:
    """Return the page as text."""
    style = STYLE.read_text(encoding="utf-8")
    shown = [(name, title, inner) for name, title, make in SECTIONS if (inner := make(report)) is not None]
    title = f"Report: {' and '.join(run.name for run in report.runs)}"
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in shown]
    header = element(
        "header",
        element("h1", title),
        element("p", _subtitle(report), class_="faint"),
        element("nav", element("ul", links), aria_label="On this page"),
    )
    main = element("main", [_section(report, name, title, inner) for name, title, inner in shown])
    footer = element("footer", element("p", f"Written by seq2seq {report.machine['seq2seq']} on {report.created}."))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=policy(style)),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        Markup(f"<style>{style}</style>"),
    )
    return f"<!doctype html>\n{element('html', head, element('body', header, main, footer), lang='en')}\n"


def _section(report: Report, name: str, title: str, inner: Markup) -> Markup:
    class_ = f"verdict {report.answers.state}" if name == "verdict" else None
    return element(
        "section",
        element("h2", title, id=f"{name}-title"),
        inner,
        id=name,
        class_=class_,
        aria_labelledby=f"{name}-title",
    )


def _subtitle(report: Report) -> Markup:
    data = report.data
    pairs = f"{data.num_pairs:,} pairs" if data.num_pairs != 1 else "1 pair"
    return together(f"Measured on {pairs}: {data.described}. These are {report.task.description}.")


def policy(style: str) -> str:
    """Return the policy under which the page runs nothing and loads nothing; its own style is known by its hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
