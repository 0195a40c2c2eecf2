"""Pretrained models beside transformers and CTranslate2: speed and memory of search and of training, in turns.

    python benchmarks/pretrained.py [decode-opus-mt decode-t5-small decode-nllb train-opus-mt train-t5-small]

Weights are random, shapes those of Helsinki-NLP/opus-mt-*, t5-small and facebook/nllb-200-distilled-600M. A folder
that transformers wrote is what all systems load, `generation_config.json` included. Sources are random ids of various
lengths, targets all as long as these are on average, whatever the model would say; that all systems return as many
tokens is checked. Each system is a process of its own, and only one works at a time: A B A B …. A ratio is the median
over rounds of theirs to ours, each side in the precision and way in which it is fastest here; memory is the most that a
process has had resident, loading included. Prints tables, and appends a line of JSON for each comparison to
benchmarks/results/pretrained.jsonl.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from decoding_speed import PRODUCTS, SYSTEMS, processor
from workers.pretrained_shapes import SHAPES, save_random
from workers.protocol import Values, Worker

RESULTS = Path(__file__).parent / "results" / "pretrained.jsonl"
PACKAGES = ("torch", "transformers", "ctranslate2")
OURS, GENERATE, CTRANSLATE2, TRAINER = "ours", "transformers", "ctranslate2", "transformers"
"""How the names of systems begin."""
OF_TRAINING = {
    f"{toolkit} {precision}": {"script": script, "precision": precision}
    for precision in ("fp32", "bf16")
    for toolkit, script in ((OURS, "tuning_ours"), (TRAINER, "tuning_huggingface"))
}
ALL = [name for name in SYSTEMS if not name.startswith(("eole", f"{CTRANSLATE2} fp32"))]
WITHOUT_CTRANSLATE2 = [name for name in ALL if not name.startswith(CTRANSLATE2)]
LARGE = [f"{OURS} bf16{PRODUCTS}", f"{OURS} int8{PRODUCTS}", f"{GENERATE} fp32", f"{GENERATE} bf16"]
"""Of a model that several copies of would fill a machine with."""


@dataclass(frozen=True)
class Comparison:
    """What is measured for one bar."""

    shape: str
    systems: tuple[str, ...]
    bars: Mapping[str, float]
    """By how the others' names begin: how many times as fast as they ours should be."""
    memory_bar: float | None = None
    """Largest share of their memory that ours may take."""
    batch_size: int = 32
    beam_width: int = 4
    lengths: tuple[int, int] = (5, 60)
    """Of sources, in tokens."""
    mean_length: int = 24
    batches: int = 1
    """Of a round of search."""

    trains: bool = False

    def table(self) -> Mapping[str, Values]:
        """Return the workers of the systems and what they are told, by name."""
        return OF_TRAINING if self.trains else SYSTEMS


TRAINING: dict[str, Any] = {"systems": tuple(OF_TRAINING), "bars": {TRAINER: 2.0}, "memory_bar": 0.7, "trains": True}
COMPARISONS = {
    "decode-opus-mt": Comparison("opus-mt", tuple(ALL), {GENERATE: 3.0, CTRANSLATE2: 1.0}),
    "decode-t5-small": Comparison("t5-small", tuple(WITHOUT_CTRANSLATE2), {GENERATE: 3.0}),
    "decode-nllb": Comparison(
        "nllb-600m", tuple(LARGE), {GENERATE: 2.0}, memory_bar=0.6, batch_size=8, lengths=(15, 25), mean_length=20
    ),
    "train-opus-mt": Comparison("opus-mt", **TRAINING),
    "train-t5-small": Comparison("t5-small", **TRAINING),
}


# ---- what is measured ------------------------------------------------------------------------------------------------


def random_lengths(comparison: Comparison, number: int, rng: random.Random) -> list[int]:
    """Return lengths as those of sentences are: many shorter ones, few long ones."""
    shortest, longest = comparison.lengths
    if longest - shortest <= 10:
        return [rng.randint(shortest, longest) for _ in range(number)]
    drawn = [rng.gammavariate(3.0, comparison.mean_length / 3.0) for _ in range(number)]
    return [min(longest, max(shortest, round(length))) for length in drawn]


def random_ids(length: int, ids: Values, rng: random.Random) -> list[int]:
    """Return a row of so many tokens, the last of them end of sentence."""
    return [*(rng.randrange(ids["first"], ids["end"]) for _ in range(length - 1)), ids["eos"]]


def decoding_job(comparison: Comparison, ids: Values, rng: random.Random) -> Values:
    """Return what all systems that search are told."""
    lengths = random_lengths(comparison, comparison.batch_size * comparison.batches, rng)
    target_length = max(2, round(statistics.mean(lengths)))
    return {
        "sources": [random_ids(length, ids, rng) for length in lengths],
        "beam_width": comparison.beam_width,
        "early_stopping": True,
        "batch_size": comparison.batch_size,
        "batch_tokens": 0,
        "min_length": target_length - 1,
        "max_length": target_length,
    }


def training_job(comparison: Comparison, ids: Values, rng: random.Random, steps: int) -> Values:
    """Return what all systems that train are told: one batch more than a round measures, the same in every round."""
    batches = []
    for _ in range(steps + 1):
        lengths = random_lengths(comparison, comparison.batch_size, rng)
        others = [max(2, round(length * rng.uniform(0.8, 1.2))) for length in lengths]
        batches.append([[random_ids(n, ids, rng) for n in pair] for pair in zip(lengths, others, strict=True)])
    return {
        "batches": batches,
        "steps": steps,
        "label_smoothing": 0.1,
        "learning_rate": 1e-4,
        "betas": (0.9, 0.98),
        "epsilon": 1e-8,
        "weight_decay": 0.01,
        "clip_norm": 1.0,
    }


def job_of(comparison: Comparison, ids: Values, options: argparse.Namespace) -> Values:
    rng = random.Random(options.seed)
    if comparison.trains:
        return training_job(comparison, ids, rng, options.steps)
    return decoding_job(comparison, ids, rng)


def worker_of(system: Values, job: Values, threads: int) -> Worker:
    own = {"precision": system["precision"], "num_workers": threads if system.get("split") else 1}
    return Worker(system["script"], job | own, {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"})


# ---- measuring -------------------------------------------------------------------------------------------------------


def measure(comparison: Comparison, job: Values, options: argparse.Namespace) -> dict[str, Values]:
    """Return the facts of each system, what it measured in each round, and its peak of memory."""
    measured: dict[str, Values] = {}
    systems = {name: comparison.table()[name] for name in comparison.systems}
    if options.threads == 1:
        systems = {name: system for name, system in systems.items() if not system.get("split")}
    with ExitStack() as stack:
        workers = {}
        for name, system in systems.items():
            workers[name] = stack.enter_context(worker_of(system, job, options.threads))
            measured[name] = {"facts": workers[name].ready(), "seconds": []}
            if not comparison.trains:
                workers[name].go()  # warms up; trainers have done so
            print(f"  {name} is ready", file=sys.stderr, flush=True)
        for number in range(1, options.rounds + 1):
            for name, worker in workers.items():
                answer = worker.go()
                measured[name]["seconds"].append(round(answer.pop("seconds"), 4))
                measured[name] |= answer
                print(f"  round {number}: {name}, {measured[name]['seconds'][-1]:.2f} s", file=sys.stderr, flush=True)
    check_equal_work(measured)
    return measured


def check_equal_work(measured: dict[str, Values]) -> None:
    """Exit if systems differ in how much they did: the lengths of hypotheses, or the tokens trained on."""
    work = {}
    for name, values in measured.items():
        if "hypotheses" in values:
            values["target_tokens"] = sum(map(len, values["hypotheses"]))
        work[name] = [len(row) for row in values.get("hypotheses", [])] or values["target_tokens"]
    first = next(iter(work))
    if different := [name for name in work if work[name] != work[first]]:
        raise SystemExit(f"{different[0]} did other work than {first}: {work[different[0]]} and {work[first]} tokens")


def fastest(measured: dict[str, Values], toolkit: str) -> str:
    """Return the name of a toolkit's fastest system."""
    names = [name for name in measured if name.startswith(toolkit)]
    return min(names, key=lambda name: statistics.median(measured[name]["seconds"]))


def ratios(comparison: Comparison, measured: dict[str, Values]) -> list[Values]:
    """Return a row for each bar: the best of both sides, how many times as fast ours is, and its share of memory."""
    ours, rows = fastest(measured, OURS), []
    for toolkit, bar in comparison.bars.items():
        theirs = fastest(measured, toolkit)
        pairs = zip(measured[theirs]["seconds"], measured[ours]["seconds"], strict=True)
        share = measured[ours]["peak_memory_mib"] / measured[theirs]["peak_memory_mib"]
        rows.append(
            {
                "ours": ours,
                "theirs": theirs,
                "times_as_fast": round(statistics.median(their / our for their, our in pairs), 3),
                "bar": bar,
                "share_of_memory": round(share, 3),
                "memory_bar": comparison.memory_bar,
            }
        )
    return rows


# ---- reporting -------------------------------------------------------------------------------------------------------


def unlike(values: Values, oracle: Values | None) -> str:
    """Return the share of hypotheses that are others than those of `generate` in fp32, but for the last token: at a
    limit some force it to be end of sentence."""
    if oracle is None or "hypotheses" not in values:
        return "-"
    pairs = list(zip(values["hypotheses"], oracle["hypotheses"], strict=True))
    return f"{sum(a[:-1] != b[:-1] for a, b in pairs) / len(pairs):.0%}"


def print_tables(name: str, measured: dict[str, Values], rows: list[Values]) -> None:
    width = max(map(len, measured))
    print(f"\n{name}\n{'system':{width}}  target tokens/s  seconds  peak MiB  lines unlike")
    for system, values in measured.items():
        seconds = statistics.median(values["seconds"])
        print(
            f"{system:{width}}  {values['target_tokens'] / seconds:>15,.0f}  {seconds:>7.2f}  "
            f"{values['peak_memory_mib']:>8,.0f}  {unlike(values, measured.get(f'{GENERATE} fp32')):>12}"
        )
    for row in rows:
        memory = "" if row["memory_bar"] is None else f" (at most {row['memory_bar']})"
        print(
            f"{row['ours']} is {row['times_as_fast']:.2f} times as fast as {row['theirs']} (at least {row['bar']}), "
            f"with {row['share_of_memory']:.2f} of its memory{memory}"
        )


def record(name: str, measured: dict[str, Values], rows: list[Values], options: argparse.Namespace) -> Values:
    """Return all that was measured, without the hypotheses."""
    kept = {name: {k: v for k, v in values.items() if k != "hypotheses"} for name, values in measured.items()}
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    settings = {key: value for key, value in vars(options).items() if key not in ("results", "comparisons")}
    return {
        "comparison": name,
        "ratios": rows,
        "systems": kept,
        "settings": settings,
        "versions": versions,
        "processor": processor(),
    }


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparisons", nargs="*", metavar="COMPARISON", help="by default all")
    parser.add_argument("--threads", type=int, default=2, help="of every system (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=2, help="of training, in a round (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="tiny shapes, to see that all of it runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.comparisons) - set(COMPARISONS)):
        parser.error(f"{unknown[0]} is no comparison; there are {', '.join(COMPARISONS)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in options.comparisons or COMPARISONS:
        comparison = COMPARISONS[name]
        print(name, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            ids = save_random(SHAPES[comparison.shape], Path(folder), options.tiny)
            job = job_of(comparison, ids, options) | {"model": folder, "device": "cpu", "threads": options.threads}
            measured = measure(comparison, job, options)
        rows = ratios(comparison, measured)
        print_tables(name, measured, rows)
        options.results.parent.mkdir(exist_ok=True)
        with options.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record(name, measured, rows, options)) + "\n")


if __name__ == "__main__":
    main()
