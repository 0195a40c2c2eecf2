"""Decoding speed beside transformers' `generate`, CTranslate2 and Eole: the same weights, the same sources, in turns.

    python benchmarks/decoding_speed.py --size base --batch-size 32 --beam-width 5 [--eole]
    python benchmarks/decoding_speed.py --model runs/multi30k_en_de --input data/multi30k/raw/test_2016_flickr.en \
        --reference data/multi30k/raw/test_2016_flickr.de

Without `--model`, a random model decodes random sources to a fixed length. With one, real text is decoded in
length-sorted batches of the same token budget, and scored by BLEU if there are references. Each system is a process of
its own, and only one works at a time: A B A B …. Prints a table with medians and ratios, compares hypotheses with
transformers' in fp32, and appends the numbers as one JSON line to benchmarks/results/decoding_speed.jsonl. Eole runs
only where `--eole` or `--systems` asks for it, in an environment of its own that is made on first use.
"""

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from workers.environment import interpreter
from workers.protocol import Worker

from seq2seq.assembly.model_folder import find_model
from seq2seq.assembly.scoring import score_texts
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.lines import lines as read_lines
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

PRODUCTS, SPLIT = ", 1 x n", ", n x 1"
"""Either n threads split each product, or n workers of a thread each take smaller batches."""

RESULTS = Path(__file__).parent / "results"
SIZES = {
    "smallest": {"d_model": 32, "num_heads": 2, "ffn_size": 64},
    "tiny": {"d_model": 128, "num_heads": 4, "ffn_size": 512},
    "small": {"d_model": 256, "num_heads": 4, "ffn_size": 1024},
    "base": {"d_model": 512, "num_heads": 8, "ffn_size": 2048},
    "big": {"d_model": 1024, "num_heads": 16, "ffn_size": 4096},
}
TOOLKITS = {
    "ours": ("decoding_ours", ("fp32", "bf16", "fp16", "int8"), (PRODUCTS, SPLIT)),
    "transformers": ("decoding_huggingface", ("fp32", "bf16"), ("",)),
    "ctranslate2": ("decoding_ctranslate2", ("fp32", "int8"), (PRODUCTS, SPLIT)),
    "eole": ("decoding_eole", ("fp32", "bf16"), ("",)),
}
"""The worker of each, its precisions, and how it uses threads."""
SYSTEMS = {
    f"{toolkit} {precision}{use}": dict(toolkit=toolkit, script=script, precision=precision, split=use == SPLIT)
    for toolkit, (script, precisions, uses) in TOOLKITS.items()
    for precision in precisions
    for use in uses
}
EOLE = [name for name in SYSTEMS if name.startswith("eole")]

ORACLE = "transformers fp32"


def save_random_model(folder: Path, options: argparse.Namespace) -> None:
    """Write a model with random weights: 6+6 layers unless told otherwise."""
    torch.manual_seed(options.seed)
    config = Seq2SeqTransformerConfig(
        vocab_size=options.vocab_size,
        encoder_layers=options.layers,
        decoder_layers=options.layers,
        **SIZES[options.size],
    )
    Seq2SeqTransformer(config).save_pretrained(folder)


def random_sources(options: argparse.Namespace) -> list[list[int]]:
    """Return sources that fill `--batches` batches, all of one length and with end of sentence."""
    rng = random.Random(options.seed)
    rows = options.batch_size * options.batches
    return [[*(rng.randrange(3, options.vocab_size) for _ in range(options.source_length - 1)), 2] for _ in range(rows)]


def prepare_job(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return what all systems are told."""
    job = {
        "beam_width": options.beam_width,
        "early_stopping": True,
        "threads": options.threads,
        "device": options.device,
        "batch_tokens": options.batch_tokens,
    }
    if options.model is None:
        save_random_model(folder, options)
        length = {"min_length": options.target_length - 1, "max_length": options.target_length}
        return (
            job | length | {"model": str(folder), "batch_size": options.batch_size, "sources": random_sources(options)}
        )
    model = find_model(options.model)
    lines = list(islice(read_lines(Path(options.input)), options.max_lines))
    sources = TextTokenizer.load(model).encode_sources(lines)
    return job | {"min_length": 0, "max_length": 100, "batch_size": 0, "model": str(model), "sources": sources}


def bleu_of(hypotheses: list[list[int]], options: argparse.Namespace) -> float | None:
    """Return BLEU (13a, cased) of token ids, or None without references."""
    if options.reference is None:
        return None
    texts = TextTokenizer.load(find_model(options.model)).decode_batch(hypotheses)
    references = [[line] for line in islice(read_lines(Path(options.reference)), options.max_lines)]
    [score] = score_texts(texts, references, ["bleu"])
    return score.value


def measure(job: dict[str, Any], options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return facts, rounds and hypotheses of each system."""
    measured: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        workers = {}
        for name in options.systems:
            system = SYSTEMS[name]
            own = {"precision": system["precision"], "num_workers": options.threads if system["split"] else 1}
            environment = {"OMP_NUM_THREADS": str(options.threads)}
            worker = Worker(system["script"], job | own, environment, python=interpreter(system["toolkit"]))
            workers[name] = stack.enter_context(worker)
            measured[name] = {"facts": worker.ready(), "seconds": []}
            worker.go()  # warms up
        for _ in range(options.rounds):
            for name, worker in workers.items():
                answer = worker.go()
                measured[name]["seconds"].append(answer["seconds"])
                measured[name]["hypotheses"] = answer["hypotheses"]
                measured[name]["peak_memory_mib"] = answer["peak_memory_mib"]
    return measured


def report(measured: dict[str, dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row per system: tokens per second, time over our fastest's, round by round, differing output, BLEU."""
    oracle = measured.get(ORACLE)
    ours = [system for name, system in measured.items() if name.startswith("ours")] or list(measured.values())
    fastest = min(ours, key=lambda system: statistics.median(system["seconds"]))
    rows = []
    for name, system in measured.items():
        num_tokens = sum(map(len, system["hypotheses"]))
        ratios = [theirs / mine for theirs, mine in zip(system["seconds"], fastest["seconds"], strict=True)]
        different = None
        if oracle is not None:
            pairs = zip(system["hypotheses"], oracle["hypotheses"], strict=True)
            different = sum(a != b for a, b in pairs) / len(oracle["hypotheses"])
        rows.append(
            {
                "system": name,
                "tokens_per_second": round(num_tokens / statistics.median(system["seconds"]), 1),
                "seconds": [round(s, 4) for s in system["seconds"]],
                "time_relative_to_ours": round(statistics.median(ratios), 3),
                "share_of_lines_unlike_transformers_fp32": different,
                "bleu": bleu_of(system["hypotheses"], options),
                "peak_memory_mib": system["peak_memory_mib"],
                "facts": system["facts"],
            }
        )
    return rows


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    others = [name for name in SYSTEMS if name not in EOLE]
    parser.add_argument("--model", help="run directory or model folder; without it, a random model")
    parser.add_argument("--input", help="source lines, with --model")
    parser.add_argument("--reference", help="its references, one a line")
    parser.add_argument("--max-lines", type=int)
    parser.add_argument("--size", choices=list(SIZES), default="base")
    parser.add_argument("--layers", type=int, default=6, help="of encoder and of decoder (default: %(default)s)")
    parser.add_argument("--vocab-size", type=int, default=10000)
    parser.add_argument("--source-length", type=int, default=30)
    parser.add_argument("--target-length", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--batches", type=int, default=1, help="batches a round (default: %(default)s)")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="with --model: source tokens times beam width")
    parser.add_argument("--beam-width", type=int, default=5)
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=others, metavar="SYSTEM")
    parser.add_argument("--eole", action="store_true", help="add the systems of Eole")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.eole:
        options.systems += [name for name in EOLE if name not in options.systems]

    with tempfile.TemporaryDirectory() as folder:
        rows = report(measure(prepare_job(Path(folder), options), options), options)
    width = max(len(row["system"]) for row in rows)
    print(f"{'system':{width}}  tokens/s  time/ours  lines unlike  peak MiB   BLEU")
    for row in rows:
        share = row["share_of_lines_unlike_transformers_fp32"]
        unlike = "-" if share is None else f"{share:.1%}"
        bleu = "-" if row["bleu"] is None else f"{row['bleu']:.2f}"
        print(
            f"{row['system']:{width}}  {row['tokens_per_second']:8,.0f}  {row['time_relative_to_ours']:9.2f}  "
            f"{unlike:>12}  {row['peak_memory_mib']:8,.0f}  {bleu:>5}"
        )
    RESULTS.mkdir(exist_ok=True)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    line = {"processor": processor(), "settings": vars(options), "versions": versions, "rows": rows}
    with (RESULTS / "decoding_speed.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
