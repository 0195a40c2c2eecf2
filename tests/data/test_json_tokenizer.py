import json
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from seq2seq.data.huggingface_tokenizer import HuggingFaceTokenizer
from seq2seq.data.json_tokenizer import CONFIG_FILE, TOKENIZER_FILE, JsonTokenizer
from seq2seq.data.tokenizer import TextTokenizer

TEXTS = ["the cat sat on the mat.", "a <eos> is no end", "", "  spaces "]


def trained() -> JsonTokenizer:
    tokenizer = TextTokenizer.train(TEXTS * 3, [], kind="byte_bpe", vocab_size=290, special_tokens=("<de>",)).source
    assert isinstance(tokenizer, JsonTokenizer)
    return tokenizer


def test_transformers_reads_what_it_writes_and_agrees(tmp_path: Path) -> None:
    ours = trained()
    ours.save(tmp_path)
    theirs = HuggingFaceTokenizer(AutoTokenizer.from_pretrained(tmp_path))
    assert (theirs.pad_id, theirs.bos_id, theirs.eos_id, theirs.unk_id) == (
        ours.pad_id,
        ours.bos_id,
        ours.eos_id,
        ours.unk_id,
    )
    assert theirs.vocab_size == ours.vocab_size
    ids = ours.encode(TEXTS)
    assert theirs.encode(TEXTS) == ids
    assert theirs.decode(ids) == ours.decode(ids) == TEXTS
    assert [theirs.tokens(sequence) for sequence in ids] == [ours.tokens(sequence) for sequence in ids]


def test_only_what_it_wrote_is_its_own(tmp_path: Path) -> None:
    assert not JsonTokenizer.wrote(tmp_path)
    trained().save(tmp_path)
    assert JsonTokenizer.wrote(tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())
    (tmp_path / CONFIG_FILE).write_text(json.dumps(config | {"tokenizer_class": "MarianTokenizer"}))
    assert not JsonTokenizer.wrote(tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_damaged_file_is_named(share: float, tmp_path: Path) -> None:
    trained().save(tmp_path)
    for name in (TOKENIZER_FILE, CONFIG_FILE):
        whole = (tmp_path / name).read_text()
        (tmp_path / name).write_text(whole[: int(share * len(whole))])
        with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path / name))}.* is damaged"):
            TextTokenizer.load(tmp_path)
        (tmp_path / name).write_text(whole)
    TextTokenizer.load(tmp_path)


def test_a_vocabulary_without_special_tokens_is_named(tmp_path: Path) -> None:
    trained().save(tmp_path)
    text = (tmp_path / TOKENIZER_FILE).read_text()
    (tmp_path / TOKENIZER_FILE).write_text(text.replace("<eos>", "<end>"))
    with pytest.raises(ValueError, match=rf"{TOKENIZER_FILE} is damaged: <eos> is not in its vocabulary"):
        TextTokenizer.load(tmp_path)


def test_a_fault_of_the_library_is_a_damaged_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A prefix that is longer than the merged tokens lets it leave its own memory, which it notices."""
    trained().save(tmp_path)
    contents = json.loads((tmp_path / TOKENIZER_FILE).read_text())
    contents["model"] |= {
        "continuing_subword_prefix": "x" * 9,
        "vocab": {"a": 0, "b": 1, "ab": 2},
        "merges": [["a", "b"]],
    }
    contents["model"]["type"] = "BPE"
    (tmp_path / TOKENIZER_FILE).write_text(json.dumps(contents))
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged"):
        JsonTokenizer.load(tmp_path)
