"""Instructions that training and decoding take in two trees of this project: what a refactoring costs.

    python benchmarks/tree_cost.py --tree . --other ../before

Each tree makes its own corpus and run of a small model, on one thread. A piece of work is done twice, a short and a
long one, as whole processes under `perf stat`, and what they differ by counts, so that starting does not. Instructions
of one thread in user mode repeat to a tenth of a percent, whatever else the machine does.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

TRAINING = """
run_directory: run
data: {train: {path: train.tsv}, validation: {path: dev.tsv}, batch_tokens: 1024}
tokenizer: {kind: characters, vocab_size: 100}
model: {d_model: 128, encoder_layers: 2, decoder_layers: 2, num_heads: 4, ffn_size: 256, ORDER}
optimizer: {learning_rate: 3.0e-3, warmup_steps: 20}
training: {max_steps: 60, threads: 1, tensorboard: false, log_every: 10}
"""
ORDERS = ("l2r", "bidirectional", "interleaved")
SEARCHES = {
    "greedy": ("l2r", ["--beam-width", "1"]),
    "beam of 5": ("l2r", ["--beam-width", "5"]),
    "beam of 5, one line at a time": ("l2r", ["--beam-width", "5", "--batch-tokens", "1"]),
    "diverse beam of 4": ("l2r", ["--method", "diverse_beam", "--beam-width", "4", "--num-groups", "2"]),
    "synchronous beam of 4": ("bidirectional", ["--beam-width", "4", "--bidirectional"]),
    "pairs, beam of 4": ("bidirectional", ["--beam-width", "4", "--bidirectional", "--pairing", "joint"]),
    "interleaved beam of 4": ("interleaved", ["--beam-width", "4"]),
}
SHORT, LONG = 200, 800
"""Lines that are decoded."""
STEPS = (60, 160)
"""Steps that are trained."""


def write_task(folder: Path) -> None:
    generator = random.Random(3)
    texts = ["".join(generator.choices("abcdefghij", k=generator.randint(3, 25))) for _ in range(3000)]
    parts = {"train": texts[:2000], "dev": texts[2000:2050]}
    for name, part in parts.items():
        (folder / f"{name}.tsv").write_text("".join(f"{text}\t{text[::-1]}\n" for text in part))
    for number in (SHORT, LONG):
        (folder / f"{number}.txt").write_text("".join(f"{text}\n" for text in texts[2050 : 2050 + number]))


def instructions(tree: Path, folder: Path, words: list[str]) -> int:
    """Return the instructions of one command of a tree, as a whole process."""
    counts = folder / "counts.txt"
    command = ["perf", "stat", "--field-separator", ",", "--event", "instructions:u", "--output", str(counts)]
    done = subprocess.run(
        [*command, sys.executable, "-m", "seq2seq.apps.command", *words],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{tree}: seq2seq {' '.join(words)}: {done.stderr[-2000:]}")
    [line] = [line for line in counts.read_text().splitlines() if "instructions" in line]
    return int(line.split(",")[0])


def measured(tree: Path, folder: Path) -> dict[str, int]:
    """Return the instructions of each piece of work, by its name."""
    write_task(folder)
    found = {}
    for order in ORDERS:
        (folder / "run.yaml").write_text(TRAINING.replace("ORDER", f"generation_order: {order}"))
        start = ["train", "run.yaml", "--run_directory"]
        short, long = (
            instructions(tree, folder, [*start, f"{order}_{steps}", "--training.max_steps", str(steps)])
            for steps in STEPS
        )
        found[f"training, {order}"] = long - short
    for name, (order, options) in SEARCHES.items():
        decode = ["decode", "--model", f"{order}_{STEPS[1]}", "--processes", "1", "--threads", "1", *options, "--input"]
        short, long = (instructions(tree, folder, [*decode, f"{number}.txt"]) for number in (SHORT, LONG))
        found[name] = long - short
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, required=True, help="a checkout of this project")
    parser.add_argument("--other", type=Path, required=True, help="another, that it is compared with")
    parser.add_argument("--output", type=Path, help="JSON file to write the counts to")
    options = parser.parse_args()
    counts = []
    for tree in (options.tree, options.other):
        with tempfile.TemporaryDirectory() as folder:
            counts.append(measured(tree.resolve(), Path(folder)))
    rows = {
        name: {"tree": counts[0][name], "other": other, "ratio": counts[0][name] / other}
        for name, other in counts[1].items()
    }
    width = max(map(len, rows))
    for name, row in rows.items():
        print(
            f"{name:{width}}  {row['tree'] / 1e9:8.3f}  {row['other'] / 1e9:8.3f} thousand million  {row['ratio']:.4f}"
        )
    if options.output:
        options.output.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
