"""Several sets of weights as one model give what each gives alone."""

from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.decoding import BeamSearch, Greedy, Sampling
from seq2seq.decoding.parts.search import Search
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.side_by_side import SideBySide
from tests.models.tiny import GATED_WITH_BIASES, LIKE_M2M100, RELATIVE, random_pairs, tiny_model

NUM_MODELS = 3
OPTIONS: list[dict[str, Any]] = [
    {},
    {"positions": "rotary", "tie_embeddings": "target", "source_vocab_size": 41, "norm": "rms_norm"},
    {"tie_embeddings": "none", "norm_position": "post", "activation": "gelu_tanh"},
    {"activation": "gelu"},
]
PRETRAINED: list[dict[str, Any]] = [
    {**LIKE_M2M100, **GATED_WITH_BIASES, "embedding_norm": True},
    {"biases": False, "embedding_scale": False, "attention_scale": False, "output_scale": True},
]


def models_and_all(**options: Any) -> tuple[list[Seq2SeqTransformer], SideBySide]:
    """Return models of different weights, and all of them as one."""
    torch.manual_seed(0)
    models = [tiny_model(**options) for _ in range(NUM_MODELS)]
    shown = tiny_model(**options)
    stacked = SideBySide(shown, NUM_MODELS)
    for number, model in enumerate(models):
        shown.load_state_dict(model.state_dict())
        stacked.take(number, shown)
    shown.load_state_dict(tiny_model(**options).state_dict())  # whose weights are not used
    return models, stacked


@pytest.mark.parametrize("options", [*OPTIONS, *PRETRAINED], ids=str)
def test_logits_are_those_of_each_model(options: dict[str, Any]) -> None:
    models, stacked = models_and_all(**options)
    pairs = random_pairs()
    together = stacked.teacher_forced(*(part.repeat(NUM_MODELS, 1) for part in pairs)).chunk(NUM_MODELS)
    for model, found in zip(models, together, strict=True):
        torch.testing.assert_close(found, model.teacher_forced(*pairs), rtol=0, atol=1e-12)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


@pytest.mark.parametrize("search", [Greedy(max_length=17), BeamSearch(beam_width=3, n_best=2, max_length=17)], ids=str)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_searches_find_what_they_find_with_each_model(search: Search, options: dict[str, Any]) -> None:
    """Some sentences end before others, not the same ones with each model."""
    models, stacked = models_and_all(**options)
    with torch.no_grad():
        for number, model in enumerate(models):
            for weight in (model.lm_head.weight, stacked.network.lm_head.weight[number]):
                weight[model.eos_id] *= 4 - number
    input_ids, mask, _ = random_pairs()
    together = search.search(stacked, input_ids.repeat(NUM_MODELS, 1), mask.repeat(NUM_MODELS, 1))
    apart = [found for model in models for found in search.search(model, input_ids, mask)]
    for found, expected in zip(together, apart, strict=True):
        assert [h.tokens for h in found] == [h.tokens for h in expected]
        assert [h.score for h in found] == pytest.approx([h.score for h in expected], abs=1e-5)
    assert len({len(found[0].tokens) for found in apart}) > 1


def test_sentences_leave_the_models_unevenly() -> None:
    """Of 3 times 5 sentences 1, 0 and 4 stay, and after another step 1, 0 and 2."""
    models, stacked = models_and_all()
    input_ids, mask, _ = random_pairs()
    first, second = torch.full((15, 1), 3), torch.tensor([[5], [7], [11], [13], [4]])
    state = stacked.encode(input_ids.repeat(3, 1), mask.repeat(3, 1))
    _, state = stacked.step(state, first)
    state = stacked.reorder(state, sentences=torch.tensor([2, 10, 11, 13, 14]))
    logits, state = stacked.step(state, second)
    state = stacked.reorder(state, sentences=torch.tensor([0, 2, 4]))
    last, state = stacked.step(state, second[:3])

    def alone(model: Seq2SeqTransformer, row: int, *tokens: int) -> Tensor:
        ids = torch.tensor([tokens])
        return model.teacher_forced(input_ids[row : row + 1], mask[row : row + 1], ids)[0, -1]

    expected = [alone(models[0], 2, 3, 5), *(alone(models[2], r, 3, t) for r, t in ((0, 7), (1, 11), (3, 13), (4, 4)))]
    torch.testing.assert_close(logits.squeeze(1), torch.stack(expected), rtol=0, atol=1e-12)
    expected = [alone(models[0], 2, 3, 5, 5), alone(models[2], 1, 3, 11, 7), alone(models[2], 4, 3, 4, 11)]
    torch.testing.assert_close(last.squeeze(1), torch.stack(expected), rtol=0, atol=1e-12)


def test_several_hypotheses_a_sentence() -> None:
    models, stacked = models_and_all()
    input_ids, mask, _ = random_pairs()
    search = Sampling(n_best=2, max_length=7)
    together = search.search(stacked, input_ids.repeat(3, 1), mask.repeat(3, 1), rows=[*range(5)] * 3)
    apart = [found for model in models for found in search.search(model, input_ids, mask)]
    assert [[h.tokens for h in found] for found in together] == [[h.tokens for h in found] for found in apart]


@pytest.mark.parametrize("options", [{"positions": "learned"}, RELATIVE, {"generation_order": "r2l"}])
def test_weights_that_cannot_be_stacked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="without learned or relative `positions`"):
        SideBySide(tiny_model(**options), 2)


def test_only_from_the_left() -> None:
    _, stacked = models_and_all()
    assert stacked.from_side(0) is stacked
    for refused in (lambda: stacked.from_side(1), stacked.in_pairs):
        with pytest.raises(ValueError, match="trained to generate in the order `l2r`"):
            refused()
