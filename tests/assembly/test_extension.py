from pathlib import Path
from typing import Any

import pytest
import torch

import seq2seq
from seq2seq.apps.command import main
from seq2seq.assembly.extension import unknown_of, with_rows
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.families.folders import read_family
from seq2seq.models.loading import load_model
from tests.assembly.test_languages import model_of, pieces
from tests.models.families.tiny_families import FAMILIES, random_model

__all__ = ["pieces"]


@pytest.mark.parametrize("name", ["nllb", "mbart50"])
def test_a_new_language_begins_as_one_like_it(
    name: str, pieces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_of(name, pieces, tmp_path / "model")
    new, like, source = {"nllb": ("bar_Latn", "deu_Latn", "eng_Latn"), "mbart50": ("br_FR", "fr_XX", "en_XX")}[name]
    (tmp_path / "text").write_text("the fox\nЖЖЖ fox\n")
    words = [
        "--add-language",
        new,
        "--like",
        like,
        "--output",
        str(tmp_path / "more"),
        "--text",
        str(tmp_path / "text"),
    ]
    assert main(["extend", "--model", str(tmp_path / "model"), *words]) == 0
    printed = capsys.readouterr().out
    assert f"{new} is token " in printed
    assert ("Ж (3)" in printed) == (name == "nllb")  # the other's pieces, made for this test, have no unknown one
    before: Any = load_model(tmp_path / "model", trainable=True)
    after: Any = load_model(tmp_path / "more", trainable=True)
    index = TextTokenizer.load(tmp_path / "more").languages.ids[new]
    ids, mask = torch.randint(3, 50, (3, 7)), torch.ones(3, 7, dtype=torch.bool)
    inputs = torch.randint(3, 50, (3, 5))
    old, now = (model.teacher_forced(ids, mask, inputs) for model in (before, after))
    kept = [i for i in range(old.shape[-1]) if i != index]
    assert torch.equal(now[..., kept], old[..., kept])
    generator = seq2seq.load(tmp_path / "more", source_language=source, beam_width=2)
    [found], [expected] = (generator("the fox", target_language=language) for language in (new, like))
    assert found.tokens[0] == new
    assert found.tokens[1:] == expected.tokens[1:]


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "marian_with_two_vocabularies"])
def test_logits_of_old_tokens_stay_bit_by_bit(name: str, tmp_path: Path) -> None:
    random_model(name).save_pretrained(tmp_path)
    model = read_family(tmp_path)
    size = model.options.vocab_size
    grown = with_rows(model, {size: [5], size + 1: [7, 11]})
    assert grown.options.vocab_size == size + 2
    for key, weight in model.weights.items():
        assert torch.equal(grown.weights[key][: len(weight)], weight)
    assert torch.equal(grown.weights["lm_head.weight"][size], model.weights["lm_head.weight"][5])
    mean = model.weights["lm_head.weight"][[7, 11]].mean(0)
    torch.testing.assert_close(grown.weights["lm_head.weight"][size + 1], mean)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--add-language", "bar_Latn", "--like", "deu"], "`--like` 'deu' is none of the"),
        (["--add-language", *["bar_Latn"] * 2, "--like", "deu_Latn", "fra_Latn"], "names a language twice"),
        (["--add-tokens", "foxdog", " "], "' ' is no token"),
        (["--add-tokens", ""], "'' is no token"),
        (["--add-language", "deu_Latn", "--like", "eng_Latn"], "'deu_Latn' is a token of"),
        (["--add-language", "bavarian", "--like", "eng_Latn"], "takes codes such as eng_Latn"),
        (["--add-language", "bar_Latn"], "`--like` names for each"),
        ([], "There is nothing to add"),
    ],
)
def test_what_cannot_be_added_is_one_line(
    words: list[str], message: str, pieces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    capsys.readouterr()
    assert main(["extend", "--model", str(tmp_path / "model"), "--output", str(tmp_path / "more"), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "more").exists()


def test_a_new_token_begins_as_the_mean_of_its_pieces(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    known = TextTokenizer.load(tmp_path / "model")
    ids = known.source.encode(["foxdog"])[0][1:-1]
    (tmp_path / "model" / "decoding.json").write_text('{"search": null, "source_prefix": "the "}')
    words = ["--add-tokens", "foxdog", "--output", str(tmp_path / "more")]
    assert main(["extend", "--model", str(tmp_path / "model"), *words]) == 0
    before, after = read_family(tmp_path / "model"), read_family(tmp_path / "more")
    [index] = TextTokenizer.load(tmp_path / "more").source.encode(["foxdog"])[0][1:-1]
    mean = before.weights["lm_head.weight"][ids].mean(0)
    torch.testing.assert_close(after.weights["lm_head.weight"][index], mean)
    assert seq2seq.load(tmp_path / "more").source_prefix == "the "  # of a model that was tuned here


def test_unknown_characters_are_counted(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    found = unknown_of(TextTokenizer.load(tmp_path / "model"), ["the fox", "ЖxЖ", ""])
    assert found.characters == (("Ж", 2),)
    assert 0 < found.num_unknown < found.num_tokens
