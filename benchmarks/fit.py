"""`seq2seq fit` on the published tasks beside what their tuned recipes reach, and on captions by 5, 15 and 30 minutes.

    python benchmarks/fit.py g2p_fre scan --data data            # no option but the parts that the tasks have
    python benchmarks/fit.py multi30k_en_de --minutes 5 15 30
    python benchmarks/fit.py --table                             # print what is recorded
    python benchmarks/fit.py --time-left runs/fit/demo_default_1 # how far off it was while that was trained

Each task's pairs are given as its files stand there, with the validation and test parts that it has; the model's output
on the test is scored, and divided by what the recipe in `configs/` reaches. Appends to benchmarks/results/fit.jsonl.
"""

import argparse
import collections
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from quality import PREPARED, read_lines, write_lines

from seq2seq.training.progress import ProgressDisplay

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "benchmarks/results/fit.jsonl"
RUNS = Path("runs/fit")


@dataclass(frozen=True)
class Task:
    """Files of a task, and what its tuned recipe reaches.

    Args:
        tuned: the share of right outputs in per cent, or BLEU or ROUGE-L; None where no recipe was tuned.
        is_error: whether `metric` counts what is wrong, so that the share of right outputs is 100 less it.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    metric: str
    tuned: float | None
    is_error: bool = False


def phonemes(language: str, wrong: float | None) -> Task:
    names = [(f"g2p_sigmorphon2020/{language}_{part}.tsv",) for part in ("train", "dev", "test")]
    return Task(*names, "sequence_error_rate", None if wrong is None else 100 - wrong, is_error=True)


def captions(language: str, tuned: float | None) -> Task:
    names = [
        tuple(f"multi30k/raw/{part}.{side}" for side in ("en", language))
        for part in ("train", "val", "test_2016_flickr")
    ]
    return Task(*names, "bleu", tuned)


TASKS = {
    "multi30k_en_de": captions("de", 39.84),
    "multi30k_en_fr": captions("fr", None),
    "g2p_fre": phonemes("fre", 6.22),
    "g2p_ice": phonemes("ice", 9.33),
    "g2p_hun": phonemes("hun", 5.78),
    "g2p_hin": phonemes("hin", 8.00),
    "g2p_kor": phonemes("kor", None),
    "g2p_vie": phonemes("vie", None),
    "spelling_hin": Task(*((f"spelling_hin/{part}.tsv",) for part in ("train", "dev", "test")), "exact_match", None),
    "inflection_ind": Task(
        *((f"inflection_sigmorphon2021/ind.{part}.tsv",) for part in ("train", "dev", "test")), "exact_match", 83.89
    ),
    "scan": Task(("scan/simple.train.tsv",), (), ("scan/simple.test.tsv",), "exact_match", 99.67),
    "demo": Task(("demo/train.tsv",), ("demo/dev.tsv",), ("demo/test.tsv",), "exact_match", 97.3),
    "letters_hin": Task(*((f"letters_hin/{part}.tsv",) for part in ("train", "dev", "test")), "exact_match", None),
    "restoring_de": Task(*((f"restoring_de/{part}.tsv",) for part in ("train", "dev", "test")), "exact_match", None),
    "numbers_300000": Task(("numbers_300000/train.tsv",), (), (), "exact_match", None),
    "titles": Task(*((f"arxiv_cl_title/{part}.tsv",) for part in ("train", "dev", "test")), "rougeL", 19.34),
}


def make_numbers(folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "examples.verbalization", "--output-directory", str(folder.resolve()), *options]
    subprocess.run(command, check=True, cwd=ROOT)


def very_many(data: Path) -> Path:
    """Return the folder of a folder with 300,000 pairs of the demo's kind, made unless it is there."""
    folder = PREPARED / "numbers_300000"
    if not (folder / "train.tsv").is_file():
        make_numbers(folder, "--seed", "2", "--train-size", "300000")
    return folder.parent


def demo(data: Path) -> Path:
    """Return a folder with the demo's corpus, made unless it is there."""
    folder = PREPARED / "demo"
    if not (folder / "test.tsv").is_file():
        make_numbers(folder, "--seed", "1")
        sides = [read_lines(folder / f"test.{side}") for side in ("source", "target")]
        write_lines(folder / "test.tsv", map("\t".join, zip(*sides, strict=True)))
    return folder.parent


def hindi(folder: Path, data: Path, pair: Callable[[str, str], str]) -> Path:
    """Write pairs that are made of Hindi words and their sounds into a folder; return what that lies in."""
    for part in ("train", "dev", "test"):
        rows = [line.split("\t") for line in read_lines(data / f"g2p_sigmorphon2020/hin_{part}.tsv")]
        write_lines(folder / f"{part}.tsv", (pair(word, sounds) for word, sounds in rows))
    return folder.parent


def spelling(data: Path) -> Path:
    """Write Hindi words and their sounds, the other way round; return what their folder lies in."""
    return hindi(PREPARED / "spelling_hin", data, lambda word, sounds: f"{sounds}\t{word}")


def letters(data: Path) -> Path:
    """Write Hindi words and their sounds, in one row like the letters of a transliteration; see `spelling`."""
    return hindi(PREPARED / "letters_hin", data, lambda word, sounds: f"{word}\t{sounds.replace(' ', '')}")


def restoring(data: Path) -> Path:
    """Write German captions as some type them, in small letters without points and umlauts, to be put right."""
    folder = PREPARED / "restoring_de"
    plain = str.maketrans({"ä": "a", "ö": "o", "ü": "u", "ß": "ss"} | dict.fromkeys(".,;:!?\"'-()", ""))
    for part, name in (("train", "train"), ("dev", "val"), ("test", "test_2016_flickr")):
        texts = [" ".join(line.split()) for line in read_lines(data / f"multi30k/raw/{name}.de")]
        write_lines(folder / f"{part}.tsv", (f"{text.lower().translate(plain)}\t{text}" for text in texts))
    return folder.parent


MADE = {
    "demo": demo,
    "numbers_300000": very_many,
    "spelling_hin": spelling,
    "letters_hin": letters,
    "restoring_de": restoring,
}
"""Tasks whose files are made of others."""


def measure(name: str, data: Path, minutes: float | None, seed: int, more: list[str]) -> dict:
    """Fit, and score the test that the report has decoded."""
    task, run = TASKS[name], RUNS / f"{name}_{minutes or 'default'}_{seed}"
    place = MADE[name](data) if name in MADE else data
    command = [sys.executable, "-m", "seq2seq.apps.command"]
    fit = [
        *command,
        "fit",
        *(str(place / file) for file in task.train),
        "--output",
        str(run),
        "--seed",
        str(seed),
        *more,
    ]
    for option, files in (("--validation", task.validation), ("--test", task.test)):
        fit += [option, *(str(place / file) for file in files)] if files else []
    fit += ["--minutes", str(minutes)] if minutes else []
    started = time.monotonic()
    subprocess.run(fit, check=True)
    taken = (time.monotonic() - started) / 60
    rows = [json.loads(line) for line in read_lines(run / "data/test.jsonl")]
    for side in ("source", "target"):
        write_lines(run / f"test.{side}", (row[side] for row in rows))
    output = run / "test.output"
    decode = ["decode", "--model", str(run), "--input", str(run / "test.source"), "--output", str(output)]
    subprocess.run([*command, *decode], check=True)
    score = ["score", "--hypothesis", str(output), "--reference", str(run / "test.target"), "--metrics", task.metric]
    found = json.loads(subprocess.run([*command, *score, "--json"], check=True, capture_output=True, text=True).stdout)
    [value] = [entry["value"] for entry in found if entry["name"] == task.metric]
    plan = json.loads((run / "fit.json").read_text(encoding="utf-8"))
    log = [json.loads(line) for line in read_lines(run / "log.jsonl")]
    in_steps = max(entry["seconds"] for entry in log if entry["kind"] == "train") / 60
    return {
        "task": name,
        "minutes": minutes,
        "seed": seed,
        "metric": task.metric,
        "value": value,
        "right": 100 - value if task.is_error else value,
        "tuned": task.tuned,
        "taken_minutes": taken,
        "minutes_in_steps": in_steps,
        "planned_minutes": plan["estimate"]["total"] / 60,
        "kind": plan["task"],
        "threads": plan["speed"]["threads"],
        "steps": max(entry["step"] for entry in log),
        "options": more,
        "processor": platform.processor() or platform.machine(),
    }


def print_table(lines: list[dict]) -> None:
    """Print the mean over seeds of each task and time, and its ratio to the tuned recipe; their macro mean last.

    Of several lines of a seed the last one counts: what was measured before is of an older table of recipes.
    """
    groups: dict[tuple, dict[int, dict]] = collections.defaultdict(dict)
    for line in lines:
        groups[line["task"], line["minutes"]][line["seed"]] = line
    ratios = []
    print("| task | minutes given | taken | planned | score | tuned | ratio |\n|---|---|---|---|---|---|---|")
    for (task, minutes), found in groups.items():
        right, taken, planned = (
            statistics.mean(line[name] for line in found.values())
            for name in ("right", "taken_minutes", "planned_minutes")
        )
        tuned = TASKS[task].tuned
        ratio = right / tuned if tuned else None
        if ratio is not None and minutes is None:
            ratios.append(ratio)
        cells = f"{minutes or '-'} | {taken:.1f} | {planned:.1f} | {right:.2f} | {tuned or '-'}"
        print(f"| {task} | {cells} | {'-' if ratio is None else f'{ratio:.3f}'} |")
    if ratios:
        print(f"macro {statistics.mean(ratios):.3f}, least {min(ratios):.3f}, of {len(ratios)} tasks")


def time_left_errors(run: Path) -> list[float]:
    """Return how far off the time left is at each line of a log, in parts of what there was: from the second minute of
    the steps to the last one."""
    lines = [entry for line in read_lines(run / "log.jsonl") if (entry := json.loads(line))["kind"] == "train"]
    display, (last, end) = ProgressDisplay(lines[-1]["step"], enabled=False), (lines[-1]["step"], lines[-1]["seconds"])
    found = []
    for entry in lines:
        said = (last - entry["step"]) * display.seconds_per_step(entry["step"], entry["seconds"])
        if entry["seconds"] >= 60 and end - entry["seconds"] >= 60:
            found.append(abs(said / (end - entry["seconds"]) - 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=", ".join(TASKS))
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder that holds the tasks' data")
    parser.add_argument("--minutes", nargs="+", type=float, default=[None])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--table", action="store_true", help="only print what is recorded")
    parser.add_argument("--set", nargs="+", default=[], metavar="OPTION=VALUE", help="for `fit`")
    parser.add_argument("--time-left", type=Path, metavar="RUN", help="only print how far off it was, by a run's log")
    arguments = parser.parse_args()
    if arguments.time_left:
        errors = time_left_errors(arguments.time_left)
        print(f"{len(errors)} lines: median {statistics.median(errors):.1%}, most {max(errors):.1%}")
        return
    if unknown := [name for name in arguments.tasks if name not in TASKS]:
        parser.error(f"there is no task {unknown[0]!r}; they are {', '.join(TASKS)}")
    more = ["--set", *arguments.set] if arguments.set else []
    for name in arguments.tasks:
        for minutes in arguments.minutes:
            for seed in arguments.seeds:
                record = measure(name, arguments.data.resolve(), minutes, seed, more)
                print(json.dumps(record), flush=True)
                with RECORDS.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    if RECORDS.is_file():
        lines = [json.loads(line) for line in read_lines(RECORDS)]
        print_table([line for line in lines if not line["options"] and "note" not in line])


if __name__ == "__main__":
    main()
