"""Folders of tokenizers are read, and nothing in them is run. What the tokenizers do is tested in `test_tokenizer`."""

import io
import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from seq2seq.data.tokenizer import TextTokenizer
from tests.assembly.test_languages import CASES, model_of, pieces

__all__ = ["pieces"]

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


@pytest.mark.parametrize(("model_type", "file"), [("bart", "vocab.json"), ("t5", "spiece.model")])
def test_a_folder_without_a_vocabulary_has_no_tokenizer(model_type: str, file: str, tmp_path: Path) -> None:
    """The library would make one of special tokens, by which all texts are the same."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(ValueError, match=rf"{tmp_path} has neither tokenizer\.json nor {file}, without which"):
        TextTokenizer.load(tmp_path)


def test_a_tokenizer_of_bytes_needs_no_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "tokenizer_class": "ByT5Tokenizer"}))
    assert TextTokenizer.load(tmp_path).encode_sources(["a"]) == [[ord("a") + 3, 1]]


def test_tokens_beyond_the_tokenizer_are_called_by_their_numbers(tmp_path: Path) -> None:
    """A model may have more rows than its tokenizer has tokens: T5 has 32,128 of 32,100."""
    made = Tokenizer(WordLevel({"<pad>": 0, "</s>": 1, "a": 2}, unk_token="<pad>"))
    made.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>").save_pretrained(tmp_path)
    tokenizer = TextTokenizer.load(tmp_path)
    assert tokenizer.target_tokens([2, 31, 1]) == ["a", "<31>", "</s>"]
    assert tokenizer.decode([2, 31, 1]) == "a"


@pytest.mark.parametrize("name", CASES)
def test_no_text_says_what_language_it_is_of(name: str, pieces: Path, tmp_path: Path) -> None:
    """M2M100's tokenizer counts its languages among the tokens that texts are made of."""
    model_of(name, pieces, tmp_path / "model")
    _, _, source, target, _ = CASES[name]
    tokenizer = TextTokenizer.load(tmp_path / "model").speaking(source, target)
    [start] = tokenizer.forced_starts(["lazy dog"], 1) or []
    assert tokenizer.decode(start) == "lazy dog"
    assert tokenizer.decode([*tokenizer.languages.ids.values()]) == ""
