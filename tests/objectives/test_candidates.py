"""Candidates are what a search of the model finds, each once, and no business of the rest of the batch."""

import math
from typing import Any

import pytest
import torch

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.models.transformer.dropout import Dropout
from seq2seq.objectives.candidates import CandidatePool, as_rows, unpadded
from seq2seq.objectives.sequences import candidate_log_probs
from tests.objectives.generated import EOS, PAD, START, TARGET_LENGTHS, candidate_search, pairs, searched_model

ROWS = [0, 1, 2, 3, 4]


def per_source(found: CandidatePool) -> list[dict[tuple[int, ...], float]]:
    """Return how often each candidate of each source was found."""
    rows, counts = unpadded(found.batch.labels), found.counts.flatten().tolist()
    width = found.counts.shape[1]
    pairs_of_rows = list(zip(rows, counts, strict=True))
    sources = [pairs_of_rows[i : i + width] for i in range(0, len(rows), width)]
    return [{ids: count for ids, count in source if ids} for source in sources]


@pytest.mark.parametrize("search", ["sampling", "greedy"])
def test_batch_mates_and_padding_never_change_a_candidate(search: Any) -> None:
    model, find = searched_model(), candidate_search(5, search)
    torch.manual_seed(7)
    together = per_source(find(model, pairs(ROWS)))
    torch.manual_seed(7)
    assert per_source(find(model, pairs([4, 2]))) == [together[4], together[2]]
    assert [per_source(find(model, pairs([row])))[0] for row in ROWS] == together


def test_draws_depend_on_what_torch_was_seeded_with_and_on_nothing_it_drew() -> None:
    model, find = searched_model(), candidate_search(7)
    torch.manual_seed(7)
    first = per_source(find(model, pairs(ROWS)))
    torch.rand(3)
    assert per_source(find(model, pairs(ROWS))) == first
    torch.manual_seed(8)
    assert per_source(find(model, pairs(ROWS))) != first


@pytest.mark.parametrize("search", ["sampling", "beam", "diverse_beam", "greedy"])
def test_search_leaves_random_state_mode_and_weights(search: Any) -> None:
    """Dropout of 0.5 would change every draw if it were on."""
    model, plain = searched_model(dropout=0.5), searched_model()
    plain.load_state_dict(model.state_dict())
    before = torch.get_rng_state()
    found = candidate_search(3, search)(model, pairs(ROWS))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in model.modules() if isinstance(module, Dropout))
    assert per_source(found) == per_source(candidate_search(3, search)(plain, pairs(ROWS)))
    candidate_log_probs(model, found).sum().backward()  # nothing here was made for inference alone


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "rotary"])
def test_a_model_can_be_trained_after_it_was_searched(positions: str) -> None:
    model = searched_model(positions=positions, d_model=24 if positions == "rotary" else 23)
    found = candidate_search(3, "beam")(model, pairs(ROWS))
    candidate_log_probs(model, found).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_candidates_are_distinct_counted_and_within_their_own_limit() -> None:
    found = candidate_search(11, temperature=0.5, max_length_ratio=1.4)(searched_model(), pairs(ROWS))
    sources = per_source(found)
    assert found.counts.sum(1).tolist() == [11.0] * 5
    assert found.counts.shape[1] == max(map(len, sources)) <= 11
    assert found.is_real.sum(1).tolist() == [len(source) for source in sources]
    assert any(count > 1 for source in sources for count in source.values())
    for source, length in zip(sources, TARGET_LENGTHS, strict=True):
        limit = math.ceil(1.4 * length)
        assert max(map(len, source)) <= limit
        assert all(EOS not in ids[:-1] for ids in source), "nothing stands behind the end"
        assert all(ids[-1] == EOS or len(ids) == limit for ids in source)
    assert found.lengths.max() == found.batch.labels.shape[1]


def test_greedy_candidates_are_those_of_greedy_search() -> None:
    model, batch = searched_model(), pairs(ROWS)
    found = candidate_search(search="greedy", max_length_ratio=9.0, max_length=13)(model, batch)
    model.eval()
    expected = Greedy(max_length=13).search(model, batch.input_ids, batch.attention_mask)
    assert [list(source) for source in per_source(found)] == [[hypotheses[0].tokens] for hypotheses in expected]


def test_log_probs_of_candidates_are_the_scores_of_the_search() -> None:
    model, batch = searched_model(), pairs(ROWS)
    found = candidate_search(3, "beam", max_length_ratio=9.0, max_length=13)(model, batch)
    model.eval()
    scores = candidate_log_probs(model, found)
    rows = [row for row, ids in enumerate(unpadded(found.batch.labels)) if ids]
    for row in rows:
        source, ids = row // scores.shape[1], unpadded(found.batch.labels)[row]
        one = pairs([source])
        inputs = torch.tensor([[START, *ids[:-1]]])
        logits = model(one.input_ids, one.attention_mask, inputs).logits.log_softmax(-1)
        expected = logits[0].gather(1, torch.tensor(ids).unsqueeze(1)).sum()
        torch.testing.assert_close(scores.flatten()[row], expected, rtol=0, atol=1e-9)


def test_an_added_reference_is_one_row_whether_it_was_found_or_not() -> None:
    model, batch = searched_model(), pairs(ROWS)
    references = unpadded(batch.labels)
    for source, reference in zip(per_source(candidate_search(5)(model, batch, True)), references, strict=True):
        assert source[reference] == 0
    found = {references[1]: 3, (4, EOS): 1}
    rows = as_rows(pairs([1]), [found], PAD, START)
    assert per_source(rows) == [found]


def test_rows_without_a_candidate_have_no_labels() -> None:
    rows = as_rows(pairs([0, 1]), [{(5, 6, EOS): 1, (7,): 2}, {(EOS,): 1}], PAD, START)
    no = IGNORED_LABEL
    assert rows.batch.labels.tolist() == [[5, 6, EOS], [7, no, no], [EOS, no, no], [no, no, no]]
    assert rows.batch.decoder_input_ids.tolist() == [
        [START, 5, 6],
        [START, 7, PAD],
        [START, EOS, PAD],
        [START, PAD, PAD],
    ]
    assert rows.counts.tolist() == [[1, 2], [1, 0]]
    assert rows.is_real.tolist() == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_candidates": 0}, "`num_candidates` must be at least 1"),
        ({"max_length_ratio": 0.0}, "`max_length_ratio` must be above 0"),
        ({"max_length": 0}, "`max_length` must be at least 1"),
        ({"temperature": 0.0}, "`temperature` must be above 0"),
        ({"search": "diverse_beam", "diversity_penalty": -1.0}, "`diversity_penalty` must not be negative"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        candidate_search(**options)
