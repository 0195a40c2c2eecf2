"""Processor time that training and decoding take in two trees of this project: what a refactoring costs.

    python benchmarks/tree_cost.py --tree . --other ../before --rounds 7

Each tree makes its own run of a small model on the same corpus, on one thread. A piece of work is done twice, a short
and a long one, as whole processes, and what they differ by counts, so that starting does not. The trees take turns on
one core, each stopped while the other has its fifth of a second: a machine whose speed drifts is as slow for both.

User seconds are printed as medians, with the median of the rounds' ratios and the ratio of the least that either took;
a machine that does something else spoils them. `--count` counts instead, which it does not spoil: calls of Python and
of C functions by Python code, and operations that torch is told to do. Seconds are to those what arithmetic is to them.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TRAINING = """
run_directory: run
data: {train: {path: train.tsv}, validation: {path: dev.tsv}, batch_tokens: 1024}
tokenizer: {kind: characters, vocab_size: 100}
model: {d_model: 128, encoder_layers: 2, decoder_layers: 2, num_heads: 4, ffn_size: 256, ORDER}
optimizer: {learning_rate: 3.0e-3, warmup_steps: 20}
training: {max_steps: 60, threads: 1, log_every: 10}
validation: {every: 1000}
"""
COUNTING = """
import sys
from torch.utils._python_dispatch import TorchDispatchMode
from seq2seq.apps.command import main

class Operations(TorchDispatchMode):
    number = 0
    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        self.number += 1
        return operation(*arguments, **(keywords or {}))

calls = 0
def count(frame, event, argument):
    global calls
    calls += event in ("call", "c_call")

what, words = sys.argv[1], sys.argv[2:]
if what == "calls":
    sys.setprofile(count)
    code = main(words)
    sys.setprofile(None)
else:
    with Operations() as operations:
        code = main(words)
    calls = operations.number
print("\\n%d" % calls, file=sys.stderr)
sys.exit(code)
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
SECONDS = "seconds"
TURN = 0.2
"""Seconds of a turn: short against the drift of a machine, long against what a change of processes costs."""
LINES = {True: (200, 2000), False: (50, 200)}
"""Lines that are decoded, few and many, to take seconds and to count."""
STEPS = {True: (20, 120), False: (20, 40)}
"""Steps that are trained, likewise."""


def write_task(folder: Path) -> None:
    generator = random.Random(3)
    texts = ["".join(generator.choices("abcdefghij", k=generator.randint(3, 25))) for _ in range(4050)]
    parts = {"train": texts[:2000], "dev": texts[2000:2050]}
    for name, part in parts.items():
        (folder / f"{name}.tsv").write_text("".join(f"{text}\t{text[::-1]}\n" for text in part))
    for number in {*LINES[True], *LINES[False]}:
        (folder / f"{number}.txt").write_text("".join(f"{text}\n" for text in texts[2050 : 2050 + number]))


def costs_of(places: list[tuple[Path, Path]], words: list[str], unit: str) -> list[float]:
    """Return the user seconds, or the `calls` or `operations`, that one command takes of each tree in its folder."""
    program = ["-m", "seq2seq.apps.command"] if unit == SECONDS else ["-c", COUNTING, unit]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    running = []
    for tree, folder in places:
        with (folder / "errors.txt").open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, *program, *words],
                cwd=folder,
                env=environment | {"PYTHONPATH": str(tree)},
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        os.kill(process.pid, signal.SIGSTOP)
        running.append(process)
    costs: dict[int, float] = {}
    for process in itertools.cycle(running):
        if len(costs) == len(running):
            break
        if process.pid in costs:
            continue
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(TURN)
        os.kill(process.pid, signal.SIGSTOP)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        if ended:
            costs[process.pid] = used.ru_utime
            process.returncode = os.waitstatus_to_exitcode(status)
    errors = [(folder / "errors.txt").read_text() for _, folder in places]
    for process, (tree, _), error in zip(running, places, errors, strict=True):
        if process.returncode:
            raise SystemExit(f"{tree}: seq2seq {' '.join(words)}: {error[-2000:]}")
    return list(costs[process.pid] for process in running) if unit == SECONDS else [int(e.split()[-1]) for e in errors]


def training_costs(places: list[tuple[Path, Path]], unit: str, order: str) -> list[float]:
    """Return what the steps of a training take beyond those of a short one, for each tree."""
    for tree, folder in places:
        tagged = (tree / "seq2seq/config/parsing.py").is_file()
        search = "{synchronous: {beam_width: 4}}" if tagged else "{beam_width: 4}"
        decoding = f"decoding: {search}\n" if order == "bidirectional" else ""
        (folder / "run.yaml").write_text(TRAINING.replace("ORDER", f"generation_order: {order}") + decoding)
    costs = []
    for steps in STEPS[unit == SECONDS]:
        for _, folder in places:
            shutil.rmtree(folder / f"{order}_{steps}", ignore_errors=True)
        words = ["train", "run.yaml", "--run_directory", f"{order}_{steps}", "--training.max_steps", str(steps)]
        costs.append(costs_of(places, words, unit))
    return [long - short for short, long in zip(*costs, strict=True)]


def decoding_costs(places: list[tuple[Path, Path]], unit: str, order: str, options: list[str]) -> list[float]:
    """Return what the lines of a long file take beyond those of a short one, for each tree."""
    model = f"{order}_{STEPS[unit == SECONDS][1]}"
    words = ["decode", "--model", model, "--threads", "1", "--processes", "1", *options, "--input"]
    costs = [costs_of(places, [*words, f"{number}.txt"], unit) for number in LINES[unit == SECONDS]]
    return [long - short for short, long in zip(*costs, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, required=True, help="a checkout of this project")
    parser.add_argument("--other", type=Path, required=True, help="another, that it is compared with")
    parser.add_argument("--rounds", type=int, default=5, help="times that each piece of work is done; default: 5")
    parser.add_argument("--steps", type=int, nargs=2, help="steps of the short and of the long training")
    parser.add_argument("--lines", type=int, nargs=2, help="lines of the short and of the long file to decode")
    parser.add_argument("--only", nargs="+", help="beginnings of the names of the work to do; default: all of it")
    parser.add_argument("--count", action="store_true", help="count calls and operations, once, instead of seconds")
    parser.add_argument("--output", type=Path, help="JSON file to write the costs to")
    options = parser.parse_args()
    if options.steps:
        STEPS[not options.count] = tuple(options.steps)
    if options.lines:
        LINES[not options.count] = tuple(options.lines)
    trees = [options.tree.resolve(), options.other.resolve()]
    work = {f"training, {order}": (training_costs, (order,)) for order in ORDERS}
    work |= {name: (decoding_costs, arguments) for name, arguments in SEARCHES.items()}
    if options.only:
        work = {name: job for name, job in work.items() if name.startswith(tuple(options.only))}
    units = ("calls", "operations") if options.count else (SECONDS,)
    found: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        places = [(tree, Path(folder)) for tree, folder in zip(trees, (first, second), strict=True)]
        for _, folder in places:
            write_task(folder)
        for unit, (name, (measure, arguments)) in itertools.product(units, work.items()):
            rounds = [measure(places, unit, *arguments) for _ in range(1 if options.count else options.rounds)]
            found[f"{unit}, {name}"] = rounds
            ratios = sorted(one / other for one, other in rounds)
            columns = list(zip(*rounds, strict=True))
            one, other = map(statistics.median, columns)
            least = min(columns[0]) / min(columns[1])
            print(
                f"{name:30}  {one:12,.2f}  {other:12,.2f} {unit}  ratio {statistics.median(ratios):.4f} "
                f"({ratios[0]:.3f} to {ratios[-1]:.3f}), of the least {least:.4f}",
                flush=True,
            )
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
