"""Sections for who wants to know exactly: what the runs cost, and how everything was measured."""

from collections.abc import Callable

from seq2seq.reporting.cost import RunCost
from seq2seq.reporting.page.markup import Child, Markup, element, table, together
from seq2seq.reporting.results import Report, RunResults
from seq2seq.reporting.scores import LEVEL
from seq2seq.reporting.task import name_of_metric


def _of(value: float | None, text: str) -> str:
    return "not known" if value is None else text.format(value)


FACTS: tuple[tuple[str, Callable[[RunCost], str]], ...] = (
    ("training time", lambda cost: _of(cost.training_minutes, "{:,.1f} minutes, without validations")),
    ("training steps", lambda cost: _of(cost.training_steps, "{:,}")),
    ("training pairs", lambda cost: _of(cost.training_pairs, "{:,}")),
    ("training speed", lambda cost: _of(cost.training_tokens_per_second, "{:,.0f} target tokens a second")),
    ("memory in training", lambda cost: _of(cost.training_memory_mib, "{:,.0f} MiB at most")),
    ("size of the model", lambda cost: _of(cost.parameters, "{:,} numbers (parameters)")),
    ("generating", lambda cost: f"{cost.decoding_texts_per_second:,.1f} texts a second"),
    ("", lambda cost: f"{cost.decoding_words_per_second:,.0f} words a second, {cost.decoding_seconds:,.1f} s in all"),
    ("energy of generating", lambda cost: _of(cost.decoding_joules_per_text, "{:.2f} joules a text, processors alone")),
    ("where it generated", lambda cost: f"{cost.device}, processes: {cost.processes}"),
)


def cost_section(report: Report) -> Markup:
    """Return what each run costs, and where that was measured."""
    rows: list[list[Child]] = [[name, *(fact(run.cost) for run in report.runs)] for name, fact in FACTS]
    head: list[Child] = ["", *(run.name for run in report.runs)]
    facts: list[list[Child]] = [[name, str(value)] for name, value in report.machine.items()]
    said = "Training may have been on another machine than this one, on which the outputs were generated."
    return together(
        table(head, rows, "What training and generating take", "text"),
        element("p", said, class_="faint"),
        element(
            "details",
            element("summary", "Machine and versions"),
            table(["", ""], facts, "Machine and versions", "text"),
        ),
    )


def how_section(report: Report) -> Markup:
    """Return where pairs, scores and tests come from, so that who doubts them can repeat them."""
    data = report.data
    origins = {
        "test": "They were held out: neither the training nor the choice of the checkpoint saw them.",
        "validation": "They are not in the training data, but they chose the checkpoint, so the scores are a little "
        "flattering. Give other pairs by --source and --reference.",
        "files": "",
    }
    facts = [f"{data.num_pairs:,} sources from {data.described}. {origins[data.origin]}"]
    if data.num_blank:
        facts.append(f"{data.num_blank:,} pairs without text on one side were left out.")
    if data.num_more:
        facts.append(f"{data.num_more:,} more sources were left out, by --max-rows.")
    if data.has_several_references:
        facts.append("A source with several targets is one source with several references; the nearest one counts.")
    if data.note:
        facts.append(data.note)
    if data.share_unseen is not None:
        facts.append(f"{100 * data.share_unseen:.1f} % of the words in the sources are in no training source.")
    facts += [note for run in report.runs for note in run.notes]
    facts.append(
        "Intervals are by bootstrap over pairs (1,000 resamples, percentiles). A difference is called real where both "
        f"a paired bootstrap and a paired exchange test (1,000 each, two-sided) give p < {LEVEL}."
    )
    signatures: list[list[Child]] = [
        [name_of_metric(score.metric), element("code", score.signature)] for score in report.runs[0].scores
    ]
    searches = [_search(run, several=len(report.runs) > 1) for run in report.runs]
    return together(
        element("ul", [element("li", fact) for fact in facts]),
        table(["metric", "signature"], signatures, "Signatures, with which the same scores can be had again", "text"),
        searches,
        element("p", "All numbers are in report.json, all outputs in outputs.jsonl, beside this page.", class_="faint"),
    )


def _search(run: RunResults, *, several: bool) -> Markup:
    rows: list[list[Child]] = [[name, str(value)] for name, value in run.search.items()]
    title = f"Search of {run.name}" if several else "How outputs were searched for"
    return element("details", element("summary", title), table(["option", "value"], rows, title, "text"))
