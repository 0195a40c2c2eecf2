from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.assembly.start import RunStart, fitted, kept_start, read_start
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer.options import TransformerOptions
from tests.models.families.tiny_families import random_model

OPTIONS = TransformerOptions(
    d_model=24, num_heads=3, positions="relative", vocab_size=37, eos_token_id=2, decoder_start_token_id=0
)


def start_of(options: TransformerOptions) -> RunStart:
    return RunStart({field.name: getattr(options, field.name) for field in fields(TransformerOptions)})


def test_what_is_left_at_its_default_is_the_starts_and_dropout_the_runs() -> None:
    found = start_of(replace(OPTIONS, dropout=0.3)).completed(TransformerOptions(dropout=0.2), "there")
    assert (found.d_model, found.positions, found.vocab_size) == (24, "relative", 37)
    assert found.dropout == 0.2


def test_an_order_may_be_learned_anew_and_nothing_else_contradicts() -> None:
    start = start_of(OPTIONS)
    assert start.completed(TransformerOptions(generation_order="r2l"), "there").generation_order == "r2l"
    with pytest.raises(ValueError, match="there has `num_heads: 3`, but this run `num_heads: 8`"):
        start.completed(TransformerOptions(num_heads=8), "there")


def tokenizer(**changes: Any) -> TextTokenizer:
    made = TextTokenizer.train(["abc", "cab"], ["abc"], kind="characters", vocab_size=40)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_tokenizer_starts_targets_as_the_model_does() -> None:
    assert fitted(tokenizer(), start_of(OPTIONS)).decoder_start_id == 0
    assert fitted(tokenizer(), None).decoder_start_id == tokenizer().bos_id


def test_a_tokenizer_of_another_training_is_refused() -> None:
    with pytest.raises(ValueError, match="ends a text with the token 5, .* expects 2"):
        fitted(tokenizer(eos_id=5), start_of(OPTIONS))
    small = start_of(replace(OPTIONS, vocab_size=5))
    with pytest.raises(ValueError, match="The tokenizer has 7 source tokens, and the model .* 5; take the tokenizer"):
        fitted(tokenizer(), small)


def test_a_start_says_its_family(tmp_path: Path) -> None:
    random_model("marian").save_pretrained(tmp_path)
    found = read_start(tmp_path)
    assert (found.family, found.options["norm_position"]) == ("marian", "post")
    assert found.config is not None
    assert kept_start(tmp_path) is None
    (tmp_path / "start.json").write_text('{"nonsense": 1}')
    with pytest.raises(ValueError, match="start.json is damaged"):
        kept_start(tmp_path)
