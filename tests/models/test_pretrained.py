from typing import Any

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GPT2Config,
    GPT2LMHeadModel,
    LEDConfig,
    MarianConfig,
    MarianMTModel,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    T5Config,
    T5ForConditionalGeneration,
)

from seq2seq.models.pretrained import PretrainedSeq2Seq, num_positions
from tests.models.tiny import random_pairs

BART_SIZES: dict[str, Any] = {
    "vocab_size": 37,
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 19,
    "decoder_ffn_dim": 17,
    "max_position_embeddings": 41,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "forced_eos_token_id": 2,
    "init_std": 0.5,
}


def marian() -> PreTrainedModel:
    return MarianMTModel(MarianConfig(**BART_SIZES, decoder_start_token_id=0))


def bart() -> PreTrainedModel:
    return BartForConditionalGeneration(BartConfig(**BART_SIZES, decoder_start_token_id=2))


def t5() -> PreTrainedModel:
    sizes: dict[str, Any] = {"vocab_size": 37, "d_model": 23, "d_kv": 5, "num_heads": 3, "d_ff": 19, "num_layers": 1}
    ids: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0}
    return T5ForConditionalGeneration(T5Config(**sizes, **ids, num_decoder_layers=2))


@pytest.mark.parametrize("make", [marian, bart, t5])
def test_steps_through_reordering_equal_the_models_own_forward(make: Any) -> None:
    model = PretrainedSeq2Seq(make().double().eval())
    pairs = random_pairs()
    full = model.teacher_forced(*pairs)
    assert full.shape == (5, 13, model.vocab_size)
    state = model.encode(pairs.input_ids, pairs.attention_mask)
    state = model.reorder(state, torch.zeros(5, 2, dtype=torch.long))
    sources, prefixes = torch.arange(5), torch.zeros(5, 2, 0, dtype=torch.long)
    for kept in (None, None, [0, 2, 3], None, [1, 2]):
        sentences = torch.arange(len(sources)) if kept is None else torch.tensor(kept)
        beams = torch.randint(0, 2, (len(sentences), 2))
        state = model.reorder(state, beams, None if kept is None else sentences)
        sources, prefixes = sources[sentences], prefixes[sentences[:, None], beams]
        token_ids = torch.randint(3, 37, (len(sources), 2))
        prefixes = torch.cat([prefixes, token_ids[:, :, None]], dim=2)
        logits, state = model.step(state, token_ids)
        rows = sources.repeat_interleave(2)
        expected = model.teacher_forced(pairs.input_ids[rows], pairs.attention_mask[rows], prefixes.flatten(0, 1))
        torch.testing.assert_close(logits.flatten(0, 1), expected[:, -1], rtol=0, atol=1e-8)
    logits, _ = model.step(model.reorder(state, sentences=torch.tensor([1])), torch.tensor([[5, 7]]))
    assert logits.shape == (1, 2, 37)


@pytest.mark.parametrize("make", [marian, bart, t5])
def test_rows_of_one_source_are_scored_as_if_each_had_its_own(make: Any) -> None:
    model, (source, mask, _) = PretrainedSeq2Seq(make().double().eval()), random_pairs()
    rows = torch.randint(3, 37, (15, 7))
    expected = model.teacher_forced(source.repeat_interleave(3, dim=0), mask.repeat_interleave(3, dim=0), rows)
    torch.testing.assert_close(model.teacher_forced(source, mask, rows), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("make", "start"), [(marian, 0), (bart, 2), (t5, 0)])
def test_token_ids_come_from_the_configuration(make: Any, start: int) -> None:
    model = PretrainedSeq2Seq(make())
    assert (model.vocab_size, model.pad_id, model.eos_id, model.decoder_start_id) == (37, 0, 2, start)


def combined(encoder: PreTrainedConfig, decoder: PreTrainedConfig) -> PreTrainedConfig:
    return EncoderDecoderConfig(encoder=encoder.to_dict(), decoder=decoder.to_dict())


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        (MarianConfig(max_position_embeddings=41), (41, 41)),
        (BartConfig(max_position_embeddings=1024), (1024, 1024)),
        (T5Config(n_positions=512), (None, None)),
        (LEDConfig(max_encoder_position_embeddings=16384, max_decoder_position_embeddings=1024), (16384, 1024)),
        (combined(RobertaConfig(max_position_embeddings=514), GPT2Config(n_positions=99)), (512, 99)),
        (combined(BertConfig(max_position_embeddings=512), BertConfig(max_position_embeddings=40)), (512, 40)),
    ],
)
def test_positions_of_families(config: PreTrainedConfig, limits: tuple[int | None, int | None]) -> None:
    assert tuple(num_positions(config, side) for side in ("encoder", "decoder")) == limits


def roberta_and_bert() -> PreTrainedModel:
    sizes: dict[str, Any] = {
        "vocab_size": 37,
        "hidden_size": 12,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 13,
    }
    config = EncoderDecoderConfig(
        encoder=RobertaConfig(**sizes, max_position_embeddings=43).to_dict(),
        decoder=BertConfig(**sizes, max_position_embeddings=41, is_decoder=True, add_cross_attention=True).to_dict(),
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    return EncoderDecoderModel(config)


@pytest.mark.parametrize("make", [marian, bart, roberta_and_bert])
def test_a_model_takes_as_many_tokens_as_it_says_and_no_more(make: Any) -> None:
    model = PretrainedSeq2Seq(make().eval())
    assert (model.max_source_tokens, model.max_target_tokens) == (41, 41)

    def scored(source: int, target: int) -> None:
        ids = torch.full((2, source), 5)
        mask = torch.ones_like(ids, dtype=torch.bool)
        mask[1, 3:] = False
        model.teacher_forced(ids.masked_fill(~mask, 0), mask, torch.full((2, target), 6))

    scored(41, 41)
    for lengths in ((42, 1), (1, 42)):
        with pytest.raises((IndexError, RuntimeError)):
            scored(*lengths)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="GPT2LMHeadModel is no encoder-decoder"):
        PretrainedSeq2Seq(GPT2LMHeadModel(GPT2Config(vocab_size=37, n_embd=8, n_layer=1, n_head=2)))
    incomplete = marian()
    incomplete.config.eos_token_id = incomplete.generation_config.eos_token_id = None
    with pytest.raises(ValueError, match="has no `eos_token_id`"):
        PretrainedSeq2Seq(incomplete)
