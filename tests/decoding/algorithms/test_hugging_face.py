"""Greedy and beam search against `generate` on a small random Marian, as the oracle of semantics and of scores."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from transformers import MarianConfig, MarianMTModel, NoRepeatNGramLogitsProcessor

from seq2seq.decoding import BeamSearch, Greedy
from seq2seq.decoding.parts.constraints import LogitsProcessorConstraint
from seq2seq.models.pretrained import PretrainedSeq2Seq

VOCAB_SIZE, PAD, EOS = 37, 0, 2
MAX_LENGTH = 13


@dataclass
class Recomputing:
    """A Hugging Face model behind the interface of searches: no cache, each step is a forward over the prefix."""

    model: MarianMTModel
    vocab_size: int = VOCAB_SIZE
    pad_id: int = PAD
    eos_id: int = EOS
    decoder_start_id: int = PAD

    def encode(self, input_ids: Tensor, attention_mask: Tensor):
        return input_ids, attention_mask, torch.zeros(len(input_ids), 1, 0, dtype=torch.long)

    def step(self, state, token_ids):
        input_ids, attention_mask, prefixes = state
        prefixes = torch.cat([prefixes, token_ids.unsqueeze(-1)], dim=-1)
        width = prefixes.shape[1]
        logits = self.model(
            input_ids=input_ids.repeat_interleave(width, 0),
            attention_mask=attention_mask.repeat_interleave(width, 0),
            decoder_input_ids=prefixes.flatten(0, 1),
        ).logits[:, -1]
        return logits.unflatten(0, prefixes.shape[:2]), (input_ids, attention_mask, prefixes)

    def reorder(self, state, beams=None, sentences=None):
        if sentences is not None:
            state = tuple(tensor[sentences] for tensor in state)
        input_ids, attention_mask, prefixes = state
        if beams is not None:
            prefixes = prefixes.gather(1, beams.unsqueeze(-1).expand(-1, -1, prefixes.shape[-1]))
        return input_ids, attention_mask, prefixes


def random_marian(seed: int, end_bias: float, scale: float) -> MarianMTModel:
    torch.manual_seed(seed)
    config = MarianConfig(
        vocab_size=VOCAB_SIZE,
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=64,
        pad_token_id=PAD,
        eos_token_id=EOS,
        decoder_start_token_id=PAD,
        forced_eos_token_id=None,
        init_std=scale,
    )
    model = MarianMTModel(config).eval()
    # Without a push, a random model hardly ends before the limit.
    model.final_logits_bias[0, EOS] = end_bias
    return model


@pytest.fixture(scope="module")
def marians() -> list[MarianMTModel]:
    return [random_marian(*options) for options in [(4, 1.0, 0.2), (3, 3.0, 0.4), (11, 4.0, 0.6), (1, 2.0, 0.6)]]


def sources() -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([7, 3, 11, 5, 2, 7, 9, 4, 6, 10, 3])
    generator = torch.Generator().manual_seed(5)
    input_ids = torch.randint(3, VOCAB_SIZE, (len(lengths), 11), generator=generator)
    mask = torch.arange(11) < lengths.unsqueeze(1)
    return input_ids.masked_fill(~mask, PAD), mask


def generated(model: MarianMTModel, **options) -> tuple[list[tuple[int, ...]], list[float] | None]:
    """Return the tokens of `generate`, cut behind the first end of sentence, and their scores."""
    input_ids, mask = sources()
    output = model.generate(
        input_ids=input_ids,
        attention_mask=mask.long(),
        do_sample=False,
        max_new_tokens=MAX_LENGTH,
        return_dict_in_generate=True,
        output_scores=True,
        **{"early_stopping": False, **options},
    )
    tokens = []
    for row in output.sequences[:, 1:].tolist():
        tokens.append(tuple(row[: row.index(EOS) + 1] if EOS in row else row[:MAX_LENGTH]))
    scores = getattr(output, "sequences_scores", None)
    return tokens, None if scores is None else scores.tolist()


adapters = pytest.mark.parametrize("adapter", [Recomputing, PretrainedSeq2Seq])


def assert_equal_to_generate(models: list[MarianMTModel], adapter, search: BeamSearch, **options) -> None:
    lengths = set()
    for model in models:
        tokens, scores = generated(model, **options)
        found = [h for hypotheses in search.search(adapter(model), *sources()) for h in hypotheses]
        assert [h.tokens for h in found] == tokens
        assert [h.normalized_score for h in found] == pytest.approx(scores, rel=1e-5, abs=1e-5)
        lengths |= {len(t) for t in tokens}
    assert len(lengths) > 3, "lengths must differ, or stopping is not tested"


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 1.5, -0.5])
@pytest.mark.parametrize(("beam_width", "n_best"), [(2, 1), (3, 3), (5, 2)])
@adapters
def test_beam_search_equals_generate(marians, adapter, beam_width, n_best, length_penalty):
    search = BeamSearch(beam_width=beam_width, n_best=n_best, length_penalty=length_penalty, max_length=MAX_LENGTH)
    assert_equal_to_generate(
        marians, adapter, search, num_beams=beam_width, num_return_sequences=n_best, length_penalty=length_penalty
    )


@adapters
def test_early_stopping_equals_generate(marians, adapter):
    for early_stopping in (False, True):
        search = BeamSearch(beam_width=3, n_best=3, early_stopping=early_stopping, max_length=MAX_LENGTH)
        options = {"num_beams": 3, "num_return_sequences": 3, "early_stopping": early_stopping}
        assert_equal_to_generate(marians, adapter, search, **options)


@pytest.mark.parametrize(
    "repetition",
    [
        {"no_repeat_ngram": 2},
        {"constraints": (LogitsProcessorConstraint(NoRepeatNGramLogitsProcessor(2), PAD),)},
    ],
)
@adapters
def test_constraints_equal_generate(marians, adapter, repetition):
    search = BeamSearch(beam_width=3, n_best=3, min_length=4, max_length=MAX_LENGTH, **repetition)
    assert_equal_to_generate(
        marians, adapter, search, num_beams=3, num_return_sequences=3, min_new_tokens=4, no_repeat_ngram_size=2
    )


@adapters
def test_greedy_equals_generate(marians, adapter):
    for model in marians:
        expected, _ = generated(model, num_beams=1)
        found = Greedy(max_length=MAX_LENGTH).search(adapter(model), *sources())
        assert [hypothesis.tokens for [hypothesis] in found] == expected
