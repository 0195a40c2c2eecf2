"""Train, decode and score the published tasks, as a user would: one command each.

    python benchmarks/quality.py multi30k | scan | g2p | inflection [--data data] [--seed 1] [-- any train.py options]
    python benchmarks/quality.py g2p --both-directions  # two models each, which rank each other's hypotheses

Prepares the task's files under runs/data, calls train.py and decode.py, prints the measured scores beside the bar
and appends one JSON line to benchmarks/results/quality.jsonl.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from command_line import parse_with_training_options

ROOT = Path(__file__).resolve().parents[1]
PREPARED = Path("runs/data")


@dataclass(frozen=True)
class Run:
    """One model to train and the files that test it."""

    name: str
    config: str
    overrides: tuple[str, ...]
    source: Path
    reference: Path
    metric: str


def read_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


def write_test(folder: Path, pairs: list[tuple[str, str]]) -> tuple[Path, Path]:
    source = write_lines(folder / "test.source", (source for source, _ in pairs))
    return source, write_lines(folder / "test.target", (target for _, target in pairs))


def read_pairs(path: Path) -> list[tuple[str, str]]:
    return [(line.split("\t")[0], line.split("\t")[1]) for line in read_lines(path)]


def multi30k(data: Path) -> list[Run]:
    raw = data / "multi30k/raw"
    files = {"train": "train", "validation": "val"}
    overrides = [
        f"--data.{split}.{side}={raw / name}.{language}"
        for split, name in files.items()
        for side, language in (("source", "en"), ("target", "de"))
    ]
    test = raw / "test_2016_flickr"
    run = Run(
        "multi30k_en_de",
        "configs/multi30k_en_de.yaml",
        tuple(overrides),
        test.with_suffix(".en"),
        test.with_suffix(".de"),
        "bleu",
    )
    return [run]


def scan(data: Path) -> list[Run]:
    """Every twentieth training pair is held out for validation: the split has no development set."""
    folder = PREPARED / "scan"
    lines = read_lines(data / "scan/simple.train.tsv")
    write_lines(folder / "train.tsv", (line for number, line in enumerate(lines) if number % 20))
    write_lines(folder / "validation.tsv", lines[::20])
    source, reference = write_test(folder, read_pairs(data / "scan/simple.test.tsv"))
    return [Run("scan_simple", "configs/scan_simple.yaml", (), source, reference, "exact_match")]


def g2p(data: Path) -> list[Run]:
    """French, Icelandic, Hungarian and Hindi; sources are characters, targets phones."""
    runs = []
    for language in ("fre", "ice", "hun", "hin"):
        stem = data / f"g2p_sigmorphon2020/{language}"
        source, reference = write_test(PREPARED / f"g2p_{language}", read_pairs(Path(f"{stem}_test.tsv")))
        overrides = (f"--data.train.path={stem}_train.tsv", f"--data.validation.path={stem}_dev.tsv")
        runs.append(Run(f"g2p_{language}", "configs/g2p.yaml", overrides, source, reference, "sequence_error_rate"))
    return runs


def inflection(data: Path) -> list[Run]:
    """Indonesian; the source is the features, the lemma as a whole, then its characters, all as words.

    Which derivation a lemma takes is a fact about the lemma: 93 % of those in the test occur in training with other
    features. A token of its own lets the model keep such facts; lemmas seen once share the unknown token.
    """

    def pairs(name: str) -> list[tuple[str, str]]:
        rows = [line.split("\t") for line in read_lines(data / f"inflection_sigmorphon2021/ind.{name}.tsv")]
        return [(source(lemma, features), " ".join(visible(form))) for lemma, form, features in rows]

    def source(lemma: str, features: str) -> str:
        return f"{features.replace(';', ' ')} <{visible(lemma)}> {' '.join(visible(lemma))}"

    def visible(word: str) -> str:
        return word.replace(" ", "␣")

    folder = PREPARED / "inflection_ind"
    for name, split in (("train", "train"), ("dev", "validation")):
        write_lines(folder / f"{split}.tsv", (f"{source}\t{target}" for source, target in pairs(name)))
    source_path, reference = write_test(folder, pairs("test"))
    return [Run("inflection_ind", "configs/inflection_ind.yaml", (), source_path, reference, "exact_match")]


TASKS: dict[str, Callable[[Path], list[Run]]] = {
    "multi30k": multi30k,
    "scan": scan,
    "g2p": g2p,
    "inflection": inflection,
}


def execute(run: Run, seed: int, options: list[str], *, both_directions: bool) -> dict[str, float]:
    """Train, decode and score one run; return its score and the minutes of each part.

    Args:
        both_directions: train a second model, from the right, and let the two rank each other's hypotheses.
    """
    folder = Path("runs") / f"{run.name}_seed{seed}"
    decode = ["--model", str(folder)]
    started = time.monotonic()
    train(run, folder, seed, options)
    if both_directions:
        right = folder.with_name(f"{folder.name}_r2l")
        order = ["--model.generation_order=r2l", f"--tokenizer.from_run={folder}"]
        train(run, right, seed, [*options, *order])
        decode += ["--right-model", str(right), "--rescore", "both"]
    trained = time.monotonic()
    output = folder / "test.output"
    decode += ["--input", str(run.source), "--output", str(output)]
    subprocess.run([sys.executable, "decode.py", *decode], check=True, cwd=ROOT)
    decoded = time.monotonic()
    score = ["--hypothesis", str(output), "--reference", str(run.reference), "--metrics", run.metric, "--json"]
    command = [sys.executable, "-m", "seq2seq.apps.command", "score", *score]
    printed = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True).stdout
    value = next(entry["value"] for entry in json.loads(printed) if entry["name"] == run.metric)
    return {run.metric: value, "train_minutes": (trained - started) / 60, "decode_minutes": (decoded - trained) / 60}


def train(run: Run, folder: Path, seed: int, options: list[str]) -> None:
    """Train into a folder; a training that has finished there is not repeated."""
    arguments = [f"--run_directory={folder}", f"--training.seed={seed}", *run.overrides, *options]
    subprocess.run([sys.executable, "train.py", run.config, *arguments], check=True, cwd=ROOT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds the tasks' data")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--both-directions", action="store_true", help="a second model, from the right, for each")
    arguments, options = parse_with_training_options(parser)
    results = {}
    for run in TASKS[arguments.task](arguments.data.resolve()):
        results[run.name] = execute(run, arguments.seed, options, both_directions=arguments.both_directions)
        print(run.name, json.dumps(results[run.name]), flush=True)
    metric = next(iter(next(iter(results.values()))))
    macro = sum(result[metric] for result in results.values()) / len(results)
    print(f"{arguments.task}: {metric} {macro:.2f}")
    record = {name: getattr(arguments, name) for name in ("task", "seed", "both_directions")}
    record |= {"options": options, metric: macro}
    record |= {"runs": results, "processor": platform.processor() or platform.machine()}
    path = ROOT / "benchmarks/results/quality.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
