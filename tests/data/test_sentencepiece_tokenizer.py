import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from transformers import MarianTokenizer

from seq2seq.data.tokenizer import TextTokenizer
from tests.data.test_tokenizer import ENGLISH, GERMAN, ODD_TEXTS
from tests.shared_data import shared_data

sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")


def train_model(path: Path, texts: list[str], **options: Any) -> Path:
    """Train a SentencePiece model and return its path."""
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts),
            model_writer=file,
            minloglevel=2,
            **{"vocab_size": 90, "hard_vocab_limit": False, **options},
        )
    return path


MODELS: list[dict[str, Any]] = [
    {"model_type": "unigram"},
    {"model_type": "unigram", "byte_fallback": True, "vocab_size": 330, "pad_id": 3},
    {"model_type": "bpe", "vocab_size": 80},
    {"model_type": "bpe", "byte_fallback": True, "vocab_size": 340, "bos_id": -1, "eos_id": -1},
    {"model_type": "bpe", "vocab_size": 80, "user_defined_symbols": ["<de>", "cat"], "split_by_whitespace": False},
]


@pytest.mark.parametrize("options", MODELS)
def test_ids_are_those_of_the_library(options: dict[str, Any], tmp_path: Path) -> None:
    path = train_model(tmp_path / "m.model", ENGLISH + GERMAN, **options)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    tokenizer = TextTokenizer.from_pretrained(path)
    texts = [*ODD_TEXTS[:-1], *ENGLISH, *GERMAN, "</s> typed <s>"]
    expected = [[*ids, tokenizer.eos_id] for ids in processor.encode(texts)]
    assert tokenizer.encode_sources(texts) == tokenizer.encode_targets(texts) == expected
    ids = tokenizer.encode_targets(ENGLISH + GERMAN)
    assert tokenizer.decode_batch(ids) == ENGLISH + GERMAN
    assert tokenizer.decode([tokenizer.pad_id, *ids[0], tokenizer.pad_id]) == ENGLISH[0]
    assert {tokenizer.pad_id, tokenizer.eos_id} <= set(range(tokenizer.target_vocab_size))
    assert tokenizer.decoder_start_id == (processor.bos_id() if processor.bos_id() >= 0 else tokenizer.pad_id)


def test_missing_specials_follow_the_pieces(tmp_path: Path) -> None:
    tokenizer = TextTokenizer.from_pretrained(
        train_model(tmp_path / "m.model", ENGLISH, model_type="bpe", vocab_size=60, bos_id=-1, eos_id=-1)
    )
    assert (tokenizer.pad_id, tokenizer.eos_id, tokenizer.target_vocab_size) == (60, 61, 62)
    assert tokenizer.target_tokens([60, 61]) == ["<pad>", "</s>"]


@pytest.mark.parametrize("shared", [True, False])
def test_saved_and_loaded_are_the_same(shared: bool, tmp_path: Path) -> None:
    source = train_model(tmp_path / "s.model", ENGLISH)
    target = None if shared else train_model(tmp_path / "t.model", GERMAN)
    tokenizer = TextTokenizer.from_pretrained(source, target)
    tokenizer.save(tmp_path / "saved")
    loaded = TextTokenizer.load(tmp_path / "saved")
    assert loaded.shared == shared
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded.encode_targets(GERMAN) == tokenizer.encode_targets(GERMAN)


def test_special_tokens_must_be_in_the_model(tmp_path: Path) -> None:
    path = train_model(tmp_path / "m.model", ENGLISH, user_defined_symbols=["<de>"])
    assert TextTokenizer.from_pretrained(path, special_tokens=["<de>"]).source_vocab_size > 3
    with pytest.raises(ValueError, match="holds '<fr>', which is not a piece"):
        TextTokenizer.from_pretrained(path, special_tokens=["<fr>"])


SAMPLED = [(options, 1e6 if options["model_type"] == "unigram" else 0.0) for options in MODELS]


@pytest.mark.parametrize(("options", "certain"), SAMPLED)
def test_sampling_without_chance_is_the_ordinary_encoding(
    options: dict[str, Any], certain: float, tmp_path: Path
) -> None:
    path = train_model(tmp_path / "m.model", ENGLISH + GERMAN, **options)
    side = TextTokenizer.from_pretrained(path).source
    sampler = side.sampler(certain)
    texts = [*ODD_TEXTS[:-1], *ENGLISH, *GERMAN, "the cats satt <de> ausß  der", "</s> typed <s>"]
    assert [sampler(text, seed) for seed, text in enumerate(texts)] == side.encode(texts)


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_sampling_without_chance_on_real_text(model_type: str, tmp_path: Path) -> None:
    texts = shared_data("multi30k/raw/val.de").read_text(encoding="utf-8").split("\n")[:1000]
    path = train_model(tmp_path / "m.model", texts, model_type=model_type, vocab_size=1500)
    side = TextTokenizer.from_pretrained(path).source
    sampler = side.sampler(1e6 if model_type == "unigram" else 0.0)
    assert [sampler(text, 1) for text in texts] == side.encode(texts)


@pytest.mark.parametrize(("options", "rate"), [(MODELS[1], 0.2), (MODELS[3], 0.3)])
def test_sampled_pieces_spell_the_text(options: dict[str, Any], rate: float, tmp_path: Path) -> None:
    path = train_model(tmp_path / "m.model", ENGLISH + GERMAN, **options)
    tokenizer = TextTokenizer.from_pretrained(path, sampling=rate)
    texts = [*ENGLISH[:3], "汉字 👩‍👩‍👧 the cat"]
    draws = [tokenizer.encode_targets(texts, seeds=[seed] * len(texts)) for seed in range(20)]
    assert all(tokenizer.decode_batch(ids) == texts for ids in draws)
    assert len({str(ids) for ids in draws}) > 10


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_marian_has_two_models_and_one_vocabulary(tmp_path: Path) -> None:
    source = train_model(tmp_path / "source.spm", ENGLISH)
    target = train_model(tmp_path / "target.spm", GERMAN)
    pieces: list[str] = ["</s>", "<unk>"]
    for path in (source, target):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        pieces += [processor.id_to_piece(index) for index in range(processor.get_piece_size())]
    pieces = [*dict.fromkeys(pieces), "<pad>"]
    (tmp_path / "vocab.json").write_text(json.dumps({piece: index for index, piece in enumerate(pieces)}))
    MarianTokenizer(source_spm=str(source), target_spm=str(target), vocab=str(tmp_path / "vocab.json")).save_pretrained(
        tmp_path / "marian"
    )
    tokenizer = TextTokenizer.from_pretrained(tmp_path / "marian")
    for encode, path, texts in (
        (tokenizer.encode_sources, source, ENGLISH),
        (tokenizer.encode_targets, target, GERMAN),
    ):
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        expected = [processor.encode(text, out_type=str) for text in texts]
        assert [tokenizer.target_tokens(ids) for ids in encode(texts)] == [[*tokens, "</s>"] for tokens in expected]
    assert tokenizer.decode_batch(tokenizer.encode_targets(GERMAN)) == GERMAN
    assert tokenizer.decoder_start_id == tokenizer.pad_id == len(pieces) - 1


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_marian_may_have_a_vocabulary_for_each_side(tmp_path: Path) -> None:
    names = {}
    for side, texts, size in (("source", ENGLISH, 60), ("target", GERMAN + ENGLISH, 41)):
        path = train_model(tmp_path / f"{side}.spm", texts, vocab_size=size)
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        pieces = [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]
        names[side] = ["</s>", "<unk>", "<pad>", *pieces[::-1]]
        (tmp_path / f"{side}.json").write_text(json.dumps({piece: index for index, piece in enumerate(names[side])}))
    files = {f"{side}_spm": str(tmp_path / f"{side}.spm") for side in names}
    vocabularies = {"vocab": str(tmp_path / "source.json"), "target_vocab_file": str(tmp_path / "target.json")}
    MarianTokenizer(**files, **vocabularies, separate_vocabs=True).save_pretrained(tmp_path / "marian")
    tokenizer = TextTokenizer.from_pretrained(tmp_path / "marian")
    sizes = [tokenizer.source_vocab_size, tokenizer.target_vocab_size]
    assert sizes == [len(names["source"]), len(names["target"])]
    assert sizes[0] != sizes[1]
    assert tokenizer.source_tokens(range(sizes[0])) == names["source"]
    assert tokenizer.target_tokens(range(sizes[1])) == names["target"]
    assert tokenizer.decode_batch(tokenizer.encode_targets(GERMAN)) == GERMAN


def test_a_model_over_bytes_gives_random_bytes_back(tmp_path: Path) -> None:
    """What BytePiece and byte-level Unigram models convert to: every byte is a piece, and nothing is normalised.

    What is no UTF-8 among the bytes is U+FFFD in a text, for us as for any reader of text.
    """
    plain = {"normalization_rule_name": "identity", "add_dummy_prefix": False, "remove_extra_whitespaces": False}
    path = train_model(
        tmp_path / "m.model", ENGLISH + GERMAN, model_type="unigram", byte_fallback=True, vocab_size=330, **plain
    )
    tokenizer, random = TextTokenizer.from_pretrained(path, sampling=0.1), Random(1)
    texts = [random.randbytes(n).decode("utf-8", errors="replace").replace("▁", "_") for n in range(1, 60)]
    texts += ["".join(chr(random.choice([10, 32, 233, 0x4E2D, 0x1F600])) for _ in range(n)) for n in range(1, 40)]
    texts += ENGLISH
    assert tokenizer.decode_batch([ids[:-1] for ids in tokenizer.encode_targets(texts)]) == texts
    sampled = tokenizer.encode_targets(texts, seeds=list(range(len(texts))))
    assert sampled[-len(ENGLISH) :] != tokenizer.encode_targets(ENGLISH)
    assert tokenizer.decode_batch([ids[:-1] for ids in sampled]) == texts
