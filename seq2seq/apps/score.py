"""`seq2seq score`: scores of a text file against references, and against a baseline with a significance test.

What enters are UTF-8 files with one segment per line (or n-best files in JSONL, of which the first hypothesis
counts); what leaves is an aligned table with signatures, or JSON. Lines end at line feeds only: the other characters
that Python takes for line ends, such as U+2028, occur inside segments and would shift all that follow.
"""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq.lines import lines, name_of, plain_name, unequal_lengths
from seq2seq.metrics import METRICS, Metric, Score, make_metric, metric_options
from seq2seq.metrics.significance import NUM_SAMPLES, SEED, TESTS, Comparison
from seq2seq.metrics.transport import TransportDistance

DEFAULT_METRICS = ("bleu", "chrf", "ter", "rouge1", "rouge2", "rougeL")
TRANSPORT_METRICS = {
    "word_movers_distance": partial(TransportDistance, "word_movers_distance"),
    "word_rotators_distance": partial(TransportDistance, "word_rotators_distance"),
}
"""Metrics over the vectors of a model's tokens."""
RIGHT_ALIGNED = {"score", "baseline", "delta", "95% interval", "p"}
LEVELS = {"***": 0.001, "**": 0.01, "*": 0.05}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options of `seq2seq score`."""
    add = parser.add_argument
    add("--hypothesis", required=True, metavar="FILE", help="text to score; `-` reads standard input")
    add("--reference", required=True, nargs="+", metavar="FILE", help="one or more references")
    add("--baseline", metavar="FILE", help="another system's text to compare with")
    add(
        "--metrics",
        nargs="+",
        default=DEFAULT_METRICS,
        metavar="NAME",
        help=f"any of {', '.join((*METRICS, *TRANSPORT_METRICS))}",
    )
    add("--embeddings", metavar="MODEL", help=f"trained model, for {' and '.join(TRANSPORT_METRICS)}")
    add("--tokenize", default="13a", help="BLEU's tokenizer: 13a, intl, zh, char, none, ja-mecab, flores200, ...")
    add("--lowercase", action="store_true", help="ignore case (TER and ROUGE always do)")
    add("--stemmer", action="store_true", help="stem English words for ROUGE")
    add("--significance", choices=list(TESTS), default="bootstrap", help="paired test against the baseline")
    add("--num-samples", type=int, default=NUM_SAMPLES, help="resamples of the test")
    add("--seed", type=int, default=SEED, help="seed of the test")
    add("--json", action="store_true", help="print JSON with full precision")


def run(arguments: Namespace) -> int:
    """Score the files and print the result.

    Raises:
        ValueError, OSError: wrong input, as `read_aligned` and `make_metrics` say.
    """
    print(_report(arguments))
    return 0


def read_segments(path: str | Path) -> list[str]:
    """Return the lines of a UTF-8 file, or the first hypotheses of a `.jsonl` n-best file; `-` is standard input.

    Raises:
        ValueError: the file is empty, not UTF-8, or a line of JSONL has no hypothesis; with file and line.
        OSError: the file cannot be read.
    """
    name, segments = name_of(path), list(lines(path))
    if not segments:
        raise ValueError(f"{name} is empty; it needs one segment per line.")
    if not plain_name(name).endswith(".jsonl"):
        return segments
    return [_first_hypothesis(line, f"{name}:{number}") for number, line in enumerate(segments, start=1)]


def read_aligned(paths: Sequence[str | Path]) -> list[list[str]]:
    """Return the segments of each file.

    Raises:
        ValueError: the files have different numbers of lines, or standard input is named twice.
    """
    if sum(str(path) == "-" for path in paths) > 1:
        raise ValueError("Standard input (`-`) can be read only once; name files for the other texts.")
    files = [read_segments(path) for path in paths]
    if len(set(map(len, files))) > 1:
        raise unequal_lengths([(name_of(path), len(segments)) for path, segments in zip(paths, files, strict=True)])
    return files


def make_metrics(names: Sequence[str] = DEFAULT_METRICS, **options: Any) -> list[Metric]:
    """Return metrics by name; each is given those of the options that it has.

    Raises:
        ValueError: a metric is unknown, or needs embeddings and is given none.
    """

    def chosen(name: str) -> Metric:
        if name not in TRANSPORT_METRICS:
            return make_metric(name, **{key: value for key, value in options.items() if key in metric_options(name)})
        if "embeddings" not in options:
            raise ValueError(f"`{name}` needs the vectors of a model's tokens; give `--embeddings MODEL`.")
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
        metrics: names in `seq2seq.metrics.METRICS`.
        options: such as `tokenize="zh"`, `lowercase=True` or `stemmer=True`; each metric is given those that it has.
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
    """Return one comparison with the baseline per metric.

    Args:
        hypotheses: one text per segment.
        baseline: the other system's texts.
        references: per segment, its references.
        metrics: names in `seq2seq.metrics.METRICS`.
        significance: `bootstrap`, `randomization` or `none`.
        num_samples: resamples of the test.
        seed: seed of the test; the same resamples serve every metric.
        options: as in `score_texts`.
    """
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


def format_scores(scores: Sequence[Score]) -> str:
    """Return an aligned table."""
    rows = [(score.name, f"{score.value:.2f}", score.signature, score.details) for score in scores]
    return _aligned([("metric", "score", "signature", "details"), *rows])


def format_comparisons(comparisons: Sequence[Comparison]) -> str:
    """Return an aligned table, with a line below that explains the marks where a test was made."""
    head = ("metric", "score", "baseline", "delta", "95% interval", "p", "verdict", "signature")
    table = _aligned([head, *map(_comparison_row, comparisons)])
    test = comparisons[0].test
    if not test:
        return table
    marks = ", ".join(f"{mark} p < {level}" for mark, level in reversed(LEVELS.items()))
    return f"{table}\n{test}, two-sided: {marks}; without a mark, the difference may well be chance."


def _report(arguments: Namespace) -> str:
    texts = [arguments.baseline] if arguments.baseline else []
    hypotheses, *rest = read_aligned([arguments.hypothesis, *texts, *arguments.reference])
    references = list(zip(*rest[len(texts) :], strict=True))
    options = {name: getattr(arguments, name) for name in ("tokenize", "lowercase", "stemmer")}
    if arguments.embeddings:
        options |= embedding_options(arguments.embeddings)
    if not arguments.baseline:
        scores = score_texts(hypotheses, references, arguments.metrics, **options)
        return _json([asdict(score) for score in scores]) if arguments.json else format_scores(scores)
    test = {name: getattr(arguments, name) for name in ("significance", "num_samples", "seed")}
    comparisons = compare(hypotheses, rest[0], references, arguments.metrics, **test, **options)
    if not arguments.json:
        return format_comparisons(comparisons)
    return _json([asdict(row) | {"difference": row.difference, "verdict": row.verdict} for row in comparisons])


def _first_hypothesis(line: str, where: str) -> str:
    try:
        text = json.loads(line)["hypotheses"][0]["text"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(
            f'{where}: expected {{"hypotheses": [{{"text": ...}}, ...]}} with at least one entry.'
        ) from error
    if not isinstance(text, str):
        raise ValueError(f"{where}: the first hypothesis's text is {text!r}, not a string.")
    return text


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


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2, ensure_ascii=False)
