"""Read, tokenise and report a configuration's corpora without training.

    seq2seq prepare pairs.tsv
    seq2seq prepare translation.yaml

Trains the tokenizer into the run directory and fills the cache of tokenised pairs, so that training starts at once;
errors in the data show here, with file and line.
"""

from pathlib import Path

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.data import build_data, filter_options
from seq2seq.assembly.model import build_model_config
from seq2seq.assembly.own_pairs import command_config
from seq2seq.assembly.precision import with_precision
from seq2seq.assembly.run_directory import enter_run_directory
from seq2seq.data.loader import TrainingLoader
from seq2seq.locks import locked


def run(arguments: list[str]) -> int:
    config = with_precision(command_config(arguments, "seq2seq prepare", __doc__ or ""))
    check_config(config)
    folder = Path(config.run_directory)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        prepare(config)
    return 0


def prepare(config: RunConfig) -> None:
    """Fill a run directory in which no other run is, and report."""
    folder = enter_run_directory(config)
    tokenizer, train_corpus, validation_corpus, _ = build_data(config, Path(folder))
    build_model_config(config, tokenizer)
    print(f"source vocabulary {tokenizer.source_vocab_size}, target vocabulary {tokenizer.target_vocab_size}")
    if config.data.train.streaming:
        print("training pairs are read as a stream, so they are filtered and counted in training")
    else:
        loader = TrainingLoader(train_corpus, tokenizer, seed=config.training.seed, **filter_options(config))
        plan = loader.plan(0)
        sources, targets = loader.source_lengths.sum(), loader.target_lengths.sum()
        print(f"training pairs: {loader.filter_report}; {sources:,} source and {targets:,} target tokens")
        print(f"{len(plan.batches)} micro-batches an epoch, {plan.padding_share:.1%} padding")
        if plan.num_oversized:
            print(f"{plan.num_oversized} pairs exceed `data.batch_tokens` alone and get a micro-batch each")
    print(f"validation pairs: {len(validation_corpus)}")
    print(f"ready in {folder}")
