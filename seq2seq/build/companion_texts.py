"""What a model from both ends makes of the sources of a corpus, generated once and kept in files.

A folder holds, for each corpus, its sources and two files aligned with them, what the model made of them from the left
and from the right, both to be read from the left; and a manifest that says of what they were made. Generating goes on
where it was stopped.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from seq2seq.build.generator import TextGenerator, load
from seq2seq.build.search import build_search
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.batches import InProcess
from seq2seq.decoding.files import decode_file, file_fingerprint, read_lines
from seq2seq.decoding.output import one_line, write_lines
from seq2seq.decoding.search import Search

DIRECTIONS = ("l2r", "r2l")

Texts = dict[str, list[str]]
"""What became of each source, by direction."""


@dataclass(frozen=True)
class CompanionTexts:
    """Generates texts on all processes, or reads those that are there.

    Args:
        folder: where they are kept.
        tokenizer: that of the run which the texts are for.
        options: of the search, beside those of the model's own run.
    """

    folder: Path
    tokenizer: TextTokenizer
    options: dict[str, Any]
    accelerator: Accelerator

    def of(self, name: str, sources: Sequence[str], model: str | Path) -> Texts:
        """Return the texts that a run or model folder makes of the sources.

        Args:
            name: what the files of these sources begin with.

        Raises:
            ValueError: the model does not know both directions or has another tokenizer, or the files there were made
                of something else.
        """
        generator = load(model, device=str(self.accelerator.device), **self.options)
        if generator.tokenizer.fingerprint() != self.tokenizer.fingerprint():
            raise ValueError(f"{model} has another tokenizer than this run; companions must be made with the same one.")
        source_file, manifest = self.folder / f"{name}.source", self.folder / f"{name}.json"
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_lines(source_file, map(one_line, sources))
        self.accelerator.wait_for_everyone()
        searches = {direction: _search(generator, direction) for direction in DIRECTIONS}
        facts: dict[str, Any] = {
            "model": generator.fingerprint,
            "tokenizer": generator.tokenizer.fingerprint(),
            "sources": file_fingerprint(source_file),
            "search": {direction: repr(search) for direction, search in searches.items()},
        }
        check_companions(manifest, facts)
        files = {direction: self.folder / f"{name}.{direction}" for direction in DIRECTIONS}
        for direction, file in files.items():
            if not (manifest.is_file() and file.is_file()):
                self._generate(generator, searches[direction], source_file, file)
        if self.accelerator.is_main_process:
            write_lines(manifest, [json.dumps(facts, indent=1)])
        self.accelerator.wait_for_everyone()
        return {direction: list(read_lines(file)) for direction, file in files.items()}

    def _generate(self, generator: TextGenerator, search: Search, source_file: Path, output: Path) -> None:
        decode_file(
            source_file,
            output,
            InProcess(generator.model, search, generator.device),
            generator.tokenizer,
            generator.options["batch_tokens"],
            model_fingerprint=generator.fingerprint,
            process_index=self.accelerator.process_index,
            num_processes=self.accelerator.num_processes,
            wait_for_everyone=self.accelerator.wait_for_everyone,
        )


def check_companions(manifest: Path, facts: dict[str, Any]) -> None:
    """Raise ValueError if companions are there that were made of something else; names what differs."""
    if not manifest.is_file():
        return
    found = json.loads(manifest.read_text(encoding="utf-8"))
    if different := [name for name, value in facts.items() if found.get(name) != value]:
        raise ValueError(
            f"The companions in {manifest.parent} were made with another {', '.join(different)}; delete that folder to "
            "have them made again."
        )


def _search(generator: TextGenerator, direction: str) -> Search:
    return build_search(generator.options | {"generation_order": direction}, generator.model.generation_order)
