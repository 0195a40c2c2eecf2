"""Scores of texts that are there: what `seq2seq.score` and the verb `score` have in common.

Texts and their references enter, `Scores` leave: a score for each metric or, with a baseline, a comparison with a
significance test. They print as the table that the command prints.
"""

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from seq2seq.generation.output import NBest, TextHypothesis
from seq2seq.metrics import METRICS, Metric, Score, make_metric, metric_options
from seq2seq.metrics.significance import NUM_SAMPLES, SEED, TESTS, Comparison
from seq2seq.metrics.transport import TransportDistance
from seq2seq.own_pieces import said_by_user

DEFAULT_METRICS = ("bleu", "chrf", "ter", "rouge1", "rouge2", "rougeL")
TRANSPORT_METRICS = {
    "word_movers_distance": partial(TransportDistance, "word_movers_distance"),
    "word_rotators_distance": partial(TransportDistance, "word_rotators_distance"),
}
"""Metrics over the vectors of a model's tokens."""
RIGHT_ALIGNED = {"score", "baseline", "delta", "95% interval", "p"}
LEVELS = {"***": 0.001, "**": 0.01, "*": 0.05}


@dataclass(frozen=True)
class Scores:
    """What several metrics say of a text: a `Score` each or, against a baseline, a `Comparison`.

    `print(scores)` shows a table with everything that is needed to get the same numbers again; `scores["bleu"]` is one
    of its rows.
    """

    rows: tuple[Score, ...] | tuple[Comparison, ...]

    def __getitem__(self, name: str) -> Score | Comparison:
        if name not in self.values:
            raise KeyError(f"{name}; there are {', '.join(self.values)}")
        return self.rows[list(self.values).index(name)]

    def __iter__(self) -> Iterator[Score | Comparison]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        return _comparison_table(self.comparisons) if self.comparisons else _score_table(self._scores())

    __repr__ = __str__

    @property
    def values(self) -> dict[str, float]:
        """The value of each metric."""
        return {found.name: found.value for found in self._scores()}

    @property
    def signatures(self) -> dict[str, str]:
        """What each metric was made with, as a publication should say it."""
        return {found.name: found.signature for found in self._scores()}

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The comparisons with the baseline, with differences, intervals and p-values; none without one."""
        return tuple(row for row in self.rows if isinstance(row, Comparison))

    def to_json(self) -> str:
        """Return everything in full precision."""
        rows = [asdict(row) for row in self.rows]
        for row, comparison in zip(rows, self.comparisons, strict=False):
            row |= {"difference": comparison.difference, "verdict": comparison.verdict}
        return json.dumps(rows, indent=2, ensure_ascii=False)

    def _scores(self) -> list[Score]:
        return [row if isinstance(row, Score) else row.system for row in self.rows]


def score(
    hypotheses: Sequence[Any],
    references: Sequence[str | Sequence[str]],
    metrics: str | Sequence[str] = ("bleu", "chrf"),
    *,
    baseline: Sequence[Any] | None = None,
    significance: str | None = None,
    num_samples: int | None = None,
    seed: int | None = None,
    embeddings: str | Path | None = None,
    **options: Any,
) -> Scores:
    """Return the scores of texts against references, as `seq2seq score` gives them.

        >>> import seq2seq
        >>> scores = seq2seq.score(["a b c", "d e"], ["a b c", "d f"], metrics=["exact_match", "word_error_rate"])
        >>> scores.values
        {'exact_match': 50.0, 'word_error_rate': 20.0}

    Args:
        hypotheses: a text for each segment; or what a generator returns for it, of which the best hypothesis counts.
        references: for each segment its reference, or a list of several.
        metrics: names, see `seq2seq score --help`.
        baseline: another system's texts, with which the hypotheses are compared by a paired test.
        significance: that test, `bootstrap` unless it is `randomization` or `none`.
        num_samples: resamples of the test, by default 1,000.
        seed: of the test; the same resamples serve every metric.
        embeddings: trained model, for `word_movers_distance` and `word_rotators_distance`.
        options: such as `tokenize="zh"`, `lowercase=True` or `stemmer=True`; each metric is given those that it has.
            `sentence_separator="<n>"` says what stands between sentences, for `rougeLsum`.

    Raises:
        ValueError: there is not one reference, or one text of the baseline, for each text; a metric, a test or an
            option is unknown; or there are options of a test without a baseline.
    """
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    said_by_user(names)
    check_metrics(names, options)
    texts, known = _texts(hypotheses, "hypotheses"), _references(references)
    others = None if baseline is None else _texts(baseline, "baseline")
    for name, given in {"references": known, "baseline": others}.items():
        if given is not None and len(given) != len(texts):
            raise ValueError(f"There are {len(texts)} hypotheses, but {len(given)} `{name}`; give one for each.")
    if not texts:
        raise ValueError("`hypotheses` is empty; there is nothing to score.")
    if embeddings is not None:
        if not {*names} & TRANSPORT_METRICS.keys():
            raise ValueError(f"`embeddings` are for {' and '.join(TRANSPORT_METRICS)}; ask for one, or leave them out.")
        options |= embedding_options(embeddings)
    if "rougeLsum" in names and not options.get("sentence_separator"):
        _warn_of_sentences(texts, known)
    test: dict[str, Any] = {"significance": significance, "num_samples": num_samples, "seed": seed}
    chosen = {name: value for name, value in test.items() if value is not None}
    if significance == "none" and len(chosen) > 1:
        raise ValueError("`num_samples` and `seed` are of a test, which `significance` none leaves out.")
    if others is not None:
        return Scores(tuple(compare(texts, others, known, names, **chosen, **options)))
    if chosen:
        raise ValueError(f"`{next(iter(chosen))}` is of a comparison with a `baseline`; give one, or leave it out.")
    return Scores(tuple(score_texts(texts, known, names, **options)))


def _warn_of_sentences(texts: Sequence[str], references: Sequence[Sequence[str]]) -> None:
    """Warn if no sentence can be told from the next."""
    if not any("\n" in text for text in chain(texts, *references)):
        warnings.warn(
            "No text has a line break between sentences, so `rougeLsum` is the same as `rougeL`; give what stands "
            "between sentences within a line as `sentence_separator`.",
            stacklevel=3,
        )


def check_metrics(names: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raise ValueError for a metric that there is not, or an option that none of these has."""
    if not names:
        raise ValueError(f"`metrics` is empty; choose some of {', '.join((*METRICS, *TRANSPORT_METRICS))}.")
    own = [option for name in names if name not in TRANSPORT_METRICS for option in metric_options(name)]
    for option in options:
        if option not in own:
            known = f"; they have {', '.join(dict.fromkeys(own))}" if own else ""
            raise ValueError(f"`{option}` is no option of {', '.join(names)}{known}.")


def _texts(given: Sequence[Any], name: str) -> list[str]:
    """Return the texts of hypotheses in any of the shapes that a generator gives them."""
    if isinstance(given, str):
        raise ValueError(f"`{name}` is a single text; give a list, with a text for each segment.")
    return [_text(entry, f"{name}[{number}]") for number, entry in enumerate(given)]


def _text(entry: Any, name: str) -> str:
    best = entry[0] if isinstance(entry, list | tuple) and entry else entry
    if isinstance(best, TextHypothesis | NBest):
        return best.text
    if not isinstance(entry, str):
        raise ValueError(f"`{name}` must be a text, or what a generator returns, but is {entry!r}.")
    return entry


def _references(given: Sequence[str | Sequence[str]]) -> list[list[str]]:
    """Return the references of each segment."""
    if isinstance(given, str):
        raise ValueError("`references` is a single text; give a list, with a reference for each segment.")
    found = []
    for number, entry in enumerate(given):
        segment = [entry] if isinstance(entry, str) or not isinstance(entry, Iterable) else list(entry)
        if not segment or not all(isinstance(text, str) for text in segment):
            raise ValueError(f"`references[{number}]` must be a text, or a list of some, but is {entry!r}.")
        found.append(segment)
    return found


def make_metrics(names: Sequence[str] = DEFAULT_METRICS, **options: Any) -> list[Metric]:
    """Return metrics by name; each is given those of the options that it has.

    Raises:
        ValueError: a metric is unknown, or needs embeddings and is given none.
    """

    def chosen(name: str) -> Metric:
        if name not in TRANSPORT_METRICS:
            return make_metric(name, **{key: value for key, value in options.items() if key in metric_options(name)})
        if "embeddings" not in options:
            raise ValueError(
                f"`{name}` needs the vectors of a model's tokens; give `--embeddings MODEL` (`embeddings` of "
                "`seq2seq.score`)."
            )
        return TRANSPORT_METRICS[name](options["text_to_ids"], options["embeddings"])

    return [chosen(name) for name in names]


def embedding_options(model: str | Path) -> dict[str, Any]:
    """Return what the transport metrics need of a trained model: `text_to_ids` and `embeddings`."""
    from seq2seq.assembly.generator import load  # here, because scoring needs no model otherwise

    generator = load(model, device="cpu")
    return {"text_to_ids": generator.target_ids, "embeddings": generator.target_embeddings()}


def score_texts(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = DEFAULT_METRICS,
    **options: Any,
) -> list[Score]:
    """Return one score per metric.

    Args:
        hypotheses: one text per segment.
        references: per segment, its references.
        metrics: names in `METRICS` or `TRANSPORT_METRICS`.
        options: as in `make_metrics`.
    """
    chosen = make_metrics(metrics, **options)
    return [metric.score(metric.statistics(hypotheses, references).sum(axis=0)) for metric in chosen]


def compare(
    hypotheses: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[Sequence[str]],
    metrics: Sequence[str] = DEFAULT_METRICS,
    significance: str = "bootstrap",
    num_samples: int = NUM_SAMPLES,
    seed: int = SEED,
    **options: Any,
) -> list[Comparison]:
    """Return one comparison with the baseline, another system's texts, per metric; other arguments as in `score`."""
    if significance not in TESTS:
        raise ValueError(f"`significance` must be one of {', '.join(TESTS)}, but is {significance!r}.")
    test = TESTS[significance]
    return [
        test(
            metric,
            metric.statistics(hypotheses, references),
            metric.statistics(baseline, references),
            num_samples,
            seed,
        )
        for metric in make_metrics(metrics, **options)
    ]


def _score_table(scores: Sequence[Score]) -> str:
    """Return an aligned table."""
    rows = [(score.name, f"{score.value:.2f}", score.signature, score.details) for score in scores]
    return _aligned([("metric", "score", "signature", "details"), *rows])


def _comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Return an aligned table, with a line below that explains the marks where a test was made."""
    head = ("metric", "score", "baseline", "delta", "95% interval", "p", "verdict", "signature")
    table = _aligned([head, *map(_comparison_row, comparisons)])
    test = comparisons[0].test
    if not test:
        return table
    marks = ", ".join(f"{mark} p < {level}" for mark, level in reversed(LEVELS.items()))
    return f"{table}\n{test}, two-sided: {marks}; without a mark, the difference may well be chance."


def _comparison_row(row: Comparison) -> tuple[str, ...]:
    interval = f"[{row.interval[0]:+.2f}, {row.interval[1]:+.2f}]" if row.interval else "-"
    p_value = f"{row.p_value:.4f}" if row.p_value is not None else "-"
    mark = next((mark for mark, level in LEVELS.items() if row.p_value is not None and row.p_value < level), "")
    scores = (f"{row.system.value:.2f}", f"{row.baseline.value:.2f}", f"{row.difference:+.2f}")
    return (row.system.name, *scores, interval, p_value, f"{row.verdict} {mark}".rstrip(), row.system.signature)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, of which the first is the heading, as lines with columns as wide as their widest cell."""
    columns = []
    for cells in zip(*rows, strict=True):
        width = max(map(len, cells))
        align = str.rjust if cells[0] in RIGHT_ALIGNED else str.ljust
        columns.append([align(cell, width) for cell in cells])
    return "\n".join("  ".join(cells).rstrip() for cells in zip(*columns, strict=True))
