"""Sections for who wants to know exactly: what the runs cost, and how everything was measured."""

from collections.abc import Callable

from seq2seq.reporting.cost import RunCost
from seq2seq.reporting.nearest import MOST_ROWS
from seq2seq.reporting.page.markup import Child, Markup, element, table, together
from seq2seq.reporting.results import Report, RunResults
from seq2seq.reporting.scores import LEVEL
from seq2seq.reporting.task import name_of_metric
from seq2seq.reporting.verdict import said_none, said_seen


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
    facts = [f"{data.num_pairs:,} sources from {data.described}. {_origin(report)}"]
    is_alone = len(report.runs) == 1
    facts += [f"{said_seen(run, data, is_alone=is_alone)}." for run in report.runs]
    if data.num_blank:
        facts.append(f"{data.num_blank:,} pairs without text on one side were left out.")
    if data.num_more:
        facts.append(f"{data.num_more:,} more sources were left out, by --max-rows.")
    if data.has_several_references:
        facts.append("A source with several targets is one source with several references; the nearest one counts.")
    if data.note:
        facts.append(data.note)
    if data.share_unseen is not None:
        facts.append(f"{100 * data.share_unseen:.1f} % of the words in the sources are in {said_none(data)}.")
        if not data.is_whole:
            facts.append(
                f"What is said of training, the answers without a model included, is of {data.num_looked_at:,} of its "
                "pairs that were looked at; the others may hold what these lack."
            )
        if data.num_looked_at > MOST_ROWS:
            facts.append(f"The training pair whose source is most like a given one is sought among {MOST_ROWS:,}.")
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


def _origin(report: Report) -> str:
    """Return what became of the pairs in the training of the first run, as far as that is known."""
    first = report.runs[0]
    is_alone = len(report.runs) == 1
    if report.data.origin == "validation":
        return (
            f"They chose the checkpoint{'' if is_alone else f' of {first.name}'}, so its scores are a little "
            "flattering. Give other pairs by --source and --reference."
        )
    if report.data.origin == "test" and first.num_seen == 0 and first.num_sampled is None:
        whose, of = ("", "") if is_alone else (f" from {first.name}", " of it")
        return f"They were held out{whose}: neither the training{of} nor the choice of the checkpoint saw them."
    return ""


def _search(run: RunResults, *, several: bool) -> Markup:
    rows: list[list[Child]] = [[name, str(value)] for name, value in run.search.items()]
    title = f"Search of {run.name}" if several else "How outputs were searched for"
    return element("details", element("summary", title), table(["option", "value"], rows, title, "text"))
