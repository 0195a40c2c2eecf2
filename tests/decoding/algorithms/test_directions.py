"""Searches that begin at one end, with models that know one or both."""

import itertools

import pytest

from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.models.ensemble import Ensemble
from tests.decoding.algorithms.both_ends import BOTH, assert_same, model_of, sources


def test_each_direction_of_one_model_is_an_ordinary_search() -> None:
    model = model_of(1, **BOTH)
    search = BeamSearch(beam_width=3, n_best=3, max_length=9)
    left = FromSide(search, LEFT).search(model, *sources())
    assert_same(left, search.search(model.from_side(0), *sources()))
    right = FromSide(search, RIGHT).search(model, *sources())
    turned = search.search(model.from_side(1), *sources())
    for found, raw in zip(itertools.chain(*right), itertools.chain(*turned), strict=True):
        assert found.direction == "r2l"
        words = len(raw.tokens) - raw.finished
        assert found.tokens == (*reversed(raw.tokens[:words]), *raw.tokens[words:])
        assert found.token_log_probs[:words] == tuple(reversed(raw.token_log_probs[:words]))
        assert found.score == raw.score
    assert [h.tokens for hs in left for h in hs] != [h.tokens for hs in right for h in hs]


def test_a_model_from_the_right_reads_from_the_left() -> None:
    model = model_of(2, generation_order="r2l")
    [[found], *_] = FromSide(BeamSearch(beam_width=2, max_length=9), RIGHT).search(model, *sources())
    [[raw], *_] = BeamSearch(beam_width=2, max_length=9).search(model, *sources())
    assert list(found.tokens) == (from_right(raw.tokens) if raw.finished else list(reversed(raw.tokens)))


def test_forced_prefixes_are_for_the_left_alone() -> None:
    model = model_of(1, **BOTH)
    for search in (FromSide(BeamSearch(), RIGHT), SynchronousBeamSearch(), JointBeamSearch()):
        with pytest.raises(ValueError, match="generation from the left"):
            search.search(model, *sources(1), prefixes=[[4]])


def test_models_of_different_orders_are_no_ensemble() -> None:
    with pytest.raises(ValueError, match="generation order"):
        Ensemble([model_of(1), model_of(2, generation_order="r2l")])
