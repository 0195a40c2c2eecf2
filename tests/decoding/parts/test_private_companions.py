"""Scores beside companions of their own against full forwards."""

import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import from_right
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.decoding.algorithms.both_ends import BOTH, EOS, PAD, START, model_of


@torch.no_grad()
def score_with_companion(model: Seq2SeqTransformer, source: Tensor, tokens: list[int], side: int) -> float:
    """Return the log-probability of tokens as they are generated beside a greedy companion, by full forwards."""
    companion: list[int] = []
    score, mask = 0.0, torch.ones_like(source, dtype=torch.bool)
    for step, token in enumerate(tokens):
        rows = [[START, *tokens[:step]], [START, *companion]]
        longest = max(map(len, rows))
        padded = torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])
        visible = torch.tensor([[i < len(row) for i in range(longest)] for row in rows])
        order = [0, 1] if side == 0 else [1, 0]
        logits = model.teacher_forced(source, mask, padded[order], sides=torch.arange(2), visible=visible[order])
        log_probs = logits[order].float().log_softmax(-1)
        score += float(log_probs[0, step, token])
        if len(companion) == step:
            likeliest = int(log_probs[1, step].argmax())
            companion += [likeliest] if likeliest != EOS else []
    return score


@pytest.mark.parametrize("seed", range(5))
def test_scores_beside_companions_of_their_own_depend_on_the_string_alone(seed: int) -> None:
    model, source = model_of(seed, **BOTH, positions="sinusoidal"), torch.tensor([[4, 3, 5, 3]])
    search = SynchronousBeamSearch(beam_width=6, n_best=6, max_length=7, length_penalty=0, pairing="companion")
    [found] = search.search(model, source, torch.ones_like(source, dtype=torch.bool))
    assert {h.direction for h in found} == {"l2r", "r2l"}
    for h in found:
        side = int(h.direction == "r2l")
        tokens = list(h.tokens)
        if side:
            tokens = from_right(tokens) if h.finished else tokens[::-1]
        assert h.score == pytest.approx(score_with_companion(model, source, tokens, side), abs=1e-4)
