"""Interleaved search against all targets that there are."""

import numpy
import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import interleaved
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.decoding.algorithms.both_ends import EOS, START, all_rows, model_of, sources


def in_turns(target: tuple[int, ...]) -> list[int]:
    """Return a target that has ended in the order from both ends in turn."""
    [places] = interleaved(numpy.array([len(target)]), len(target))
    return [target[place] for place in places]


def target_log_probs(model: Seq2SeqTransformer, source: Tensor, targets: list[tuple[int, ...]], steps: int) -> Tensor:
    """Return the log-probability of each target by one full forward, float64; cut ones fill all steps."""
    rows = [in_turns(target) if target[-1] == EOS else in_turns((*target, EOS))[:-1] for target in targets]
    labels = torch.tensor([[*row, *[-1] * (2 * steps - len(row))] for row in rows])
    inputs = torch.cat([torch.full((len(rows), 2), START), labels[:, :-2].clamp(min=0)], 1)
    many = source.expand(len(rows), -1)
    with torch.no_grad():
        logits = model.teacher_forced(many, torch.ones_like(many, dtype=torch.bool), inputs)
    picked = logits.log_softmax(-1).gather(2, labels.clamp(min=0).unsqueeze(2)).squeeze(2)
    return picked.masked_fill(labels < 0, 0).sum(1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("steps", [1, 2])
def test_a_wide_interleaved_search_finds_the_best_of_all_targets(steps: int, seed: int) -> None:
    """Up to three words, and four where the limit cuts: 781 targets, empty, odd and even ones."""
    model, source = model_of(seed, generation_order="interleaved"), torch.tensor([[4, 3, 5]])
    targets = all_rows(2 * steps, (0, 1, 3, 4, 5))
    log_probs = target_log_probs(model, source, targets, steps)
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-10)
    search = InterleavedBeamSearch(beam_width=800, n_best=20, max_length=2 * steps, length_penalty=0)
    [found] = search.search(model, source, torch.ones_like(source, dtype=torch.bool))
    best = log_probs.topk(20)
    assert [h.tokens for h in found] == [targets[i] for i in best.indices]
    assert [h.score for h in found] == pytest.approx(best.values.tolist(), abs=1e-5)


def test_interleaved_lengths_count_tokens() -> None:
    model = model_of(4, generation_order="interleaved")
    for minimum in range(6):
        search = InterleavedBeamSearch(beam_width=4, n_best=4, min_length=minimum, max_length=8, length_penalty=1.0)
        for hypotheses in search.search(model, *sources()):
            for h in hypotheses:
                assert len(h.tokens) > minimum
                assert h.normalized_score == pytest.approx(h.score / len(h.tokens), abs=1e-6)
                assert h.score == pytest.approx(sum(h.token_log_probs), abs=1e-6)
                assert h.finished == (h.tokens[-1] == EOS)
