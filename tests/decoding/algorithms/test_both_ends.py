"""What holds for every search from the right or from both ends."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from seq2seq.data.generation_order import RIGHT
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch, best_of
from seq2seq.generation.hypothesis import Hypothesis
from tests.decoding.algorithms.both_ends import BOTH, assert_same, model_of, sources

SEARCHES: list[tuple[dict[str, Any], Any]] = [
    (BOTH, SynchronousBeamSearch(beam_width=4, n_best=3, max_length=11)),
    (BOTH, SynchronousBeamSearch(beam_width=4, n_best=3, max_length=11, pairing="companion")),
    ({**BOTH, "interaction": "gate"}, JointBeamSearch(beam_width=6, n_best=3, max_length=11)),
    ({"generation_order": "interleaved"}, InterleavedBeamSearch(beam_width=3, n_best=3, max_length=11)),
    ({"generation_order": "interleaved", "positions": "rotary"}, InterleavedBeamSearch(beam_width=3, max_length=11)),
    (BOTH, FromSide(BeamSearch(beam_width=3, n_best=3, max_length=11), RIGHT)),
]


@pytest.mark.parametrize(("options", "search"), SEARCHES)
def test_neither_batch_mates_nor_padding_nor_order_matter(options: dict[str, Any], search: Any) -> None:
    model = model_of(6, **options)
    input_ids, mask = sources(7)
    together = search.search(model, input_ids, mask)
    for i in range(7):
        length = int(mask[i].sum())
        assert_same(search.search(model, input_ids[i : i + 1, :length], mask[i : i + 1, :length]), together[i : i + 1])
    order = torch.tensor([3, 6, 0, 5, 1, 4, 2])
    assert_same(search.search(model, input_ids[order], mask[order]), [together[i] for i in order])
    padded = torch.nn.functional.pad(input_ids, (0, 3)), torch.nn.functional.pad(mask, (0, 3))
    assert_same(search.search(model, *padded), together)


def test_an_odd_beam_cannot_be_halved() -> None:
    for kind in (SynchronousBeamSearch, JointBeamSearch):
        with pytest.raises(ValueError, match="use 4 or 6"):
            kind(beam_width=5)


@pytest.mark.parametrize("trained", ["l2r", "r2l", "interleaved", "bidirectional"])
def test_searches_refuse_models_of_other_orders(trained: str) -> None:
    model = model_of(1, generation_order=trained)
    searches = {
        "bidirectional": [SynchronousBeamSearch(), JointBeamSearch()],
        "interleaved": [InterleavedBeamSearch()],
    }
    for order, kinds in searches.items():
        for search in kinds if order != trained else []:
            with pytest.raises(ValueError, match=f"trained to generate in the order `{trained}`"):
                search.search(model, *sources(1))


def test_the_same_string_from_both_ends_counts_once() -> None:
    a = Hypothesis((3, 2), (-1.0, -1.0), -2.0, -1.0, True)
    b = replace(a, normalized_score=-0.5, direction="r2l")
    c = replace(a, tokens=(4, 2), normalized_score=-0.7)
    assert best_of([a, c], [b]) == [b, c]
