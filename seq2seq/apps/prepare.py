"""Examine a configuration's data, or a table of pairs, without training.

    seq2seq prepare pairs.tsv
    seq2seq prepare translation.yaml

Shows sample pairs as tokens, sizes, and what would spoil a training: headers, stray tabs, overlap, directions, lengths,
unknown pieces. The same stands in `data.json` of the run directory, for programs. Trains the tokenizer into the run
directory and fills the cache of tokenised pairs, so that training starts at once.
"""

import json
from dataclasses import asdict
from pathlib import Path

from seq2seq.apps.examination_report import report_lines
from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.data import build_data, filter_options
from seq2seq.assembly.examination import examine_data
from seq2seq.assembly.guard import guard_corpora
from seq2seq.assembly.model import build_model_config, check_start
from seq2seq.assembly.own_pairs import command_config
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.run_directory import enter_run_directory
from seq2seq.assembly.start import kept_start, with_start
from seq2seq.data.corpus import Dataset
from seq2seq.data.examination.examination import Examination
from seq2seq.data.loader import TrainingLoader
from seq2seq.data.options import DataOptions
from seq2seq.files import written
from seq2seq.locks import locked

REPORT_FILE = "data.json"


def run(arguments: list[str]) -> int:
    config = with_start(with_precision(command_config(arguments, "seq2seq prepare", __doc__ or "")))
    check_config(config)
    check_start(config)
    folder = Path(config.run_directory)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        prepare(config)
    return 0


def prepare(config: RunConfig) -> None:
    """Fill a run directory in which no other run is, and report."""
    folder = enter_run_directory(config)
    data = build_data(config, folder)
    tokenizer = data.tokenizer
    build_model_config(config, tokenizer, kept_start(folder))
    examination = examine_data(config, data)
    for line in report_lines(examination, corpus_places(config.data)):
        print(line)
    print(f"\nsource vocabulary {tokenizer.source_vocab_size}, target vocabulary {tokenizer.target_vocab_size}")
    if isinstance(data.train, Dataset):
        loader = TrainingLoader(
            data.train, tokenizer, seed=config.training.seed, mixture=data.mixture, **filter_options(config)
        )
        plan = loader.plan(0)
        sources, targets = loader.source_lengths.sum(), loader.target_lengths.sum()
        print(f"training pairs: {loader.filter_report}; {sources:,} source and {targets:,} target tokens")
        print(f"{len(plan.batches)} micro-batches an epoch, {plan.padding_share:.1%} padding")
    else:
        print("training pairs are read as a stream, so they are filtered and counted in training; seen are the first")
    print(f"validation pairs: {len(data.validation)}")
    for corpus in guard_corpora(config, tokenizer):
        print(f"guard pairs of {corpus.label}: {len(corpus.pairs.sources)}")
    write_examination(folder / REPORT_FILE, examination)
    print(f"ready in {folder}; {REPORT_FILE} there has this report for programs")


def corpus_places(data: DataOptions) -> dict[str, str]:
    """Return where training and validation pairs are read from."""
    train = ", ".join(corpus.described() for corpus in data.corpora)
    fold = f"part {data.left_out_fold} of {data.num_folds} of the training pairs, which does not train"
    validation = data.validated.described() if data.validation.is_named else fold
    return {"training": train, "validation": validation}


def write_examination(path: Path, examination: Examination) -> None:
    """Write an examination as JSON."""
    with written(path) as file:
        file.write(json.dumps(asdict(examination), indent=2, ensure_ascii=False) + "\n")
