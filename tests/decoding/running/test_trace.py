"""What is written down of a search from both ends, against the search itself."""

from typing import Any

import pytest
import torch

from seq2seq.data.generation_order import LEFT, from_right
from seq2seq.decoding import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.decoding.running.trace import trace
from tests.decoding.algorithms.both_ends import BOTH, EOS, model_of

SOURCE = [4, 3, 5, 2]
INTERLEAVED = {"generation_order": "interleaved"}


@pytest.mark.parametrize(
    ("options", "search", "width"),
    [
        (BOTH, SynchronousBeamSearch(beam_width=6, n_best=6, max_length=11), 3),
        (BOTH, SynchronousBeamSearch(beam_width=6, n_best=6, max_length=11, pairing="companion"), 6),
        (BOTH, JointBeamSearch(beam_width=6, n_best=6, max_length=11), 3),
        (INTERLEAVED, InterleavedBeamSearch(beam_width=3, n_best=3, max_length=11), 3),
    ],
)
def test_a_trace_holds_the_rows_of_each_step_and_what_the_search_finds(
    options: dict[str, Any], search: Any, width: int
) -> None:
    model = model_of(1, **options)
    found = trace(model, search, SOURCE)
    source = torch.tensor([SOURCE])
    assert [found.hypotheses] == search.search(model, source, source > 0)
    for length, sides in enumerate(found.steps):
        assert [len(row) for side in sides for row in side] == [length] * sum(map(len, sides))
        assert [len(side) for side in sides] == [width if length else max(1, width // 3)] * 2
    assert (found.attention is None) == (options == INTERLEAVED)
    if options == INTERLEAVED:
        return
    for hypothesis in found.hypotheses:
        tokens, side = list(hypothesis.tokens), int(hypothesis.direction == "r2l")
        if side:
            tokens = from_right(tokens) if hypothesis.finished else tokens[::-1]
        words = tokens[:-1] if tokens[-1] == EOS else tokens
        before = words[: len(found.steps) - 1]
        assert any(list(row[: len(before)]) == before for step in found.steps for row in step[side])


def test_one_end_is_no_trace() -> None:
    for search in (BeamSearch(), FromSide(BeamSearch(), LEFT)):
        with pytest.raises(ValueError, match="A trace shows a search from both ends"):
            trace(model_of(1, **BOTH).from_side(LEFT), search, SOURCE)
