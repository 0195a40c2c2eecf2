"""Time and memory from two files of lines to a tokenised corpus, beside `datasets` and `tokenizers` alone, in turns.

    python benchmarks/loading_speed.py --pairs 10000 100000 1000000

The text is made up: words of a made-up language by Zipf's law, 5 to 30 a line. Each round begins with an empty cache.
Writes benchmarks/results/loading_speed.json.
"""

import argparse
import itertools
import json
import random
import statistics
import string
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from workers.protocol import Worker

from seq2seq.data.tokenizer import TextTokenizer

RESULTS = Path(__file__).parent / "results"
SYSTEMS = {"ours": "loading_ours", "datasets and tokenizers": "loading_datasets"}
NUM_WORDS = 20_000
TOKENIZER_PAIRS = 20_000


def write_lines(path: Path, num_lines: int, seed: int) -> None:
    """Write so many lines of made-up words."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 9))) for _ in range(NUM_WORDS)]
    frequencies = list(itertools.accumulate(1 / rank for rank in range(1, NUM_WORDS + 1)))
    with path.open("w", encoding="utf-8") as file:
        for _ in range(num_lines):
            file.write(" ".join(rng.choices(words, cum_weights=frequencies, k=rng.randint(5, 30))) + "\n")


def measure(folder: Path, num_pairs: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row per system."""
    sides = [folder / f"{num_pairs}.source", folder / f"{num_pairs}.target"]
    for seed, path in enumerate(sides):
        write_lines(path, num_pairs, seed)
    texts = [list(itertools.islice(path.open(encoding="utf-8"), TOKENIZER_PAIRS)) for path in sides]
    tokenizer = folder / f"{num_pairs}.tokenizer"
    TextTokenizer.train(*texts, kind="bpe", vocab_size=8000).save(tokenizer)
    job = {
        "source": str(sides[0]),
        "target": str(sides[1]),
        "tokenizer": str(tokenizer),
        "folder": str(folder),
        "num_workers": options.workers,
    }
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in SYSTEMS}
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(module, job)) for name, module in SYSTEMS.items()}
        for worker in workers.values():
            worker.ready()
        for _ in range(options.rounds):
            for name, worker in workers.items():
                rounds[name].append(worker.go())
    for path in sides:
        path.unlink()
    ours = rounds["ours"]
    return [
        {
            "system": name,
            "pairs": num_pairs,
            "seconds": [round(measured["seconds"], 3) for measured in found],
            "pairs_per_second": round(num_pairs / statistics.median(measured["seconds"] for measured in found)),
            "time_of_ours_relative": round(
                statistics.median(a["seconds"] / b["seconds"] for a, b in zip(ours, found, strict=True)), 3
            ),
            "seconds_to_first_batch": found[-1].get("seconds_to_first_batch"),
            "peak_memory_mib": found[-1]["peak_memory_mib"],
        }
        for name, found in rounds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--workers", type=int, default=0, help="processes that tokenise; 0: threads of one")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for num_pairs in options.pairs:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(Path(folder), num_pairs, options)
        for row in rows[-len(SYSTEMS) :]:
            print(
                f"{row['pairs']:>10,} pairs  {row['system']:<24}{row['pairs_per_second']:>9,} pairs/s  ours takes "
                f"{row['time_of_ours_relative']:.2f} of it  {row['peak_memory_mib']:,.0f} MiB",
                flush=True,
            )
    RESULTS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    (RESULTS / "loading_speed.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
