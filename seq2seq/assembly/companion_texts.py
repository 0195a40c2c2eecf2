"""What a model from both ends makes of the sources of a corpus, generated once and kept in files.

A folder holds, for each corpus, its sources; two files aligned with them, what the model made of them from the left and
from the right, both to be read from the left, or one of both in pairs; and a manifest that says of what they were made.
Generating goes on where it was stopped. No process holds the texts of a whole corpus.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from accelerate import Accelerator

from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.assembly.search import beam_search_like, changed_search, complete_search
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.joint import BestPair, JointBeamSearch
from seq2seq.decoding.parts.search import Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.files import fingerprint, read_object
from seq2seq.generation.files import decode_file
from seq2seq.generation.output import one_line, read_nbest, write_lines
from seq2seq.lines import lines

DIRECTIONS: tuple[Literal["l2r"], Literal["r2l"]] = ("l2r", "r2l")
PAIRS = "pairs"
"""Ends of the names of files."""

Texts = Iterator[tuple[str, str]]
"""What became of each source, from the left and from the right, both to be read from the left."""


@dataclass(frozen=True)
class CompanionTexts:
    """Generates texts on all processes, or reads those that are there.

    Args:
        folder: where they are kept.
        tokenizer: that of the run which the texts are for.
        beam_width: of the search, whose other options are those of the model's own run.
        max_length: most tokens of a text, end of sentence included.
        longest_source: tokens that sources are cut at, as in training; None = as the model takes them.
    """

    folder: Path
    tokenizer: TextTokenizer
    beam_width: int
    max_length: int
    accelerator: Accelerator
    longest_source: int | None = None

    def of(self, name: str, sources: Iterable[str], model: str | Path, *, in_pairs: bool = False) -> Texts:
        """Return the texts that a run or model folder makes of the sources, read from files as they are asked for.

        Args:
            name: what the files of these sources begin with.
            in_pairs: whether the directions attend to each other; otherwise each generates for itself.

        Raises:
            ValueError: the model does not know both directions or has another tokenizer, or the files there were made
                of something else.
        """
        generator = load(model, device=str(self.accelerator.device))
        if generator.tokenizer.fingerprint() != self.tokenizer.fingerprint():
            raise ValueError(f"{model} has another tokenizer than this run; companions must be made with the same one.")
        source_file, manifest = self.folder / f"{name}.source", self.folder / f"{name}.json"
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_lines(source_file, map(one_line, sources))
        self.accelerator.wait_for_everyone()
        beam = replace(beam_search_like(generator.search, self.beam_width), max_length=self.max_length)
        order = generator.model.generation_order
        searches = pair_search(beam, order) if in_pairs else direction_searches(beam, order)
        facts: dict[str, Any] = {
            "model": generator.fingerprint,
            "tokenizer": generator.tokenizer.fingerprint(),
            "sources": fingerprint(source_file),
            "search": {kind: repr(search) for kind, search in searches.items()},
        }
        if self.longest_source is not None:
            facts["longest_source"] = self.longest_source
        check_origin(manifest, facts)
        files = {kind: self.folder / f"{name}.{kind}" for kind in searches}
        for kind, file in files.items():
            if not (manifest.is_file() and file.is_file()):
                self._generate(generator, searches[kind], source_file, file, "jsonl" if in_pairs else "text")
        if self.accelerator.is_main_process:
            write_lines(manifest, [json.dumps(facts, indent=1)])
        self.accelerator.wait_for_everyone()
        return read_pairs(files[PAIRS]) if in_pairs else zip(*map(lines, files.values()), strict=True)

    def _generate(
        self, generator: TextGenerator, search: Search, source_file: Path, output: Path, output_format: str
    ) -> None:
        decode_file(
            source_file,
            output,
            InProcess(generator.model, search, generator.device),
            generator.tokenizer,
            generator.batch_tokens,
            model_fingerprint=generator.fingerprint,
            output_format=output_format,
            max_source_tokens=self.longest_source,
            process_index=self.accelerator.process_index,
            num_processes=self.accelerator.num_processes,
            wait_for_everyone=self.accelerator.wait_for_everyone,
        )


def check_origin(manifest: Path, facts: dict[str, Any], what: str = "companions") -> None:
    """Raise ValueError if texts are there that were made of something else; names what differs."""
    if not manifest.is_file():
        return
    found = read_object(manifest)
    if different := [name for name, value in facts.items() if found.get(name) != value]:
        raise ValueError(
            f"The {what} in {manifest.parent} were made with another {', '.join(different)}; delete that folder to "
            "have them made again."
        )


def direction_searches(beam: BeamSearch, trained_order: str) -> dict[str, Search]:
    """Return the search of each direction for itself, without interaction."""
    return {order: complete_search(replace(beam, generation_order=order), trained_order, None) for order in DIRECTIONS}


def pair_search(beam: BeamSearch, trained_order: str) -> dict[str, Search]:
    """Return the search for the best pair, in which each direction sees the other as in decoding; by its only name."""
    # Its width counts the rows of both.
    search = changed_search(beam, {"pairing": "joint", "beam_width": 2 * beam.beam_width}, trained_order)
    assert isinstance(search, JointBeamSearch), "pairs that stay together are the search's hypotheses"
    return {PAIRS: BestPair(search)}


def read_pairs(path: Path) -> Texts:
    """Yield the texts of a file of pairs; an empty source has become one empty text."""
    for nbest in read_nbest(path):
        yield one_line(nbest.hypotheses[0].text), one_line(nbest.hypotheses[-1].text)
