"""The verdict in plain sentences: does it work, where does it fail, what to do next. Each must be true.

Numbers of a run enter; `Answers` leave. What counts as working: better than everything that takes no model, beyond
chance by two tests, and by the first metric good enough to be of use at all. Decision 40 says why.
"""

from collections.abc import Iterator, Sequence

from seq2seq.data.examination.findings import percent
from seq2seq.reporting.baselines import WITHOUT_MODEL, Baseline
from seq2seq.reporting.curves import Course
from seq2seq.reporting.results import Answers, DataFacts, RunComparison, RunResults
from seq2seq.reporting.scores import LEAST_FOR_INTERVAL, Difference, MeasuredScore
from seq2seq.reporting.slices import Slice, worst_slice
from seq2seq.reporting.task import Kind, PairTask, name_of_metric

OF_USE = {"bleu": 10.0, "rougeL": 15.0, "exact_match": 20.0}
"""A score below which outputs are hardly of use, by the metric that comes first; others have no such bound."""
FEW_PAIRS: dict[Kind, int] = {
    "sentences": 10_000,
    "summaries": 10_000,
    "corrections": 10_000,
    "words": 2_000,
    "signs": 2_000,
}
"""Training pairs of which more are worth more than anything else."""
OF_LANGUAGE = ("sentences", "summaries", "corrections")
"""Tasks that a pretrained model knows something of."""
MUCH_UNSEEN, MANY_SAME = 0.05, 0.02
MOST_ALARMS = 3


def answers(
    run: RunResults,
    task: PairTask,
    data: DataFacts,
    others: Sequence[RunResults] = (),
    comparisons: Sequence[RunComparison] = (),
) -> Answers:
    """Return the verdict on a run, and on others beside it."""
    state, first = _works(run, task, data)
    first = f"{run.name}: {first}" if others else first
    more = [*_caveats(run, data, is_alone=not others), *_tuned(run)]
    for other, comparison in zip(others, comparisons, strict=True):
        more += [f"{other.name}: {_works(other, task, data)[1]}", *_seen(other, data, is_alone=False)]
        more.append(" ".join([_compared(comparison), *_unequal(run, other)]))
    fails = tuple(_fails(run, state)) if state != "unknown" else ()
    return Answers(state, (first, *more), fails, tuple(_next(run, task, data, state)))


def said_score(score: MeasuredScore) -> str:
    """Return a score with its interval, as a part of a sentence."""
    value = f"{score.value:.1f}"
    interval = (
        "" if score.low is None or score.high is None else f" (95 % interval {score.low:.1f} to {score.high:.1f})"
    )
    if score.metric == "exact_match":
        return f"{value} % of outputs exactly right{interval}"
    return f"{name_of_metric(score.metric)} {value}{interval}"


def strongest(run: RunResults) -> Baseline | None:
    """Return what does best without a model, by the first metric."""
    without = [baseline for baseline in run.baselines if baseline.name in WITHOUT_MODEL]
    sign = 1 if run.scores[0].higher_is_better else -1
    return max(without, key=lambda baseline: sign * baseline.scores[0].value, default=None)


def _works(run: RunResults, task: PairTask, data: DataFacts) -> tuple[str, str]:
    """Return the state, and the sentence that says it."""
    score = run.scores[0]
    if not any(output.strip() for output in run.decoded.outputs):
        return "fails", "It does not work: all outputs are empty."
    if data.num_pairs < LEAST_FOR_INTERVAL:
        pairs = "a single pair" if data.num_pairs == 1 else f"{data.num_pairs} pairs"
        return "unknown", (
            f"Whether it works cannot be said: {pairs} to measure on is too little. Give some hundred, as `--source` "
            f"and `--reference`. On {'it' if data.num_pairs == 1 else 'these'}, it has {said_score(score)}."
        )
    best = strongest(run)
    assert best is not None, "the source itself always stands in"
    its = f"{best.description} ({best.scores[0].value:.1f})"
    measured = f"{said_score(score)} on {data.num_pairs:,} pairs"
    unbeaten = [own for own in run.baselines if own.name in WITHOUT_MODEL and own.differences[0].word != "better"]
    if unbeaten:
        how = "and does worse than" if best.differences[0].word == "worse" else "not clearly better than"
        if best in unbeaten:
            return "fails", f"It does not work yet: it has {measured}, {how} an answer that takes no model: {its}."
        other = unbeaten[0]
        its = f"{other.description} ({other.scores[0].value:.1f})"
        return "fails", f"It does not work yet: it has {measured}, not clearly better than {its}."
    bound = OF_USE.get(score.metric)
    value = best.scores[0].value
    beats = f"Answers that take no model are clearly worse; the best of these, {best.description}, has {value:.1f}."
    if bound is not None and score.value < bound:
        return "weak", f"It has learnt something, but too little to be of use: it has {measured}. {beats}"
    return "works", f"It works: it has {measured}. {beats}"


def _caveats(run: RunResults, data: DataFacts, *, is_alone: bool) -> Iterator[str]:
    """Yield what has to be known to read the score rightly."""
    if not run.is_finished:
        yield (
            f"The training has not reached its end (step {run.last_step:,} of {run.max_steps:,}); this is its best "
            "model so far."
        )
    if data.origin == "validation":
        yield "These pairs chose the checkpoint in training, so the scores are a little flattering."
    yield from _seen(run, data, is_alone=is_alone)


def _seen(run: RunResults, data: DataFacts, *, is_alone: bool) -> Iterator[str]:
    """Yield that sources were in the training of a run, which is named where there are others."""
    if run.num_seen:
        seen = said_seen(run, data, is_alone=is_alone)
        yield f"{seen}, so {'the' if is_alone else 'its'} scores say less of new text than they seem to."


def said_seen(run: RunResults, data: DataFacts, *, is_alone: bool) -> str:
    """Return how many sources are in the training data of a run, as a sentence without its end.

    Args:
        is_alone: there are no others, so that the run needs no name.
    """
    training = "the training data" if is_alone else f"the training data of {run.name}"
    if run.num_seen is None:
        return f"Whether sources are in {training} too is not known"
    if not run.num_seen and run.num_sampled:
        return f"None of the sources is in the part of {training} that was looked at ({run.num_sampled:,} pairs)"
    if not run.num_seen:
        return f"None of the sources is in {training}"
    verb = "is" if run.num_seen == 1 else "are"
    counted = f"{run.num_seen:,} of the {data.num_pairs:,} sources ({percent(run.num_seen / data.num_pairs)}) {verb}"
    if run.num_sampled is None:
        return f"{counted} in {training} too"
    return f"At least {counted} in {training} too, of which {run.num_sampled:,} pairs were looked at"


def _tuned(run: RunResults) -> Iterator[str]:
    """Yield whether a tuning, or teaching, has helped."""
    means = {"before": "Tuning", "before teaching": "Teaching"}
    for baseline in run.baselines:
        if baseline.name in means:
            word = {"better": "has helped", "worse": "has made it worse"}.get(
                baseline.differences[0].word, "has made no difference beyond chance"
            )
            yield f"{means[baseline.name]} {word}: before it, the model had {said_score(baseline.scores[0])}."


def _compared(comparison: RunComparison) -> str:
    """Return which of two runs is better, by the first metric."""
    found = comparison.differences[0]
    size = f"{abs(found.difference):.1f} {name_of_metric(found.metric)}"
    if found.word == "no different":
        return (
            f"{comparison.name} and {comparison.first} differ by {size}, which may well be chance{_tested(found)}: "
            "neither is shown to be better."
        )
    return f"{comparison.name} is {found.word} than {comparison.first} by {size}{_tested(found)}, beyond chance."


def _unequal(run: RunResults, other: RunResults) -> Iterator[str]:
    """Yield that two runs were not equally trained on the pairs that they are compared on."""
    if run.num_seen == other.num_seen:
        return
    if run.num_seen is None or other.num_seen is None:
        unknown = run if run.num_seen is None else other
        yield (
            f"But what {unknown.name} was trained on is not known; if these sources were part of it, this says little "
            "of which is better on new text."
        )
        return
    counts = [f"{'at least ' if own.num_sampled else ''}{own.num_seen:,}" for own in (other, run)]
    yield (
        f"But the training data of {other.name} has {counts[0]} of these sources and that of {run.name} {counts[1]}, "
        "so this says little of which is better on new text."
    )


def _tested(found: Difference) -> str:
    if found.low is None or found.high is None or found.p_bootstrap is None:
        return " (too few pairs for a test)"
    return f" (95 % interval of the difference {found.low:+.1f} to {found.high:+.1f}, p = {found.p_bootstrap:.3f})"


def _fails(run: RunResults, state: str) -> Iterator[str]:
    """Yield the worst part of the pairs, and alarms that many outputs raise."""
    worst = worst_slice(run.slices)
    if worst is not None:
        yield _said_of_part(worst)
    elif state != "fails":
        yield "No part of the pairs that was looked at is much worse than the rest."
    for alarm in [own for own in run.alarms if own.is_serious][:MOST_ALARMS]:
        yield alarm.sentence


def _said_of_part(part: Slice) -> str:
    assert part.rest is not None, "it is worse than the rest"
    name = "outputs exactly right" if part.score.metric == "exact_match" else name_of_metric(part.score.metric)
    unit = " %" if part.score.metric == "exact_match" else ""
    return (
        f"It is weakest on sources {part.description} ({part.num_pairs:,} of them): {name} "
        f"{part.score.value:.1f}{unit}, against {part.rest.value:.1f}{unit} on all others."
    )


def _next(run: RunResults, task: PairTask, data: DataFacts, state: str) -> Iterator[str]:
    """Yield what is likely to help, the most likely first."""
    course = run.course
    if not run.is_finished:
        yield "Let the training reach its end: the same `seq2seq train` command goes on where it stopped."
    few = data.num_training is not None and 0 <= data.num_training < FEW_PAIRS[task.kind]
    if few and not (state == "works" and run.scores[0].metric == "exact_match" and run.scores[0].value > 95):
        yield from _more_pairs(run, task, data)
    if course is not None and run.is_finished:
        yield from _more_time(course)
    if course is not None and course.learns_by_heart:
        yield (
            "It begins to learn its pairs by heart: on the validation pairs its loss rose again while it still fell on "
            "the training pairs. More pairs help against that, or more dropout (`model.dropout`)."
        )
    unseen = next((own for own in run.slices if own.label == "some unseen"), None)
    if unseen and unseen.is_worse and (data.share_unseen or 0) > MUCH_UNSEEN:
        yield (
            f"{percent(data.share_unseen or 0)} of the words in the sources are in {said_none(data)}, and there it is "
            "worse: pairs with such words help."
        )
    looked = "" if data.is_whole else f"({data.num_looked_at:,} of them were looked at) "
    if task.kind != "corrections" and data.num_looked_at and data.num_same_sides / data.num_looked_at > MANY_SAME:
        yield (
            f"{percent(data.num_same_sides / data.num_looked_at)} of the training pairs {looked}have the same "
            "text on both sides; if these are mistakes, take them out, for a model learns to copy from them."
        )
    if any(alarm.kind == "repetition" and alarm.is_serious for alarm in run.alarms):
        yield "Outputs that repeat themselves can be forbidden: try `seq2seq decode --no-repeat-ngram 4`."
    if few is False and (course is None or course.trend != "rising"):
        yield "Otherwise more pairs like those it fails on help, and mistakes in the training pairs put right."


def said_none(data: DataFacts) -> str:
    """Return what lacks a word that training does not have, as a part of a sentence."""
    if data.is_whole:
        return "no training source"
    return f"none of the {data.num_looked_at:,} training sources that were looked at"


def _more_pairs(run: RunResults, task: PairTask, data: DataFacts) -> Iterator[str]:
    usual = {"sentences": "sentences", "summaries": "summaries", "corrections": "corrections"}.get(task.kind, "words")
    yield f"It has {data.num_training:,} pairs to learn from, which is few for {usual}: more pairs are what helps most."
    if task.kind in OF_LANGUAGE and not run.is_tuned:
        yield (
            "Or begin from a pretrained model of such texts (`--from` of `seq2seq fit`, or `training.initialize_from`; "
            "docs/pretrained.md), which needs far fewer pairs."
        )


def _more_time(course: Course) -> Iterator[str]:
    """Yield whether a longer training is likely to help."""
    name = name_of_metric(course.select_by)
    values = (course.at_three_quarters, course.best)
    if course.trend == "unknown" or values[0] is None or values[1] is None:
        yield (
            f"Whether more time would help cannot be said: {name} was measured too seldom in training; lower "
            "`validation.every` to know it next time."
        )
    elif course.trend == "rising":
        yield (
            f"More time is likely to help: in the last quarter of the training its {name} on the validation pairs went "
            f"from about {values[0]:.1f} to {values[1]:.1f}, and had not settled. Raise `--minutes` "
            "of `seq2seq fit`, or `training.max_steps`."
        )
    elif course.trend == "flat":
        yield (
            f"More time alone will hardly help: in the last quarter of the training its {name} on the validation pairs "
            f"did not get better any more ({values[1]:.1f} at best)."
        )
    elif not course.late_gain or course.late_gain < 0.005 * abs(values[1]):
        yield (
            f"Whether more time would help is not clear: in the last quarter of the training its {name} on the "
            f"validation pairs did not get better ({values[1]:.1f} at best), but its loss still fell."
        )
    else:
        yield (
            f"Whether more time would help is not clear: in the last quarter of the training its {name} went from "
            f"about {values[0]:.1f} to {values[1]:.1f} at best, and that may be chance, or was not kept."
        )
