"""What an archive for Argos holds, whose lines it gives, and what is refused; that it installs is tested end to end."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from seq2seq.data.huggingface_tokenizer import HuggingFaceTokenizer
from seq2seq.data.language_names import named_language
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.engines.ctranslate2_vocabulary import ctranslate2_vocabularies
from seq2seq.export.argos_export import export_argos
from seq2seq.export.ctranslate2_export import export_ctranslate2
from tests.data.test_tokenizer import ENGLISH, GERMAN
from tests.export.test_ctranslate2_export import SEARCH, pieces_with_a_typed_eos, random_model

ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")
sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")

SOURCE, TARGET = named_language("en"), named_language("hsb=Upper Sorbian")
KINDS = ("sentencepiece", "sentencepiece_bpe")


def trained(kind: str = "sentencepiece", **options: Any) -> TextTokenizer:
    return TextTokenizer.train(ENGLISH, GERMAN, **{"kind": kind, "vocab_size": 300, **options})


def exported(file: Path, tokenizer: TextTokenizer, **options: Any) -> zipfile.ZipFile:
    export_argos(file, random_model(tokenizer, tie_embeddings="all"), tokenizer, SEARCH, SOURCE, TARGET, **options)
    return zipfile.ZipFile(file)


def test_an_archive_is_a_folder_with_all_that_argos_looks_for(tmp_path: Path) -> None:
    tokenizer = trained()
    archive = exported(tmp_path / "en_hsb.argosmodel", tokenizer)
    model = {"model/config.json", "model/model.bin", "model/shared_vocabulary.json"}
    names = model | {"metadata.json", "README.md", "sentencepiece.model"}
    assert set(archive.namelist()) == {f"translate-en_hsb/{name}" for name in names}
    assert archive.testzip() is None
    assert {info.external_attr >> 16 for info in archive.infolist()} == {0o644}
    assert json.loads(archive.read("translate-en_hsb/metadata.json")) == {
        "package_version": "1.0",
        "argos_version": "1.11",
        "from_code": "en",
        "from_name": "English",
        "to_code": "hsb",
        "to_name": "Upper Sorbian",
    }
    assert "# English to Upper Sorbian" in archive.read("translate-en_hsb/README.md").decode()
    assert archive.read("translate-en_hsb/sentencepiece.model") == tokenizer.source.model()  # type: ignore[attr-defined]
    for name in names:
        assert str(tmp_path).encode() not in archive.read(f"translate-en_hsb/{name}"), "no path of where it was made"
    archive.extractall(tmp_path)
    translator = ctranslate2.Translator(str(tmp_path / "translate-en_hsb" / "model"), device="cpu")
    assert translator.compute_type.startswith("int8")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_pieces_are_the_vocabulary(kind: str, tmp_path: Path) -> None:
    """Argos knows no ids: it hands the names of SentencePiece's pieces to CTranslate2, and those of the answer back."""
    tokenizer = trained(kind, special_tokens=["<de>"])
    archive = exported(tmp_path / "x.argosmodel", tokenizer, quantization="float32")
    vocabulary = json.loads(archive.read("translate-en_hsb/model/shared_vocabulary.json"))
    pieces = sentencepiece.SentencePieceProcessor(model_proto=archive.read("translate-en_hsb/sentencepiece.model"))
    assert vocabulary == [pieces.id_to_piece(index) for index in range(pieces.get_piece_size())]
    config = json.loads(archive.read("translate-en_hsb/model/config.json"))
    assert (config["bos_token"], config["eos_token"], config["unk_token"]) == ("<s>", "</s>", "<unk>")
    for text in [*ENGLISH, "日本 </s> <unk> <0x41> <de>"]:
        ids = tokenizer.encode_sources([text])[0]
        assert [vocabulary[index] for index in ids[:-1]] == pieces.encode(text, out_type=str)


def test_lines_are_those_of_the_export_for_ctranslate2(tmp_path: Path) -> None:
    tokenizer = trained()
    model = random_model(tokenizer, tie_embeddings="all")
    export_ctranslate2(tmp_path / "served", model, tokenizer, SEARCH, quantization="int8")
    exported(tmp_path / "x.argosmodel", tokenizer).extractall(tmp_path)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "translate-en_hsb/sentencepiece.model"))
    names = ctranslate2_vocabularies(tokenizer)[0]
    ours = [[names[index] for index in ids[:-1]] for ids in tokenizer.encode_sources(ENGLISH)]
    theirs = pieces.encode(ENGLISH, out_type=str)
    results = [
        ctranslate2.Translator(str(folder), device="cpu", intra_threads=1).translate_batch(sources, beam_size=4)
        for folder, sources in ((tmp_path / "served", ours), (tmp_path / "translate-en_hsb/model", theirs))
    ]
    first, second = ([result.hypotheses[0] for result in found] for found in results)
    assert first == second
    texts = tokenizer.decode_batch([[names.index(token) for token in tokens] for tokens in first])
    assert [pieces.decode_pieces(tokens) for tokens in second] == texts
    assert len(set(texts)) > 1


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    tokenizer = trained()
    archive = exported(tmp_path / "first.argosmodel", tokenizer)
    exported(tmp_path / "second", tokenizer)
    assert (tmp_path / "first.argosmodel").read_bytes() == (tmp_path / "second").read_bytes()
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert archive.namelist() == sorted(archive.namelist())


def test_an_archive_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, file = trained(), tmp_path / "x.argosmodel"
    exported(file, tokenizer)
    before = file.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", full)
        with pytest.raises(OSError, match="No space left"):
            exported(file, tokenizer, quantization="float32")
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    exported(file, tokenizer, quantization="float32")
    assert len(file.read_bytes()) > len(before)


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_no_archive_is_not_replaced(is_folder: bool, tmp_path: Path) -> None:
    kept = tmp_path / "x" / "thesis.tex" if is_folder else tmp_path / "x"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("chapter 1")
    with pytest.raises(ValueError, match="x is there and is no archive; give a new name"):
        exported(tmp_path / "x", trained())
    assert kept.read_text() == "chapter 1"


@pytest.mark.parametrize(
    ("tokenizer", "model", "options", "message"),
    [
        (
            {"kind": "unigram", "vocab_size": 60},
            {},
            {},
            "SentencePiece alone, .*; train with `tokenizer.kind: sentence",
        ),
        ({"kind": "byte_bpe"}, {}, {}, "reads tokenizers of SentencePiece alone"),
        (
            {"shared": False},
            {"tie_embeddings": "none"},
            {},
            "one tokenizer for both sides, .* and `tokenizer.shared: t",
        ),
        ({}, {"generation_order": "r2l"}, {}, "a model of `generation_order: r2l` cannot be packed"),
        ({}, {"generation_order": "bidirectional"}, {}, "a model of `generation_order: bidirectional` cannot"),
        ({}, {}, {"source_prefix": "translate: "}, "but this model wants `source_prefix: 'translate: '`"),
        ({}, {"positions": "relative"}, {}, "CTranslate2 has no counterpart for positions: relative"),
        ({}, {}, {"quantization": "int4"}, "`quantization` must be one of float32, int8"),
    ],
)
def test_what_argos_cannot_do_is_refused(
    tokenizer: dict[str, Any], model: dict[str, Any], options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made = trained(**tokenizer)
    network = random_model(made, **{"tie_embeddings": "all", **model})
    with pytest.raises(ValueError, match=message):
        export_argos(tmp_path / "x", network, made, SEARCH, SOURCE, TARGET, **options)
    assert list(tmp_path.iterdir()) == []


def test_pieces_that_share_a_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this SentencePiece model has two tokens called '</s>'"):
        exported(tmp_path / "x", pieces_with_a_typed_eos(tmp_path))


def test_a_model_of_somebody_else_may_lack_special_tokens(tmp_path: Path) -> None:
    """Then padding and end of sentence follow the pieces, by names that no piece has."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(ENGLISH + GERMAN),
        model_writer=model,
        vocab_size=60,
        hard_vocab_limit=False,
        bos_id=-1,
        eos_id=-1,
        minloglevel=2,
    )
    (tmp_path / "m.model").write_bytes(model.getvalue())
    archive = exported(tmp_path / "x", TextTokenizer.from_pretrained(tmp_path / "m.model"))
    vocabulary = json.loads(archive.read("translate-en_hsb/model/shared_vocabulary.json"))
    assert vocabulary[-2:] == ["<pad>", "</s>"]


def test_a_model_that_is_told_languages_is_refused(tmp_path: Path) -> None:
    words = {token: i for i, token in enumerate(["<pad>", "</s>", "<unk>", ">>deu<<", "a"])}
    backend = Tokenizer(WordLevel(words, unk_token="<unk>"))
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    side = HuggingFaceTokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, **special))
    tokenizer = TextTokenizer(side, side, shared=True)
    with pytest.raises(ValueError, match="this model is told its languages by tokens in front of texts"):
        exported(tmp_path / "x", tokenizer)
    assert list(tmp_path.iterdir()) == []
