"""The real Argos Translate installs what `export` writes, and gives the lines of our export for CTranslate2."""

from itertools import islice
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.lines import lines
from tests.end_to_end.argos import both
from tests.extras import needs
from tests.shared_data import shared_data
from tests.tiny_run import write_copy_task

ODD = ["Two  spaces and 日本語 😀.", "A_b </s> <unk> <0x41>", "UPPER CASE", "a"]


@pytest.mark.slow
@needs("argostranslate")
@needs("sentencepiece")
@pytest.mark.parametrize("kind", ["sentencepiece", "sentencepiece_bpe"])
def test_argos_gives_the_lines_of_the_export(kind: str, tmp_path: Path) -> None:
    source, target = (shared_data(f"multi30k/raw/val.{language}") for language in ("en", "de"))
    pairs = {"path": None, "source": str(source), "target": str(target)}
    config = write_copy_task(
        tmp_path,
        data={"train": pairs, "validation": pairs},
        tokenizer={"kind": kind, "vocab_size": 600, "normalization": "nfkc"},
        training={"max_steps": 250, "checkpoint_every": 250},
        validation={"every": 250, "max_rows": 10, "metrics": ["chrf"], "select_by": "loss"},
    )
    assert main(["train", config]) == 0
    texts = list(islice(lines(source), 60)) + ODD
    theirs, expected = both(tmp_path / "run", texts, tmp_path)
    assert theirs["package"] == "English → German"
    assert "# English to German" in theirs["readme"]
    assert theirs["lines"] == expected
    assert len(set(expected)) > 10, "lines differ from one another"
