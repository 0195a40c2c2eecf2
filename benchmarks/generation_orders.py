"""What each generation order finds: scores, significance, who won, and accuracy at both ends, over the same references.

    python benchmarks/generation_orders.py --input test.en --reference test.de \
        --system l2r runs/l2r beam_width=4 \
        --system synchronous runs/both generation_order=bidirectional beam_width=4 \
        --system "rescored by r2l" runs/both rescore=r2l beam_width=4 \
        --system "two models" runs/l2r right_model=runs/r2l rescore=both beam_width=4

A system is a name, a run and search options; runs with commas between them, in `right_model` and `left_model` too, are
an ensemble. The first is what the others are tested against (paired bootstrap). Prints a line each and appends all
numbers as one JSON line to benchmarks/results/generation_orders.jsonl. Seconds are those of decoding in this process,
which is meant for comparison when nothing else runs; with `--rounds` all systems decode so many times more, in turns,
and their time relative to the first one's is printed.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

from decoding_speed import RESULTS, processor

import seq2seq
from seq2seq.apps.option_values import integer, number, truth
from seq2seq.assembly.flat_options import flat_options
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.assembly.scoring import compare, score_texts
from seq2seq.lines import lines as read_lines

ENDS = 4
"""Words at either end whose accuracy is given, as published for the two directions."""


def search_options(assignments: list[str]) -> dict[str, Any]:
    """Return `name=value` pairs with values of the option's type."""
    readers: dict[Any, Any] = {int: integer, float: number, bool: truth}
    kinds: dict[str, Any] = {
        name: str if isinstance(kind, tuple) else readers.get(kind, kind) for name, kind, _ in flat_options()
    }
    kinds |= {name: lambda names: names.split(",") for name in ("right_model", "left_model")}  # options of loading
    pairs = [assignment.split("=", 1) for assignment in assignments]
    return {name: kinds[name](value) for name, value in pairs}


def accuracy_at_ends(texts: list[str], references: list[str]) -> tuple[float, float]:
    """Return the share of the references' first and last words that stand at the same place from that end."""
    first, last, total = 0, 0, 0
    for text, reference in zip(texts, references, strict=True):
        found, wanted = text.split(), reference.split()
        count = min(ENDS, len(wanted))
        first += sum(a == b for a, b in zip(found[:count], wanted[:count], strict=False))
        last += sum(a == b for a, b in zip(found[::-1][:count], wanted[::-1][:count], strict=False))
        total += count
    return first / max(total, 1), last / max(total, 1)


def decode(run: str, options: dict[str, Any], lines: list[str], references: list[str]) -> dict[str, Any]:
    """Return the texts of a system, how long they took, who won, and how right both ends are."""
    generator = seq2seq.load(run.split(","), device="cpu", **options)
    started = time.perf_counter()
    best = [found[0] for found in generator(lines)]
    seconds = time.perf_counter() - started
    texts = [hypothesis.text for hypothesis in best]
    first, last = accuracy_at_ends(texts, references)
    wins = Counter(hypothesis.direction for hypothesis in best)
    return {"texts": texts, "seconds": seconds, "first": first, "last": last, "wins": dict(wins)}


def scored(
    texts: list[str], baseline: list[str] | None, references: list[str], metrics: list[str]
) -> tuple[dict[str, Any], str]:
    """Return the scores of a system, with p-values against a baseline if there is one, and both as words."""
    gold = [[reference] for reference in references]
    scores = {score.name: score.value for score in score_texts(texts, gold, metrics)}
    compared = compare(texts, baseline, gold, metrics) if baseline is not None else []
    p_values = {comparison.system.name: comparison.p_value for comparison in compared}
    shown = "  ".join(
        f"{metric} {value:.2f}" + (f" (p {p_values[metric]:.3f})" if metric in p_values else "")
        for metric, value in scores.items()
    )
    return {"scores": scores, "p": p_values}, shown


def relative_times(systems: list[tuple[str, dict[str, Any]]], lines: list[str], rounds: int) -> list[list[float]]:
    """Return for each system the seconds of its rounds over those of the first system in the same round.

    Args:
        systems: runs, each with its options.
    """
    generators = [seq2seq.load(run.split(","), device="cpu", **options) for run, options in systems]
    seconds: list[list[float]] = [[] for _ in systems]
    for _ in range(rounds):
        for generator, found in zip(generators, seconds, strict=True):
            started = time.perf_counter()
            generator(lines)
            found.append(time.perf_counter() - started)
    return [[a / b for a, b in zip(found, seconds[0], strict=True)] for found in seconds]


def print_means(name: str, metric: str, values: list[float]) -> None:
    """Print a system's mean over seeds and its standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    print(f"{name:38}{metric:14}{statistics.mean(values):8.2f} ± {spread:.2f}")


def evaluate(
    label: str,
    run: str,
    options: dict[str, Any],
    lines: list[str],
    references: list[str],
    metrics: list[str],
    baseline: list[str] | None,
) -> tuple[dict[str, Any], list[str]]:
    """Return the numbers of a system and its texts, after printing them as a line.

    Args:
        baseline: texts of the system that this one is tested against; None = it is not.
    """
    found = decode(run, options, lines, references)
    texts = found.pop("texts")
    numbers, shown = scored(texts, baseline, references, metrics)
    wins = ", ".join(f"{direction} {count}" for direction, count in sorted(found["wins"].items()))
    ends = f"first {found['first']:.1%}, last {found['last']:.1%}"
    print(f"{label:38}{shown}  {ends}  {found['seconds']:.1f} s  {wins}", flush=True)
    return numbers | found, texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--system", nargs="+", action="append", required=True, metavar="NAME RUN OPTION=VALUE")
    parser.add_argument("--metrics", nargs="+", default=["bleu", "chrf"])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=0, help="further decodings of each, in turns, that are timed")
    options = parser.parse_args()
    prepare_process(options.threads)
    keep_freed_memory()
    lines, references = list(read_lines(options.input)), list(read_lines(options.reference))
    rows: list[dict[str, Any]] = []
    baseline: list[str] | None = None
    for name, run, *assignments in options.system:
        chosen = search_options(assignments)
        numbers, texts = evaluate(name, run, chosen, lines, references, options.metrics, baseline)
        rows.append({"system": name, "run": run, "options": assignments} | numbers)
        baseline = baseline or texts
    if options.rounds:
        systems = [(run, search_options(assignments)) for _, run, *assignments in options.system]
        for row, ratios in zip(rows, relative_times(systems, lines, options.rounds), strict=True):
            row["relative_times"] = ratios
            shown = f"{statistics.median(ratios):.2f} of the time ({min(ratios):.2f}-{max(ratios):.2f})"
            print(f"{row['system']:38}{shown}")
    with (Path(RESULTS) / "generation_orders.jsonl").open("a", encoding="utf-8") as file:
        settings = {"input": options.input.name, "metrics": options.metrics}
        file.write(json.dumps({"processor": processor(), "settings": settings, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
