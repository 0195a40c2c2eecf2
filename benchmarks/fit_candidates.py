"""Whether a short search would find the tokens that are known to be right: what `seq2seq fit` does not do, and why.

    python benchmarks/fit_candidates.py scan g2p_hin --data data --seconds 60
    python benchmarks/fit_candidates.py --table                                # print what is recorded

Of each task the recipe's own tokens and all candidates train in turns on one thread, for so many seconds of a core
each, and are judged after every part of that by the bits that they need for a character of the validation targets.
Beside it stands the share of the bits that the source of the pair saves beside that of another one: who has not begun
to use it has not begun to learn the task. Appends to benchmarks/results/candidates.jsonl.
"""

import argparse
import collections
import dataclasses
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from candidate_trial import Trial
from quality import PREPARED, read_lines, write_lines

from seq2seq.assembly.configuration import RunConfig
from seq2seq.data.table_format import leading_tags
from seq2seq.fitting.features import features_of
from seq2seq.fitting.pairs import Parts, cut, given_corpus, write_parts
from seq2seq.fitting.plan import lengths, parsed
from seq2seq.fitting.recipes import holds, recipe_options, recipes_for, task_kind
from seq2seq.training.accelerator import build_accelerator

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benchmarks/results/candidates.jsonl"
PARTS = 4
"""Times at which all are judged."""
JUDGED = 100
"""Validation pairs that they are judged by."""
TURN_SECONDS = 2.0
"""For so long a candidate trains before it is another one's turn."""
FURTHER = 4.0
"""Times the seconds of a trial for which its bits are forecast."""


@dataclass(frozen=True)
class Candidate:
    """A way to make tokens: the pairs it is for, as in the table of recipes, and its options."""

    called: str
    when: Mapping[str, tuple[float | None, float | None]]
    tokenizer: Mapping[str, Any]

    def options(self, recipe: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a recipe with these tokens in place of its own."""
        others = {name: value for name, value in recipe.items() if not name.startswith("tokenizer.")}
        tied = "all" if self.tokenizer["shared"] else "target"
        own = {f"tokenizer.{name}": value for name, value in self.tokenizer.items()}
        return others | own | {"model.tie_embeddings": tied}


OWN = "the recipe's own"
PIECES = {"kind": "byte_bpe", "min_frequency": 10, "shared": True}
CANDIDATES = (
    Candidate(
        "characters",
        {"source_characters": (0, 250), "target_characters": (0, 250)},
        {"kind": "characters", "vocab_size": 4000, "shared": False},
    ),
    Candidate("subwords of 8,000", {"pairs": (8000, None)}, PIECES | {"vocab_size": 8000}),
    Candidate("subwords of 1,000", {}, PIECES | {"vocab_size": 1000}),
    Candidate(
        "words",
        {"target_word_types": (0, 1000), "target_word_repetition": (20, None), "target_words": (2, None)},
        {"kind": "words", "vocab_size": 8000, "shared": False},
    ),
)

TASKS = {
    "inflection": ("inflection_sigmorphon2021/ind.train.tsv",),
    "g2p_hin": ("g2p_sigmorphon2020/hin_train.tsv",),
    "captions_3000": ("captions_3000.tsv",),
    "captions_29000": ("multi30k/raw/train.en", "multi30k/raw/train.de"),
    "numbers_20000": ("numbers/train.tsv",),
    "csl": ("csl_title/clge.train.tsv",),
    "arxiv": ("arxiv_cl_title/train.tsv",),
    "scan": ("scan/simple.train.tsv",),
}


def files_of(name: str, data: Path) -> list[str]:
    """Return the files of a task, made unless they are there."""
    made = (PREPARED / "candidates").resolve()
    if name == "captions_3000":
        sides = [read_lines(data / f"multi30k/raw/train.{language}")[:3000] for language in ("en", "de")]
        return [str(write_lines(made / "captions_3000.tsv", map("\t".join, zip(*sides, strict=True))))]
    if name == "numbers_20000":
        if not (made / "numbers/train.tsv").is_file():
            command = [sys.executable, "-m", "examples.verbalization", "--output-directory", str(made / "numbers")]
            subprocess.run([*command, "--seed", "1", "--train-size", "20000"], check=True, cwd=ROOT)
        return [str(made / "numbers/train.tsv")]
    return [str(data / file) for file in TASKS[name]]


def measure(name: str, files: list[str], seconds: float, seed: int, most: int) -> Iterator[dict]:
    """Yield what each candidate came to."""
    pairs = given_corpus(files, seed)
    pairs = dataclasses.replace(pairs, sources=pairs.sources[:most], targets=pairs.targets[:most])
    parts = cut(pairs, None, None, seed)
    tags = leading_tags(parts.train.sources)
    features = features_of(parts.train.sources, parts.train.targets, tags, seed)
    kind = task_kind(features.numbers())
    recipes = recipes_for(kind, features.numbers())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        written = write_parts(parts, folder / "data")
        fixed = {
            "run_directory": place,
            "data.train.path": str(written["train"]),
            "data.validation.path": str(written["validation"]),
            "training.seed": seed,
            "training.precision": "fp32",
            "tokenizer.special_tokens": list(tags) or None,
        }

        options = recipe_options(recipes)
        tried = {OWN: options} | {
            candidate.called: candidate.options(options)
            for candidate in CANDIDATES
            if holds(candidate.when, features.numbers())
        }
        configs = {called: configuration(parts, found | fixed) for called, found in tried.items()}
        accelerator = build_accelerator("fp32")
        rows = range(min(JUDGED, len(parts.validation)))
        trials = {  # other work on the machine costs none of a process's own time
            called: Trial(config, folder / str(number), rows, accelerator, clock=time.process_time)
            for number, (called, config) in enumerate(configs.items())
        }
        curves: dict[str, list[dict]] = {called: [] for called in trials}
        for _ in range(PARTS):
            in_turns(list(trials.values()), seconds / PARTS)
            for called, trial in trials.items():
                found = {"seconds": trial.seconds, "steps": trial.steps, "bits": trial.bits()}
                curves[called].append(found | {"use_of_sources": trial.use_of_sources()})
                print(time.strftime("%H:%M:%S"), name, called, curves[called][-1], flush=True)
    for called, curve in curves.items():
        yield {
            "task": name,
            "kind": kind.kind,
            "features": features.numbers(),
            "seed": seed,
            "called": called,
            "is_own": called == OWN,
            "tokenizer": dataclasses.asdict(configs[called].tokenizer),
            "vocabulary": [trials[called].tokenizer.source_vocab_size, trials[called].tokenizer.target_vocab_size],
            "parameters": sum(parameter.numel() for parameter in trials[called].trainer.model.parameters()),
            "curve": curve,
        }


def configuration(parts: Parts, options: Mapping[str, Any]) -> RunConfig:
    return parsed(lengths(parts, parsed(options)) | options)


def in_turns(trials: Sequence[Trial], seconds: float) -> None:
    """Train each for so many seconds, a little at a time."""
    turns = max(1, round(seconds / TURN_SECONDS))
    for _ in range(turns):
        for trial in trials:
            trial.train(seconds / turns)


def forecast(earlier: dict[str, float], now: dict[str, float]) -> float:
    """Return the bits after `FURTHER` times the seconds, which fall as a power of time as far as that goes."""
    power = math.log(now["bits"] / earlier["bits"]) / math.log(now["seconds"] / earlier["seconds"])
    return now["bits"] * FURTHER**power


def print_table(records: list[dict]) -> None:
    """Print who was first at each time, by the bits of then and by their forecast from half of that time on."""
    print("| task | seconds | steps | bits, and share of them that sources save | first by bits | first by forecast |")
    print("|---|---|---|---|---|---|")
    tasks = collections.defaultdict(list)
    for record in records:
        tasks[record["task"], record["seed"]].append(record)
    for (task, _), found in tasks.items():
        for place in range(1, len(found[0]["curve"]), 2):
            points = {record["called"]: (record["curve"][place // 2], record["curve"][place]) for record in found}
            forecasts = {called: forecast(*pair) for called, pair in points.items()}
            now = {called: pair[1] for called, pair in points.items()}
            shown = "; ".join(
                f"{called} {point['bits']:.2f} ({100 * point['use_of_sources']:.0f} %)" for called, point in now.items()
            )
            seconds, steps = (statistics.mean(point[name] for point in now.values()) for name in ("seconds", "steps"))
            first = min(now, key=lambda called: now[called]["bits"])
            print(f"| {task} | {seconds:.0f} | {steps:.0f} | {shown} | {first} | {min(forecasts, key=forecasts.get)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds the tasks' data")
    parser.add_argument("--seconds", type=float, default=60.0, help="for each candidate; default: %(default)s")
    parser.add_argument("--pairs", type=int, default=1_000_000, help="the first of each task's; by default all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RECORDS)
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for name in [] if arguments.table else arguments.tasks:
        files = files_of(name, arguments.data.resolve())
        for record in measure(name, files, arguments.seconds, arguments.seed, arguments.pairs):
            with arguments.output.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    print_table([json.loads(line) for line in read_lines(arguments.output)])


if __name__ == "__main__":
    main()
