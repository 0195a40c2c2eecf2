"""Decoding speed of each generation order at the same number of rows: models with random weights, in turns.

    python benchmarks/generation_order_speed.py --batch-size 32
    python benchmarks/generation_order_speed.py --batch-size 1 --threads 1

Every search returns targets of the same length from as many rows a sentence: from the left a beam of W, from both ends
W / 2 each. An interleaved search has W hypotheses of two rows. Prints seconds, medians of ratios to the search from the
left with their 95 % intervals, and appends one JSON line to benchmarks/results/generation_order_speed.jsonl. With
`--count` and one thread, instructions and cycles take the place of seconds: see `event_counts`.
"""

import argparse
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from decoding_speed import RESULTS, SIZES, processor, random_sources
from event_counts import Counts, counts_of

from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.assembly.search import changed_search, complete_search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import SourceBatch
from seq2seq.models.loading import load_model
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.int8}
BASELINE = "l2r"
BOTH = {"generation_order": "bidirectional"}
SYSTEMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    BASELINE: ({}, {}),
    "l2r again": ({}, {}),
    "r2l of both": (BOTH, {"generation_order": "r2l"}),
    "synchronous, no interaction": (BOTH, {}),
    "synchronous, tanh, weight 0": ({**BOTH, "interaction": "tanh", "interaction_weight": 0.0}, {}),
    "synchronous, tanh": ({**BOTH, "interaction": "tanh"}, {}),
    "synchronous, gate": ({**BOTH, "interaction": "gate"}, {}),
    "joint, tanh": ({**BOTH, "interaction": "tanh"}, {"pairing": "joint"}),
    "interleaved": ({"generation_order": "interleaved"}, {}),
}
"""Options of model and of search. The second is the first once more, to show the machine's noise."""


def make_system(model_options: dict[str, Any], search_options: dict[str, Any], options: Any) -> Callable[[], int]:
    """Return a function that decodes once and returns the number of tokens."""
    torch.manual_seed(options.seed)
    config = Seq2SeqTransformerConfig(
        vocab_size=options.vocab_size,
        encoder_layers=options.layers,
        decoder_layers=options.layers,
        **SIZES[options.size],  # type: ignore[arg-type]
        **model_options,
    )
    with tempfile.TemporaryDirectory() as folder:
        Seq2SeqTransformer(config).save_pretrained(folder)
        model = load_model(folder, options.device, PRECISIONS[options.precision])
    length = options.target_length
    limits = {"min_length": length - 1, "max_length": length, "early_stopping": True, "beam_width": options.beam_width}
    search = changed_search(None, limits | search_options, config.generation_order)
    searcher = InProcess(model, complete_search(search, config.generation_order, None), options.device)
    sources = random_sources(options)
    size = options.batch_size
    batches = [SourceBatch(sources[i : i + size], list(range(i, i + size))) for i in range(0, len(sources), size)]

    def run_round() -> int:
        return sum(len(found[0].tokens) for batch in searcher.search_batches(batches) for found in batch)

    return run_round


def seconds_of(work: Callable[[], object]) -> tuple[float]:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started,)


def interval_of_median(values: list[float]) -> tuple[float, float]:
    """Return the order statistics between which the median lies with 95 % confidence, whatever the distribution."""
    ordered, reach = sorted(values), 1.96 * len(values) ** 0.5 / 2
    middle = (len(values) - 1) / 2
    return ordered[max(0, math.floor(middle - reach))], ordered[min(len(values) - 1, math.ceil(middle + reach))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), default="base")
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--vocab-size", type=int, default=10000)
    parser.add_argument("--source-length", type=int, default=30)
    parser.add_argument("--target-length", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=1)
    parser.add_argument("--beam-width", type=int, default=4)
    parser.add_argument("--precision", choices=list(PRECISIONS), default="bf16")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--count", action="store_true", help="instructions and cycles instead of seconds")
    options = parser.parse_args()
    if options.count and options.threads != 1:
        parser.error("only one thread is counted; add `--threads 1`")
    prepare_process(options.threads)
    systems = {name: make_system(*SYSTEMS[name], options) for name in dict.fromkeys([BASELINE, *options.only])}
    keep_freed_memory()
    tokens = {name: run_round() for name, run_round in systems.items()}  # which warms up
    measure = counts_of if options.count else seconds_of
    rounds = [{name: measure(run_round) for name, run_round in systems.items()} for _ in range(options.rounds)]
    rows = []
    for name in systems:
        for place, unit in enumerate(Counts._fields if options.count else ["seconds"]):
            values, baseline = ([found[system][place] for found in rounds] for system in (name, BASELINE))
            ratios = [a / b for a, b in zip(values, baseline, strict=True)]
            ratio, (low, high) = statistics.median(ratios), interval_of_median(ratios)
            rows.append({"system": name, unit: values, "tokens": tokens[name], f"{unit}_relative_to_l2r": ratio})
            rate = statistics.median(values) / tokens[name]
            print(f"{name:28}{rate:12.3g} {unit} a token{ratio:8.3f} ({low:.3f} to {high:.3f})")
    line = {"processor": processor(), "settings": vars(options), "rows": rows}
    with (Path(RESULTS) / "generation_order_speed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
