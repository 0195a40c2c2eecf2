"""Search over pairs against all pairs that there are."""

import itertools

import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import from_right
from seq2seq.decoding.algorithms.joint import BestPair, JointBeamSearch
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.decoding.algorithms.both_ends import (
    BOTH,
    CONTENT,
    START,
    all_rows,
    model_of,
    only_content,
    search_pairs,
    sources,
)


def pair_log_probs(model: Seq2SeqTransformer, source: Tensor, pairs: list[tuple[tuple[int, ...], ...]]) -> Tensor:
    """Return the log-probability of each pair by one full forward, float64."""
    rows = [row for pair in pairs for row in pair]
    longest = max(map(len, rows))
    labels = torch.tensor([[*row, *[-1] * (longest - len(row))] for row in rows])
    inputs = torch.cat([torch.full((len(rows), 1), START), labels[:, :-1].clamp(min=0)], 1)
    visible = labels >= 0
    sides = torch.arange(2).repeat(len(pairs))
    many = source.expand(len(pairs), -1)
    with torch.no_grad():
        logits = model.teacher_forced(
            many, torch.ones_like(many, dtype=torch.bool), inputs, sides=sides, visible=visible
        )
    picked = logits.log_softmax(-1).gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2).masked_fill(~visible, 0)
    return picked.sum(1).view(-1, 2).sum(1)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_wide_joint_search_finds_the_best_of_all_pairs(seed: int) -> None:
    """40 rows a side, 1,600 pairs."""
    model = model_of(seed, **BOTH)
    source = torch.tensor([[4, 3, 5]])
    pairs = list(itertools.product(all_rows(3, CONTENT), repeat=2))
    assert len(pairs) == 1600
    log_probs = pair_log_probs(model, source, pairs)
    search = JointBeamSearch(beam_width=3200, max_length=3, length_penalty=0, constraints=(only_content,))
    [found] = search_pairs(search, model, source, torch.ones_like(source, dtype=torch.bool))
    best = log_probs.topk(20)
    assert [(tuple(pair.left[0]), tuple(pair.right[0])) for pair in found[:20]] == [pairs[i] for i in best.indices]
    scores = torch.tensor([2 * pair.normalized_score for pair in found[:20]], dtype=torch.float64)
    torch.testing.assert_close(scores, best.values, rtol=0, atol=1e-5)


@pytest.mark.parametrize("interaction", ["none", "linear", "tanh", "relu", "gate"])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_the_best_of_all_pairs_in_many_models(positions: str, interaction: str) -> None:
    """15 rows a side, 225 pairs, ten models of each kind, every one of the 225 where it belongs."""
    source, content = torch.tensor([[4, 3, 5]]), (3, 4)
    pairs = list(itertools.product(all_rows(3, content), repeat=2))
    search = JointBeamSearch(beam_width=450, max_length=3, length_penalty=0, constraints=(only_content, without_five))
    for seed in range(10):
        model = model_of(seed, **{**BOTH, "interaction": interaction, "positions": positions})
        log_probs = pair_log_probs(model, source, pairs)
        [found] = search_pairs(search, model, source, torch.ones_like(source, dtype=torch.bool))
        best = log_probs.sort(descending=True)
        assert [(tuple(pair.left[0]), tuple(pair.right[0])) for pair in found] == [pairs[i] for i in best.indices]
        scores = torch.tensor([2 * pair.normalized_score for pair in found], dtype=torch.float64)
        torch.testing.assert_close(scores, best.values, rtol=0, atol=1e-5)


def without_five(step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
    log_probs[..., 5] = -torch.inf
    return log_probs


def test_rows_of_the_best_pair_come_from_the_left_first() -> None:
    model, inner = model_of(5, **BOTH), JointBeamSearch(beam_width=4, n_best=4, max_length=9)
    for (left, right), pairs in zip(
        BestPair(inner).search(model, *sources(7)), search_pairs(inner, model, *sources(7)), strict=True
    ):
        best = pairs[0]
        assert (left.tokens, left.direction) == (tuple(best.left[0]), "l2r")
        ids = best.right[0]
        assert (right.tokens, right.direction) == (tuple(from_right(ids) if right.finished else ids[::-1]), "r2l")
        assert left.score + right.score == pytest.approx(sum(best.left[1]) + sum(best.right[1]), abs=1e-9)


def test_probabilities_of_all_pairs_sum_to_one() -> None:
    model, source = model_of(3, **BOTH), torch.tensor([[4, 3, 5]])
    pairs = list(itertools.product(all_rows(2, (0, 1, 3, 4, 5)), repeat=2))
    assert float(pair_log_probs(model, source, pairs).exp().sum()) == pytest.approx(1, abs=1e-10)
