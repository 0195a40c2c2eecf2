import math
from collections import Counter

import pytest
import torch

from seq2seq.decoding import Sampling
from seq2seq.decoding.algorithms import sampling
from seq2seq.decoding.algorithms.sampling import pick, uniform_draws
from tests.fakes import RandomModel, TableModel
from tests.models.tiny import random_pairs, tiny_model
from tests.oracles import token_log_probs

PROBABILITIES = [0.05, 0.4, 0.15, 0.3, 0.1]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, {0, 1, 2, 3, 4}),
        ({"top_k": 2}, {1, 3}),
        ({"top_k": 9}, {0, 1, 2, 3, 4}),
        # 0.4 + 0.3 = 0.7 is not yet 0.75, so 0.15 comes in too.
        ({"top_p": 0.75}, {1, 2, 3}),
        ({"top_p": 0.01}, {1}),
        # 0.3 of the likeliest is 0.12.
        ({"min_p": 0.3}, {1, 2, 3}),
        ({"epsilon": 0.08}, {1, 2, 3, 4}),
        ({"epsilon": 0.9}, {1}),
        ({"top_k": 4, "top_p": 0.95, "min_p": 0.2, "epsilon": 0.2}, {1, 3}),
        # Squared and normalised: 0.01, 0.56, 0.08, 0.32, 0.04.
        ({"temperature": 0.5, "epsilon": 0.06}, {1, 2, 3}),
    ],
)
def test_truncation_by_hand(options, kept):
    draws = torch.arange(0.0005, 1, 0.001, dtype=torch.float64).unsqueeze(1)
    log_probs = torch.tensor(PROBABILITIES).log().expand(len(draws), 1, -1)
    drawn = Counter(Sampling(**options).draw(log_probs, draws).flatten().tolist())
    assert set(drawn) == kept
    temperature = options.get("temperature", 1.0)
    weights = {token: PROBABILITIES[token] ** (1 / temperature) for token in kept}
    for token in kept:
        assert drawn[token] / 1000 == pytest.approx(weights[token] / sum(weights.values()), abs=0.0021)


def test_pick_never_takes_what_has_no_probability():
    probabilities = torch.tensor([[[0.0, 0.25, 0.0, 0.75, 0.0]]])
    draws = torch.tensor([[0.0], [0.24], [0.26], [1 - 2**-53]], dtype=torch.float64)
    assert pick(probabilities.expand(4, 1, -1), draws).flatten().tolist() == [1, 1, 3, 3]


def test_draws_depend_on_seed_row_sample_and_step_alone():
    draws = uniform_draws(5, [3, 0, 3], 7, 2)
    assert torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], draws[1])
    assert torch.equal(uniform_draws(5, [0], 11, 2)[0, :7], draws[1])
    assert torch.equal(uniform_draws(5, [0], 7, 5)[0, :, :2], draws[1])
    assert not torch.equal(uniform_draws(6, [0], 7, 2)[0], draws[1])
    assert len(set(draws[:2].flatten().tolist())) == 2 * 7 * 2


def test_draws_are_uniform():
    """Shares of tenths over 2 * 101 * 97 numbers, and of pairs of successive steps or samples below a half."""
    draws = uniform_draws(1, [0, 10**9], 101, 97)
    shares = torch.histc(draws, 10, 0, 1) / draws.numel()
    assert 0 <= float(draws.min()) < float(draws.max()) < 1
    assert shares.tolist() == pytest.approx([0.1] * 10, abs=0.01)
    low = draws < 0.5
    for pairs in (low[:, 1:] & low[:, :-1], low[:, :, 1:] & low[:, :, :-1]):
        assert float(pairs.double().mean()) == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("num_samples", [2, 16, 17, 37])
def test_a_sample_does_not_depend_on_how_many_there_are(num_samples):
    model = RandomModel(vocab_size=11, scale=0.5)
    input_ids = torch.tensor([[3, 4, 2], [5, 6, 2], [7, 8, 2]])
    few, many = (
        Sampling(n_best=number, max_length=7).search(model, input_ids, input_ids > 0, rows=[5, 7, 11])
        for number in (num_samples - 1, num_samples)
    )
    for fewer, more in zip(few, many, strict=True):
        assert (len(fewer), len(more)) == (num_samples - 1, num_samples)
        assert not Counter(fewer) - Counter(more)
        assert more == sorted(more, key=lambda h: -h.normalized_score)


def test_many_samples_of_a_source_are_few_in_each_of_several_sentences():
    """31 samples are 16 and 15, of one encoding; no step has more rows, and what has ended leaves."""
    shapes = []

    class Watched(RandomModel):
        def step(self, state, token_ids):
            shapes.append(tuple(token_ids.shape))
            return super().step(state, token_ids)

    model, input_ids = Watched(vocab_size=5), torch.tensor([[3, 4, 2], [5, 6, 2], [7, 8, 2]])
    found = Sampling(n_best=31, max_length=31).search(model, input_ids, input_ids > 0)
    assert shapes[0] == (6, 16)
    assert {width for _, width in shapes} == {16}
    assert shapes[-1][0] < 6
    assert model.num_encoded == 3
    assert [len(samples) for samples in found] == [31] * 3


@torch.no_grad()
def test_samples_apart_are_those_of_a_transformer(monkeypatch):
    """The same samples in sentences of 5 as in one of 17, from a real model's cache."""
    model, batch = tiny_model(), random_pairs()[:2]
    search = Sampling(n_best=17, max_length=11)
    together = search.search(model, *batch)
    monkeypatch.setattr(sampling, "SAMPLES_OF_A_SENTENCE", 5)
    for one, other in zip(search.search(model, *batch), together, strict=True):
        assert {h.tokens: pytest.approx(h.score, abs=1e-4) for h in one} == {h.tokens: h.score for h in other}


def test_frequencies_equal_the_model():
    # Sequences of at most two tokens; 4 of them, 3 degrees of freedom: chi-square is below 16.3 in 999 of 1,000 cases.
    #       0   1   end  a    b
    table = {(): [0, 0, 0.5, 0.2, 0.3], (3,): [0, 0, 0.75, 0, 0.25], (4,): [0, 0, 1.0, 0, 0]}
    expected = {(2,): 0.5, (3, 2): 0.15, (3, 4, 2): 0.05, (4, 2): 0.3}
    table[(3, 4)] = [0, 0, 1.0, 0, 0]
    num_samples = 2000
    input_ids = torch.tensor([[7]])
    [samples] = Sampling(n_best=num_samples, max_length=3).search(TableModel({7: table}, 2), input_ids, input_ids > 0)
    counts = Counter(h.tokens for h in samples)
    assert set(counts) == set(expected)
    chi_square = sum((counts[t] - p * num_samples) ** 2 / (p * num_samples) for t, p in expected.items())
    assert 0 < chi_square < 16.3


def test_scores_are_untempered():
    model = RandomModel(vocab_size=11)
    input_ids = torch.tensor([[3, 4, 2]])
    search = Sampling(n_best=5, temperature=0.3, top_p=0.9, max_length=7)
    [samples] = search.search(model, input_ids, input_ids > 0)
    for sample in samples:
        real = token_log_probs(model, [3, 4, 2], sample.tokens)
        assert sample.token_log_probs == pytest.approx(real, abs=1e-5)
        assert sample.score == pytest.approx(math.fsum(real), abs=1e-5)
    assert samples == sorted(samples, key=lambda h: -h.normalized_score)


def test_order_of_rows_changes_nothing():
    model = RandomModel(vocab_size=11, scale=0.5)
    input_ids = torch.tensor([[3, 4, 2], [5, 6, 2], [7, 8, 2]])
    search = Sampling(n_best=2, max_length=13)
    forward = search.search(model, input_ids, input_ids > 0, rows=[10, 11, 12])
    backward = search.search(model, input_ids.flip(0), input_ids > 0, rows=[12, 11, 10])
    assert forward == backward[::-1]
    assert forward != search.search(model, input_ids, input_ids > 0, rows=[12, 11, 10])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "`temperature` must be above 0.*greedy"),
        ({"top_p": 0.0}, "`top_p` must be above 0"),
        ({"min_p": 1.0}, "`min_p` must be at least 0 and below 1"),
        ({"epsilon": -0.1}, "`epsilon` must be at least 0"),
        ({"n_best": 0}, "`n_best` must be at least 1"),
        ({"top_k": -1}, "`top_k` must be at least 0"),
        ({"seed": -1}, "`seed` must be at least 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)
