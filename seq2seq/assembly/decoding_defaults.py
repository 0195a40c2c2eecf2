"""What a model folder says of decoding with its model: `decoding.json`, or of transformers `generation_config.json`."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seq2seq.assembly.generation_config import TargetRules, check_known, read_generation_config, rules_of, search_of
from seq2seq.assembly.search import search_of_older_version
from seq2seq.config.declaring import choice
from seq2seq.config.nodes import tree_of
from seq2seq.config.parsing import Parser
from seq2seq.config.writing import dotted, plain
from seq2seq.decoding import SEARCHES
from seq2seq.files import read_object, written
from seq2seq.generation.corpus import check_max_source_tokens
from seq2seq.generation.engine import DECODING_FILE
from seq2seq.models.families.folders import GENERATION_FILE
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.inference import CONFIG_FILE, is_loadable

LARGEST_OPTION = 100_000
"""Of the numbers that a folder says of its search; whoever decodes may give larger ones."""
NO_RULES = TargetRules()


@dataclass(frozen=True)
class DecodingDefaults:
    """What a model folder says of decoding with its model."""

    search: Any = choice(SEARCHES, None)
    """How it searches; None = by a beam in its own order."""
    source_prefix: str = ""
    """Put before every source, as in training."""
    max_source_tokens: int | None = None
    """Tokens that sources are cut at, where those of the training were."""
    source_language: str | None = None
    """Language of sources, for a model that is told it, as in training."""
    target_language: str | None = None
    """Language of targets."""
    target_start: tuple[int, ...] | None = None
    """Tokens that targets of an export begin with; a model has them by its language or `generation_config.json`."""

    def __post_init__(self) -> None:
        check_max_source_tokens(self.max_source_tokens)


def read_folder_decoding(folder: Path, model: Seq2Seq) -> tuple[DecodingDefaults, TargetRules]:
    """Return what a model folder says of decoding, and what no hypothesis of its model may say.

    A folder of transformers says both in its `generation_config.json`, but what `decoding.json` says of the search goes
    before.

    Raises:
        ValueError: a file is damaged, or says what there is not here; names it.
    """
    saved = read_decoding(folder, model.generation_order)
    if is_loadable(folder):
        return saved, NO_RULES
    values = read_generation_config(folder)
    path = folder / (GENERATION_FILE if (folder / GENERATION_FILE).is_file() else CONFIG_FILE)
    check_known(values, path)
    try:
        return replace(saved, search=saved.search or search_of(values)), rules_of(values, model)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def read_decoding(folder: Path, trained_order: str) -> DecodingDefaults:
    """Return what a model folder says of decoding; the defaults where it has no such file.

    Raises:
        ValueError: the file is damaged; names it.
    """
    path = folder / DECODING_FILE
    if not path.is_file():
        return DecodingDefaults()
    saved = read_object(path)
    if isinstance(saved.get("search"), dict) and "method" in saved["search"]:
        try:
            search = search_of_older_version(saved["search"], trained_order)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        decoding = DecodingDefaults(search, str(saved.get("source_prefix", "")))
    else:
        decoding = Parser(DecodingDefaults).parse(tree_of(saved, str(path)))
    for name, value in dotted(plain(decoding)).items():
        if isinstance(value, int) and value > LARGEST_OPTION and not name.endswith("seed"):
            raise ValueError(f"{path}: `{name}` is {value:,}, with which a search would not end; lower it.")
    return decoding


def write_decoding(folder: Path, decoding: DecodingDefaults) -> None:
    """Write what `read_decoding` reads."""
    with written(folder / DECODING_FILE) as file:
        said = {name: value for name, value in plain(decoding).items() if value is not None or name == "search"}
        file.write(json.dumps(said, indent=2) + "\n")
