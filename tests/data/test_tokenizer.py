import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, BartTokenizer, ByT5Tokenizer, T5Tokenizer

from seq2seq.data import tokenizer_training
from seq2seq.data.sentencepiece_training import MODEL_TYPES
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.data.tokenizer_training import TokenizerKind
from tests.extras import needs
from tests.shared_data import shared_data

ENGLISH = ["the cat sat on the mat.", "a dog sat on a log!", "the <de> cats and dogs sat"] * 3
GERMAN = ["die Katze saß auf der Matte.", "ein Hund saß auf einem Klotz!"] * 3
KINDS = tuple(kind for kind in get_args(TokenizerKind) if kind != "word_and_characters")  # of both sides
OF_THE_LIBRARY = tuple(MODEL_TYPES)
"""Kinds that are models of the SentencePiece library."""
BY_THE_LIBRARY = ("unigram", *OF_THE_LIBRARY)
"""Kinds that it trains."""
every_kind = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=needs("sentencepiece") if kind in BY_THE_LIBRARY else ()) for kind in KINDS]
)
VOCAB_SIZES = dict.fromkeys(KINDS, 60) | dict.fromkeys(("byte_bpe", *OF_THE_LIBRARY), 300)

ODD_TEXTS = [
    "",
    " ",
    "  two  leading, two trailing  ",
    "\ttab\nline\r\nend\u2028\x85\x0b\x0c",
    "no\u00a0break\u3000ideographic",
    "emoji 👩‍👩‍👧‍👦🏽 and flags 🇩🇪",
    "combining e\u0301 versus é, Z̸͑a̵l̷g̴o",
    "汉字 かな 한글",
    "עברית و العربية \u202eoverride",
    "▁ metaspace and Ġ byte mark",
    "\x00 null \U0010ffff \ufffd \ufeff",
    "<pad><bos><eos><unk> </s> <0x41>",
]


def train(kind: str = "byte_bpe", **options: Any) -> TextTokenizer:
    return TextTokenizer.train(ENGLISH, GERMAN, **{"kind": kind, "vocab_size": VOCAB_SIZES[kind], **options})


@every_kind
def test_specials_come_first_and_close_each_text(kind: str) -> None:
    tokenizer = train(kind)
    assert (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (0, 1, 2, 3)
    assert tokenizer.decoder_start_id == 1
    names = ["<pad>", "<s>", "</s>", "<unk>"] if kind in OF_THE_LIBRARY else ["<pad>", "<bos>", "<eos>", "<unk>"]
    assert tokenizer.target_tokens([0, 1, 2, 3]) == names
    assert tokenizer.source_vocab_size == tokenizer.target_vocab_size <= VOCAB_SIZES[kind]
    for ids in tokenizer.encode_sources(["", "the cat"]) + tokenizer.encode_targets(["die Katze"]):
        assert ids[-1] == 2
        assert not {0, 1, 2, 3} & set(ids[:-1])
    assert tokenizer.encode_sources([]) == []


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_byte_bpe_restores_any_text(text: str) -> None:
    tokenizer = train()
    assert tokenizer.decode(tokenizer.encode_targets([text])[0]) == text


@needs("sentencepiece")
@pytest.mark.parametrize("kind", OF_THE_LIBRARY)
@pytest.mark.parametrize("text", ODD_TEXTS)
def test_models_of_sentencepiece_restore_any_text_but_their_own_sign(kind: str, text: str) -> None:
    tokenizer = train(kind)
    ids = tokenizer.encode_targets([text])[0]
    assert tokenizer.decode(ids) == text.replace("▁", " ")
    assert tokenizer.unk_id not in ids, "what it has not seen is bytes"


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_characters_restore_any_text_of_known_characters(text: str) -> None:
    tokenizer = TextTokenizer.train(ODD_TEXTS, [], kind="characters", vocab_size=500)
    ids = tokenizer.encode_targets([text])[0]
    assert len(ids) == len(text) + 1
    assert tokenizer.decode(ids) == text


@every_kind
def test_known_text_is_restored_in_batches(kind: str) -> None:
    tokenizer = train(kind)
    texts = ["the cat sat on  the mat.", "die Hund<de> "] if kind != "words" else ["the cat sat", "die Katze"]
    assert tokenizer.decode_batch(tokenizer.encode_targets(texts)) == texts
    assert tokenizer.decode_batch([]) == []


@every_kind
def test_typed_special_tokens_stay_text(kind: str) -> None:
    tokenizer = TextTokenizer.train(
        [*ENGLISH, "<eos> < e o s > <pad> p a d"], [], kind=kind, vocab_size=VOCAB_SIZES[kind]
    )
    for text in ("<eos>", "a <eos> <pad>", "the<eos>cat"):
        ids = tokenizer.encode_targets([text])[0]
        assert not {0, 1, 2} & set(ids[:-1]), tokenizer.target_tokens(ids)
        if kind != "words":
            assert tokenizer.decode(ids) == text


@needs("sentencepiece")
@pytest.mark.parametrize("kind", OF_THE_LIBRARY)
def test_typed_pieces_of_sentencepiece_stay_text(kind: str) -> None:
    """Also where the text that it learns from is full of them."""
    tokenizer = TextTokenizer.train([*ENGLISH, *["<s> </s> <unk> <0x41>"] * 9], [], kind=kind, vocab_size=300)
    for text in ("<s> </s>", "<unk><0x41>", "a<pad>b"):
        ids = tokenizer.encode_targets([text])[0]
        assert not {0, 1, 2, 3} & set(ids[:-1]), tokenizer.target_tokens(ids)
        assert tokenizer.decode(ids) == text


@every_kind
def test_special_tokens_are_never_split_and_stay_in_decoded_text(kind: str, tmp_path: Path) -> None:
    tokenizer = train(kind, special_tokens=["<de>", "<de>x"])
    tokenizer.save(tmp_path)
    for candidate in (tokenizer, TextTokenizer.load(tmp_path)):
        ids = candidate.encode_targets(["<de> the cat<de>x"])[0]
        tokens = candidate.target_tokens(ids)
        if kind in OF_THE_LIBRARY:
            assert tokens.pop(0) == "▁", "which they put in front of any text"
        assert tokens[0] == "<de>"
        assert tokens[-2:] == ["<de>x", candidate.target_tokens([candidate.eos_id])[0]], "the longest wins"
        assert {4, 5} <= set(ids)
        assert candidate.decode(ids).startswith("<de> the cat")


@every_kind
@pytest.mark.parametrize("shared", [True, False])
def test_saved_and_loaded_are_the_same(kind: str, shared: bool, tmp_path: Path) -> None:
    tokenizer = train(kind, shared=shared)
    tokenizer.save(tmp_path / "model")
    loaded = TextTokenizer.load(tmp_path / "model")
    assert loaded.fingerprint() == tokenizer.fingerprint()
    assert loaded.shared == shared
    texts = [*ODD_TEXTS, *ENGLISH, *GERMAN]
    assert loaded.encode_sources(texts) == tokenizer.encode_sources(texts)
    assert loaded.encode_targets(texts) == tokenizer.encode_targets(texts)
    ids = tokenizer.encode_targets(texts)
    assert loaded.decode_batch(ids) == tokenizer.decode_batch(ids)
    folder = tmp_path / "model" if shared else tmp_path / "model" / "target_tokenizer"
    assert AutoTokenizer.from_pretrained(folder)(texts)["input_ids"] == ids
    assert not list((tmp_path / "model").rglob(".unfinished*"))


def test_separate_vocabularies_know_their_own_side_only() -> None:
    tokenizer = train("words", shared=False, target_kind="characters", target_vocab_size=40)
    assert tokenizer.encode_sources(["the Katze"])[0][1:] == [3, 2]
    assert tokenizer.target_tokens(tokenizer.encode_targets(["Katz"])[0]) == ["K", "a", "t", "z", "<eos>"]
    assert tokenizer.source_vocab_size != tokenizer.target_vocab_size


TRAIN_AND_PRINT = """
import sys
from seq2seq.data.tokenizer import TextTokenizer
texts = open(sys.argv[1], encoding="utf-8").read().split("\\n")[:400]
for kind in sys.argv[2:]:
    print(TextTokenizer.train(texts, [], kind=kind, vocab_size=500).fingerprint())
"""


@needs("sentencepiece")
def test_training_is_the_same_in_every_process() -> None:
    path = shared_data("multi30k/raw/val.de")
    texts = path.read_text(encoding="utf-8").split("\n")[:400]
    here = [TextTokenizer.train(texts, [], kind=kind, vocab_size=500).fingerprint() for kind in KINDS]
    command = [sys.executable, "-c", TRAIN_AND_PRINT, str(path), *KINDS]
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert there == here


@pytest.mark.parametrize(
    ("options", "text", "same"),
    [
        ({"lowercase": True}, "The CAT", "the cat"),
        ({"normalization": "nfc"}, "saß e\u0301", "saß é"),
        ({"normalization": "nfkc"}, "ﬁne", "fine"),
    ],
)
@every_kind
def test_normalization_makes_texts_equal(kind: str, options: dict[str, Any], text: str, same: str) -> None:
    if kind in OF_THE_LIBRARY and options != {"normalization": "nfkc"}:
        with pytest.raises(
            ValueError, match="`lowercase` is nothing that|`normalization: nfc` is none of SentencePiece"
        ):
            train(kind, **options)
        return
    first, second = train(kind, **options).encode_sources([text, same])
    assert first == second
    first, second = train("byte_bpe").encode_sources([text, same])
    assert first != second


def test_min_frequency_leaves_rare_words_out() -> None:
    tokenizer = TextTokenizer.train(["a a b", "a c c"], [], kind="words", vocab_size=99, min_frequency=2)
    assert tokenizer.source_tokens(range(tokenizer.source_vocab_size)) == ["<pad>", "<bos>", "<eos>", "<unk>", "a", "c"]


@pytest.mark.parametrize("kind", ["byte_bpe", "bpe"])
@pytest.mark.parametrize("share", [0.6, 1.0])
def test_merges_that_are_rare_beside_the_others_are_left_out(kind: str, share: float) -> None:
    draw = random.Random(1)
    parts = ["un", "der", "stand", "ing", "able", "wood", "land", "s", "er"]
    words = ["".join(draw.choices(parts, k=draw.randint(1, 4))) for _ in range(97)]
    texts = [" ".join(draw.choices(words, weights=range(97, 0, -1), k=7)) for _ in range(211)]

    def trained(size: int, **options: float) -> TextTokenizer:
        return TextTokenizer.train(texts, [], kind=kind, vocab_size=size, **options)

    def share_of_last(tokenizer: TextTokenizer) -> float:
        """Return how often the last piece is used in proportion to the average."""
        size = tokenizer.source_vocab_size
        uses = Counter(index for row in tokenizer.encode_sources(texts) for index in row[:-1])
        return uses[size - 1] / (uses.total() / size)

    without = trained(700, min_relative_frequency=share)
    size = without.source_vocab_size
    assert size < trained(700).source_vocab_size
    assert share_of_last(without) >= share > share_of_last(trained(size + 1))
    assert without.fingerprint() == trained(size).fingerprint()
    assert without.decode_batch(without.encode_targets(texts)) == texts


@pytest.mark.parametrize(("most", "kept"), [(4, ["0", "8", "16"]), (0, [])])
def test_merges_are_counted_in_texts_of_the_whole_corpus(most: int, kept: list[str]) -> None:
    sampled = tokenizer_training._Sampled((str(number) for number in range(21)), most)
    assert [int(text) for text in sampled] == list(range(21))
    assert sampled.kept == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_relative_frequency": -0.1}, "`min_relative_frequency` must be from 0 to 1, but is -0.1"),
        ({"min_relative_frequency": 0.1, "kind": "words"}, "`min_relative_frequency` belongs to `byte_bpe` and `bpe`"),
        ({"kind": "sentences"}, "`kind` is 'sentences'"),
        ({"normalization": "nfd"}, "`normalization` is 'nfd'"),
        ({"vocab_size": 200}, "`vocab_size` is 200, but special tokens and single characters alone are 260"),
        ({"kind": "bpe", "vocab_size": 9}, "`vocab_size` is 9, but"),
        pytest.param(
            {"kind": "unigram", "vocab_size": 9},
            "SentencePiece cannot train 9 Unigram pieces",
            marks=needs("sentencepiece"),
        ),
        pytest.param(
            {"kind": "sentencepiece", "vocab_size": 99},
            "cannot train 99 pieces, of which 256 are the bytes.*99 vs",
            marks=needs("sentencepiece"),
        ),
        ({"kind": "sentencepiece", "min_frequency": 2}, "`min_frequency` is nothing that sentencepiece can be told"),
        ({"kind": "sentencepiece_bpe", "sampling": 1.5}, "with BPE it is a probability, from 0 to 1"),
        ({"kind": "sentencepiece", "special_tokens": ["<a b>"]}, "SentencePiece finds none with a space in it"),
        ({"kind": "sentencepiece", "special_tokens": ["<0x41>"]}, "may not hold '<0x41>': empty, doubled, a byte or"),
        ({"kind": "sentencepiece_bpe", "special_tokens": ["</s>"]}, "may not hold '</s>'"),
        ({"target_kind": "words"}, "`target_kind` needs `shared: false`"),
        ({"target_vocab_size": 77}, "`target_vocab_size` needs `shared: false`"),
        ({"special_tokens": ["<eos>"]}, "`special_tokens` may not hold '<eos>'"),
        ({"special_tokens": ["x", "x"]}, "`special_tokens` may not hold 'x'"),
        ({"kind": "words", "sampling": 0.1}, "a vocabulary of words has none"),
    ],
)
def test_options_that_cannot_be_trained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextTokenizer.train(ENGLISH, GERMAN, **{"kind": "byte_bpe", "vocab_size": 300, **options})


@every_kind
def test_nothing_to_train_on(kind: str) -> None:
    with pytest.raises(ValueError, match=r"There is no text|SentencePiece cannot train"):
        TextTokenizer.train([""], [], kind=kind, vocab_size=300)


def test_path_without_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    (tmp_path / "x.model").write_text("nonsense")
    for path, message in (
        (tmp_path / "no.json", "there is no such file"),
        (tmp_path / "no.model", "there is no such file"),
        (tmp_path / "x.json", "not a tokenizer.json"),
        (tmp_path / "x.model", "not a SentencePiece model|needs: pip install sentencepiece"),
        (tmp_path, "No tokenizer can be loaded from"),
    ):
        with pytest.raises(ValueError, match=message):
            TextTokenizer.from_pretrained(path)


def test_bare_tokenizer_json_uses_conventional_names(tmp_path: Path) -> None:
    backend = Tokenizer(models.WordLevel({"</s>": 0, "[UNK]": 1, "a": 2, "b": 3}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.save(str(tmp_path / "t.json"))
    tokenizer = TextTokenizer.from_pretrained(tmp_path / "t.json", special_tokens=["<de>"])
    assert (tokenizer.eos_id, tokenizer.unk_id, tokenizer.pad_id) == (0, 1, 4)
    assert tokenizer.decoder_start_id == 4, "no start token: padding starts"
    assert tokenizer.encode_sources(["b <de> a </s> x"]) == [[3, 5, 2, 1, 1, 0]]
    assert tokenizer.source_vocab_size == 6


def test_no_end_of_sentence_is_an_error(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "t.json"))
    with pytest.raises(ValueError, match="no end-of-sentence token"):
        TextTokenizer.from_pretrained(tmp_path / "t.json")


def test_t5_tokenizer_has_no_start_token_and_finds_no_special_token_in_text(tmp_path: Path) -> None:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), ("▁a", -2.5), ("b", -3.0)]
    T5Tokenizer(vocab=pieces, extra_ids=2).save_pretrained(tmp_path)
    tokenizer = TextTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.pad_id, tokenizer.eos_id, tokenizer.unk_id, tokenizer.decoder_start_id) == (0, 1, 2, 0)
    assert tokenizer.source_tokens(tokenizer.encode_sources(["ab"])[0]) == ["▁a", "b", "</s>"]
    assert tokenizer.encode_sources(["ab </s>"])[0].count(1) == 1
    with pytest.raises(ValueError, match="are the loaded tokenizer's own"):
        TextTokenizer.from_pretrained(tmp_path, special_tokens=["</s>"])


def test_python_tokenizer(tmp_path: Path) -> None:
    ByT5Tokenizer().save_pretrained(tmp_path / "byt5")
    tokenizer = TextTokenizer.from_pretrained(tmp_path / "byt5")
    assert tokenizer.encode_sources(["aé"]) == [[ord("a") + 3, 0xC3 + 3, 0xA9 + 3, tokenizer.eos_id]]
    assert tokenizer.decode_batch(tokenizer.encode_targets(["aé", "</s>b"])) == ["aé", "</s>b"]
    tokenizer.save(tmp_path / "saved")
    assert TextTokenizer.load(tmp_path / "saved").fingerprint() == tokenizer.fingerprint()
    with pytest.raises(ValueError, match="`sampling` cannot be used with ByT5Tokenizer"):
        TextTokenizer.from_pretrained(tmp_path / "byt5", sampling=0.1)


def test_what_a_template_puts_in_front_stays(tmp_path: Path) -> None:
    vocab = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "b": 6, "ab": 7}
    BartTokenizer(vocab=vocab, merges=[("a", "b")]).save_pretrained(tmp_path)  # type: ignore[list-item]
    tokenizer = TextTokenizer.from_pretrained(tmp_path)
    assert tokenizer.encode_sources(["aba", ""]) == [[0, 7, 5, 2], [0, 2]]
    assert tokenizer.decode([0, 7, 5, 2]) == "aba"


@pytest.mark.parametrize(
    "kind",
    ["byte_bpe", "bpe", *(pytest.param(kind, marks=needs("sentencepiece")) for kind in BY_THE_LIBRARY)],
)
def test_split_digits_leaves_no_piece_with_a_digit_and_something_else(kind: str) -> None:
    texts = ["on 12 may 1984, 3.50 of x9y at 10:30", "1984 1984 12 12 the 7th"] * 20
    size = 330 if kind in (*OF_THE_LIBRARY, "byte_bpe") else 60
    whole, split = (
        TextTokenizer.train(texts, [], kind=kind, vocab_size=size, split_digits=value) for value in (False, True)
    )

    def pieces_with_digits(tokenizer: TextTokenizer) -> list[str]:
        ids = [index for row in tokenizer.encode_sources(texts[:2]) for index in row]
        return [piece for piece in tokenizer.target_tokens(ids) if any(map(str.isdigit, piece))]

    assert pieces_with_digits(split) == list("12 1984 350 9 1030 1984 1984 12 12 7".replace(" ", ""))
    assert any(len(piece) > 1 for piece in pieces_with_digits(whole))
    assert split.decode_batch(split.encode_targets(texts)) == texts
    assert split.fingerprint() != whole.fingerprint()


@pytest.mark.parametrize("kind", ["words", "characters"])
def test_what_is_no_subword_stays_whole(kind: str) -> None:
    tokenizer = TextTokenizer.train(["in 1984", "1984 sheep"], [], kind=kind, vocab_size=99)
    assert (
        tokenizer.fingerprint()
        == TextTokenizer.train(
            ["in 1984", "1984 sheep"], [], kind=kind, vocab_size=99, split_digits=False
        ).fingerprint()
    )
