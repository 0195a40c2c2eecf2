"""From a file of pairs to a trained, tested model, in one command.

    seq2seq fit pairs.tsv
    seq2seq fit train.en train.de --minutes 30 --output runs/en-de
    seq2seq fit pairs.csv --from Helsinki-NLP/opus-mt-en-de

Looks at the pairs, holds some out, chooses what suits them from what was measured, times the machine, says what it will
do and how long that takes; then trains, tests and reports. The same command goes on with a run that was stopped. All
that was decided is in the run directory, as a configuration for `seq2seq train` and in fit.json.
"""

import argparse
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seq2seq.apps.fit_training import train_plan
from seq2seq.apps.option_values import integer, number
from seq2seq.assembly.configuration import save_run_config
from seq2seq.assembly.model_folder import PLAN_FILE, RUN_FILE
from seq2seq.assembly.process import keep_freed_memory, several_are_launched
from seq2seq.assembly.run_directory import enter_run_directory
from seq2seq.assembly.stages import stages
from seq2seq.config.command_line import pieces_in
from seq2seq.data.examination.text_findings import text_findings
from seq2seq.files import read_object
from seq2seq.fitting.pairs import (
    DATA_FOLDER,
    READ_PAIRS,
    Pairs,
    cut,
    given_corpus,
    identity,
    sources_in_common,
    write_parts,
)
from seq2seq.fitting.plan import check_said, plan_of
from seq2seq.fitting.record import (
    WHOLE_FILE,
    asked_before,
    begin_plan,
    check_same,
    format_lines,
    plan_lines,
    write_plan,
)
from seq2seq.fitting.sharing import check_processes
from seq2seq.lines import plain_name
from seq2seq.locks import locked
from seq2seq.own_pieces import said_by_user
from seq2seq.reporting import write_report
from seq2seq.reporting.terminal import format_report
from seq2seq.training.accelerator import leave_processes

REPORT_FOLDER = "report"
OWN_OPTIONS = {
    "run_directory": "give the folder by `--output`",
    "data.train": "name its files behind `fit`",
    "data.validation": "name its files by `--validation`",
    "training.initialize_from": "name the model by `--from`",
    "training.max_minutes": "give the time by `--minutes`",
    "training.max_epochs": "say how long by `--minutes`, or by `training.max_steps`",
}
"""What `fit` has options of its own for, which the plan goes by."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "pairs",
        nargs="+",
        metavar="FILE",
        help="a table of pairs (.tsv, .csv, .jsonl, .parquet), or two files of lines",
    )
    add(
        "--validation", nargs="+", metavar="FILE", help="pairs that choose the checkpoint; by default some are held out"
    )
    add("--test", nargs="+", metavar="FILE", help="pairs to test with; by default some are held out")
    add("--minutes", type=number, help="all that it may take; by default what was enough for such pairs")
    add("--output", metavar="FOLDER", help="run directory; by default `runs/` with the name of the file")
    add(
        "--from",
        dest="start",
        metavar="MODEL",
        help="trained model to begin with: a folder, a run, or a name on the Hub",
    )
    add("--processes", type=integer, help="to train on; by default one for each GPU, or one on the CPU")
    add("--seed", type=integer, default=1, help="of parts, weights and batches; default: %(default)s")
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="OPTION=VALUE",
        help="options of the configuration that are not for the recipe to choose, as in model.d_model=512",
    )
    add("--plan", action="store_true", help="only look, plan and print; the same command without it goes on from there")


def run(arguments: argparse.Namespace) -> int:
    started = time.time()
    if several_are_launched():
        raise ValueError(
            "`fit` starts the processes that it trains on by itself; give it without a launcher, and their number by "
            "`--processes`."
        )
    if arguments.minutes is not None and arguments.minutes <= 0:
        raise ValueError(f"`--minutes` must be more than 0, but is {arguments.minutes:g}.")
    if arguments.seed < 0:
        raise ValueError(f"`--seed` must be 0 or more, but is {arguments.seed}.")
    check_processes(arguments.processes)
    said_by_user(piece for text in arguments.set for piece in pieces_in(*setting(text)))
    folder = Path(arguments.output or f"runs/{Path(plain_name(arguments.pairs[0])).stem}")
    files_of_parts(arguments)
    before = asked_before(folder)
    if before is None:
        overrides = [setting(text) for text in arguments.set]
        check_said(overrides)  # before minutes of work
        pairs = given_corpus(arguments.pairs, seed=arguments.seed)  # what is no corpus leaves no folder
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            before = asked_before(folder)  # by another process meanwhile
            if before is None:
                planned(arguments, pairs, folder, overrides, started)
    if before is not None:
        check_same(folder, before, what_is_asked(arguments, before))
        print(f"Going on with {folder}; {folder / PLAN_FILE} has its plan.", flush=True)
    if arguments.plan:
        print(f"Train by the same command without `--plan`, or by `{training_command(folder)}`.")
        return 0
    train_plan(folder, arguments.processes, arguments.set)
    keep_freed_memory()
    tested = read_object(folder / PLAN_FILE)["estimate"]["tested_pairs"]
    print(format_report(write_report([folder], folder / REPORT_FOLDER, max_rows=tested, seed=arguments.seed)))
    print("")
    place = shlex.quote(str(folder))
    print(f"Try it     seq2seq serve {place}")
    print(f"Use it     seq2seq decode --model {place} --input FILE --output FILE")
    print(f"Go on      {training_command(folder)} --run_directory NEW …, whose options are what was chosen here")
    leave_processes()
    return 0


def files_of_parts(arguments: argparse.Namespace) -> dict[str, list[str] | None]:
    """Return the files of each part; raise ValueError for more than two."""
    names = {"pairs": arguments.pairs, "validation": arguments.validation, "test": arguments.test}
    for name, files in names.items():
        if files is not None and len(files) > 2:
            raise ValueError(f"`{name}` names {len(files)} files; give one table, or the two files of both sides.")
    return names


def what_is_asked(arguments: argparse.Namespace, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all that decides the plan.

    Args:
        before: the same of a plan that there is, with whose files those of now are compared.
    """
    return {
        "files": identity(files_of_parts(arguments), (before or {}).get("files")),
        "minutes": arguments.minutes,
        "start": arguments.start,
        "seed": arguments.seed,
        "set": arguments.set,
    }


def planned(
    arguments: argparse.Namespace,
    pairs: Pairs,
    folder: Path,
    overrides: list[tuple[str, str]],
    started: float,
) -> None:
    """Look at the pairs, decide, say and write everything."""

    def say(line: str) -> None:
        print(line, flush=True)

    asked = what_is_asked(arguments)
    begin_plan(folder)
    say(f"{' and '.join(arguments.pairs)}: {described(pairs)}")
    others = {
        name: given_corpus(files, like=pairs.corpus, seed=arguments.seed) if files else None
        for name, files in (("validation", arguments.validation), ("test", arguments.test))
    }
    findings = list(text_findings(pairs.sources, pairs.targets, "given"))
    for name, other in others.items():
        if other is not None:
            findings += sources_in_common(pairs, other, name)
    if others["validation"] is not None and others["test"] is not None:  # which choose the moment to be tested
        findings += sources_in_common(others["validation"], others["test"], "test", "validation")
    for line in format_lines(pairs.reasons, findings):
        say(line)
    parts = cut(pairs, others["validation"], others["test"], arguments.seed)
    files = write_parts(parts, folder / DATA_FOLDER)
    plan = plan_of(
        parts,
        files,
        folder,
        minutes=arguments.minutes,
        started=started,
        start=arguments.start,
        overrides=overrides,
        seed=arguments.seed,
        processes=arguments.processes,
    )
    for line in plan_lines(plan, parts, arguments.minutes, arguments.set):
        say(line)
    enter_run_directory(plan.config)
    if len(stages(plan.config)) > 1:
        save_run_config(plan.config, folder / WHOLE_FILE)
    write_plan(folder, asked, plan, parts, pairs.reasons, findings)


def training_command(folder: Path) -> str:
    """Return the command that trains by the configuration of a run, on as many processes as it is for."""
    number = read_object(folder / PLAN_FILE).get("processes", {}).get("used", 1)
    launcher = f"torchrun --nproc_per_node {number} -m " if number > 1 else ""
    whole = folder / WHOLE_FILE
    return f"{launcher}seq2seq train {shlex.quote(str(whole if whole.is_file() else folder / RUN_FILE))}"


def described(pairs: Pairs) -> str:
    """Return how many pairs there are, and how they were read."""
    first = "the first " if pairs.num_read >= READ_PAIRS else ""
    drawn = f", drawn at random from {first}{pairs.num_read:,}" if pairs.num_read > len(pairs) else ""
    return f"{len(pairs):,} pairs{drawn}; {pairs.corpus.described()}"


def setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"`--set {text}`: expected OPTION=VALUE, such as `model.d_model=512`.")
    for own, instead in OWN_OPTIONS.items():
        places = (own, *(f"{own}.{side}" for side in ("path", "source", "target")))
        if name in places or own.startswith(f"{name}."):
            raise ValueError(f"`--set {text}`: the plan goes by `{own}`, so it cannot be set; {instead}.")
    return name, value
