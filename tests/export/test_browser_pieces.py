"""Models of SentencePiece in the page's engine: their ids and texts are those of the library, whatever the text."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from seq2seq.data.sentencepiece_description import model_description
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.export.browser_languages import frame
from seq2seq.export.browser_pieces import PIECES_FILE, write_pieces
from tests.data.test_sentencepiece_tokenizer import MODELS, train_model
from tests.data.test_tokenizer import ENGLISH, GERMAN
from tests.export.javascript import evaluated
from tests.shared_data import shared_data

sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")

BLOCKS = [
    *((0x00, 0x7F), (0x80, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F)),
    *((0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x218F), (0x2460, 0x25FF), (0x3000, 0x30FF)),
    *((0x3130, 0x33FF), (0xAC00, 0xACFF), (0x4E00, 0x4EFF), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0xFE00, 0xFFFF)),
    *((0x1D400, 0x1D7FF), (0x1F100, 0x1F6FF), (0x10FFF0, 0x10FFFF)),
]
"""Of Unicode, where normalisation has rules, or characters are long."""
ODD = [
    *("", " ", "   ", "</s>", "<s>a", "<0x41>", "\0a\0", "▁▁ a ▁", "\ufeff a", "\u00ad", "\u200b \u200b", "ẞ ﬁ ½"),
    *("<de> cat", "a<de>b", "catcat  cat", "<unk>", "👩\u200d👩\u200d👧", "e\u0301é", "\u3000a\u3000", "a\tb\r\nc"),
]
BIG: list[dict[str, Any]] = [
    {"model_type": "unigram", "normalization_rule_name": "nmt_nfkc"},
    {"model_type": "unigram", "normalization_rule_name": "nfkc_cf", "treat_whitespace_as_suffix": True},
    {"model_type": "unigram", "normalization_rule_name": "identity", "remove_extra_whitespaces": False},
    {"model_type": "unigram", "split_by_whitespace": False, "max_sentencepiece_length": 30},
    {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc_cf", "user_defined_symbols": ["<de>", "cat", "ein"]},
    {"model_type": "unigram", "user_defined_symbols": ["aa", "b", "eee", "n.", "ßß"]},
    {"model_type": "bpe", "normalization_rule_name": "nfkc", "byte_fallback": True, "add_dummy_prefix": False},
]
SAID = """({Pieces}, [said, texts, ids]) => {
    const model = new Pieces(said);
    return [
        texts.map((text) => model.normaliser.normalise(text)),
        texts.map((text) => model.encode(text).map(([, id]) => id)),
        ids.map((own) => model.decode(own.map((id) => said.pieces[id]))),
    ];
}"""


def hostile_texts(number: int) -> list[str]:
    """Return texts of characters from everywhere, between letters and spaces, and of letters that are repeated."""
    drawn = random.Random(1)

    def character() -> str:
        first, last = drawn.choice([(97, 105), drawn.choice(BLOCKS), (32, 32)])
        return chr(drawn.randint(first, last))

    def run_of_one() -> str:
        return drawn.choice("abcdefghijklmnopqrstuvwxyz .,ß") * drawn.randint(1, 9)  # pieces whose sums are ties

    ties = ("".join(run_of_one() for _ in range(drawn.randrange(1, 7))) for _ in range(number))
    return [*ODD, *("".join(character() for _ in range(drawn.randrange(1, 25))) for _ in range(number)), *ties]


def with_unused(model: bytes) -> bytes:
    """Return a model of whose longer pieces every seventh is not used."""
    from sentencepiece.sentencepiece_model_pb2 import ModelProto

    found = ModelProto.FromString(model)
    for piece in [piece for piece in found.pieces if piece.type == piece.NORMAL and len(piece.piece) > 2][::7]:
        piece.type = piece.UNUSED
    return bytes(found.SerializeToString())


def check(model: bytes, texts: list[str]) -> None:
    """Compare normalised texts, ids, and the texts of these and of any ids."""
    processor, drawn = sentencepiece.SentencePieceProcessor(model_proto=model), random.Random(3)
    unknown, size = processor.unk_id(), processor.get_piece_size()
    ids = processor.encode(texts)
    sequences = [*ids, *([drawn.randrange(size) for _ in range(drawn.randint(1, 9))] for _ in range(len(texts) // 9))]
    known = [[index for index in sequence if index != unknown] for sequence in sequences]
    expected: list[Sequence[Any]] = [[processor.normalize(text) for text in texts], ids, processor.decode(known)]
    found = evaluated("pieces.js", SAID, [model_description(model), texts, known])
    for given, ours, theirs in zip((texts, texts, known), expected, found, strict=True):
        wrong = [found for found in zip(given, ours, theirs, strict=True) if found[1] != found[2]]
        assert wrong == []


@pytest.mark.parametrize("changed", [bytes, with_unused])
@pytest.mark.parametrize("options", MODELS, ids=str)
def test_any_text_has_the_ids_of_the_library(options: dict[str, Any], changed: Any, tmp_path: Path) -> None:
    model = train_model(tmp_path / "m.model", ENGLISH + GERMAN, **options).read_bytes()
    check(changed(model), [*ENGLISH, *GERMAN, *hostile_texts(300)])


@pytest.mark.slow
@pytest.mark.parametrize("changed", [bytes, with_unused])
@pytest.mark.parametrize("options", BIG, ids=str)
def test_real_text_has_the_ids_of_the_library(options: dict[str, Any], changed: Any, tmp_path: Path) -> None:
    folder = shared_data("multi30k/raw")
    texts = [
        text
        for language in ("de", "en", "fr")
        for text in (folder / f"train.{language}").read_text(encoding="utf-8").split("\n")[:3000]
    ]
    model = train_model(tmp_path / "m.model", texts[::3], **options, vocab_size=3000).read_bytes()
    check(changed(model), [*texts, *hostile_texts(4000)])


def read(folder: Path) -> Any:
    return json.loads((folder / PIECES_FILE).read_text(encoding="utf-8"))


def test_special_tokens_may_follow_the_pieces(tmp_path: Path) -> None:
    path = train_model(tmp_path / "m.model", ENGLISH, model_type="bpe", vocab_size=60, bos_id=-1, eos_id=-1)
    ours = TextTokenizer.from_pretrained(path)
    ours.save(tmp_path / "saved")
    write_pieces(tmp_path / "saved")
    script = """({PieceTexts}, [said, text]) => {
        const texts = new PieceTexts(said), ids = [...texts.encode(text), 60, 61, 0];
        return [ids, texts.tokens(ids), texts.decode(ids)];
    }"""
    ids, tokens, text = evaluated("piece_texts.js", script, [read(tmp_path / "saved"), ENGLISH[0]])
    expected = [*ours.encode_sources([ENGLISH[0]])[0][:-1], 60, 61, 0]
    assert (ids, tokens, text) == (expected, ours.source_tokens(expected), ENGLISH[0])


SIDES = """({Kind}, [said, texts, ids]) => {
    const [source, target] = ["source", "target"].map((side) => new Kind(said, side));
    const encoded = [source, target].map((own) => texts.map((text) => own.encode(text)));
    return [...encoded, ids.map((own) => target.tokens(own)), ids.map((own) => target.decode(own))];
}"""
TAGS = [
    *(">>deu<< the cat", ">>xyz<<a", ">>fra<<", "a >>fra<< b", ">><<", ">> a", "the ßß cat", "ß", "<pad></s>"),
    *("__de__ cat", "a__de__", "__de__"),
]


def check_sides(folder: Path, kind: str) -> Any:
    """Compare ids of both sides, tokens and texts of any ids with those of Python; return what the page reads."""
    ours = TextTokenizer.from_pretrained(folder)
    saved = folder / "saved"
    ours.save(saved)
    write_pieces(saved)
    texts = [*ENGLISH, *GERMAN, *TAGS, *hostile_texts(200)]
    said, drawn = read(saved), random.Random(4)
    size = len(said.get("target_vocabulary", said["vocabulary"]))
    ids = [[drawn.randrange(size) for _ in range(drawn.randint(1, 9))] for _ in range(200)]
    values = [said, texts, ids]
    sources, targets, tokens, decoded = evaluated(
        "piece_texts.js", SIDES.replace("{Kind}", f"{{{kind}: Kind}}"), values
    )
    start, end = frame(ours)
    assert sources == [encoded[len(start) : -len(end)] for encoded in ours.encode_sources(texts)]
    [empty] = ours.encode_targets([""])
    assert targets == [encoded[len(empty) - 1 : -1] for encoded in ours.encode_targets(texts)]
    assert tokens == [ours.target_tokens(own) for own in ids]
    assert decoded == ours.decode_batch(ids)
    own = [drawn.randrange(ours.source_vocab_size) for _ in range(50)]
    named = f"({{{kind}}}, [said, ids]) => new {kind}(said, 'source').tokens(ids)"
    assert evaluated("piece_texts.js", named, [said, own]) == ours.source_tokens(own)
    return said


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize("cleans", [True, False])
@pytest.mark.parametrize("has_two", [True, False])
def test_marian_has_two_models_and_one_vocabulary_or_two(has_two: bool, cleans: bool, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    first = ["</s>", "<unk>", ">>deu<<", ">>fra<<", "ß", "<s>"]
    own = {}
    for side, texts in (("source", ENGLISH), ("target", [*GERMAN, *ENGLISH, "es war . und 's war !"])):
        path = train_model(tmp_path / f"{side}.spm", texts, **({"vocab_size": 41} if side == "target" else {}))
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
        own[side] = [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]
    joined = [*dict.fromkeys([*first, *own["source"], *own["target"]]), "<pad>"]
    separate = [[*first[:2], "<pad>", *first[4:5], *pieces] for pieces in (own["source"], own["target"][::-1])]
    for name, pieces in zip(("vocab", "target_vocab"), separate if has_two else [joined, joined], strict=True):
        ids = {piece: index for index, piece in enumerate(dict.fromkeys(pieces))}
        (tmp_path / f"{name}.json").write_text(json.dumps(ids))
    transformers.MarianTokenizer(
        source_spm=str(tmp_path / "source.spm"),
        target_spm=str(tmp_path / "target.spm"),
        vocab=str(tmp_path / "vocab.json"),
        target_vocab_file=str(tmp_path / "target_vocab.json"),
        separate_vocabs=has_two,
        clean_up_tokenization_spaces=cleans,
    ).save_pretrained(tmp_path / "marian")
    said = check_sides(tmp_path / "marian", "MarianTexts")
    assert ("target_vocabulary" in said) == has_two
    if has_two:
        assert len(said["vocabulary"]) != len(said["target_vocabulary"])


def test_m2m100_has_a_vocabulary_beside_its_model(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    path = train_model(tmp_path / "m.model", [*ENGLISH, *GERMAN])
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    pieces = [processor.id_to_piece(index) for index in range(3, processor.get_piece_size())]
    ids = {piece: index for index, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", *pieces[::-1]])}
    (tmp_path / "vocab.json").write_text(json.dumps(ids))
    made = transformers.M2M100Tokenizer(str(tmp_path / "vocab.json"), str(path), src_lang="en", tgt_lang="de")
    made.save_pretrained(tmp_path / "m2m100")
    said = check_sides(tmp_path / "m2m100", "VocabularyTexts")
    assert said["vocabulary"][made.get_lang_id("de")] == "__de__"


@pytest.mark.parametrize("kind", ["char", "word"])
def test_other_models_are_refused(kind: str, tmp_path: Path) -> None:
    path = train_model(tmp_path / "m.model", ENGLISH, model_type=kind)
    TextTokenizer.from_pretrained(path).save(tmp_path / "saved")
    with pytest.raises(ValueError, match=f"no browser reads .*, a model of SentencePiece of the kind `{kind}`, not "):
        write_pieces(tmp_path / "saved")


def test_a_tokenizer_of_others_without_a_known_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "FooTokenizer"}')
    with pytest.raises(ValueError, match="no browser reads this model's tokenizer, FooTokenizer; leave out `--page`"):
        write_pieces(tmp_path)
