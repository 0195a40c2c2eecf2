"""N-best lists ranked anew."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.rescoring import BestByWeight, Rescored
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.decoding.parts import teacher_forcing
from seq2seq.decoding.parts.teacher_forcing import log_probs_of
from seq2seq.models.orders import BothDirections, InterleavedAndLeft
from tests.decoding.algorithms.both_ends import BOTH, assert_same, model_of, sources
from tests.fakes import RandomModel
from tests.oracles import token_log_probs


def test_weights_of_one_direction_rank_by_it_alone() -> None:
    for seed in range(5):
        model = model_of(seed, **BOTH)
        inner = BeamSearch(beam_width=6, n_best=6, max_length=9, length_penalty=0)
        left, right = FromSide(inner, LEFT), FromSide(inner, RIGHT)
        assert_same(
            Rescored((left,), 0.0, n_best=6, length_penalty=0).search(model, *sources()), left.search(model, *sources())
        )
        assert_same(
            Rescored((right,), 1.0, n_best=6, length_penalty=0).search(model, *sources()),
            right.search(model, *sources()),
        )


@torch.no_grad()
def test_pooled_strings_are_ranked_by_both_directions() -> None:
    model, inner = model_of(2, **BOTH), BeamSearch(beam_width=4, n_best=4, max_length=9)
    input_ids, mask = sources()
    found = Rescored((FromSide(inner, LEFT), FromSide(inner, RIGHT)), 0.3, n_best=8).search(model, input_ids, mask)
    for i, hypotheses in enumerate(found):
        assert len({h.tokens for h in hypotheses}) == len(hypotheses) > 4
        for h in hypotheses:
            turned = from_right(h.tokens) if h.finished else list(reversed(h.tokens))
            one = input_ids[i : i + 1], mask[i : i + 1]
            left = log_probs_of(model.from_side(0), *one, [list(h.tokens)])
            right = log_probs_of(model.from_side(1), *one, [turned])
            expected = float(0.7 * left + 0.3 * right) / len(h.tokens)
            assert h.normalized_score == pytest.approx(expected, abs=1e-5)
        normalized = [h.normalized_score for h in hypotheses]
        assert normalized == sorted(normalized, reverse=True)


def test_the_best_by_every_weight_is_that_of_each_weight_alone() -> None:
    model, inner = model_of(4, **BOTH), BeamSearch(beam_width=4, n_best=4, max_length=9)
    searches = (FromSide(inner, LEFT), FromSide(inner, RIGHT))
    weights = (0.0, 0.3, 0.5, 1.0)
    found = BestByWeight(Rescored(searches, n_best=3, length_penalty=0.7), weights).search(model, *sources(7))
    for i, weight in enumerate(weights):
        alone = Rescored(searches, weight, length_penalty=0.7).search(model, *sources(7))
        assert_same([[hypotheses[i]] for hypotheses in found], alone)
    assert any(len({h.tokens for h in hypotheses}) > 1 for hypotheses in found), "the weight must matter"


@torch.no_grad()
def test_within_a_margin_strings_are_ranked_as_without_and_the_others_are_left_out() -> None:
    inner, input_ids, mask = BeamSearch(beam_width=5, n_best=5, max_length=9), *sources(7)
    num_kept = num_alone = 0
    for seed in range(5):
        model = model_of(seed, **BOTH)
        searches = FromSide(inner, LEFT), FromSide(inner, RIGHT)
        everything = Rescored(searches, 0.4, n_best=10).search(model, input_ids, mask)
        searched = zip(*(search.search(model, input_ids, mask) for search in searches), strict=True)
        near = Rescored(searches, 0.4, margin=0.05, n_best=10).search(model, input_ids, mask)
        for lists, found, expected in zip(searched, near, everything, strict=True):
            wanted = {
                h.tokens for list_ in lists for h in list_ if list_[0].normalized_score - h.normalized_score <= 0.05
            }
            num_kept, num_alone = num_kept + len(wanted), num_alone + (len(wanted) == 1)
            assert [h.tokens for h in found] == [h.tokens for h in expected if h.tokens in wanted]
            if len(wanted) > 1:
                scores = {h.tokens: h.normalized_score for h in expected}
                assert [h.normalized_score for h in found] == pytest.approx([scores[h.tokens] for h in found], abs=1e-5)
            else:
                assert found[0] in (lists[0][0], lists[1][0])
    assert num_alone > 0
    assert num_kept < 50 * len(input_ids), "the margin must leave some out"


class FromTheRight(RandomModel):
    def from_side(self, side: int) -> "FromTheRight":
        return self


def test_a_source_without_a_rival_is_not_encoded_again() -> None:
    model = BothDirections(RandomModel(vocab_size=7), right := FromTheRight(vocab_size=7))
    searches = (FromSide(BeamSearch(beam_width=4, n_best=4, max_length=9), LEFT),)
    for margin, expected in ((0.0, 3), (1e-9, 0)):
        before = right.num_encoded
        Rescored(searches, margin=margin).search(model, *sources())
        assert right.num_encoded - before == expected


@pytest.mark.parametrize("limit", [1, 400, 2**24])
def test_each_source_is_encoded_once_and_scored_as_alone(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By passes of one source, of some, and of all three at once; the last row of each is empty."""
    monkeypatch.setattr(teacher_forcing, "LOGITS_AT_ONCE", limit)
    model, (input_ids, mask) = RandomModel(vocab_size=11), sources()
    targets = [[3, 4, 2], [5], [], [4, 4, 4, 3, 2], [3], [], [2], [5, 5], []]
    found = log_probs_of(model, input_ids, mask, targets)
    assert model.num_encoded == 3
    for i, target in enumerate(targets):
        expected = token_log_probs(model, input_ids[i // 3][mask[i // 3]].tolist(), target) if target else []
        assert float(found[i]) == pytest.approx(sum(expected), rel=1e-6)


@torch.no_grad()
def test_rows_of_one_source_are_scored_as_if_each_had_its_own() -> None:
    model, (input_ids, mask) = model_of(3, **BOTH), sources()
    targets = [[3, 4, 2], [5], [], [4, 4, 4, 3, 2], [3], [5, 4, 2], [2], [5, 5, 3, 3, 3, 3, 2], [3, 3, 3]]
    for side in (LEFT, RIGHT):
        one = model.from_side(side)
        found = log_probs_of(one, input_ids, mask, targets)
        for i, target in enumerate(targets):
            source = input_ids[i // 3][mask[i // 3]].unsqueeze(0)
            alone = log_probs_of(one, source, torch.ones_like(source, dtype=torch.bool), [target]) if target else 0
            assert float(found[i]) == pytest.approx(float(alone), rel=1e-6)


def test_two_models_of_one_direction_rescore_each_other() -> None:
    left, right = model_of(1), model_of(2, generation_order="r2l")
    both, inner = BothDirections(left, right), BeamSearch(beam_width=4, n_best=4, max_length=9, length_penalty=0)
    assert_same(FromSide(inner, LEFT).search(both, *sources()), inner.search(left, *sources()))
    assert_same(Rescored((FromSide(inner, RIGHT),), 1.0, n_best=4, length_penalty=0).search(both, *sources()),
         FromSide(inner, RIGHT).search(right, *sources()))  # fmt: skip
    with pytest.raises(ValueError, match="cannot search from both ends"):
        SynchronousBeamSearch().search(both, *sources())
    with pytest.raises(ValueError, match="order `r2l`"):
        BothDirections(right, left)


@torch.no_grad()
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_model_from_the_left_ranks_what_an_interleaved_one_generates(weight: float) -> None:
    left, search = model_of(1), InterleavedBeamSearch(beam_width=5, n_best=5, max_length=9)
    interleaved, (input_ids, mask) = model_of(2, generation_order="interleaved"), sources(5)
    ranked = Rescored((search,), weight, n_best=5, orders=("interleaved", "l2r"))
    drafts = search.search(interleaved, input_ids, mask)
    found = ranked.search(InterleavedAndLeft(interleaved, left), input_ids, mask)
    for i, (before, after) in enumerate(zip(drafts, found, strict=True)):
        of_left = log_probs_of(left, input_ids[i : i + 1], mask[i : i + 1], [list(h.tokens) for h in before])
        expected = {
            h.tokens: ((1 - weight) * h.score + weight * score) / len(h.tokens)
            for h, score in zip(before, of_left.tolist(), strict=True)
        }
        assert {h.tokens: h.normalized_score for h in after} == pytest.approx(expected, abs=1e-5)
        assert [h.tokens for h in after] == sorted(expected, key=lambda tokens: -expected[tokens])
    changed = [[h.tokens for h in hs] for hs in found] != [[h.tokens for h in hs] for hs in drafts]
    assert changed == (weight > 0), "the model from the left must matter, unless it weighs nothing"


def test_an_interleaved_model_and_one_from_the_left_are_each_asked_for_what_it_knows() -> None:
    left, interleaved = model_of(1), model_of(2, generation_order="interleaved")
    for first, second in ((left, left), (interleaved, interleaved), (interleaved, model_of(3, generation_order="r2l"))):
        with pytest.raises(ValueError, match="cannot generate in the order"):
            InterleavedAndLeft(first, second)
    with pytest.raises(ValueError, match="order `r2l`"):
        InterleavedAndLeft(interleaved, left).from_side(RIGHT)
    with pytest.raises(ValueError, match="share their target vocabulary"):
        InterleavedAndLeft(interleaved, model_of(1, vocab_size=7))


class NotFinite(FromTheRight):
    """Says nothing of sources that begin with a token, and no number as a judge of those that begin with another."""

    def __init__(self, unsearched: int, unjudged: int) -> None:
        super().__init__(vocab_size=7)
        self.unsearched, self.unjudged = unsearched, unjudged

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        state, logits = super().encode(input_ids, attention_mask), self._random_logits
        self.logits = lambda source, prefix: logits(source, prefix) * (math.nan if source[0] == self.unsearched else 1)
        return state

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        logits = super().teacher_forced(input_ids, attention_mask, decoder_input_ids)
        num_rows = len(logits) // len(input_ids)
        is_unjudged = (input_ids[:, 0] == self.unjudged).repeat_interleave(num_rows)
        return logits.masked_fill(is_unjudged[:, None, None], math.nan)


@pytest.mark.parametrize("margin", [0.0, 5.0])
def test_a_sentence_that_one_search_or_one_order_fails_for_is_a_failure(margin: float) -> None:
    """One source in five is not searched from the right, another not judged from there."""
    input_ids = torch.tensor([[3, 4], [4, 5], [5, 3], [6, 3], [6, 6]])
    batch = input_ids, torch.ones_like(input_ids, dtype=torch.bool)
    inner = BeamSearch(beam_width=4, n_best=4, max_length=9)
    left, right = RandomModel(vocab_size=7), NotFinite(unsearched=4, unjudged=5)
    both = Rescored((FromSide(inner, LEFT), FromSide(inner, RIGHT)), 0.3, margin=margin, n_best=8)
    found = both.search(BothDirections(left, right), *batch)
    expected = both.search(BothDirections(left, NotFinite(unsearched=-1, unjudged=-1)), *batch)
    weights = BestByWeight(both, (0.1, 0.5, 0.9)).search(BothDirections(left, right), *batch)
    for i, (hypotheses, others) in enumerate(zip(found, expected, strict=True)):
        assert len(weights[i]) == 3
        assert {h.error is None for h in weights[i]} == {i not in (1, 2)}
        if i in (1, 2):
            [failed] = hypotheses
            assert failed.tokens == ()
            assert "not finite" in str(failed.error)
        else:
            assert hypotheses == others


def test_weights_outside_of_zero_to_one() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Rescored((BeamSearch(),), weight=1.5)


def test_a_negative_margin() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Rescored((BeamSearch(),), margin=-0.1)
