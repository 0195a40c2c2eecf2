"""`AutoTokenizer`, which knows nothing of this package, reads what our tokenizers write, and makes the same ids."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.sentencepiece_tokenizer import EARLIER_MODEL_FILE, MODEL_FILE, SentencePieceTokenizer
from seq2seq.data.tokenizer import TextTokenizer

TEXTS = ["the cat sat on the mat", "ein Hund ging Straße 12", "<de> Grüße, Welt!"] * 20
UNSEEN = ["the cat went", "", " two  spaces ", "ein 日本 Hund", "<pad> </s> <de> x"]

SCRIPT = """
import json, sys
from transformers import AutoTokenizer
texts = json.loads(sys.argv[1])
for folder in sys.argv[2:]:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(texts)["input_ids"]
    specials = [tokenizer.pad_token_id, tokenizer.eos_token_id]
    print(json.dumps([ids, specials, tokenizer.batch_decode(ids, skip_special_tokens=True)]))
assert not any(name.startswith("seq2seq") for name in sys.modules)
"""

SENTENCEPIECE: dict[str, dict[str, Any]] = {
    "plain": {},
    "padding": {"pad_id": 3},
    "bare": {"bos_id": -1, "eos_id": -1},
    "bpe": {"model_type": "bpe", "vocab_size": 60, "user_defined_symbols": ["<de>"]},
    "bytes": {"byte_fallback": True, "vocab_size": 330},
}


def trained(kind: str) -> TextTokenizer:
    return TextTokenizer.train(TEXTS, TEXTS, kind=kind, vocab_size=40 if kind == "unigram" else 300)


def of_sentencepiece(folder: Path, name: str) -> TextTokenizer:
    sentencepiece = pytest.importorskip("sentencepiece", reason="SentencePiece models need sentencepiece")
    model = io.BytesIO()
    options = {"vocab_size": 45, "hard_vocab_limit": False, "minloglevel": 2} | SENTENCEPIECE[name]
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(TEXTS), model_writer=model, **options)
    (folder / f"{name}.model").write_bytes(model.getvalue())
    return TextTokenizer.from_pretrained(folder / f"{name}.model")


def test_the_same_ids_without_this_package(tmp_path: Path) -> None:
    kinds = ("byte_bpe", "bpe", "characters", "words")
    tokenizers = {kind: trained(kind) for kind in kinds}
    pytest.importorskip("sentencepiece", reason="Unigram vocabularies and SentencePiece models need sentencepiece")
    tokenizers |= {kind: trained(kind) for kind in ("unigram", "sentencepiece", "sentencepiece_bpe")}
    tokenizers |= {name: of_sentencepiece(tmp_path, name) for name in SENTENCEPIECE}
    for name, tokenizer in tokenizers.items():
        tokenizer.save(tmp_path / name)
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "seq2seq-toolkit"}))
    command = [sys.executable, "-P", "-c", SCRIPT, json.dumps(UNSEEN), *(str(tmp_path / name) for name in tokenizers)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for (name, tokenizer), line in zip(tokenizers.items(), done.stdout.splitlines(), strict=True):
        ids, specials, texts = json.loads(line)
        assert ids == tokenizer.encode_sources(UNSEEN), name
        assert specials == [tokenizer.pad_id, tokenizer.eos_id], name
        if name not in (
            "bytes",
            "sentencepiece",
            "sentencepiece_bpe",
        ):  # whose bytes are pieces of their own to transformers
            assert texts[0] == tokenizer.decode(ids[0]), name


@pytest.mark.parametrize("name", SENTENCEPIECE)
def test_a_sentencepiece_model_comes_back_as_itself(name: str, tmp_path: Path) -> None:
    tokenizer = of_sentencepiece(tmp_path, name)
    tokenizer.save(tmp_path / "saved")
    loaded = TextTokenizer.load(tmp_path / "saved")
    assert isinstance(loaded.source, SentencePieceTokenizer)
    assert loaded.fingerprint() == tokenizer.fingerprint()
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    (earlier / EARLIER_MODEL_FILE).write_bytes((tmp_path / "saved" / MODEL_FILE).read_bytes())
    assert TextTokenizer.load(earlier).fingerprint() == tokenizer.fingerprint()
