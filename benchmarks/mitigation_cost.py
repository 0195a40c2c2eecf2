"""What a step of each way of training costs relative to cross-entropy, in one process, step by step in turn.

    python benchmarks/mitigation_cost.py configs/multi30k_en_de.yaml --start runs/multi30k_en_de --steps 4 --rounds 5

A round is so many steps of every variant, one variant after another; what is given is the median over rounds of a
variant's time in a round divided by that of cross-entropy in the same one. A greedy decoding of a batch in fp32, as a
parameter search makes them, is measured beside the variants. Appends one JSON line to
benchmarks/results/mitigation_cost.jsonl. With `--count` and one thread, instructions take the place of seconds: see
`event_counts`. Options behind `--` go to all variants.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from command_line import parse_with_training_options
from decoding_speed import RESULTS, processor
from event_counts import counts_of
from mitigations import BASELINE, VARIANTS

from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.data import build_data, build_loader
from seq2seq.assembly.model_export import ModelExport
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.assembly.run_directory import enter_run_directory
from seq2seq.assembly.training import build_trainer
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.gradients.greedy_cost import GreedyCost
from seq2seq.gradients.parameter_search import LENGTH_FACTOR, searching
from seq2seq.metrics.cost import make_cost
from seq2seq.training.accelerator import build_accelerator
from seq2seq.training.trainer import Trainer

DECODING = "a greedy decoding"


def build_parts(arguments: list[str]) -> tuple[Trainer, TextTokenizer]:
    """Return what a command line of train.py builds, in the run directory that it names."""
    config = with_precision(load_run_config(arguments))
    accelerator = build_accelerator(config.training.precision)
    folder = enter_run_directory(config)
    tokenizer, train_corpus, validation_corpus, *_ = build_data(config, folder)
    loader = build_loader(config, train_corpus, tokenizer, accelerator, None)
    export = ModelExport.of(config, tokenizer)
    return build_trainer(config, folder, export, loader, validation_corpus, accelerator), tokenizer


def build_step(arguments: list[str], *, decode: bool = False) -> Callable[[], None]:
    """Return a function that makes one training step of a configuration, or decodes one batch."""
    trainer, tokenizer = build_parts(arguments)
    micro_batches = trainer.loader.micro_batches(trainer.state.position)
    if not decode:
        return lambda: trainer.train_step(micro_batches) and None
    cost = GreedyCost(make_cost("bleu"), tokenizer)

    def decode_batch() -> None:
        _, batch = next(micro_batches)
        with searching(trainer.model) as bare_model:
            cost.statistics(bare_model, batch, int(LENGTH_FACTOR * batch.labels.shape[1]))

    return decode_batch


def seconds_of(work: Callable[[], None]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def repeated(step: Callable[[], None], num_steps: int) -> Callable[[], None]:
    """Return a function that makes so many steps."""

    def make_steps() -> None:
        for _ in range(num_steps):
            step()

    return make_steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--start", required=True, help="run or model folder with the weights to begin with")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--count", action="store_true", help="instructions instead of seconds, of one thread")
    options, rest = parse_with_training_options(parser)
    if options.count and options.threads != 1:
        parser.error("only one thread is counted; add `--threads 1`")
    names = [BASELINE, *(name for name in options.only if name != BASELINE)]
    prepare_process(options.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        shared = [options.config, "--training.initialize_from", options.start, *rest]
        steps = {
            name: build_step([*shared, "--run_directory", str(Path(folder) / name.replace(" ", "_")), *VARIANTS[name]])
            for name in names
        }
        decoding = [*shared, "--run_directory", str(Path(folder) / "decoding"), *VARIANTS[BASELINE]]
        steps[DECODING] = build_step(decoding, decode=True)
        for step in steps.values():
            repeated(step, 2)()
        works = {name: repeated(step, options.steps) for name, step in steps.items()}
        measure = (lambda work: counts_of(work).instructions) if options.count else seconds_of
        rounds = [{name: measure(work) for name, work in works.items()} for _ in range(options.rounds)]
    ratios = {name: [times[name] / times[BASELINE] for times in rounds] for name in steps}
    for name, values in ratios.items():
        print(f"{name:32}{statistics.median(values):6.2f} x   ({min(values):.2f} to {max(values):.2f})")
    settings = {name: getattr(options, name) for name in ("config", "steps", "rounds", "count")} | {"options": rest}
    with (Path(RESULTS) / "mitigation_cost.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"processor": processor(), "settings": settings, "ratios": ratios}) + "\n")


if __name__ == "__main__":
    main()
