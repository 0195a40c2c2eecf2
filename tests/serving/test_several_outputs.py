"""Several outputs of a client that says how many: every search of a model finds them."""

from typing import Any

import pytest

from seq2seq.assembly.search import changed_search, complete_search
from seq2seq.config.declaring import options_of
from seq2seq.decoding import BeamSearch, Sampling
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.serving.routes.several_outputs import options_for_outputs


@pytest.mark.parametrize(
    ("base", "order"),
    [
        (Greedy(), "l2r"),
        (Greedy(), "bidirectional"),
        (Sampling(), "l2r"),
        (BeamSearch(), "l2r"),
        (BeamSearch(beam_width=12), "l2r"),
        (DiverseBeamSearch(), "l2r"),
        (SynchronousBeamSearch(), "bidirectional"),
        (InterleavedBeamSearch(), "interleaved"),
    ],
)
def test_every_search_finds_so_many(base: Any, order: str) -> None:
    runs: Any = complete_search(base, order, None)
    said = {name: getattr(runs, name) for name in options_of(type(runs))}
    assert options_for_outputs(1, said) == {}
    found: Any = complete_search(changed_search(base, options_for_outputs(8, said), order), order, None)
    assert found.n_best == 8
    assert found.width >= 8
    if base.width >= 8:
        assert found.width == base.width, "a beam that is wide enough stays as it is"
