"""Sections of parts of the pairs: slices with their scores, warnings with examples, and single outputs to look at."""

from collections.abc import Sequence

from seq2seq.reporting.examples import Example, TextPiece
from seq2seq.reporting.page.answers import of_each, with_bar
from seq2seq.reporting.page.charts import heat
from seq2seq.reporting.page.markup import Child, Markup, element, table, together
from seq2seq.reporting.results import Report, RunResults
from seq2seq.reporting.slices import LEAST_PAIRS, Slice
from seq2seq.reporting.task import name_of_metric

GROUPS = {
    "worst": ("The worst", "by the score of each output alone"),
    "median": ("From the middle", "as good as half of all outputs"),
    "best": ("Some of the best", "drawn from the best quarter"),
}
OPEN = 4
"""Examples of a group that are shown at once; the others behind a line to open."""


def parts_section(report: Report) -> Markup | None:
    """Return the slices of all runs, side by side; None where there are none."""
    first = report.runs[0]
    if not first.slices:
        return None
    most = max([own.score.high or own.score.value for run in report.runs for own in run.slices] + [1.0])
    several = len(report.runs) > 1
    rows: list[list[Child]] = []
    group = ""
    for place, part in enumerate(first.slices):
        if part.group != group:
            group = part.group
            rows.append([element("strong", group), *([""] * (2 + len(report.runs) - 1 + (not several)))])
        cells: list[Child] = [element("span", f"{part.num_pairs:,}", class_="pairs")]
        for colour, run in enumerate(report.runs):
            cells.append(with_bar(run.slices[place].score, most, colour % 5))
        if not several:
            cells.append(_remark(part))
        rows.append([part.label, *cells])
    name = name_of_metric(first.slices[0].score.metric)
    head: list[Child] = [
        "sources",
        "pairs",
        *([run.name for run in report.runs] if several else [name, "against the rest"]),
    ]
    better = "more" if first.slices[0].score.higher_is_better else "less"
    note = (
        f"{name}; {better} is better. The thin line in a bar is the 95 % interval. Of parts with fewer than "
        f"{LEAST_PAIRS} pairs nothing is concluded."
    )
    if report.data.num_looked_at:
        counted = "the" if report.data.is_whole else f"{report.data.num_looked_at:,} of the"
        whose = f" of {first.name}" if several else ""
        note += f" What is rare, unseen or seen in training is counted in {counted} training pairs{whose}."
    return together(table(head, rows, f"{name} by kind of source", "rows"), element("p", note, class_="faint"))


def _remark(part: Slice) -> Markup | str:
    if part.is_too_small:
        return element("span", "too few to say", class_="faint")
    if part.is_worse:
        return element("span", "worse", class_="bad")
    return element("span", "better", class_="good") if part.is_better else ""


def alarms_section(report: Report) -> Markup:
    def of(run: RunResults) -> Markup:
        if not run.alarms:
            return element("p", "None: no output is empty, repeats itself, or is far too long or short.")
        return together([_alarm(report, run, place) for place in range(len(run.alarms))])

    return of_each(report, of)


def _alarm(report: Report, run: RunResults, place: int) -> Markup:
    alarm = run.alarms[place]
    rows: list[list[Child]] = [
        [report.pairs.sources[row], run.decoded.outputs[row] or "(empty)", report.pairs.references[row][0]]
        for row in alarm.rows
    ]
    shown: list[list[Child]] = [[_short(str(cell)) for cell in row] for row in rows]
    mark = element("span", "Often: " if alarm.is_serious else "", class_="bad")
    inner = table(
        ["source", "output", "reference"], shown, f"The first of them: {alarm.kind.replace('_', ' ')}", "text"
    )
    return element("details", element("summary", mark, alarm.sentence), inner)


def _short(text: str, most: int = 300) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def examples_section(report: Report) -> Markup:
    def of(run: RunResults) -> Markup:
        found = []
        for group, (title, note) in GROUPS.items():
            own = [example for example in run.examples if example.group == group]
            if own:
                found += [element("h3", title), element("p", note, class_="faint"), *_folded(own)]
        return together(found)

    key = element(
        "p",
        "What the reference lacks is marked ", element("mark", "so"), ", and what the output lacks ",
        element("mark", "so", class_="missing"), ".",
        class_="faint",
    )  # fmt: skip
    if len(report.runs) == 1:
        return together(key, of(report.runs[0]))
    folded = [
        element("details", element("summary", run.name), of(run), open="" if place == 0 else None)
        for place, run in enumerate(report.runs)
    ]
    return together(key, folded)


def _folded(examples: Sequence[Example]) -> list[Markup]:
    shown = [_example(own) for own in examples[:OPEN]]
    rest = [_example(own) for own in examples[OPEN:]]
    return [*shown, element("details", element("summary", f"{len(rest)} more"), rest)] if rest else shown


def _example(example: Example) -> Markup:
    lines = [
        element("dt", "source"), element("dd", _short(example.source, 700), dir="auto"),
        element("dt", "output"), element("dd", _pieces(example.output_pieces, "") or "(empty)", dir="auto"),
        element("dt", "reference"), element("dd", _pieces(example.reference_pieces, "missing"), dir="auto"),
        element("dd", f"{name_of_metric(example.metric)} {example.score:.1f} · pair {example.row + 1}", class_="score"),
    ]  # fmt: skip
    attention = None
    if example.attention is not None:
        own = example.attention
        title = f"What each piece of output {example.row + 1} looked at in its source"
        attention = element(
            "details",
            element("summary", "What it looked at"),
            element(
                "p",
                "A line for each piece of the output, a column for each of the source: the darker, the more.",
                class_="faint",
            ),
            heat(own.output, own.source, own.weights, title),
        )
    return element("div", element("dl", lines), attention, class_="example")


def _pieces(pieces: Sequence[TextPiece], class_: str) -> Markup:
    return together(
        [
            piece.text
            if piece.is_common or not piece.text.strip()
            else element("mark", piece.text, class_=class_ or None)
            for piece in pieces
        ]
    )
