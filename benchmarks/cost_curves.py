"""What decoding and data cost as the work grows: time and peak memory, as a table and a picture.

    python benchmarks/cost_curves.py                # the base model with random weights, some minutes
    python benchmarks/loading_speed.py --pairs 10000 100000 1000000 10000000    # the curve over corpora

One thing grows at a time, from batches of 32 sentences, a beam of 5, 32 tokens and a vocabulary of 10,000. Each point
is a process of its own. Writes benchmarks/results/cost_curves.json and docs/results/cost_curves.png; points of the
corpora are taken from benchmarks/results/loading_speed.json where it is there.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from decoding_speed import random_sources, save_random_model
from matplotlib import pyplot
from workers.protocol import Worker

BENCHMARKS = Path(__file__).resolve().parent
PICTURE = BENCHMARKS.parent / "docs" / "results" / "cost_curves.png"
DEFAULTS = {"batch_size": 32, "beam_width": 5, "target_length": 32, "vocab_size": 10_000, "processes": 1, "batches": 1}
GROWING = {
    "batch_size": [1, 4, 16, 64, 128],
    "beam_width": [1, 2, 5, 10, 20],
    "target_length": [16, 32, 64, 128, 256],
    "vocab_size": [1_000, 10_000, 32_000, 100_000],
    "processes": [1, 2],
}
TITLES = {
    "batch_size": "sentences in a batch",
    "beam_width": "beam width",
    "target_length": "tokens of output",
    "vocab_size": "vocabulary",
    "processes": "processes, four batches in all",
    "pairs": "pairs of a corpus, loaded and tokenised",
}


def point(values: dict[str, int], options: argparse.Namespace) -> dict[str, Any]:
    """Return what decoding one point took."""
    settings = argparse.Namespace(**vars(options) | values)
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(Path(folder), settings)
        job = {
            "model": folder,
            "sources": random_sources(settings),
            "batch_size": values["batch_size"],
            "beam_width": values["beam_width"],
            "min_length": values["target_length"] - 1,
            "max_length": values["target_length"],
            "early_stopping": True,
            "threads": options.threads,
            "device": options.device,
            "precision": options.precision,
            "num_workers": values["processes"],
        }
        with Worker("decoding_ours", job, {"OMP_NUM_THREADS": str(options.threads)}) as worker:
            worker.ready()
            worker.go()
            answers = [worker.go() for _ in range(options.rounds)]
    seconds = statistics.median(answer["seconds"] for answer in answers)
    num_tokens = sum(map(len, answers[-1]["hypotheses"]))
    return values | {
        "seconds": round(seconds, 4),
        "tokens_per_second": round(num_tokens / seconds),
        "peak_memory_mib": answers[-1]["peak_memory_mib"],
    }


def measure(options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Return the points of each curve."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, sizes in GROWING.items():
        for size in sizes:
            values = DEFAULTS | {name: size} | ({"batches": 4} if name == "processes" else {})
            found = point(values, options)
            curves.setdefault(name, []).append(found)
            speed = f"{found['tokens_per_second']:,} tokens/s"
            print(f"{name:14}{size:>9,}{found['seconds']:>10.3f} s  {speed}", flush=True)
    loading = BENCHMARKS / "results" / "loading_speed.json"
    if loading.is_file():
        rows = json.loads(loading.read_text(encoding="utf-8"))
        curves["pairs"] = [
            row | {"seconds": statistics.median(row["seconds"])} for row in rows if row["system"] == "ours"
        ]
    return curves


def draw(curves: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Write a picture with a panel for each curve: seconds on the left, memory on the right."""
    figure, axes = pyplot.subplots(2, 3, figsize=(13, 7), layout="constrained")
    for axis, (name, points) in zip(axes.flat, curves.items(), strict=False):
        sizes = [point[name] for point in points]
        seconds = [point["seconds"] for point in points]
        axis.plot(sizes, seconds, "o-", color="tab:blue")
        axis.set(title=TITLES[name], xscale="log", yscale="log", ylim=(min(seconds) / 2, 2 * max(seconds)))
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        ticks = [b for a, b in zip([0.0, *sorted(seconds)], sorted(seconds), strict=False) if b > 1.2 * a]
        axis.set_yticks(ticks, [f"{value:.2g}" for value in ticks])
        axis.set_ylabel("seconds", color="tab:blue")
        axis.minorticks_off()
        memory = axis.twinx()
        peaks = [point["peak_memory_mib"] for point in points]
        memory.plot(sizes, peaks, "s--", color="tab:orange")
        memory.set_ylim(0, 1.1 * max(peaks))
        memory.set_ylabel("peak MiB", color="tab:orange")
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--source-length", type=int, default=30)
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), default="bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    curves = measure(options)
    result = BENCHMARKS / "results" / "cost_curves.json"
    result.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    draw(curves, PICTURE)


if __name__ == "__main__":
    main()
