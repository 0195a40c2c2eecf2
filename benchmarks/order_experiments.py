"""Train and compare generation orders on one task, over seeds: the same data, the same time, the same rows in search.

    python benchmarks/order_experiments.py configs/multi30k_en_de.yaml --input test.en --reference test.de \
        --folder runs/orders --steps 2250 --seeds 1 2 3 -- --training.threads 1 --model.dropout 0.1

`--steps` are those of the model from the left; others take as many as fit into the same time by what a step of theirs
costs (`COSTS`), so that what else runs on the machine changes nothing. With `--start` all go on from one trained model.
Whatever stands behind `--` goes to every training. A training that has finished is not repeated, so a stopped
experiment goes on when the same command runs again. Trains what `TRAININGS` lists, or `--only` some of it, and decodes
each run by each of its searches in `SEARCHES`. Prints scores by seed with p-values against the search from the left,
and means over the seeds; appends one JSON line to benchmarks/results/order_experiments.jsonl.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from command_line import parse_with_training_options
from decoding_speed import RESULTS, processor
from generation_orders import evaluate, print_means, search_options
from mitigations import R_DROP

from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.lines import lines as read_lines

BASELINE = "l2r"
BOTH = ["--model.generation_order", "bidirectional"]
TRAININGS: dict[str, list[str]] = {
    "l2r": [],
    "r2l": ["--model.generation_order", "r2l"],
    "both": BOTH,
    "interaction": [*BOTH, "--model.interaction", "tanh"],
    "interleaved": ["--model.generation_order", "interleaved"],
    "l2r, distilled": [],
    "interleaved, distilled": ["--model.generation_order", "interleaved"],
    "l2r, R-Drop": R_DROP,
    "both, R-Drop": [*BOTH, *R_DROP],
}
"""Options of each training. `interaction` spends a quarter of its steps on companions, after both directions without
them; what is distilled learns from what the run `l2r` of the same seed makes of the training sources."""

COSTS = {"both": 1.07, "interaction": 1.07, "l2r, R-Drop": 2.16, "both, R-Drop": 2.32}
"""Time of a training step relative to that of the model from the left (docs/results/order_speed.md)."""

OF_BOTH = {
    "l2r of both": ["generation_order=l2r"],
    "r2l of both": ["generation_order=r2l"],
    "synchronous, no interaction": ["generation_order=bidirectional"],
    "l2r, rescored by r2l": ["rescore=r2l"],
    "both, rescored by both": ["rescore=both"],
}

BESIDE_LEFT = "right_model={run}"
"""The run is the right model of the one that all start from or, without, of the run from the left."""

SEARCHES: dict[str, dict[str, list[str]]] = {
    "l2r": {"l2r": []},
    "r2l": {
        "r2l": [],
        "two models, l2r rescored by r2l": ["rescore=r2l", BESIDE_LEFT],
        "two models, both rescored by both": ["rescore=both", BESIDE_LEFT],
    },
    "both": OF_BOTH,
    "interaction": {
        "synchronous": ["generation_order=bidirectional"],
        "pairs": ["generation_order=bidirectional", "pairing=joint"],
        "l2r of interaction": ["generation_order=l2r"],
    },
    "interleaved": {"interleaved": []},
    "l2r, distilled": {"l2r, distilled": []},
    "interleaved, distilled": {"interleaved, distilled": []},
    "l2r, R-Drop": {"l2r, R-Drop": []},
    "both, R-Drop": {f"R-Drop: {search}": chosen for search, chosen in OF_BOTH.items()},
}
"""Searches of each training by name."""


def training_command(name: str, seed: int, options: argparse.Namespace, rest: list[str]) -> list[str]:
    """Return the command that trains one run."""
    command = [sys.executable, "train.py", options.config, "--run_directory", str(run_folder(name, seed, options))]
    command += ["--training.seed", str(seed), *TRAININGS[name], *rest]
    if options.start is not None:
        command += ["--training.initialize_from", options.start]
    steps = round(options.steps / COSTS.get(name, 1))
    if name == "interaction":
        steps, first = steps // 4, steps - steps // 4
        command += ["--companions.model", "self", "--companions.first_steps", str(first)]
    if name.endswith("distilled"):
        command += ["--data.train.target", str(distilled_targets(seed, options))]
    return [*command, "--training.max_steps", str(steps)]


def run_folder(name: str, seed: int, options: argparse.Namespace) -> Path:
    return Path(options.folder) / f"{name.replace(', ', '_')}_{seed}"


def distilled_targets(seed: int, options: argparse.Namespace) -> Path:
    """Return the file of what the run from the left makes of the training sources, after making it."""
    folder = run_folder(BASELINE, seed, options)
    output, source = folder / "distilled.txt", load_run_config([options.config]).data.train.source
    if source is None:
        raise ValueError("Distillation needs a configuration with `data.train.source`, a file of lines.")
    if not output.is_file():
        command = [sys.executable, "decode.py", "--model", str(folder), "--input", source, "--output", str(output)]
        subprocess.run([*command, "--beam-width", str(options.beam_width)], check=True)
    return output


def evaluate_seed(names: list[str], seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each search of each run of a seed."""
    lines, references = list(read_lines(options.input)), list(read_lines(options.reference))
    rows, baseline = [], None
    for name in names:
        run = str(run_folder(name, seed, options))
        left = options.start or str(run_folder(BASELINE, seed, options))
        for search, assignments in SEARCHES[name].items():
            filled = [assignment.format(run=run) for assignment in assignments]
            chosen, label = search_options([*filled, f"beam_width={options.beam_width}"]), f"{seed}  {search}"
            model = left if BESIDE_LEFT in assignments else run
            numbers, texts = evaluate(label, model, chosen, lines, references, options.metrics, baseline)
            rows.append({"search": search, "seed": seed} | numbers)
            baseline = texts if search == BASELINE else baseline
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--steps", type=int, required=True, help="of the model from the left; others take as long")
    parser.add_argument("--start", help="run or model folder that all trainings go on from")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=list(TRAININGS), default=list(TRAININGS))
    parser.add_argument("--beam-width", type=int, default=4)
    parser.add_argument("--metrics", nargs="+", default=["bleu", "chrf"])
    parser.add_argument("--threads", type=int, default=0)
    options, rest = parse_with_training_options(parser)
    names = [name for name in TRAININGS if name in options.only]
    for seed in options.seeds:
        for name in names:
            subprocess.run(training_command(name, seed, options, rest), check=True)
    prepare_process(options.threads)
    keep_freed_memory()
    rows = [row for seed in options.seeds for row in evaluate_seed(names, seed, options)]
    print()
    for search in dict.fromkeys(row["search"] for row in rows):
        for metric in options.metrics:
            values = [row["scores"][metric] for row in rows if row["search"] == search]
            print_means(search, metric, values)
    settings = {name: getattr(options, name) for name in ("config", "steps", "start", "beam_width")} | {"options": rest}
    with (Path(RESULTS) / "order_experiments.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"processor": processor(), "settings": settings, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
