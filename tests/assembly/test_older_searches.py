"""Searches that model folders of earlier versions describe, by options of all searches side by side."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from seq2seq.assembly.search import (
    complete_search,
    search_of_older_version,
)
from seq2seq.data.generation_order import RIGHT
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import BeamSearch, DiverseBeamSearch, Greedy, Sampling, Search
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch

TOKENIZER = cast(TextTokenizer, SimpleNamespace(decode=str))

OLDER: dict[str, Any] = {
    **{"method": "beam", "generation_order": "auto", "pairing": "rank"},
    **{"rescore": "none", "rescoring_weight": 0.5, "rescoring_margin": 0.0},
    **{"mbr": "none", "num_samples": 64, "mbr_epsilon": 0.02, "mbr_candidates": "samples", "mbr_pairwise": False},
    **{"beam_width": 5, "n_best": 1, "length_penalty": 1.0, "length_normalization": "average"},
    **{"early_stopping": False, "coverage_penalty": 0.0, "min_length": 0, "max_length": 256, "max_length_ratio": 0.0},
    **{"no_repeat_ngram": 0, "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "epsilon": 0.0, "seed": 1},
    **{"num_groups": 5, "diversity_penalty": 0.5, "batch_tokens": 8192},
}
"""What a model folder of an earlier version said of a search, all options of all searches."""


@pytest.mark.parametrize(
    ("trained", "options", "expected"),
    [
        ("l2r", {}, BeamSearch()),
        ("r2l", {"beam_width": 7}, FromSide(BeamSearch(beam_width=7), RIGHT)),
        ("l2r", {"method": "greedy", "max_length": 31, "pairing": "joint"}, Greedy(max_length=31)),
        ("l2r", {"method": "sampling", "top_k": 3, "n_best": 2}, Sampling(n_best=2, top_k=3)),
        ("l2r", {"method": "diverse_beam", "diversity_penalty": 0.25}, DiverseBeamSearch(diversity_penalty=0.25)),
        ("bidirectional", {"beam_width": 6}, SynchronousBeamSearch(beam_width=6)),
        ("bidirectional", {"beam_width": 1}, SynchronousBeamSearch(beam_width=2)),
        ("bidirectional", {"beam_width": 1, "pairing": "joint"}, JointBeamSearch(beam_width=2)),
        (
            "bidirectional",
            {"beam_width": 6, "pairing": "companion"},
            SynchronousBeamSearch(beam_width=6, pairing="companion"),
        ),
        ("bidirectional", {"generation_order": "r2l"}, FromSide(BeamSearch(generation_order="r2l"), RIGHT)),
        ("interleaved", {"beam_width": 3}, InterleavedBeamSearch(beam_width=3)),
    ],
)
def test_searches_of_earlier_versions(trained: str, options: dict[str, Any], expected: Search) -> None:
    found = search_of_older_version(OLDER | options, trained)
    assert complete_search(found, trained, TOKENIZER) == expected


@pytest.mark.parametrize(
    ("trained", "options", "expected"),
    [
        (
            "bidirectional",
            {"rescore": "both", "rescoring_weight": 0.25, "n_best": 2, "generation_order": "l2r", "pairing": "joint"},
            Rescored(weight=0.25, n_best=2),
        ),
        ("bidirectional", {"rescore": "l2r", "method": "greedy"}, Rescored(rescore="l2r", candidates=Greedy())),
        ("interleaved", {"rescore": "l2r"}, Rescored(rescore="l2r", candidates=InterleavedBeamSearch())),
        ("l2r", {"mbr": "bleu", "n_best": 2, "temperature": 0.5, "beam_width": 9, "rescoring_weight": 0.2}, None),
        ("l2r", {"mbr": "bleu", "mbr_candidates": "search", "beam_width": 9, "epsilon": 0.1}, None),
    ],
)
def test_searches_of_earlier_versions_that_rank_anew(
    trained: str, options: dict[str, Any], expected: Search | None
) -> None:
    found: Any = search_of_older_version(OLDER | options, trained)
    complete_search(found, trained, TOKENIZER)
    if expected is not None:
        assert found == expected
    elif "mbr_candidates" in options:
        samples = Sampling(n_best=64, epsilon=0.1)
        assert found == MinimumBayesRisk(metric="bleu", samples=samples, candidates=BeamSearch(beam_width=9))
    else:
        samples = Sampling(n_best=64, epsilon=0.02, temperature=0.5)
        assert found == MinimumBayesRisk(metric="bleu", samples=samples, n_best=2)


def test_what_an_earlier_version_did_and_this_one_does_not() -> None:
    with pytest.raises(ValueError, match="there is no `coverage_penalty` any more; delete it there to search without"):
        search_of_older_version(OLDER | {"coverage_penalty": 0.2}, "l2r")
