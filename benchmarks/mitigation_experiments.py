"""Go on from one trained model in many ways, each for the same training time, and compare what comes of it.

    python benchmarks/mitigation_experiments.py configs/multi30k_en_de.yaml --start runs/multi30k_en_de \
        --input test.en --reference test.de --folder runs/mitigation --minutes 10 --seeds 1 -- --training.threads 1

Every variant is a line of `mitigations.VARIANTS`: an ordinary training with `training.initialize_from`. `continued`,
cross-entropy for as long, is what the others are tested against (paired bootstrap). A training that has finished is not
repeated, so a stopped experiment goes on when the same command runs again. Prints scores of greedy and beam search,
steps made in the time, and a step's cost relative to cross-entropy; appends one JSON line to
benchmarks/results/mitigation_experiments.jsonl. Times mean something only if nothing else runs beside it.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from command_line import parse_with_training_options
from decoding_speed import RESULTS, processor
from generation_orders import decode, print_means, scored
from mitigations import BASELINE, VARIANTS

from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.lines import lines as read_lines

SHARED = [
    *("--optimizer.schedule", "constant", "--optimizer.warmup_steps", "100", "--training.max_steps", "1000000"),
    *("--validation.every", "0", "--training.checkpoint_every", "200", "--validation.select_by", "loss"),
]


def run_folder(name: str, seed: int, options: argparse.Namespace) -> Path:
    return Path(options.folder) / f"{name.replace(' ', '_')}_{seed}"


def train(name: str, seed: int, options: argparse.Namespace, rest: list[str]) -> None:
    """Train a variant, or go on with it."""
    command = [sys.executable, "train.py", options.config, "--run_directory", str(run_folder(name, seed, options))]
    command += ["--training.initialize_from", options.start, "--training.seed", str(seed)]
    command += ["--training.max_minutes", str(options.minutes), *SHARED, *rest, *VARIANTS[name]]
    subprocess.run(command, check=True)


def training_facts(folder: Path) -> dict[str, float]:
    """Return steps and seconds of a run, from its log."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    last = [line for line in lines if line["kind"] == "train"][-1]
    return {"steps": last["step"], "seconds_per_step": last["seconds"] / last["step"]}


def evaluate(name: str, run: Path, options: argparse.Namespace, texts: dict[str, list[str]]) -> dict[str, Any]:
    """Return scores of both searches, with p-values against the baseline's, which `texts` holds once it is known."""
    lines, references = list(read_lines(options.input)), list(read_lines(options.reference))
    row: dict[str, Any] = {"variant": name, "run": str(run)}
    shown = []
    for search, beam_width in (("greedy", 1), ("beam", options.beam_width)):
        found = decode(str(run), {"beam_width": beam_width}, lines, references)["texts"]
        row[search], words = scored(found, texts.get(search), references, options.metrics)
        texts.setdefault(search, found)  # the baseline comes first
        shown.append(f"{search}: {words}")
    print(f"{name:24}{'   '.join(shown)}", flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("--start", required=True, help="run or model folder that all variants go on from")
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--minutes", type=float, required=True, help="training time of each variant")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--beam-width", type=int, default=5)
    parser.add_argument("--metrics", nargs="+", default=["bleu", "chrf"])
    parser.add_argument("--threads", type=int, default=0)
    options, rest = parse_with_training_options(parser)
    names = [BASELINE, *(name for name in options.only if name != BASELINE)]
    rows = []
    for seed in options.seeds:
        texts: dict[str, list[str]] = {}
        baseline_seconds = 0.0
        for name in names:
            train(name, seed, options, rest)
        prepare_process(options.threads)
        keep_freed_memory()
        for name in names:
            folder = run_folder(name, seed, options)
            facts = training_facts(folder)
            baseline_seconds = baseline_seconds or facts["seconds_per_step"]
            row = evaluate(name, folder, options, texts) | facts | {"seed": seed}
            rows.append(row | {"cost": facts["seconds_per_step"] / baseline_seconds})
            print(f"{'':24}{facts['steps']} steps, {rows[-1]['cost']:.2f} x the time of a step", flush=True)
    for name in names:
        for search in ("greedy", "beam"):
            for metric in options.metrics:
                values = [row[search]["scores"][metric] for row in rows if row["variant"] == name]
                print_means(f"{name}, {search}", metric, values)
    settings = {"config": options.config, "start": options.start, "minutes": options.minutes, "options": rest}
    with (Path(RESULTS) / "mitigation_experiments.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"processor": processor(), "settings": settings, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
