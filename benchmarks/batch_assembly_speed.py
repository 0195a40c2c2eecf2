"""Positions a second from a tokenised corpus to batches, of this tree and of another one, in turns.

    python benchmarks/batch_assembly_speed.py --other ../before --pairs 50000

The text is made up as for `loading_speed.py`, and the batches of both trees have the same rows. They come from the
training loader, which makes them in its thread; its plan is not timed.

Writes benchmarks/results/batch_assembly_speed.json.
"""

import argparse
import itertools
import json
import os
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loading_speed import RESULTS, TOKENIZER_PAIRS, write_lines
from workers.protocol import BENCHMARKS, Worker

from seq2seq.data.tokenizer import TextTokenizer

CLOCKS = ("seconds", "cpu_seconds")
"""By which speed is measured; that of the processor does not see what else the machine does."""
ORDERS = ("l2r", "r2l", "bidirectional", "interleaved")


def prepare_job(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Write corpus and tokenizer; return what all workers are told."""
    sides = [folder / "source", folder / "target"]
    for seed, path in enumerate(sides):
        write_lines(path, options.pairs, seed)
    texts = [list(itertools.islice(path.open(encoding="utf-8"), TOKENIZER_PAIRS)) for path in sides]
    TextTokenizer.train(*texts, kind="bpe", vocab_size=8000).save(folder / "tokenizer")
    return {
        "source": str(sides[0]),
        "target": str(sides[1]),
        "tokenizer": str(folder / "tokenizer"),
        "batch_tokens": options.batch_tokens,
        "batches": options.batches,
    }


def environment(tree: Path, folder: Path) -> dict[str, str]:
    """Return the variables by which a worker imports the package of this tree."""
    path = os.pathsep.join([str(BENCHMARKS), str(tree.resolve())])
    own = {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(folder / "hub")}
    return own | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}  # or the working directory would come first


def measure(job: dict[str, Any], order: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return a row for an order: positions a second of both trees in each round, and the ratios, by each clock."""
    trees = {"this": BENCHMARKS.parent, "other": options.other}
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    with ExitStack() as stack:
        workers = {}
        for name, tree in trees.items():
            own = job | {"order": order, "cache": str(folder / f"cache-{name}")}
            worker = Worker("batch_assembly", own, environment(tree, folder))
            workers[name] = stack.enter_context(worker)
            assert worker.ready()["package"] == str(tree.resolve() / "seq2seq"), f"{name} imports another package"
        for _ in range(options.rounds):
            for name, worker in workers.items():
                rounds[name].append(worker.go())
    assert len({measured["positions"] for found in rounds.values() for measured in found}) == 1, "batches differ"
    row: dict[str, Any] = {"order": order, "pairs": options.pairs, "batch_tokens": options.batch_tokens}
    for clock in CLOCKS:
        speeds = {
            name: [measured["positions"] / measured[clock] for measured in found] for name, found in rounds.items()
        }
        ratios = [ours / theirs for ours, theirs in zip(speeds["this"], speeds["other"], strict=True)]
        row[clock] = {f"positions_{name}": [round(speed) for speed in found] for name, found in speeds.items()}
        row[clock] |= {"ratio": round(statistics.median(ratios), 2), "ratios": [round(ratio, 2) for ratio in ratios]}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", type=Path, required=True, help="folder of another tree of this project")
    parser.add_argument("--orders", nargs="+", choices=ORDERS, default=ORDERS)
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--batches", type=int, default=200, help="of each round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        job = prepare_job(Path(folder), options)
        for order in options.orders:
            rows.append(measure(job, order, Path(folder), options))
            for clock, measured in ((clock, rows[-1][clock]) for clock in CLOCKS):
                ours, theirs = (statistics.median(measured[f"positions_{name}"]) / 1e6 for name in ("this", "other"))
                low, high = min(measured["ratios"]), max(measured["ratios"])
                print(
                    f"{order:<14} million positions by {clock}: this {ours:.2f}, other {theirs:.2f}; "
                    f"{measured['ratio']:.1f} times ({low:.1f} to {high:.1f})",
                    flush=True,
                )
    RESULTS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (RESULTS / "batch_assembly_speed.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
