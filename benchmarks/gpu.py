"""What this package does on an accelerator: its tests, training and decoding with their speed and memory.

    python benchmarks/gpu.py                           under eight minutes on one card
    python benchmarks/gpu.py --device cpu --dry-run    all of it with tiny sizes, to see that it runs

Three parts, each a process of its own with a limit of time: the tests marked `gpu`; training of the small and the base
model in fp32 and bf16; greedy and beam search of the base model beside transformers' `generate`, in turns. After each
part benchmarks/results/gpu-<label>.json is written anew, so what was measured stays whatever comes after; a part that
runs out of time keeps the rows that it had. Ends with tables for docs/results/gpu.md, and exits with 1 if a part
failed.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

BENCHMARKS = Path(__file__).resolve().parent
ROOT = BENCHMARKS.parent
PACKAGES = ("transformers", "accelerate", "tokenizers", "datasets")
LIMITS = {"tests": 180.0, "training": 150.0, "decoding": 120.0}
"""Seconds of each part; together under eight minutes."""
TRAINING = {"sizes": ["small", "base"], "pairs": 20_000, "vocab_size": 8000, "batch_tokens": 16_384, "warmup": 10}
TRAINING |= {"rounds": 5, "steps": 20}
DECODING = {"size": "base", "layers": 6, "vocab_size": 10_000, "batch_size": 64, "batches": 2, "rounds": 3}
DECODING |= {"source_length": 30, "target_length": 32}
TINY: dict[str, dict[str, Any]] = {
    "training": {"sizes": ["smallest"], "pairs": 100, "vocab_size": 300, "batch_tokens": 512, "warmup": 1}
    | {"rounds": 2, "steps": 1},
    "decoding": {"size": "smallest", "layers": 1, "vocab_size": 300, "batch_size": 4, "batches": 1, "rounds": 2}
    | {"source_length": 6, "target_length": 6},
}
CUT = "ran out of time"


def command_of(part: str, job: Path, rows: Path) -> list[str]:
    """Return the command of a part: it reads the job, and writes its rows after each that it measured."""
    if part == "tests":
        return [sys.executable, "-m", "pytest", "--quiet", "-m", "gpu", "-rs", "tests/end_to_end/test_accelerator.py"]
    return [sys.executable, "-m", "workers.gpu_parts", part, str(job), str(rows)]


def run_part(command: list[str], rows: Path, limit: float) -> dict[str, Any]:
    """Run a part and return how it ended, its seconds, and the rows that it wrote.

    Plugins of pytest that happen to be installed stay out: their warnings are none of ours.
    """
    path = os.pathsep.join([str(BENCHMARKS), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "HF_HUB_OFFLINE": "1"}
    environment |= {"HF_DATASETS_CACHE": str(rows.parent / "cache")}
    started = time.perf_counter()
    with (rows.parent / f"{rows.stem}.log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
        try:
            outcome = "passed" if process.wait(limit) == 0 else f"failed with code {process.returncode}"
        except subprocess.TimeoutExpired:
            outcome = CUT
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # and whatever it started
                process.wait()
        log.seek(0)
        tail = log.read()[-3000:]
    found = json.loads(rows.read_text(encoding="utf-8")) if rows.is_file() else []
    return {
        "outcome": outcome,
        "seconds": round(time.perf_counter() - started, 1),
        "last_line": tail.rstrip().rsplit("\n", 1)[-1],
        "rows": found,
        **({} if outcome == "passed" else {"output": tail}),
    }


def circumstances(device: str, dry_run: bool) -> dict[str, Any]:
    def version_of(name: str) -> str:
        try:
            return version(name)
        except PackageNotFoundError:
            return "not installed"

    return {
        "date": date.today().isoformat(),
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{device}, {platform.machine()}",
        "dry_run": dry_run,
        "versions": {"python": platform.python_version(), "torch": torch.__version__}
        | {name: version_of(name) for name in PACKAGES},
    }


def write(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


# ---- tables ----------------------------------------------------------------------------------------------------------


def tables(results: dict[str, Any]) -> str:
    """Return what was measured as tables of Markdown, one a part."""
    parts = results["parts"]
    lines = [f"{results['device']}, {results['date']}, torch {results['versions']['torch']}", ""]
    lines += ["| part | outcome | seconds | |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {part['outcome']} | {part['seconds']:.0f} | {part['last_line'] if name == 'tests' else ''} |"
        for name, part in parts.items()
    ]
    if training := parts.get("training", {}).get("rows"):
        lines += ["", "| training | target tokens/s | ms a step | peak MiB |", "|---|---|---|---|"]
        lines += [
            f"| {row['size']}, {row['precision']} | {row['tokens_per_second']:,.0f} | {row['ms_per_step']:.1f} | "
            f"{memory(row['device_mib'])} |"
            for row in training
        ]
    if decoding := parts.get("decoding", {}).get("rows"):
        head = (
            "| decoding | ours, tokens/s | `generate`, tokens/s | times faster | rows equal | peak MiB, ours / theirs |"
        )
        lines += ["", head, "|---|---|---|---|---|---|"]
        lines += [
            f"| beam {row['beam_width']}, {row['precision']} | {row['ours']:,.0f} | {row['transformers']:,.0f} | "
            f"{row['times_faster']:.2f} | {row['equal']} of {row['rows']} | "
            f"{memory(row['device_mib']['ours'])} / {memory(row['device_mib']['transformers'])} |"
            for row in decoding
        ]
    return "\n".join(lines)


def memory(mib: float | None) -> str:
    return "-" if mib is None else f"{mib:,.0f}"


# ---- the command -----------------------------------------------------------------------------------------------------


def parse_arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="`auto`: the accelerator that torch finds")
    parser.add_argument("--dry-run", action="store_true", help="tiny sizes, whose numbers mean nothing")
    parser.add_argument("--parts", nargs="+", choices=LIMITS, default=list(LIMITS))
    parser.add_argument("--label", help="ends the name of the results' file; by default the date, or `dry-run`")
    parser.add_argument("--results", type=Path, default=BENCHMARKS / "results", help="folder of the results' file")
    arguments = parser.parse_args(given)
    if arguments.device == "auto":
        if not torch.accelerator.is_available():
            parser.exit(
                2,
                f"{parser.prog}: error: torch {torch.__version__} finds no accelerator here; "
                "`--device cpu --dry-run` tries all of it out on the processor.\n",
            )
        arguments.device = torch.accelerator.current_accelerator().type
    if arguments.device == "cpu" and not arguments.dry_run:
        parser.exit(2, f"{parser.prog}: error: on a processor this takes hours; add --dry-run.\n")
    arguments.label = arguments.label or ("dry-run" if arguments.dry_run else date.today().isoformat())
    return arguments


def main(given: list[str] | None = None) -> int:
    arguments = parse_arguments(given)
    results = circumstances(arguments.device, arguments.dry_run) | {"parts": {}}
    path = arguments.results / f"gpu-{arguments.label}.json"
    jobs = TINY if arguments.dry_run else {"training": TRAINING, "decoding": DECODING}
    with tempfile.TemporaryDirectory() as temporary:
        for part in arguments.parts:
            job, rows = Path(temporary) / f"{part}.job.json", Path(temporary) / f"{part}.json"
            job.write_text(json.dumps(jobs.get(part, {}) | {"device": arguments.device}), encoding="utf-8")
            results["parts"][part] = run_part(command_of(part, job, rows), rows, LIMITS[part])
            write(path, results)
            print(f"{part}: {results['parts'][part]['outcome']}", file=sys.stderr, flush=True)
    print(tables(results))
    failed = [part for part in results["parts"].values() if part["outcome"] != "passed"]
    for part in failed:
        print(part["output"], file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
