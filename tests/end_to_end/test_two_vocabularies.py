"""Two vocabularies of their own sizes, as SentencePiece makes them by default: without padding.

The target's padding then is no row of the source's embeddings, so whatever pads a source by it fails.
"""

import json
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from tests.tiny_run import distinct_texts, write_copy_task

sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")


def train_pieces(path: Path, texts: list[str], vocab_size: int) -> str:
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_writer=file, model_type="bpe", vocab_size=vocab_size, minloglevel=2
        )
    return str(path)


def test_validation_decoding_and_diagnosis_pad_sources_by_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    texts = distinct_texts()
    sizes = {"vocab_size": 60, "target_vocab_size": 120}
    paths = {
        name: train_pieces(tmp_path / f"{name}.model", texts, size)
        for name, size in zip(("path", "target_path"), sizes.values(), strict=True)
    }
    config = write_copy_task(
        tmp_path,
        tokenizer={"kind": "byte_bpe", **paths},
        model={"tie_embeddings": "target"},
        training={"max_steps": 4, "checkpoint_every": 4},
        validation={"every": 2},
    )
    assert main(["train", config]) == 0
    (tmp_path / "input.txt").write_text("abcdefghij\na\nabc\n")
    for processes in ("1", "2"):
        files = ["--input", str(tmp_path / "input.txt"), "--output", str(tmp_path / "output.jsonl")]
        assert main(["decode", "--model", str(tmp_path / "run"), *files, "--processes", processes]) == 0
        results = [json.loads(line) for line in (tmp_path / "output.jsonl").read_text().splitlines()]
        assert [len(result["hypotheses"]) for result in results] == [1, 1, 1]
    options = ["--max-rows", "9", "--beam-widths", "2", "--metrics", "chrf", "--device", "cpu"]
    assert main(["diagnose", "--model", str(tmp_path / "run"), *options]) == 0
    assert "9 pairs of data.validation" in capsys.readouterr().out
    assert "could not be decoded" not in caplog.text
