"""The source once per sentence against a copy of it for every hypothesis, in families that transformers alone has."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    BigBirdPegasusConfig,
    BigBirdPegasusForConditionalGeneration,
    EncoderDecoderCache,
    LEDConfig,
    LEDForConditionalGeneration,
    LongT5Config,
    LongT5ForConditionalGeneration,
    NllbMoeConfig,
    NllbMoeForConditionalGeneration,
    PreTrainedModel,
    T5Gemma2Config,
    T5Gemma2ForConditionalGeneration,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
    T5GemmaModuleConfig,
    UMT5Config,
    UMT5ForConditionalGeneration,
)

from seq2seq.decoding import BeamSearch
from seq2seq.models.pretrained import PretrainedSeq2Seq, PretrainedState
from seq2seq.models.shared_source_attention import share_source
from tests.models.test_pretrained import BART_SIZES, bart, marian, roberta_and_bert, t5
from tests.models.tiny import random_pairs

IDS: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0}
T5_SIZES: dict[str, Any] = {
    **{"vocab_size": 37, "d_model": 23, "d_kv": 5, "num_heads": 3, "d_ff": 19, "num_layers": 2},
    **{"num_decoder_layers": 2, **IDS},
}
GEMMA_SIZES: dict[str, Any] = {
    **{"vocab_size": 37, "hidden_size": 24, "intermediate_size": 19, "num_hidden_layers": 2, "head_dim": 10},
    **{"num_attention_heads": 6, "num_key_value_heads": 3, "sliding_window": 32, "query_pre_attn_scalar": 7},
    **{"pad_token_id": 0, "eos_token_id": 2, "bos_token_id": 1},
}


def longt5() -> PreTrainedModel:
    far = {"local_radius": 3, "encoder_attention_type": "transient-global", "global_block_size": 4}
    return LongT5ForConditionalGeneration(LongT5Config(**T5_SIZES, **far))


def umt5() -> PreTrainedModel:
    return UMT5ForConditionalGeneration(UMT5Config(**T5_SIZES))


def bigbird_pegasus() -> PreTrainedModel:
    sizes = BART_SIZES | {"attention_type": "original_full", "decoder_start_token_id": 2}
    return BigBirdPegasusForConditionalGeneration(BigBirdPegasusConfig(**sizes))


def nllb_moe() -> PreTrainedModel:
    experts = {"num_experts": 3, "encoder_sparse_step": 1, "decoder_sparse_step": 1, "decoder_start_token_id": 2}
    return NllbMoeForConditionalGeneration(NllbMoeConfig(**BART_SIZES | {"decoder_layers": 1}, **experts))


def led() -> PreTrainedModel:
    places = {"max_encoder_position_embeddings": 41, "max_decoder_position_embeddings": 41, "attention_window": 4}
    sizes = {name: size for name, size in BART_SIZES.items() if name != "max_position_embeddings"}
    return LEDForConditionalGeneration(LEDConfig(**sizes, **places, decoder_start_token_id=2))


def t5gemma() -> PreTrainedModel:
    side = T5GemmaModuleConfig(**GEMMA_SIZES)
    return T5GemmaForConditionalGeneration(T5GemmaConfig(encoder=side, decoder=side, vocab_size=37))


def t5gemma2() -> PreTrainedModel:
    pictures = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    encoder = {"text_config": dict(GEMMA_SIZES), "vision_config": {**pictures, "image_size": 28, "patch_size": 14}}
    config = T5Gemma2Config(encoder=encoder, decoder=dict(GEMMA_SIZES), vocab_size=37, **IDS)
    return T5Gemma2ForConditionalGeneration(config)


Make = Callable[[], PreTrainedModel]
ALL: list[Make] = [marian, bart, t5, roberta_and_bert, t5gemma, longt5, bigbird_pegasus, nllb_moe, led, t5gemma2, umt5]


def random_model(make: Make) -> PreTrainedModel:
    """Return a model whose logits differ between sources and hypotheses."""
    model = make().double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def can_share(model: PreTrainedModel) -> bool:
    """Return whether the code of a family looks its attention up, in this version of transformers, and no more."""
    looks_up = hasattr(sys.modules[type(model.get_decoder()).__module__], "eager_attention_forward")
    return looks_up and model.config.model_type not in {"t5gemma2", "umt5"}


def stepped(model: PretrainedSeq2Seq) -> tuple[list[Tensor], list[int]]:
    """Return the logits of steps between reorderings of all kinds, and of how many rows there were keys of the source.

    Widths grow and shrink, sentences leave and are copied, and hypotheses change places.
    """
    torch.manual_seed(5)
    source, mask, _ = random_pairs()
    own = torch.Generator().manual_seed(5)  # some families draw numbers in each step
    state: PretrainedState = model.encode(source, mask)
    logits, rows, width = [], [], 1
    for kept, new_width in [(None, 3), (None, 3), ([0, 1, 3, 4], 3), (None, 4), ([1, 1, 3], 2), ([2], None), (None, 1)]:
        sentences = None if kept is None else torch.tensor(kept)
        num_sentences = len(state.attention_mask) // (1 if model.shares_source else width)
        shape = (num_sentences if kept is None else len(kept), new_width or width)
        beams = None if new_width is None else torch.randint(0, width, shape, generator=own)
        state, width = model.reorder(state, beams, sentences), shape[1]
        step_logits, state = model.step(state, torch.randint(3, 37, shape, generator=own))
        logits.append(step_logits)
        rows.append(len(state.cache.cross_attention_cache.layers[0].keys))
    return logits, rows


@pytest.mark.parametrize("make", ALL)
def test_one_source_for_all_its_rows_is_as_good_as_a_copy_for_each(make: Make) -> None:
    model = random_model(make)
    copying, sharing = PretrainedSeq2Seq(model), PretrainedSeq2Seq(model)
    copying.shares_source = False
    expected, copies = stepped(copying)
    logits, rows = stepped(sharing)
    assert sharing.shares_source == can_share(model)
    assert copies == [15, 15, 12, 16, 6, 2, 1]
    assert rows == ([5, 5, 4, 4, 3, 1, 1] if sharing.shares_source else copies)
    for step, (found, wanted) in enumerate(zip(logits, expected, strict=True)):
        assert wanted.isfinite().all(), step
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-10)
    assert (expected[0][0] - expected[0][1]).abs().max() > 1e-3, "sources make no difference"


@pytest.mark.parametrize("make", ALL)
def test_rows_of_one_source_are_scored_as_if_each_had_its_own(make: Make) -> None:
    model, (source, mask, _) = PretrainedSeq2Seq(random_model(make)), random_pairs()
    rows = torch.randint(3, 37, (15, 7))
    expected = model.teacher_forced(source.repeat_interleave(3, dim=0), mask.repeat_interleave(3, dim=0), rows)
    torch.testing.assert_close(model.teacher_forced(source, mask, rows), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("make", [led, umt5, t5gemma2])
def test_models_that_cannot_share_keep_their_own_attention(make: Make) -> None:
    model = random_model(make)
    before = model.get_decoder().config._attn_implementation
    wrapped = PretrainedSeq2Seq(model)
    wrapped.encode(*random_pairs()[:2])
    assert wrapped.shares_source is False
    assert model.get_decoder().config._attn_implementation == before


def test_attention_that_does_not_see_what_is_kept_is_left_alone() -> None:
    model = random_model(bart)

    def keeps_without_attending(cache: EncoderDecoderCache) -> None:
        cache.cross_attention_cache.update(torch.zeros(2, 3, 5, 8), torch.zeros(2, 3, 5, 8), 0)

    for step in (keeps_without_attending, lambda cache: None):
        assert not share_source(model, step)
        assert model.get_decoder().config._attn_implementation == "sdpa"
    with pytest.raises(KeyError):
        share_source(model, lambda cache: {}["no"])
    assert model.get_decoder().config._attn_implementation == "sdpa"


@pytest.mark.parametrize("make", [t5gemma, longt5, bigbird_pegasus, led])
def test_beam_search_equals_generate(make: Make) -> None:
    model, (source, mask, _) = random_model(make), random_pairs()
    generated = model.generate(
        input_ids=source,
        attention_mask=mask.long(),
        num_beams=3,
        max_new_tokens=9,
        min_new_tokens=3,
        do_sample=False,
        early_stopping=False,
        forced_eos_token_id=None,
        decoder_start_token_id=PretrainedSeq2Seq(model).decoder_start_id,
        return_dict_in_generate=True,
        output_scores=True,
    )
    rows = [row[: row.index(2) + 1] if 2 in row else row for row in generated.sequences[:, 1:].tolist()]
    search = BeamSearch(beam_width=3, min_length=3, max_length=9)
    found = [hypothesis for [hypothesis] in search.search(PretrainedSeq2Seq(model), source, mask)]
    assert [list(hypothesis.tokens) for hypothesis in found] == rows
    scores = [hypothesis.normalized_score for hypothesis in found]
    assert scores == pytest.approx(generated.sequences_scores.tolist(), rel=1e-5)
    assert len({round(score, 3) for score in scores}) > 1, "sources make no difference"
