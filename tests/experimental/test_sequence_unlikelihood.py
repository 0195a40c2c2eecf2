"""Repeated n-grams are found as a loop over strings finds them, and what they cost is worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.experimental.sequence_unlikelihood import SequenceUnlikelihood, repeats
from seq2seq.objectives.candidates import CandidateSearch
from seq2seq.objectives.sequences import row_log_probs
from seq2seq.objectives.unlikelihood import unlikelihood
from tests.objectives.generated import pairs, searched_model


def marked(text: str, order: int) -> str:
    tokens = torch.tensor([[ord(character) for character in text]])
    found = repeats(tokens, torch.ones_like(tokens, dtype=torch.bool), order)[0].tolist()
    return "".join("x" if is_repeated else "." for is_repeated in found)


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("abcdabcd", 4, "....xxxx"),
        ("abcdabce", 4, "........"),
        ("abcdabce", 3, "....xxx."),
        ("aaaa", 2, ".xxx"),  # "aa" at 1 and at 2 have been at 0
        ("abab", 1, "..xx"),
        ("abc", 4, "..."),
        ("abcd", 4, "...."),
    ],
)
def test_repeats_by_hand(text: str, order: int, expected: str) -> None:
    assert marked(text, order) == expected


def repeats_by_loops(tokens: list[int], order: int) -> list[bool]:
    found = [False] * len(tokens)
    for start in range(len(tokens) - order + 1):
        if any(tokens[i : i + order] == tokens[start : start + order] for i in range(start)):
            found[start : start + order] = [True] * order
    return found


@pytest.mark.parametrize("order", [1, 2, 3])
def test_repeats_are_those_of_a_loop_over_each_row(order: int) -> None:
    lengths = torch.randint(1, 18, (23,))
    tokens = torch.randint(3, (23, 17)).masked_fill(torch.arange(17) >= lengths.unsqueeze(1), IGNORED_LABEL)
    found = repeats(tokens, tokens != IGNORED_LABEL, order)
    assert found.any()
    for row, length, result in zip(tokens.tolist(), lengths.tolist(), found.tolist(), strict=True):
        length = min(length, 17)
        assert result == [*repeats_by_loops(row[:length], order), *[False] * (17 - length)]


def test_value_and_gradient_by_hand() -> None:
    """With p = 1/4 it is -log(3/4), and its derivative by log p is p / (1 - p) = 1/3."""
    log_prob = torch.tensor([math.log(0.25)], dtype=torch.float64, requires_grad=True)
    penalty = unlikelihood(log_prob)
    penalty.sum().backward()
    assert penalty.item() == pytest.approx(-math.log(0.75))
    assert log_prob.grad is not None
    assert log_prob.grad.item() == pytest.approx(1 / 3)


def test_certainty_is_finite() -> None:
    log_prob = torch.zeros(1, requires_grad=True)
    penalty = unlikelihood(log_prob)
    penalty.sum().backward()
    assert penalty.item() == pytest.approx(5 * math.log(10), rel=1e-5)
    assert log_prob.grad is not None
    assert log_prob.grad.isfinite().all()


def expected_loss(model: torch.nn.Module, rows: list[int], order: int) -> tuple[Tensor, int]:
    found = CandidateSearch(max_length_ratio=4.0)(model, pairs(rows))
    total, num_repeated = torch.zeros((), dtype=torch.float64), 0
    log_probs = row_log_probs(model, found.batch)
    weights = (pairs(rows).labels != IGNORED_LABEL).sum(1)
    for labels, row, weight in zip(found.batch.labels, log_probs, weights, strict=True):
        tokens = labels[labels != IGNORED_LABEL].tolist()
        is_repeated = repeats_by_loops(tokens, order)
        num_repeated += sum(is_repeated)
        penalties = [-torch.log(1 - row[i].exp()) for i, repeated in enumerate(is_repeated) if repeated]
        total = total + weight * sum(penalties, torch.zeros((), dtype=torch.float64)) / len(tokens)
    return total, num_repeated


def test_the_loss_is_that_of_the_repeated_tokens_of_greedy_outputs() -> None:
    model, rows = searched_model(), [0, 1, 2, 3, 4]
    expected, num_repeated = expected_loss(model, rows, order=2)
    assert num_repeated > 0
    loss = SequenceUnlikelihood(CandidateSearch(max_length_ratio=4.0), 2, mle_weight=0.0)(model, pairs(rows), step=1)
    assert loss.loss_sum.item() == pytest.approx(expected.item())
    assert loss.weight.item() == 21
    parts = [
        SequenceUnlikelihood(CandidateSearch(max_length_ratio=4.0), 2, mle_weight=0.0)(model, pairs(part), 1)
        for part in ([3, 0], [1, 2, 4])
    ]
    assert (parts[0] + parts[1]).loss_sum.item() == pytest.approx(loss.loss_sum.item())
    assert 0 < loss.logs["repeated_tokens"].item() / 21 < 1


def test_steps_end_repetition() -> None:
    model, batch = searched_model(), pairs([0, 1, 2, 3, 4])
    objective = SequenceUnlikelihood(CandidateSearch(max_length_ratio=4.0), 2, mle_weight=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    shares = []
    for step in range(20):
        loss = objective(model, batch, step)
        optimizer.zero_grad()
        loss.loss_sum.backward()
        optimizer.step()
        shares.append(loss.logs["repeated_tokens"].item() / loss.weight.item())
    assert shares[0] > 0.2
    assert shares[-1] < 0.5 * shares[0]


def test_an_order_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="`repeat_ngram` must be at least 1"):
        SequenceUnlikelihood(CandidateSearch(), repeat_ngram=0)
