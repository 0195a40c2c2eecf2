"""Targets that teachers write: what other models make of a run's training sources, to be learned in place of its own.

They are generated once, by all processes, before the first step, and kept beside a manifest that says of what they were
made. Generating goes on where it was stopped. A source for which nothing was found keeps its reference.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from seq2seq.assembly.companion_texts import check_origin
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.corpora import open_training
from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.assembly.limits import cut_length
from seq2seq.data.corpus import Corpus
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.files import fingerprint
from seq2seq.generation.files import decode_file
from seq2seq.generation.output import one_line, write_lines
from seq2seq.lines import lines

TAUGHT_FOLDER = "taught"
SOURCES, OUTPUTS, TARGETS, MANIFEST = "train.source", "train.output", "train.target", "train.json"
"""In that folder; the targets are the outputs, and references where there is none."""
REPORT_SECONDS = 15.0
"""Between lines about how far it is."""


def with_taught_targets(config: RunConfig, folder: Path, accelerator: Accelerator) -> RunConfig:
    """Return the configuration by which the pairs are read: with the targets that teachers write, if there are any.

    Raises:
        ValueError: the teachers do not go together, or the targets that are there are of something else.
    """
    teaching, train = config.teaching, config.data.train
    if teaching.model is None:
        return config
    assert isinstance(train, CorpusOptions), "`checks` refuses lists of corpora"
    kept = folder / TAUGHT_FOLDER if teaching.folder is None else Path(teaching.folder)
    with accelerator.main_process_first():
        corpus = open_training(config.data)
    generator = teacher_of(config, train, str(accelerator.device))
    if accelerator.is_main_process:
        kept.mkdir(parents=True, exist_ok=True)
        _write_unless_there(kept / SOURCES, lambda: (one_line(row["source"]) for row in corpus))
    accelerator.wait_for_everyone()
    facts = {
        "model": generator.fingerprint,
        "tokenizer": generator.tokenizer.fingerprint(),
        "sources": fingerprint(kept / SOURCES),
        "search": repr(generator.searcher(token_scores=False).search),
        "longest_source": cut_length(config),
    }
    check_origin(kept / MANIFEST, facts, "taught targets")
    if not ((kept / MANIFEST).is_file() and (kept / TARGETS).is_file()):
        _generate(generator, config, kept, accelerator)
        if accelerator.is_main_process:
            write_lines(kept / TARGETS, _targets(kept / OUTPUTS, corpus))
            write_lines(kept / MANIFEST, [json.dumps(facts, indent=1)])
            (kept / OUTPUTS).unlink()
    accelerator.wait_for_everyone()
    learned = CorpusOptions(
        source=str(kept / SOURCES),  # what stands before every source is in them
        target=str(kept / TARGETS),
        source_language=train.source_language,
        target_language=train.target_language,
    )
    return replace(config, data=replace(config.data, train=learned, validation=config.data.validated))


def teacher_of(config: RunConfig, train: CorpusOptions, device: str) -> TextGenerator:
    """Return what writes the targets: one model, or two that rank each other's hypotheses."""
    teaching = config.teaching
    options: dict[str, Any] = {"beam_width": teaching.beam_width}
    if teaching.right_model is not None:
        options |= {"rescore": "both", "rescoring_weight": teaching.rescoring_weight}
    return load(
        str(teaching.model),
        device=device,
        right_model=teaching.right_model or (),
        source_language=teaching.source_language or train.source_language,
        target_language=teaching.target_language or train.target_language,
        **options,
    )


def _generate(generator: TextGenerator, config: RunConfig, kept: Path, accelerator: Accelerator) -> None:
    started = last_said = time.monotonic()
    teaching = config.teaching
    teachers = " and ".join(model for model in (teaching.model, teaching.right_model) if model)

    def say(decoded: int, total: int) -> None:
        nonlocal last_said
        now = time.monotonic()
        if accelerator.is_main_process and (now - last_said >= REPORT_SECONDS or decoded == total):
            last_said = now
            print(f"{teachers}: targets of {decoded:,} of {total:,} sources in {now - started:.0f} s", flush=True)

    decode_file(
        kept / SOURCES,
        kept / OUTPUTS,
        generator.searcher(token_scores=False),
        generator.tokenizer,
        generator.batch_tokens,
        model_fingerprint=generator.fingerprint,
        max_source_tokens=cut_length(config),
        process_index=accelerator.process_index,
        num_processes=accelerator.num_processes,
        wait_for_everyone=accelerator.wait_for_everyone,
        progress=say,
    )


def _write_unless_there(path: Path, texts: Callable[[], Iterable[str]]) -> None:
    """Write a file of texts; one that holds them already stays as old as it is, and is not read as a corpus anew."""
    if path.is_file() and all(line == text for line, text in zip_longest(lines(path), texts())):
        return
    write_lines(path, texts())


def _targets(outputs: Path, corpus: Corpus) -> Iterator[str]:
    for output, row in zip(lines(outputs), corpus, strict=True):
        yield output or one_line(row["target"])
