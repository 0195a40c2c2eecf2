"""Score a text file against references, and against a baseline with a significance test.

    seq2seq score --hypothesis output.txt --reference test.target
    seq2seq score --hypothesis a.txt --baseline b.txt --reference test.target --metrics bleu chrf

What enters are UTF-8 files with one segment per line (or n-best files in JSONL, of which the first hypothesis
counts); what leaves is an aligned table with signatures, or JSON. Lines end at line feeds only: the other characters
that Python takes for line ends, such as U+2028, occur inside segments and would shift all that follow.
"""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from seq2seq.apps.option_values import integer
from seq2seq.assembly.scoring import DEFAULT_METRICS, TRANSPORT_METRICS, Scores, score
from seq2seq.lines import lines, name_of, plain_name, unequal_lengths
from seq2seq.metrics import METRICS
from seq2seq.metrics.significance import NUM_SAMPLES, SEED, TESTS

TEST_OPTIONS = ("significance", "num_samples", "seed")
METRIC_OPTIONS = ("tokenize", "lowercase", "stemmer", "sentence_separator")
SEPARATOR_HELP = (
    "what stands between sentences within a line, such as `<n>`: `rougeLsum` compares sentence by sentence, and is "
    "`rougeL` without it"
)

NOTHING_COUNTED = (
    "BLEU is 0: it counts sequences of four words between spaces, and has found none. Of short texts `--metrics chrf "
    "exact_match` says more; of texts without spaces `--tokenize` by their language helps."
)


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
    add("--tokenize", help="BLEU's tokenizer: 13a (the default), intl, zh, char, none, ja-mecab, flores200, ...")
    add("--lowercase", action="store_true", help="ignore case (TER and ROUGE always do)")
    add("--stemmer", action="store_true", help="stem English words for ROUGE")
    add("--sentence-separator", metavar="TEXT", help=SEPARATOR_HELP)
    add("--significance", choices=list(TESTS), help="paired test against the baseline; default: bootstrap")
    add("--num-samples", type=integer, help=f"resamples of the test; default: {NUM_SAMPLES}")
    add("--seed", type=integer, help=f"seed of the test; default: {SEED}")
    add("--json", action="store_true", help="print JSON with full precision")


def run(arguments: Namespace) -> int:
    """Score the files and print the result.

    Raises:
        ValueError, OSError: wrong input, as `read_aligned` and `make_metrics` say.
    """
    check_test_options(arguments)
    scores = scored(arguments)
    print(scores.to_json() if arguments.json else str(scores), flush=True)  # a hint comes after what was written
    if scores.values.get("bleu") == 0.0:
        print(NOTHING_COUNTED, file=sys.stderr)
    return 0


def check_test_options(arguments: Namespace) -> None:
    """Raise ValueError for options that cannot be meant, before anything is read."""
    if arguments.num_samples is not None and arguments.num_samples < 1:
        raise ValueError(f"`--num-samples` must be at least 1, but is {arguments.num_samples}.")
    if arguments.seed is not None and arguments.seed < 0:
        raise ValueError(f"`--seed` must be 0 or more, but is {arguments.seed}.")


def read_segments(path: str | Path) -> list[str]:
    """Return the lines of a UTF-8 file, or the first hypotheses of an n-best file in JSONL; `-` is standard input.

    Raises:
        ValueError: the file is empty, not UTF-8, or its n-best lists are not in order; with file and line.
        OSError: the file cannot be read.
    """
    name, segments = name_of(path), list(lines(path))
    if not segments:
        raise ValueError(f"{name} is empty; it needs one segment per line.")
    if not plain_name(name).endswith(".jsonl"):
        return segments
    found = [_first_hypothesis(line, f"{name}:{number}") for number, line in enumerate(segments, start=1)]
    _check_order([source_id for source_id, _ in found], name)
    return [text for _, text in found]


def _check_order(ids: Sequence[Any], name: str) -> None:
    """Raise ValueError unless the numbers of n-best lists follow each other, as those of the references do."""
    for number, (before, after) in enumerate(pairwise(ids), start=2):
        if isinstance(before, int) and isinstance(after, int) and after != before + 1:
            raise ValueError(
                f"{name}:{number}: its `id` is {after} behind {before}, but each list stands for a line of the "
                "reference, in order; sort them by `id`, one of each."
            )


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


def scored(arguments: Namespace) -> Scores:
    """Return the scores of the files."""
    texts = [arguments.baseline] if arguments.baseline else []
    hypotheses, *rest = read_aligned([arguments.hypothesis, *texts, *arguments.reference])
    references = list(zip(*rest[len(texts) :], strict=True))
    given = {name: getattr(arguments, name) for name in (*TEST_OPTIONS, *METRIC_OPTIONS, "embeddings")}
    options = {name: value for name, value in given.items() if value is not None and value is not False}
    return score(hypotheses, references, arguments.metrics, baseline=rest[0] if texts else None, **options)


def _first_hypothesis(line: str, where: str) -> tuple[Any, str]:
    """Return the `id` of an n-best list, None where it has none, and its first hypothesis's text."""
    try:
        found = json.loads(line)
        text, source_id = found["hypotheses"][0]["text"], found.get("id")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(
            f'{where}: expected {{"hypotheses": [{{"text": ...}}, ...]}} with at least one entry.'
        ) from error
    if not isinstance(text, str):
        raise ValueError(f"{where}: the first hypothesis's text is {text!r}, not a string.")
    return source_id, text
