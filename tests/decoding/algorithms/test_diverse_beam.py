import math

import pytest
import torch

from seq2seq.decoding import BeamSearch, DiverseBeamSearch
from tests.fakes import RandomModel, TableModel
from tests.oracles import token_log_probs

INPUT_IDS = torch.tensor([[3, 4, 5, 2], [4, 2, 0, 0], [5, 6, 2, 0], [6, 2, 0, 0], [3, 3, 2, 0]])
MASK = INPUT_IDS != 0


def test_one_group_equals_beam_search():
    model = RandomModel(vocab_size=11)
    options = {"beam_width": 3, "n_best": 3, "max_length": 7}
    diverse = DiverseBeamSearch(num_groups=1, diversity_penalty=3.0, **options).search(model, INPUT_IDS, MASK)
    assert diverse == BeamSearch(**options).search(model, INPUT_IDS, MASK)


def test_groups_without_penalty_find_the_same():
    model = RandomModel(vocab_size=11)
    diverse = DiverseBeamSearch(beam_width=6, num_groups=3, diversity_penalty=0.0, n_best=2, max_length=7)
    narrow = BeamSearch(beam_width=2, n_best=2, max_length=7)
    assert diverse.search(model, INPUT_IDS, MASK) == narrow.search(model, INPUT_IDS, MASK)


def test_penalty_by_hand():
    # Three groups of one. Tokens a, b, c with 0.5, 0.3, 0.2; then each ends.
    # Group 1 takes a. For group 2, a costs 1: log 0.5 - 1 = -1.69 < log 0.3 = -1.20, so b.
    # For group 3, a and b cost 1: -1.69, -2.20, c: log 0.2 = -1.61, so c. Scores are free of the penalty.
    table = {(): [0, 0, 0, 0.5, 0.3, 0.2], (3,): [0, 0, 1.0, 0, 0, 0]}
    input_ids = torch.tensor([[7]])
    search = DiverseBeamSearch(beam_width=3, num_groups=3, diversity_penalty=1.0, n_best=3, length_penalty=0.0)
    [found] = search.search(TableModel({7: table}, 2), input_ids, input_ids > 0)
    assert [h.tokens for h in found] == [(3, 2), (4, 2), (5, 2)]
    assert [h.score for h in found] == pytest.approx([math.log(p) for p in (0.5, 0.3, 0.2)])
    # At 0.4 a (-1.09) still beats b for group 2; for group 3 a costs 0.8 and b nothing: -1.49 < -1.20, so b.
    milder = DiverseBeamSearch(beam_width=3, num_groups=3, diversity_penalty=0.4, n_best=3)
    [found] = milder.search(TableModel({7: table}, 2), input_ids, input_ids > 0)
    assert [h.tokens for h in found] == [(3, 2), (4, 2)]


def test_a_group_that_is_done_no_longer_counts():
    # Group 1 says a and ends; what it would have said next is c. Group 2 must say b, and may then say c for nothing.
    END, A, B, C, D = range(2, 7)
    table = {
        (): [0, 0, 0, 0.6, 0.4, 0, 0],
        (A,): [0, 0, 0.7, 0, 0, 0.3, 0],
        (B,): [0, 0, 0.2, 0, 0, 0.5, 0.3],
    }
    input_ids = torch.tensor([[7]])
    search = DiverseBeamSearch(beam_width=2, num_groups=2, diversity_penalty=1.0, n_best=2)
    [found] = search.search(TableModel({7: table}, END), input_ids, input_ids > 0)
    assert {h.tokens for h in found} == {(A, END), (B, C, END)}


def test_scores_equal_teacher_forcing_and_first_tokens_differ():
    model = RandomModel(vocab_size=11)
    search = DiverseBeamSearch(beam_width=6, num_groups=3, diversity_penalty=100.0, n_best=6, max_length=7)
    for source, hypotheses in zip(INPUT_IDS, search.search(model, INPUT_IDS, MASK), strict=True):
        assert len({h.tokens[0] for h in hypotheses}) >= 3
        assert hypotheses == sorted(hypotheses, key=lambda h: -h.normalized_score)
        for hypothesis in hypotheses:
            real = token_log_probs(model, source[source != 0].tolist(), hypothesis.tokens)
            assert hypothesis.token_log_probs == pytest.approx(real, abs=1e-5)


def test_groups_must_divide_the_beam():
    with pytest.raises(ValueError, match=r"`num_groups` must divide `beam_width` \(5\), but is 2"):
        DiverseBeamSearch(beam_width=5, num_groups=2)
