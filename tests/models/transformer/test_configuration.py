from dataclasses import fields
from typing import Any

import pytest

from seq2seq.models.transformer import Seq2SeqTransformerConfig
from seq2seq.models.transformer.options import TransformerOptions


def test_defaults_are_those_of_the_options() -> None:
    config, options = Seq2SeqTransformerConfig(), TransformerOptions()
    for option in fields(TransformerOptions):
        assert getattr(config, option.name) == getattr(options, option.name), option.name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "batch_norm"}, "`norm` must be one of layer_norm, rms_norm"),
        ({"positions": None}, "`positions` must be one of"),
        ({"d_model": 0}, "`d_model` must be at least 1"),
        ({"key_size": 0}, "`key_size` must be at least 1"),
        ({"source_vocab_size": -1}, "`source_vocab_size` must be at least 1"),
        ({"dropout": 1.0}, "`dropout` is a probability"),
        ({"token_dropout": -0.1}, "`token_dropout` is a probability"),
        ({"vocab_size": 11, "eos_token_id": 11}, "`eos_token_id` .11. lies outside the target vocabulary of 11"),
        ({"vocab_size": 31, "source_vocab_size": 29}, "the source has 29 tokens and the target 31"),
        ({"d_model": 23, "num_heads": 3}, "`num_heads` .3. does not divide `d_model` .23."),
        ({"d_model": 23, "num_heads": 3, "key_size": 5}, "give both `key_size` and `value_size`"),
        ({"positions": "rotary", "key_size": 5}, "need an even `key_size`, but it is 5"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Seq2SeqTransformerConfig(**options)


@pytest.mark.parametrize(
    ("name", "kept", "other"),
    [
        ("talking_heads", False, True),
        ("encoder_attention", "softmax", "linear"),
        ("layer_dropout", 0.0, 0.1),
        ("initialization", "xavier", "orthogonal"),
    ],
)
def test_removed_options_are_taken_where_they_change_nothing(name: str, kept: Any, other: Any) -> None:
    assert TransformerOptions.of_values({"d_model": 32, name: kept}) == TransformerOptions(d_model=32)
    assert not hasattr(Seq2SeqTransformerConfig(d_model=32, **{name: kept}), name)
    for make in (TransformerOptions.of_values, Seq2SeqTransformerConfig.from_dict):
        with pytest.raises(ValueError, match=f"`{name}` is {other!r}, but the option was removed"):
            make({"d_model": 32, name: other})


@pytest.mark.parametrize("tie_embeddings", ["target", "none"])
def test_two_vocabularies_need_untied_sources(tie_embeddings: Any) -> None:
    config = Seq2SeqTransformerConfig(vocab_size=31, source_vocab_size=29, tie_embeddings=tie_embeddings)
    assert (config.vocab_size, config.source_vocab_size) == (31, 29)


def test_transformers_finds_its_own_names() -> None:
    config = Seq2SeqTransformerConfig(d_model=18, num_heads=3, ffn_size=19, encoder_layers=5, decoder_layers=2)
    names = ("hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers")
    assert [getattr(config, name) for name in names] == [18, 3, 19, 2]
    assert config.get_text_config(decoder=True).num_hidden_layers == 2
    assert config.head_sizes == (6, 6)
