"""Values of every target token against one pass per target, whatever the batches."""

import math

import numpy
import pytest
import torch

from seq2seq.decoding.parts import teacher_forcing
from seq2seq.decoding.parts.teacher_forcing import forced_tokens, target_log_probs, token_values
from tests.fakes import RandomModel
from tests.oracles import token_log_probs

SOURCES = [[3, 4, 2], [5, 2], [6, 6, 3, 4, 2], [2], [5, 3, 2]]
TARGETS = [[5, 2], [3, 4, 5, 6, 2], [2], [6, 4, 2], [5, 5, 5, 5, 5, 5, 2]]
VOCAB_SIZE, NUM_TOKENS = 7, 18


@pytest.mark.parametrize("logits_at_once", [1, 11 * VOCAB_SIZE, 2**24])
def test_values_are_those_of_one_pass_per_target(monkeypatch: pytest.MonkeyPatch, logits_at_once: int) -> None:
    monkeypatch.setattr(teacher_forcing, "LOGITS_AT_ONCE", logits_at_once)
    model = RandomModel(VOCAB_SIZE)
    found = forced_tokens(model, SOURCES, TARGETS)
    assert found.lengths.tolist() == [2, 5, 1, 3, 7]
    assert found.starts.tolist() == [0, 2, 7, 8, 11]
    assert found.rows.tolist() == [0] * 2 + [1] * 5 + [2] + [3] * 3 + [4] * 7
    assert found.positions.tolist() == [0, 1, 0, 1, 2, 3, 4, 0, 0, 1, 2, 0, 1, 2, 3, 4, 5, 6]
    expected = [value for pair in zip(SOURCES, TARGETS, strict=True) for value in token_log_probs(model, *pair)]
    assert found.log_probs == pytest.approx(expected, abs=1e-5)
    place = 0
    for source, target in zip(SOURCES, TARGETS, strict=True):
        for position, token in enumerate(target):
            logits = model.logits(tuple(source), tuple(target[:position])).double()
            probabilities = logits.softmax(-1).tolist()
            assert found.entropies[place] == pytest.approx(-sum(p * math.log(p) for p in probabilities), abs=1e-5)
            assert found.is_best[place] == (probabilities.index(max(probabilities)) == token)
            others = [t for t in range(3, VOCAB_SIZE) if t != token]
            assert found.likeliest_others[place] == max(others, key=probabilities.__getitem__)
            place += 1
    assert place == NUM_TOKENS


def test_the_decoder_is_shown_other_tokens_than_it_predicts() -> None:
    model = RandomModel(VOCAB_SIZE)
    gold = forced_tokens(model, SOURCES, TARGETS)
    shown = [list(target) for target in TARGETS]
    shown[4][2] = 3
    found = forced_tokens(model, SOURCES, TARGETS, shown)
    is_after = (gold.rows == 4) & (gold.positions > 2)
    numpy.testing.assert_array_equal(found.log_probs[~is_after], gold.log_probs[~is_after])
    assert (found.log_probs[is_after] != gold.log_probs[is_after]).all()


def test_a_token_without_probability_leaves_the_entropy_finite() -> None:
    logits = torch.tensor([0.0, 0.5, 0.25, 0.25]).log().expand(1, 1, 4)
    values = token_values(logits, torch.tensor([[1]]), torch.tensor([0]))
    assert float(values["entropies"]) == pytest.approx(1.5 * math.log(2))
    assert bool(values["is_best"])


@pytest.mark.parametrize("logits_at_once", [1, 11 * VOCAB_SIZE, 2**24])
def test_log_probabilities_of_tokens_are_those_of_one_pass_per_target(
    monkeypatch: pytest.MonkeyPatch, logits_at_once: int
) -> None:
    monkeypatch.setattr(teacher_forcing, "LOGITS_AT_ONCE", logits_at_once)
    model = RandomModel(VOCAB_SIZE)
    found = target_log_probs(model, SOURCES, TARGETS)
    assert [len(values) for values in found] == [2, 5, 1, 3, 7]
    for values, source, target in zip(found, SOURCES, TARGETS, strict=True):
        assert values == pytest.approx(token_log_probs(model, source, target), abs=1e-5)
    assert target_log_probs(model, [], []) == []
