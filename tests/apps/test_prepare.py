import json
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.data.tokenizer import TextTokenizer
from tests.tiny_run import write_copy_task


def test_prepare_reports_and_training_starts_from_its_tokenizer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_copy_task(tmp_path, training={"max_steps": 2})
    with (tmp_path / "train.tsv").open("a") as file:
        file.write(f"{'abc' * 100}\tabc\nabc\t\n")
    assert main(["prepare", config]) == 0
    printed = capsys.readouterr().out
    assert "source vocabulary 14, target vocabulary 14" in printed
    assert "training pairs: kept 400 of 402" in printed
    assert "validation pairs: 19" in printed
    assert "A training pair:" in printed
    assert "! 1 of 402 (0.2 %)" not in printed, "what concerns so few is no warning"
    assert "`data.max_source_tokens` (256) drops 1 of 402 (0.2 %) training pairs; 301 keeps all" in printed
    assert "micro-batches an epoch" in printed
    assert not (tmp_path / "run" / "checkpoints").exists()
    tokenizer = tmp_path / "run" / "tokenizer" / "tokenizer.json"
    before = tokenizer.stat()
    assert main(["train", config]) == 0
    after = tokenizer.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "kept 400 of 402" in capsys.readouterr().out


def test_other_options_of_the_tokenizer_prepare_it_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, training={"max_steps": 2})
    assert main(["prepare", config]) == 0
    assert main(["prepare", config, "--tokenizer.kind", "bpe", "--tokenizer.vocab_size", "29"]) == 0
    assert "source vocabulary 29" in capsys.readouterr().out
    assert TextTokenizer.load(tmp_path / "run" / "tokenizer").source_vocab_size == 29


def test_prepare_of_a_stream_trains_the_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", write_copy_task(tmp_path), "--data.train.streaming", "true"]) == 0
    printed = capsys.readouterr().out
    assert "source vocabulary 14" in printed
    assert "as a stream" in printed


def test_oversized_pairs_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", write_copy_task(tmp_path, data={"batch_tokens": 11})]) == 0
    assert "pairs exceed `data.batch_tokens` alone" in capsys.readouterr().out


def test_errors_in_the_data_name_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path)
    (tmp_path / "train.tsv").write_text("abc\tabc\nabc\n")
    assert main(["prepare", config]) == 2
    error = capsys.readouterr().err
    assert f"seq2seq prepare: error: {tmp_path / 'train.tsv'}:2: " in error
    assert error.count("\n") == 1


def test_the_report_is_there_for_programs_too(tmp_path: Path) -> None:
    config = write_copy_task(tmp_path)
    for path in (tmp_path / "train.tsv", tmp_path / "validation.tsv"):
        path.write_text("source\ttarget\n" + path.read_text() + "a stray\ttab\there\n")
    with pytest.warns(UserWarning, match="1 row .* has more fields than the 2 that others have"):
        assert main(["prepare", config]) == 0
    report = json.loads((tmp_path / "run" / "data.json").read_text())
    assert (report["train"]["pairs"], report["validation"]["target_lengths"]["longest"]) == (401, 7)
    assert report["samples"][0]["source_tokens"] == [*"source", "<eos>"]
    found = [finding["kind"] for finding in report["findings"] if finding["is_warning"]]
    assert found == ["uneven_rows", "uneven_rows", "header", "header", "overlap", "identical_sides", "identical_sides"]


def test_a_table_of_pairs_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_copy_task(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["prepare", "train.tsv", "--tokenizer.vocab_size", "300"]) == 0
    assert "runs/train" in capsys.readouterr().out
    assert (tmp_path / "runs" / "train" / "tokenizer").is_dir()
