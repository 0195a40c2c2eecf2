"""The measuring parts of `gpu.py`, each in a process of its own: `python -m workers.gpu_parts PART JOB ROWS`.

Reads the job, a JSON object, and writes all rows so far, a JSON list, after each that it measured. Nothing here knows
which device it is, but for its memory, which torch can tell of CUDA alone.
"""

import argparse
import gc
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from decoding_speed import random_sources, save_random_model
from training_speed import run_options
from workers import decoding_huggingface, decoding_ours, training_ours

Values = dict[str, Any]
PRECISIONS = ("fp32", "bf16")


def watched(device: str, work: Callable[[], Values]) -> tuple[Values, float | None]:
    """Return what the work returns, and the most memory of the device that it used beyond what stood there, in MiB."""
    if device != "cuda":
        return work(), None
    gc.collect()  # the trainer before
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    answer = work()
    return answer, round((torch.cuda.max_memory_allocated() - before) / 2**20, 1)


def median_of(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


# ---- training --------------------------------------------------------------------------------------------------------


def write_pairs(folder: Path, num_pairs: int) -> list[Path]:
    """Write a source and a target file of random words, and return them."""
    rng = random.Random(1)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(3000)]
    paths = [folder / "train.source", folder / "train.target"]
    for path in paths:
        lines = (" ".join(rng.choices(words, k=rng.randint(5, 40))) for _ in range(num_pairs))
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return paths


def training(job: Values) -> Iterator[Values]:
    """Yield a row for each size and precision: tokens a second and milliseconds a step, medians over the rounds."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        data = write_pairs(folder, job["pairs"])
        for size in job["sizes"]:
            wanted = {"data": data, "max_lines": None, "size": size}
            wanted |= {name: job[name] for name in ("batch_tokens", "vocab_size")}
            options = run_options(argparse.Namespace(**wanted), folder)
            for precision in PRECISIONS:
                own = {"options": [*options, f"--training.precision={precision}"]}
                yield {"size": size, "precision": precision} | train(job | own)


def train(job: Values) -> Values:
    """Return what steps of one training took."""

    def work() -> Values:
        facts, run_round = training_ours.prepare(job)
        return facts | {"rounds": [run_round() for _ in range(job["rounds"])]}

    measured, device_mib = watched(job["device"], work)
    rounds = measured["rounds"]
    return {
        "parameters": measured["parameters"],
        "tokens_per_second": median_of(values["target_tokens"] / values["seconds"] for values in rounds),
        "ms_per_step": median_of(1000 * values["seconds"] / job["steps"] for values in rounds),
        "device_mib": device_mib,
        "rounds": rounds,
    }


# ---- decoding --------------------------------------------------------------------------------------------------------


def decoding(job: Values) -> Iterator[Values]:
    """Yield a row for each width and precision: tokens a second of ours and of `generate`, and rows that are equal."""
    settings = argparse.Namespace(**job, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        save_random_model(Path(folder), settings)
        shared = {"model": folder, "sources": random_sources(settings), "early_stopping": True, "num_workers": 1}
        shared |= {"min_length": job["target_length"] - 1, "max_length": job["target_length"]}
        shared |= {"threads": os.cpu_count() or 1, "batch_size": job["batch_size"], "device": job["device"]}
        for precision in PRECISIONS:
            for beam_width in (1, 5):
                own = shared | {"beam_width": beam_width, "precision": precision}
                yield {"beam_width": beam_width, "precision": precision} | decode(own, job["rounds"])


def decode(job: Values, num_rounds: int) -> Values:
    """Return what both searches took, in turns, after a round each to warm up."""
    systems = {"ours": decoding_ours.prepare(job)[1], "transformers": decoding_huggingface.prepare(job)[1]}
    warm = {name: run_round() for name, run_round in systems.items()}
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    most: dict[str, float | None] = dict.fromkeys(systems)
    for _ in range(num_rounds):
        for name, run_round in systems.items():
            answer, most[name] = watched(job["device"], run_round)
            seconds[name].append(answer["seconds"])
    found = {name: answer["hypotheses"] for name, answer in warm.items()}
    tokens = {name: sum(map(len, rows)) for name, rows in found.items()}
    pairs = zip(seconds["ours"], seconds["transformers"], strict=True)
    return {
        **{name: median_of(tokens[name] / taken for taken in seconds[name]) for name in systems},
        "times_faster": median_of(
            (tokens["ours"] / ours) / (tokens["transformers"] / theirs) for ours, theirs in pairs
        ),
        "equal": sum(a == b for a, b in zip(found["ours"], found["transformers"], strict=True)),
        "rows": len(found["ours"]),
        "device_mib": most,
        "seconds": seconds,
    }


PARTS = {"training": training, "decoding": decoding}


def main(part: str, job: str, path: str) -> None:
    rows: list[Values] = []
    for row in PARTS[part](json.loads(Path(job).read_text(encoding="utf-8"))):
        rows.append(row)
        temporary = Path(f"{path}.tmp")
        temporary.write_text(json.dumps(rows), encoding="utf-8")
        temporary.replace(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
