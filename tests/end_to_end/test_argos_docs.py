"""The lines of docs/argos.md: the commands on a small run, and its Python where Argos Translate is installed."""

import re
import shlex
import zipfile
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from tests.end_to_end.argos import of_argos
from tests.extras import is_installed
from tests.tiny_run import distinct_texts

PAGE = (Path(__file__).resolve().parents[2] / "docs/argos.md").read_text(encoding="utf-8")
SHORT = ["--training.max_steps", "2", "--validation.every", "2", "--training.checkpoint_every", "2"]
SMALL = ["--tokenizer.vocab_size", "300", "--model.d_model", "16", "--model.encoder_layers", "1"]
WHOLE = """
from argostranslate import sbd

sbd.MiniSBDSentencizer.split_sentences = lambda self, text: [text]
"""
"""Instead of the model that Argos would fetch."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
def test_the_pages_lines_run_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for extra in ("sentencepiece", "ctranslate2"):
        pytest.importorskip(extra, reason=f"{extra} is an optional package")
    (tmp_path / "pairs.tsv").write_text("".join(f"{text}\t{text}\n" for text in distinct_texts()[:100]))
    monkeypatch.chdir(tmp_path)
    found = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(found) == 2
    for line in found:
        words = shlex.split(line)[1:]
        words += [*SHORT, *SMALL, "--training.threads", "1"] if words[0] == "train" else []
        assert main(words) == 0, line
    capfd.readouterr()
    assert "translate-en_de/metadata.json" in zipfile.ZipFile("en_de.argosmodel").namelist()
    [block] = blocks("python")
    if is_installed("argostranslate"):
        assert of_argos(WHOLE + block, [], tmp_path).endswith("\n")


def test_the_page_names_what_there_is() -> None:
    assert blocks("sh")
    assert blocks("python")
