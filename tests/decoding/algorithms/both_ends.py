"""What tests of searches in other orders share: small models, sources, and the comparison of results."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.decoding.algorithms.joint import JointBeamSearch, JointState
from seq2seq.decoding.parts.pairs import FinishedPair
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.models.tiny import tiny_model

PAD, START, EOS = 0, 1, 2

CONTENT = (3, 4, 5)
OPTIONS: dict[str, Any] = {
    "vocab_size": 6,
    "d_model": 16,
    "num_heads": 2,
    "key_size": None,
    "value_size": None,
    "tie_embeddings": "none",
}
BOTH: dict[str, Any] = {"generation_order": "bidirectional", "interaction": "tanh", "interaction_weight": 0.5}


def model_of(seed: int, **options: Any) -> Seq2SeqTransformer:
    """Return a model that is surer than a fresh one, with marks of the sides that are not 0."""
    torch.manual_seed(seed)
    model = tiny_model(**{**OPTIONS, **options})
    with torch.no_grad():
        model.lm_head.weight.mul_(3)
        if model.decoder.embeddings.sides is not None:
            model.decoder.embeddings.sides.weight.normal_()
    return model


def sources(num_sentences: int = 3) -> tuple[Tensor, Tensor]:
    torch.manual_seed(99)
    lengths = torch.tensor([4, 2, 5, 1, 3, 5, 2][:num_sentences])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return torch.randint(3, 6, mask.shape).masked_fill(~mask, PAD), mask


def only_content(step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
    """A constraint: neither padding nor the start token."""
    log_probs[..., [PAD, START]] = -torch.inf
    return log_probs


class AllPairs(JointBeamSearch):
    """The pairs themselves."""

    def results(self, state: JointState, sentences: Tensor) -> Any:
        return self.pairs(state, sentences)


def search_pairs(
    search: JointBeamSearch, model: Seq2SeqTransformer, input_ids: Tensor, mask: Tensor
) -> list[list[FinishedPair]]:
    """Return each sentence's pairs, best first."""
    found: Any = AllPairs(**(vars(search) | {"n_best": search.beam_width})).search(model, input_ids, mask)
    return found


def assert_same(found: list[list[Hypothesis]], expected: list[list[Hypothesis]]) -> None:
    assert [[h.tokens for h in hs] for hs in found] == [[h.tokens for h in hs] for hs in expected]
    for a, b in zip(itertools.chain(*found), itertools.chain(*expected), strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-5)
        assert a.normalized_score == pytest.approx(b.normalized_score, abs=1e-5)


def all_rows(max_length: int, content: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return everything that one row can be: ended by end of sentence, or cut at the limit."""
    ended = [(*words, EOS) for n in range(max_length) for words in itertools.product(content, repeat=n)]
    return [*ended, *itertools.product(content, repeat=max_length)]
