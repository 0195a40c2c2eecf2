"""Show exposure bias: how a trained model does behind its own words, against how it does behind the reference's.

    seq2seq diagnose --model runs/x --source test.en --reference test.de
    seq2seq diagnose --model runs/baseline runs/mitigated --data validation --max-rows 500

Prints tables and a conclusion, and writes report.json and, where matplotlib is installed, report.png: accuracy and
entropy by position, the damage that one wrong token does, repetition and length, and what wider beams find. Several
models are compared on the same pairs. Exposure bias is not the only cause of any of these numbers: read them beside
those of another model.
"""

import argparse
import dataclasses
import json
from itertools import islice
from pathlib import Path
from typing import Any

from seq2seq.apps.option_values import CHECKPOINT_HELP, integer
from seq2seq.apps.score import read_aligned
from seq2seq.assembly.decoding_defaults import read_decoding
from seq2seq.assembly.generator import load
from seq2seq.assembly.model_folder import RUN_FILE, folder_in_run, names_of_models, read_model
from seq2seq.assembly.precision import PRECISION_NAMES
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.diagnosis.conclusion import conclusions
from seq2seq.diagnosis.picture import draw
from seq2seq.diagnosis.report import Diagnosis, diagnose
from seq2seq.diagnosis.subject import Subject
from seq2seq.diagnosis.table import format_diagnoses
from seq2seq.files import written
from seq2seq.metrics import METRICS, make_metric

CORPORA = ("validation", "train")
Pairs = list[tuple[str, str]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--model", nargs="+", required=True, help="run directory or model folder; several are compared")
    add("--checkpoint", metavar="CHECKPOINT", help=CHECKPOINT_HELP)
    add("--source", metavar="FILE", help="UTF-8 file with one source per line")
    add("--reference", metavar="FILE", help="file with the reference of each source")
    add("--data", metavar="NAME", help=f"instead of files, a corpus of the run's {RUN_FILE}: {' or '.join(CORPORA)}")
    add("--output", metavar="FOLDER", help="where the report goes; by default `diagnosis` in the first run directory")
    add("--max-rows", type=integer, default=1000, help="pairs to look at, the first ones; 0: all; default: %(default)s")
    add("--beam-widths", type=integer, nargs="+", default=[1, 2, 5, 10, 20], metavar="W", help="default: 1 2 5 10 20")
    add(
        "--metrics",
        nargs="+",
        default=["bleu", "chrf"],
        metavar="NAME",
        help=f"default: bleu chrf; the first one judges single sentences; any of {', '.join(METRICS)}",
    )
    add("--device", default="auto", help="cpu, cuda, cuda:1 …; default: the GPU where there is one")
    add("--precision", choices=PRECISION_NAMES, default="fp32", help="default: %(default)s")
    add("--seed", type=integer, default=1, help="of random wrong tokens and of intervals; default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    check(arguments)
    metrics = {name: make_metric(name) for name in arguments.metrics}
    widths = sorted(set(arguments.beam_widths))
    output = folder_in_run(arguments.model, arguments.checkpoint, arguments.output, "diagnosis")
    names = names_of_models(arguments.model)
    prepare_process()
    pairs, numbers, num_blank = read_all_pairs(arguments)
    references = [reference for _, reference in pairs[0]]
    diagnoses: dict[str, Diagnosis] = {}
    tokenizers = set()
    for name, path, its_pairs in zip(names, arguments.model, pairs, strict=True):
        generator = load(path, device=arguments.device, precision=arguments.precision, checkpoint=arguments.checkpoint)
        keep_freed_memory()
        subject = Subject.create(generator, [source for source, _ in its_pairs], references, numbers)
        try:
            diagnoses[name] = diagnose(subject, references, metrics, widths, arguments.seed)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        tokenizers.add(generator.tokenizer.fingerprint())
    facts = {
        "data": described_data(arguments),
        "num_pairs": len(references),
        "num_blank": num_blank,
        "precision": arguments.precision,
        "seed": arguments.seed,
        "same_tokenizer": len(tokenizers) == 1,
    }
    print(format_diagnoses(diagnoses, facts))
    for path in write_diagnosis(output, diagnoses, facts):
        print(f"wrote {path}")
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for options that make no sense, alone or together."""
    if (arguments.source is None) != (arguments.reference is None):
        raise ValueError("`--source` and `--reference` go together: give the file of the other side too.")
    if arguments.source is not None and arguments.data is not None:
        raise ValueError("Give either `--source` and `--reference`, or `--data`, not both.")
    if arguments.data is not None and arguments.data not in CORPORA:
        raise ValueError(
            f"A run's configuration names no corpus `{arguments.data}`, only {' and '.join(CORPORA)}; for other pairs, "
            "such as a test set, give `--source` and `--reference`."
        )
    if arguments.max_rows < 0:
        raise ValueError(f"`--max-rows` must be 0 (all) or more, but is {arguments.max_rows}.")
    if min(arguments.beam_widths) < 1:
        raise ValueError(f"`--beam-widths` must be at least 1, but one is {min(arguments.beam_widths)}.")
    if arguments.seed < 0:
        raise ValueError(f"`--seed` must be 0 or more, but is {arguments.seed}.")


def read_all_pairs(arguments: argparse.Namespace) -> tuple[list[Pairs], list[int], int]:
    """Return the pairs for each model, which differ in what stands before the sources alone, the numbers that they have
    in the files, and how many others were blank.

    Raises:
        ValueError: the runs name different corpora; or as `read_pairs` and `without_blanks`.
    """
    read = [without_blanks(pairs_to_diagnose(arguments, path)) for path in arguments.model]
    for path, (pairs, *_) in zip(arguments.model, read, strict=True):
        if [reference for _, reference in pairs] != [reference for _, reference in read[0][0]]:
            raise ValueError(
                f"{path} has another {arguments.data or CORPORA[0]} corpus than {arguments.model[0]}, but models are "
                "compared on the same pairs: give `--source` and `--reference`."
            )
    return [pairs for pairs, *_ in read], *read[0][1:]


def pairs_to_diagnose(arguments: argparse.Namespace, path: str) -> Pairs:
    """Return the pairs of texts to look at, sources with the prefix that the model was trained with.

    Raises:
        ValueError: the files do not fit together, there is no run with a configuration that names the corpus, or its
            rows are in languages of their own.
    """
    limit = arguments.max_rows or None
    if arguments.source is not None:
        sources, references = read_aligned([arguments.source, arguments.reference])
        prefix = read_model(path, lambda folder: read_decoding(folder, "l2r").source_prefix, arguments.checkpoint)
        return [
            (prefix + source if source.strip() else "", reference)
            for source, reference in islice(zip(sources, references, strict=True), limit)
        ]
    config = Path(path) / RUN_FILE
    if not config.is_file():
        raise ValueError(f"{path} is no run directory, with a {RUN_FILE}; give `--source` and `--reference`.")
    from seq2seq.assembly.corpora import open_training, open_validation
    from seq2seq.assembly.row_languages import check_one_language
    from seq2seq.assembly.run_directory import config_of_run

    data = config_of_run(Path(path)).data
    try:
        corpus = open_training(data) if arguments.data == "train" else open_validation(data)
    except ValueError as error:
        raise ValueError(f"{config}: {error}") from error
    check_one_language(corpus, f"{config}: the pairs of data.{arguments.data or CORPORA[0]}")
    return [(row["source"], row["target"]) for row in islice(corpus, limit)]


def without_blanks(pairs: Pairs) -> tuple[Pairs, list[int], int]:
    """Return the pairs of which both sides have a word, their numbers, and how many others there were.

    Raises:
        ValueError: none is left.
    """
    kept = [number for number, pair in enumerate(pairs, start=1) if all(text.strip() for text in pair)]
    if not kept:
        raise ValueError("There is no pair with text on both sides, so nothing to diagnose.")
    return [pairs[number - 1] for number in kept], kept, len(pairs) - len(kept)


def described_data(arguments: argparse.Namespace) -> str:
    if arguments.source is not None:
        return f"{arguments.source} and {arguments.reference}"
    return f"data.{arguments.data or CORPORA[0]}"


def write_diagnosis(folder: Path, diagnoses: dict[str, Diagnosis], facts: dict[str, Any]) -> list[Path]:
    """Write report.json and, with matplotlib, report.png; return their paths. Each appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    models = {name: dataclasses.asdict(diagnosis) for name, diagnosis in diagnoses.items()}
    said = conclusions(diagnoses, comparable=facts["same_tokenizer"])
    text = json.dumps({**facts, "conclusions": said, "models": models}, indent=2, ensure_ascii=False, allow_nan=False)
    with written(path) as file:
        file.write(text + "\n")
    picture = draw(diagnoses, folder / "report.png")
    return [path] if picture is None else [path, picture]
