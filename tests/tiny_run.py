"""A copy task that a tiny model learns in seconds, and one trained run of it that many tests look at.

Pairs of equal short strings are written to a folder, and the `seq2seq` command trains on them. The run is made once
per test session, also when several workers share one, so no test may change it. The `conftest.py` of each folder of
tests that needs them imports the fixtures at the end.
"""

import os
import random
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from filelock import FileLock

from seq2seq.apps.command import main
from seq2seq.assembly import finishing

ALPHABET = "abcdefghij"
NUM_TRAINING, NUM_VALIDATION, NUM_TEST = 400, 19, 53

OPTIONS: dict[str, dict[str, Any]] = {
    "data": {"batch_tokens": 512},
    "tokenizer": {"kind": "characters"},
    "model": {
        "d_model": 32,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "num_heads": 2,
        "ffn_size": 64,
        "positions": "sinusoidal",  # so that it can become one of a class of transformers
        "dropout": 0.0,
    },
    "objective": {"cross_entropy": {"label_smoothing": 0.0}},
    "optimizer": {"learning_rate": 5e-3, "warmup_steps": 20},
    "training": {"max_steps": 300, "checkpoint_every": 100, "log_every": 20, "threads": 1},
    "validation": {"every": 100, "metrics": ["exact_match"], "select_by": "exact_match"},
    "decoding": {"beam": {"beam_width": 3, "max_length": 13}},
}
"""With these the copy task is learnt: all of 53 unseen strings, or all but a few."""
OF_ONE_KIND = ("decoder_inputs", "objective", "gradient", "decoding")
"""Sections that hold the options of one kind, below its name."""


def distinct_texts() -> list[str]:
    """Return short strings, always the same ones in the same order."""
    generator = random.Random(7)
    texts: dict[str, None] = {}
    while len(texts) < NUM_TRAINING + NUM_VALIDATION + NUM_TEST:
        texts["".join(generator.choices(ALPHABET, k=generator.randint(3, 5)))] = None
    return list(texts)


def write_copy_task(folder: Path, **sections: dict[str, Any]) -> str:
    """Write train.tsv, validation.tsv, test.txt and run.yaml; return the path of the last, for a run in `folder`/run.

    Args:
        sections: options that differ from `OPTIONS`, by section; another kind takes the place of the one there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = distinct_texts()
    parts = {"train": texts[:NUM_TRAINING], "validation": texts[NUM_TRAINING:-NUM_TEST]}
    for name, part in parts.items():
        (folder / f"{name}.tsv").write_text("".join(f"{text}\t{text}\n" for text in part))
    (folder / "test.txt").write_text("".join(f"{text}\n" for text in texts[-NUM_TEST:]))
    options = {name: changed_section(name, sections.get(name, {})) for name in {**OPTIONS, **sections}}
    for name in parts:
        options["data"][name] = {"path": str(folder / f"{name}.tsv")} | options["data"].get(name, {})
    (folder / "run.yaml").write_text(yaml.safe_dump({"run_directory": str(folder / "run"), **options}))
    return str(folder / "run.yaml")


def changed_section(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Return a section of `OPTIONS` with these options in place of its own."""
    options = OPTIONS.get(name, {})
    if name not in OF_ONE_KIND:
        return options | changes
    return {kind: options.get(kind, {}) | own for kind, own in (changes or options).items()}


@pytest.fixture(scope="session")
def copy_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the copy task with its trained run in `run`; read it only."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "copy_task"
    with FileLock(f"{folder}.lock"), pytest.MonkeyPatch.context() as patch:
        if not (folder / "run" / "model").is_dir():
            patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder / "cache")
            assert main(["train", write_copy_task(folder)]) == 0
    return folder


@pytest.fixture(autouse=True)
def private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep tokenised pairs in the test's own folder, also those of processes that it starts."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(cache))
    return cache


@pytest.fixture(autouse=True)
def without_curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw no curves, which takes longer than a tiny training; the trained run of `copy_task` has its own."""
    monkeypatch.setattr(finishing, "plot_curves", lambda *arguments: None)
