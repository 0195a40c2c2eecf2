"""Folders of tokenizers are read, and nothing in them is run. What the tokenizers do is tested in `test_tokenizer`."""

import io
import json
from pathlib import Path

import pytest

from seq2seq.data.tokenizer import TextTokenizer

CODE = """
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedTokenizerFast

(Path({folder!r}) / "ran").write_text("")


class Own(PreTrainedTokenizerFast):
    pass


class OwnConfig(PreTrainedConfig):
    model_type = "own"
"""
BY_TOKENIZER = {"tokenizer_config.json": {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}}
BY_CONFIG = {"config.json": {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}}


@pytest.mark.parametrize("files", [BY_TOKENIZER, BY_CONFIG, {**BY_TOKENIZER, **BY_CONFIG}])
def test_code_of_a_folder_is_not_run_whatever_stands_in_standard_input(
    files: dict[str, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "own.py").write_text(CODE.format(folder=str(tmp_path)))
    for name, contents in files.items():
        (folder / name).write_text(json.dumps(contents))
    stdin = io.StringIO("y\ny\ny\n")
    monkeypatch.setattr("sys.stdin", stdin)
    with pytest.raises(ValueError, match="`auto_map` asks for code, which is never run"):
        TextTokenizer.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()
    assert stdin.read() == "y\ny\ny\n", "what is to be translated is no answer"
