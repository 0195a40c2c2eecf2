"""The good things that are spoiled: a run with its model, a model of transformers, tables, lines, files to score."""

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow
import pyarrow.parquet
import yaml
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from tests.tiny_run import write_copy_task

LETTERS = "abcdefghij"
STEPS = 12
SOURCES = [b"abc", b"jihg", b"", b"ace gi", b"bd\tf", b"zzz\xc3\xa9", b"aaaaa", b"fedc"]
"""Lines to decode, of which each has an output of its own."""


@dataclass(frozen=True)
class Material:
    """Good files, which nobody changes: a case works on copies."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def foreign(self) -> Path:
        return self.folder / "foreign"

    @property
    def parts(self) -> Path:
        return self.folder / "output.txt.parts"

    @cached_property
    def configuration(self) -> str:
        return (self.folder / "run.yaml").read_text(encoding="utf-8")

    def pairs(self, name: str) -> list[tuple[str, str]]:
        rows = (self.folder / f"{name}.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")
        return [(source, target) for source, _, target in (row.partition("\t") for row in rows)]


def written_material(folder: Path) -> Material:
    """Write configuration, tables and a model of transformers; the run is still to be trained."""
    small = {"max_steps": STEPS, "checkpoint_every": 6, "log_every": 3}
    write_copy_task(folder, training={"threads": 1, **small}, validation={"every": 6})
    material = Material(folder)
    options = yaml.safe_load(material.configuration)
    options["training"] = {"threads": 1, **small}
    (folder / "run.yaml").write_text(yaml.safe_dump(options), encoding="utf-8")
    write_tables(folder, "table", material.pairs("validation"))
    write_tables(folder, "many", [(source, f"{target}{source}") for source, target in material.pairs("train")])
    write_foreign(material.foreign)
    return material


def write_tables(folder: Path, name: str, pairs: list[tuple[str, str]]) -> None:
    """Write pairs in every format."""
    records = [{"source": source, "target": target} for source, target in pairs]
    (folder / f"{name}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in pairs))
    (folder / f"{name}.csv").write_text("".join(f'"{s}",{t}\n' for s, t in pairs))
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(records), folder / f"{name}.parquet")


def write_foreign(folder: Path) -> None:
    """Write a tiny T5 with a tokenizer of letters, as transformers saves them."""
    letters = {token: index for index, token in enumerate(["<pad>", "</s>", "<unk>", *LETTERS, " "])}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    sizes = {"vocab_size": len(letters), "d_model": 16, "d_kv": 8, "num_heads": 2, "d_ff": 24, "num_layers": 1}
    ids = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    T5ForConditionalGeneration(T5Config(**sizes, **ids)).save_pretrained(folder)


def copied(source: Path, target: Path) -> Path:
    """Copy a folder; return the copy."""
    shutil.copytree(source, target)
    return target
