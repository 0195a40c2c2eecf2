"""The configuration for one's own pairs, `configs/tsv.yaml`, against variants of itself, at several sizes of corpora.

    python benchmarks/default_ablations.py --sizes 300 3000 --seeds 1 2 3 --data data --output ablations.jsonl

Three tasks: captions (Multi30k, English to German; up to 29,000 pairs), directions (the same between three languages,
the wanted one named in front of the source; up to 174,000) and numbers, dates and money said aloud in four languages
(`examples.verbalization`, of any size). Each run trains on the first pairs of the task, chooses its
checkpoint on 500 others, decodes 500 unseen sources as `decode` does by default, and adds a line to the output: chrF
and exact match, and the losses of the weights and of their average at each validation. What is in the output already is
not run again; a run that was stopped goes on. `--table` prints the means of what is there.
"""

import argparse
import collections
import itertools
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

from command_line import parse_with_training_options
from quality import read_lines, write_lines

ROOT = Path(__file__).resolve().parents[1]
PREPARED = Path("runs/data/ablations")
NUM_HELD_OUT = 500
LEAST_NUMBERS = 1000
"""Pairs that a corpus of numbers has at least; of fewer the first are taken."""
VARIANTS = {
    "as shipped": (),
    "no average": ("--optimizer.ema_decay", "0"),
    "half the rate": ("--optimizer.learning_rate", "2e-3"),
    "twice the rate": ("--optimizer.learning_rate", "8e-3"),
    "AdamW": ("--optimizer.name", "adamw", "--optimizer.learning_rate", "1.5e-3"),
    "pieces of any use": ("--tokenizer.min_frequency", "1"),
    "pieces of 30 uses": ("--tokenizer.min_frequency", "30"),
    "pieces of 5 uses": ("--tokenizer.min_frequency", "5"),
    "rare pieces too": ("--tokenizer.min_relative_frequency", "0"),
    "digits in pieces": ("--tokenizer.split_digits", "false"),
    "sinusoidal positions": ("--model.positions", "sinusoidal"),
    "dropout 0.1": ("--model.dropout", "0.1"),
    "dropout 0.3": ("--model.dropout", "0.3"),
    "smaller": ("--model.d_model", "128"),
    "larger": ("--model.d_model", "384", "--model.num_heads", "6", "--model.ffn_size", "768"),
    "batches of 1024": ("--data.batch_tokens", "1024"),
    "batches of 4096": ("--data.batch_tokens", "4096"),
}
"""Several at once have a comma and a space between them; `vocabulary 1000`, of any size, is one more."""
VOCABULARY = re.compile(r"vocabulary (\d+)")


def options_of(variant: str) -> list[str]:
    return [word for name in variant.split(", ") for word in option_of(name)]


def option_of(name: str) -> tuple[str, ...]:
    size = VOCABULARY.fullmatch(name)
    return ("--tokenizer.vocab_size", size[1]) if size else VARIANTS[name]


def named_variants(text: str) -> str:
    for name in text.split(", "):
        if name not in VARIANTS and not VOCABULARY.fullmatch(name):
            raise argparse.ArgumentTypeError(f"{name!r} is no vocabulary and none of {', '.join(map(repr, VARIANTS))}")
    return text


def captions(data: Path, size: int) -> dict[str, list[str]]:
    """Return the lines of each part, source and target separated by a tab."""
    found = {}
    for part, name, number in (
        ("train", "train", size),
        ("dev", "val", NUM_HELD_OUT),
        ("test", "test_2016_flickr", 500),
    ):
        sides = [read_lines(data / f"multi30k/raw/{name}.{language}")[:number] for language in ("en", "de")]
        found[part] = ["\t".join(pair) for pair in zip(*sides, strict=True)]
    if len(found["train"]) < size:
        raise SystemExit(f"There are {len(found['train'])} captions, fewer than {size}.")
    return found


def directions(data: Path, size: int) -> dict[str, list[str]]:
    """Return the lines of each part; a caption's six translations stand behind one another."""
    found = {}
    for part, name, number in (
        ("train", "train", size),
        ("dev", "val", NUM_HELD_OUT),
        ("test", "test_2016_flickr", NUM_HELD_OUT),
    ):
        sides = {language: read_lines(data / f"multi30k/raw/{name}.{language}") for language in ("en", "de", "fr")}
        columns = [
            [f"{target}: {line}\t{other}" for line, other in zip(sides[source], sides[target], strict=True)]
            for source, target in itertools.permutations(sides, 2)
        ]
        found[part] = list(itertools.chain.from_iterable(zip(*columns, strict=True)))[:number]
    if len(found["train"]) < size:
        raise SystemExit(f"There are {len(found['train'])} pairs of captions, fewer than {size}.")
    return found


def numbers(data: Path, size: int) -> dict[str, list[str]]:
    made = max(size, LEAST_NUMBERS)
    folder = PREPARED / f"numbers_corpus_{made}"
    if not (folder / "train.tsv").is_file():
        command = ["-m", "examples.verbalization", "--output-directory", str(folder), "--seed", "1"]
        subprocess.run([sys.executable, *command, "--train-size", str(made)], check=True)
    found = {"train": read_lines(folder / "train.tsv")[:size], "dev": read_lines(folder / "dev.tsv")[:NUM_HELD_OUT]}
    sides = [read_lines(folder / f"test.{side}")[:NUM_HELD_OUT] for side in ("source", "target")]
    return found | {"test": ["\t".join(pair) for pair in zip(*sides, strict=True)]}


TASKS = {"captions": captions, "directions": directions, "numbers": numbers}


def prepare(task: str, data: Path, size: int) -> Path:
    """Write a task's files unless they are there; return their folder."""
    folder = PREPARED / f"{task}_{size}"
    if not (folder / "test.target").is_file():
        for part, lines in TASKS[task](data, size).items():
            write_lines(folder / f"{part}.tsv", lines)
            for column, side in enumerate(("source", "target")):
                write_lines(folder / f"{part}.{side}", (line.split("\t")[column] for line in lines))
    return folder


def measure(task: str, size: int, variant: str, seed: int, data: Path, more: list[str]) -> dict:
    """Train, decode and score one run."""
    folder = prepare(task, data, size)
    run = Path("runs/ablations") / f"{task}_{size}_{variant.replace(' ', '_')}_{seed}"
    seq2seq = [sys.executable, "-m", "seq2seq.apps.command"]
    named = [f"--data.{part}.path={folder / name}.tsv" for part, name in (("train", "train"), ("validation", "dev"))]
    train = [*seq2seq, "train", str(ROOT / "configs/tsv.yaml"), "--run_directory", str(run), *named, *more]
    given = ["--training.seed", str(seed), *options_of(variant)]
    subprocess.run([*train, *given], check=True)
    output = run / "test.hypothesis"
    decode = ["decode", "--model", str(run), "--input", f"{folder}/test.source", "--output", str(output)]
    subprocess.run([*seq2seq, *decode], check=True)
    score = ["score", "--hypothesis", str(output), "--reference", f"{folder}/test.target", "--json"]
    scored = subprocess.run(
        [*seq2seq, *score, "--metrics", "chrf", "bleu", "exact_match"], check=True, capture_output=True, text=True
    )
    log = [json.loads(line) for line in read_lines(run / "log.jsonl")]
    validations = [entry for entry in log if entry["kind"] == "validation"]
    minutes = max(entry["seconds"] for entry in log if entry["kind"] == "train") / 60
    scores = {score["name"]: score["value"] for score in json.loads(scored.stdout)}
    return scores | {"minutes": minutes, "validations": validations}


def key_of(line: dict) -> tuple:
    return (line["task"], line["size"], line["steps"], line.get("given_minutes", 0), line["variant"], line["seed"])


def print_table(lines: list[dict]) -> None:
    """Print the mean score of each variant, its difference from what is shipped, and the seeds' standard deviation."""
    groups: dict[tuple, dict[int, float]] = collections.defaultdict(dict)
    for line in lines:
        groups[key_of(line)[:-1]][line["seed"]] = line["chrf"]
    for (task, size, steps, given, variant), scores in sorted(groups.items()):
        shipped = groups.get((task, size, steps, given, "as shipped"), {})
        both = [scores[seed] - shipped[seed] for seed in scores if seed in shipped]
        spread = f"{statistics.stdev(scores.values()):.2f}" if len(scores) > 1 else "-"
        difference = f"{statistics.mean(both):+.2f}" if both else "-"
        mean = statistics.mean(scores.values())
        budget = f"{given:g} minutes" if given else steps
        print(f"| {task} | {size:,} | {budget} | {variant} | {mean:.2f} | {difference} | {spread} | {len(scores)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[300, 3000])
    parser.add_argument("--variants", nargs="+", type=named_variants, default=list(VARIANTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--steps", type=int, default=20000, help="steps of each run; default: as shipped")
    parser.add_argument("--minutes", type=float, default=0.0, help="of each run, if they end before its steps")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/default_ablations.jsonl")
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of the output")
    options, more = parse_with_training_options(parser)
    done = [json.loads(line) for line in read_lines(options.output)] if options.output.is_file() else []
    if options.table:
        print_table(done)
        return
    known = {key_of(line) for line in done}
    more = [*more, "--training.max_steps", str(options.steps), "--training.max_minutes", str(options.minutes)]
    for seed, task, size, variant in itertools.product(options.seeds, options.tasks, options.sizes, options.variants):
        line = {"task": task, "size": size, "steps": options.steps, "variant": variant, "seed": seed}
        line |= {"given_minutes": options.minutes} if options.minutes else {}
        if key_of(line) in known:
            continue
        found = measure(task, size, variant, seed, options.data, more)
        line |= found
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
