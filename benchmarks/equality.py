"""Whether two trees of this project train and decode the same, bit by bit: what a refactoring has to show.

    python benchmarks/equality.py --tree ../before --output before.json
    python benchmarks/equality.py --tree . --output after.json --syntax new
    python benchmarks/equality.py --compare before.json after.json

A tree is run by its own package in other processes, on a small made corpus: twelve trainings over orders, objectives,
gradient rules and precisions, then every search in every format (`workers/equality_tables.py`). A record holds each
loss as an exact number, and sha256 of weights and outputs. Comparing prints each difference and exits with 1 if there
is one; both records should be of one machine and the same versions, since kernels round differently elsewhere.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WORKER = Path(__file__).resolve().parent / "workers" / "equality_runs.py"
Record = dict[str, Any]
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "PYTHONHASHSEED": "0",
    "CUDA_VISIBLE_DEVICES": "",
}


def recorded(python: str, tree: Path, folder: Path, syntax: str, names: list[str]) -> Record:
    """Return the record of a tree, whose runs are left in a folder."""
    started = time.perf_counter()
    command = [python, str(WORKER), str(folder), syntax, *names]
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": str(tree)}
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=False)
    about = {"commit": commit.stdout.strip(), "syntax": syntax, "only": names}
    record: Record = about | json.loads(done.stdout)
    return record


def write(record: Record, path: Path) -> None:
    """Write a record with a line for each training and search."""
    parts = [f' "{name}": {json.dumps(value)}' for name, value in record.items() if not is_table(name)]
    for name in filter(is_table, record):
        lines = [f"  {json.dumps(row)}: {json.dumps(value)}" for row, value in record[name].items()]
        parts.append(f' "{name}": {{\n' + ",\n".join(lines) + "\n }")
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def is_table(name: str) -> bool:
    return name in ("trainings", "decodings")


# ---- comparing -------------------------------------------------------------------------------------------------------


def differences(a: Record, b: Record) -> Iterator[str]:
    """Yield what the second record has otherwise, or lacks (unless by `--only`); what only it has is no difference."""
    for table in filter(is_table, a):
        for name, value in a[table].items():
            other = b[table].get(name)
            if other is None:
                if not b.get("only"):
                    yield f"{table}, {name}: missing"
            elif table == "trainings":
                yield from (f"training {name}: {text}" for text in training_differences(value, other))
            else:
                unequal = [way for way in value if value[way] != other.get(way)]
                yield from (f"decoding {name}, {way}: {value[way]} became {other.get(way)}" for way in unequal)


def training_differences(a: Record, b: Record) -> Iterator[str]:
    """Yield for each sequence of numbers the first that differs, and whether the weights do."""
    if "error" in a or "error" in b:
        if a != b:
            yield f"{a.get('error', 'trained')!r} became {b.get('error', 'trained')!r}"
        return
    for log, kinds in a["logs"].items():
        for kind, columns in kinds.items():
            others = b["logs"].get(log, {}).get(kind, {})
            for name, values in columns.items():
                text = first_difference(values, others.get(name, []), columns["step"])
                if text:
                    yield f"{log}/log.jsonl, {kind}, {name}{text}"
    if a["weights"] != b["weights"]:
        yield f"weights {a['weights'][:12]} became {b['weights'][:12]}"


def first_difference(values: list[Any], others: list[Any], steps: list[int]) -> str | None:
    """Say where two sequences of numbers begin to differ."""
    if values == others:
        return None
    if not others:
        return ": missing"
    for step, value, other in zip(steps, values, others, strict=False):
        if value != other:
            return f" at step {step}: {value!r} became {other!r}"
    return f": {len(values)} lines became {len(others)}"


def compare(paths: list[Path]) -> int:
    """Print all differences; return 1 if there are any."""
    a, b = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    for name in ("processor", "versions"):
        if a[name] != b[name]:
            print(f"note: another {name}: {a[name]} became {b[name]}")
    found = list(differences(a, b))
    print("\n".join(found) if found else f"equal: {len(b['trainings'])} trainings, {len(b['decodings'])} searches")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tree", type=Path, help="checkout to run")
    parser.add_argument("--python", default=sys.executable, help="interpreter to run it with; default: this one")
    parser.add_argument("--output", type=Path, help="record to write")
    parser.add_argument("--folder", type=Path, help="where runs and outputs are left; default: nowhere")
    parser.add_argument("--syntax", choices=["old", "new"], default="old", help="that the tree's configurations have")
    parser.add_argument("--only", nargs="+", default=[], help="names of trainings and searches; default: all")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="RECORD", help="compare two records instead")
    options = parser.parse_args()
    if options.compare:
        return compare(options.compare)
    if not options.tree or not options.output:
        parser.error("give --tree and --output, or --compare")
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        write(recorded(options.python, options.tree.resolve(), folder, options.syntax, options.only), options.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
