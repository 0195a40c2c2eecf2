"""Models of BytePiece, as its own converter writes them for SentencePiece."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from seq2seq.data.tokenizer import TextTokenizer
from tests.data.test_tokenizer import ENGLISH, GERMAN

PROTO = pytest.importorskip("sentencepiece.sentencepiece_model_pb2", reason="sentencepiece is an optional package")
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
UNKNOWN_TEXTS = ["汉字 \U0001f600", "\\ ~ \x00\x01\x7f", " two  spaces\n\n", "¿Qué?", "x汉y"]


class Texts:
    """What BytePiece trains on: it is read twice."""

    def __iter__(self) -> Iterator[str]:
        random, words = Random(2), " ".join(ENGLISH + GERMAN).split()
        yield from (" ".join(random.choices(words, k=3)) for _ in range(300))


def random_texts() -> list[str]:
    random = Random(1)
    texts = [random.randbytes(n).decode("utf-8", errors="replace").replace("▁", "_") for n in range(1, 60)]
    return [*texts, *UNKNOWN_TEXTS, *ENGLISH, *GERMAN]


def assert_round_trips(tokenizer: TextTokenizer) -> None:
    texts = random_texts()
    assert tokenizer.decode_batch(tokenizer.encode_targets(texts)) == texts
    sampled = [tokenizer.encode_targets(texts, seeds=[seed] * len(texts)) for seed in range(5)]
    assert all(tokenizer.decode_batch(ids) == texts for ids in sampled)
    assert len({str(ids) for ids in sampled}) > 1


def write_converted(path: Path) -> Path:
    """Write a model in the order of BytePiece's converter: bytes that are no printable characters among the pieces, the
    others at the end."""
    pieces = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    printable = [byte for byte in range(32, 127) if chr(byte) not in "\\'"]
    for byte in range(256):
        is_piece = byte in printable
        pieces.append(
            (chr(byte).replace(" ", "▁") if is_piece else f"<0x{byte:02X}>", -5.0, NORMAL if is_piece else BYTE)
        )
    pieces += [(piece, -3.0, NORMAL) for piece in ("the▁c", "he", "at", "▁Str", "ß")]
    pieces += [(f"<0x{byte:02X}>", -100.0, BYTE) for byte in printable]
    model = PROTO.ModelProto(
        pieces=[PROTO.ModelProto.SentencePiece(piece=p, score=score, type=kind) for p, score, kind in pieces],
        trainer_spec=PROTO.TrainerSpec(
            model_type=1, vocab_size=len(pieces), split_by_unicode_script=False, byte_fallback=True
        ),
        normalizer_spec=PROTO.NormalizerSpec(
            name="identity", precompiled_charsmap=b"", add_dummy_prefix=False, remove_extra_whitespaces=False
        ),
    )
    path.write_bytes(model.SerializeToString())
    return path


def test_bytes_are_known_by_their_names(tmp_path: Path) -> None:
    """Not by their order: what is drawn at random was other text where the bytes of the file are not in order."""
    assert_round_trips(TextTokenizer.from_pretrained(write_converted(tmp_path / "m.model"), sampling=0.1))


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:.*invalid escape sequence")
def test_a_converted_model_round_trips(tmp_path: Path) -> None:
    bytepiece = pytest.importorskip("bytepiece", reason="bytepiece is not installed", exc_type=ImportError)
    trainer = bytepiece.Trainer(order=6, max_vocab_size=400, min_count=2)
    trainer.train(Texts())
    trainer.save(str(tmp_path / "model.json"))
    theirs = bytepiece.Tokenizer(str(tmp_path / "model.json"))
    theirs.convert_to_sentencepiece(str(tmp_path / "m.model"))
    tokenizer = TextTokenizer.from_pretrained(tmp_path / "m.model", sampling=0.1)
    assert_round_trips(tokenizer)
    assert tokenizer.target_vocab_size > 3 + 256 + 95 + 20, "bytes, printable ones again, and longer pieces"
    for text, ids in zip(ENGLISH + GERMAN, tokenizer.encode_targets(ENGLISH + GERMAN), strict=True):
        assert ids == [*theirs.encode(text), tokenizer.eos_id]
    tokenizer.save(tmp_path / "saved")
    again = TextTokenizer.load(tmp_path / "saved")
    assert again.encode_targets(UNKNOWN_TEXTS) == tokenizer.encode_targets(UNKNOWN_TEXTS)


def test_its_own_format_is_answered_with_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"AA==": [3, "", 1]}')
    with pytest.raises(ValueError, match=r"convert_to_sentencepiece"):
        TextTokenizer.from_pretrained(tmp_path / "model.json")
