"""Sections that say how good the runs are: verdict, side by side, scores, baselines, training, own mistakes."""

from collections.abc import Callable

from seq2seq.reporting.curves import Course, Series
from seq2seq.reporting.page.charts import Line, bar, curve
from seq2seq.reporting.page.markup import Child, Markup, element, table, together
from seq2seq.reporting.results import Report, RunResults
from seq2seq.reporting.scores import Difference, MeasuredScore
from seq2seq.reporting.task import EXPLANATIONS, name_of_metric

WORDS = {"better": ("better", "good"), "worse": ("worse", "bad"), "no different": ("may be chance", "middle")}
"""What is said of a difference, and how it is coloured."""
INTERVAL = (
    "The 95 % interval says how far chance in the choice of the pairs may have moved a score: other pairs of the same "
    "kind would give one within it about 19 times of 20."
)


def of_each(report: Report, make: Callable[[RunResults], Markup | None]) -> Markup:
    """Return what a function makes of each run, under its name where there are several."""
    several = len(report.runs) > 1
    return together(
        [together(element("h3", run.name) if several else None, inner) for run in report.runs if (inner := make(run))]
    )


def verdict_section(report: Report) -> Markup:
    answers = report.answers
    first, *more = answers.does_it_work
    found = [element("p", with_code(first), class_="first"), _list(more)]
    for title, sentences in (("Where it fails", answers.where_it_fails), ("What to do next", answers.what_next)):
        if sentences:
            found += [element("h3", title), _list(sentences)]
    if len(report.runs) > 1:
        found.append(element("p", f"This is said of {report.runs[0].name}, which is named first.", class_="faint"))
    return together(found)


def with_code(sentence: str) -> Markup:
    """Return a sentence whose words between backticks are shown as what is typed."""
    return together([element("code", part) if place % 2 else part for place, part in enumerate(sentence.split("`"))])


def _list(sentences: tuple[str, ...] | list[str]) -> Markup | None:
    return element("ul", [element("li", with_code(sentence)) for sentence in sentences]) if sentences else None


def compared_section(report: Report) -> Markup | None:
    """Return the runs side by side; None of a single one."""
    if len(report.runs) < 2:
        return None
    first = report.runs[0]
    head: list[Child] = ["metric", f"{first.name} (first)"]
    for run in report.runs[1:]:
        head += [run.name, f"less {first.name}", "p (bootstrap, exchange)"]
    rows: list[list[Child]] = []
    for place, score in enumerate(first.scores):
        row: list[Child] = [name_of_metric(score.metric), _number(score)]
        for run, comparison in zip(report.runs[1:], report.comparisons, strict=True):
            found = comparison.differences[place]
            row += [_number(run.scores[place]), _difference(found), _p_values(found)]
        rows.append(row)
    if any(run.num_seen != 0 for run in report.runs):
        seen = [_seen(run) for run in report.runs]
        more: list[Child] = [cell for count in seen[1:] for cell in (count, "", "")]
        rows.append(["sources that its own training has", seen[0], *more])
    note = (
        "p is how often chance alone would make so large a difference between equal systems: below 0.05 by both tests, "
        "it is taken for real. All runs were given the same pairs."
    )
    scores_of_all = table(head, rows, "Scores of all runs, and how each differs from the first")
    return together(scores_of_all, element("p", note, class_="faint"), _meanings(report))


def _seen(run: RunResults) -> str:
    if run.num_seen is None:
        return "not known"
    return f"{'at least ' if run.num_sampled else ''}{run.num_seen:,}"


def _p_values(found: Difference) -> str:
    values = (found.p_bootstrap, found.p_randomization)
    return ", ".join("-" if p is None else f"{p:.3f}" for p in values)


def _difference(found: Difference) -> Markup:
    word, colour = WORDS[found.word]
    interval = "" if found.low is None or found.high is None else f" ({found.low:+.1f} to {found.high:+.1f}) "
    return together(f"{found.difference:+.1f}{interval} ", element("span", word, class_=colour))


def _number(score: MeasuredScore) -> Markup:
    interval = None
    if score.low is not None and score.high is not None:
        interval = element("span", f" {score.low:.1f} to {score.high:.1f}", class_="faint")
    return together(element("span", f"{score.value:.1f}", class_="number"), interval)


def with_bar(score: MeasuredScore, most: float, colour: int, digits: int = 1) -> Markup:
    """Return a score and its bar, which stay in one line."""
    number = element("span", f"{score.value:.{digits}f}", class_="number")
    return element("span", number, bar(score.value, score.low, score.high, most, colour), class_="one-line")


def _meanings(report: Report) -> Markup:
    """Return what each metric says, and its interval."""
    names = [score.metric for score in report.runs[0].scores]
    meanings = [element("li", EXPLANATIONS[name]) for name in names if name in EXPLANATIONS]
    return together(element("ul", meanings, class_="faint"), element("p", INTERVAL, class_="faint"))


def scores_section(report: Report) -> Markup | None:
    """Return the scores of a single run, with what they mean; several stand side by side."""
    if len(report.runs) > 1:
        return None

    def of(run: RunResults) -> Markup:
        rows: list[list[Child]] = [
            [
                name_of_metric(score.metric),
                with_bar(score, 100, 0, digits=2),
                "too few pairs" if score.low is None or score.high is None else f"{score.low:.1f} to {score.high:.1f}",
                "more is better" if score.higher_is_better else "less is better",
            ]
            for score in run.scores
        ]
        return table(["metric", "score", "95 % interval", ""], rows, f"Scores of {run.name}", "rows")

    return together(of(report.runs[0]), _meanings(report))


def stand_ins_section(report: Report) -> Markup:
    """Return how the runs do against what takes no model."""

    def of(run: RunResults) -> Markup:
        score = run.scores[0]
        systems = [("this model", score, None), *((b.description, b.scores[0], b) for b in run.baselines)]
        most = max([own.high or own.value for _, own, _ in systems] + [1.0])
        rows: list[list[Child]] = []
        for name, own, baseline in systems:
            cells: list[Child] = [
                with_bar(own, most, 3 if baseline else 0),
                "" if baseline is None else _difference(baseline.differences[0]),
            ]
            rows.append([name, *cells])
        title = f"{name_of_metric(score.metric)} of {run.name} and of what could stand in for it"
        return table(["what answers", "score", "this model less it"], rows, title, "rows")

    said = (
        "A model is only worth something if it does better than answers that take none. Each of them is what one could "
        "do with the training pairs alone."
    )
    return together(element("p", said), of_each(report, of))


def curves_section(report: Report) -> Markup | None:
    """Return the curves of each run's training; None where nothing was logged."""
    found = of_each(report, lambda run: _curves(run.course) if run.course else None)
    return found or None


def _curves(course: Course) -> Markup:
    figures = []
    losses = [own for kind in ("train", "validation") if (own := course.of(kind, "nll") or course.of(kind, "loss"))]
    if losses:
        named = {"train": "training pairs", "validation": "validation pairs"}
        lines = [_line(own, named[own.kind], place) for place, own in enumerate(losses)]
        figures.append(curve(lines, "Loss (less is better)", _x_label(losses[0])))
    skipped = ("loss", "nll", "perplexity", "token_accuracy", "loss_of_weights", "loss_of_average")
    metrics = [own for own in course.series if own.kind == "validation" and own.name not in skipped]
    for own in metrics:
        title = f"{name_of_metric(own.name)} on the validation pairs"
        figures.append(curve([_line(own, name_of_metric(own.name), 0)], title, _x_label(own)))
    said = (
        "Loss is how surprised the model is by the right words. Where it still falls at the end, more time helps; "
        "where that on validation pairs rises again while that on training pairs falls, the model learns by heart."
    )
    return together(element("div", figures, class_="curves"), element("p", said, class_="faint"))


def _x_label(series: Series) -> str:
    return "steps" if None in series.minutes or not any(series.minutes) else "minutes of training"


def _line(series: Series, label: str, colour: int) -> Line:
    minutes = [value for value in series.minutes if value is not None]
    places = minutes if _x_label(series) != "steps" else [float(step) for step in series.steps]
    return Line(label, tuple(zip(places, series.values, strict=True)), colour, has_dots=series.kind == "validation")


def exposure_section(report: Report) -> Markup | None:
    """Return how the runs do behind their own words; None where it was not measured."""

    def of(run: RunResults) -> Markup | None:
        if run.exposure is None:
            return None
        quarters = run.exposure.by_quarter
        gold = [(float(x), 100 * q.gold_accuracy) for x, q in enumerate(quarters) if q.gold_accuracy is not None]
        own = [(float(x), 100 * q.own_accuracy) for x, q in enumerate(quarters) if q.own_accuracy is not None]
        lines = [
            Line("behind the right words", tuple(gold), 0, has_dots=True),
            Line("on its own", tuple(own), 1, has_dots=True),
        ]
        names = [q.positions.replace(" quarter", "") for q in quarters]
        title = "Right pieces of words, of 100, by quarter of the text"
        picture = curve([line for line in lines if line.points], title, "quarter of the text", x_names=names)
        note = f"Measured on {run.exposure.num_pairs:,} pairs, without a beam."
        return together(element("p", run.exposure.sentence), picture, element("p", note, class_="faint"))

    return of_each(report, of) or None
