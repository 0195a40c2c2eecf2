"""Rescoring and minimum Bayes risk of flat options: what each takes, what is within it, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from seq2seq.assembly.search import (
    changed_search,
    complete_search,
    inner_search,
)
from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import BeamSearch, DiverseBeamSearch, Greedy, Sampling, Search
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored

TOKENIZER = cast(TextTokenizer, SimpleNamespace(decode=str))


def described(trained_order: str = "l2r", base: Search | None = None, **options: Any) -> Any:
    """Return the search that options describe, before it is completed."""
    return changed_search(base, options, trained_order)


def build(trained_order: str = "l2r", **options: Any) -> Any:
    """Return the search that runs."""
    return complete_search(described(trained_order, **options), trained_order, TOKENIZER)


# ---- rescored --------------------------------------------------------------------------------------------------------


def test_rescoring_takes_its_own_options_and_those_of_the_search_within() -> None:
    options = {"rescoring_weight": 0.25, "rescoring_margin": 0.125, "n_best": 3, "beam_width": 6, "length_penalty": 0.5}
    found = described("bidirectional", rescore="r2l", **options)
    inner = BeamSearch(beam_width=6, length_penalty=0.5)
    assert found == Rescored(rescore="r2l", candidates=inner, weight=0.25, margin=0.125, n_best=3)
    completed = complete_search(found, "bidirectional", None)
    assert isinstance(completed, Rescored)
    assert completed.searches == (FromSide(replace(inner, n_best=6), LEFT),)
    assert (completed.orders, completed.length_penalty) == (("l2r", "r2l"), 0.5)
    both: Any = complete_search(described("bidirectional", found, rescore="both"), "bidirectional", None)
    assert [search.side for search in both.searches] == [LEFT, RIGHT]
    assert described("bidirectional", found, rescore="none") == inner
    assert described("bidirectional", found, rescoring_margin=0.5) == replace(found, margin=0.5)


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({"method": "greedy"}, Greedy()),
        ({"method": "sampling", "n_best": 7, "top_k": 3}, Sampling(n_best=7, top_k=3)),
        ({"method": "diverse_beam", "beam_width": 6, "num_groups": 3}, DiverseBeamSearch(beam_width=6, num_groups=3)),
    ],
)
def test_any_search_from_one_end_can_be_rescored(options: dict[str, Any], within: Any) -> None:
    """Each returns all that it finds."""
    found = build("bidirectional", rescore="both", **options)
    assert found.candidates == within
    assert [search.inner.width for search in found.searches] == [within.width] * 2
    assert [search.inner.n_best for search in found.searches] == [within.width] * 2


@pytest.mark.parametrize("base", [None, BeamSearch(beam_width=3), InterleavedBeamSearch(beam_width=3)])
def test_an_interleaved_search_is_rescored_from_the_left(base: Search | None) -> None:
    found = complete_search(described("interleaved", base, rescore="l2r", beam_width=3), "interleaved", None)
    assert isinstance(found, Rescored)
    assert found.searches == (InterleavedBeamSearch(beam_width=3, n_best=3),)
    assert found.orders == ("interleaved", "l2r")


@pytest.mark.parametrize(
    ("trained", "options", "message"),
    [
        ("l2r", {"rescore": "both"}, "`rescore` needs both directions, but this model knows `l2r` alone"),
        ("interleaved", {"rescore": "both"}, "`rescore` must be `l2r`, but is `both`"),
        ("interleaved", {"rescore": "l2r", "method": "sampling"}, "has beam search alone"),
        ("bidirectional", {"rescore": "both", "rescoring_weight": 1.5}, "`weight` must be between 0 and 1, but is 1.5"),
        ("bidirectional", {"rescore": "both", "rescoring_margin": -1.0}, "`margin` must be at least 0, but is -1"),
        ("bidirectional", {"rescore": "both", "n_best": 0}, "`n_best` must be at least 1, but is 0"),
        ("bidirectional", {"rescore": "both", "generation_order": "l2r"}, "leave out `generation_order`"),
        ("bidirectional", {"rescore": "both", "pairing": "companion"}, "leave out `pairing`"),
        ("bidirectional", {"rescore": "both", "temperature": 0.5}, "`temperature` belongs to sampling"),
    ],
)
def test_what_cannot_be_rescored(trained: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(trained, **options)


# ---- minimum Bayes risk ----------------------------------------------------------------------------------------------


def test_without_it_nothing_changes() -> None:
    assert build(mbr="none") == BeamSearch()


def test_samples_are_drawn_with_the_options_of_sampling() -> None:
    search = build(mbr="chrf", num_samples=7, n_best=3, temperature=0.5, seed=9, max_length=31)
    assert isinstance(search, MinimumBayesRisk)
    assert search.samples == Sampling(n_best=7, temperature=0.5, epsilon=0.02, seed=9, max_length=31)
    assert (search.candidates, search.n_best, search.width) == (None, 3, 7)
    assert search.detokenize([5]) == "[5]"


@pytest.mark.parametrize(
    ("options", "epsilon"),
    [
        ({}, 0.02),
        ({"epsilon": 0.1}, 0.1),
        ({"epsilon": 0.0}, 0.0),
        ({"mbr_epsilon": 0.0}, 0.0),
        ({"mbr_epsilon": 0.3}, 0.3),
        ({"mbr_epsilon": 0.3, "epsilon": 0.1}, 0.1),
    ],
)
def test_which_epsilon_cuts_the_samples(options: dict[str, float], epsilon: float) -> None:
    assert build(mbr="chrf", **options).samples.epsilon == epsilon


def test_candidates_of_the_method_are_all_that_it_finds() -> None:
    options = {"mbr_candidates": "search", "beam_width": 9, "n_best": 2, "num_samples": 7, "length_penalty": 0.5}
    search = build(mbr="chrf", **options)
    assert search.candidates == BeamSearch(beam_width=9, n_best=9, length_penalty=0.5)
    assert (search.width, search.n_best) == (9, 2)
    diverse = build(mbr="chrf", mbr_candidates="search", method="diverse_beam")
    assert diverse.candidates == DiverseBeamSearch(n_best=5)


def test_what_a_model_is_ranked_by_can_be_changed_and_left_out() -> None:
    base = described(base=BeamSearch(beam_width=7, n_best=2, max_length=31), mbr="chrf", mbr_candidates="search")
    assert base.n_best == 2, "as before"
    assert inner_search(base) == BeamSearch(beam_width=7, n_best=2, max_length=31)
    assert described(base=base, mbr="bleu", mbr_pairwise=True) == replace(base, metric="bleu", pairwise=True)
    assert described(base=base, mbr_candidates="samples") == replace(base, candidates=None)
    assert described(base=base, mbr="none", n_best=1) == BeamSearch(beam_width=7, max_length=31)
    of_samples = described(mbr="chrf", max_length=31)
    assert described(base=of_samples, mbr="none", method="greedy") == Greedy(max_length=31)


@pytest.mark.parametrize(
    ("trained", "order", "side"),
    [("r2l", "auto", RIGHT), ("bidirectional", "l2r", LEFT), ("bidirectional", "r2l", RIGHT)],
)
def test_samples_from_either_side(trained: str, order: str, side: int) -> None:
    search = build(trained, mbr="chrf", generation_order=order, mbr_candidates="search")
    for part, kind in ((search.samples, Sampling), (search.candidates, BeamSearch)):
        assert isinstance(part, FromSide)
        assert part.side == side
        assert isinstance(part.inner, kind)


def test_a_decode_that_was_stopped_knows_its_search_again() -> None:
    """A file's manifest compares searches by their text."""
    first = {"mbr": "chrf"}
    assert repr(build(**first)) == repr(build(**first))
    changes: list[dict[str, Any]] = [
        *({}, {"mbr": "bleu"}, {"mbr_pairwise": True}, {"num_samples": 7}, {"n_best": 2}, {"mbr": "ter"}),
        {"mbr_candidates": "search"},
    ]
    others = [build(**first | change) for change in changes]
    assert len(set(map(repr, others))) == len(others)


@pytest.mark.parametrize(
    ("trained", "options", "message"),
    [
        (
            "bidirectional",
            {"generation_order": "bidirectional"},
            "in the order `bidirectional`; set `generation_order`",
        ),
        ("bidirectional", {"pairing": "rank", "mbr_candidates": "search"}, "in the order `bidirectional`; set"),
        ("interleaved", {}, "in the order `interleaved`; leave out `mbr`"),
        ("interleaved", {"generation_order": "interleaved"}, "in the order `interleaved`; leave out `mbr`"),
        ("l2r", {"generation_order": "r2l"}, "trained to generate in the order `l2r`"),
        ("l2r", {"mbr": "blue"}, "no metric 'blue'; did you mean 'bleu'"),
        ("l2r", {"num_samples": 0}, "`num_samples` must be at least 1, but is 0"),
        ("l2r", {"n_best": 0}, "`n_best` must be at least 1 .*but is 0"),
        ("l2r", {"num_samples": 4, "n_best": 5}, r"at most what is chosen from \(4\), but is 5"),
        ("l2r", {"mbr_candidates": "search", "n_best": 6}, r"at most what is chosen from \(5\), but is 6"),
        ("l2r", {"mbr_epsilon": 1.5}, "epsilon` must be at least 0 and below 1, but is 1.5"),
        ("l2r", {"beam_width": 3}, "`beam_width` belongs to `mbr_candidates` search"),
        ("l2r", {"method": "greedy"}, "`method` belongs to `mbr_candidates` search"),
        ("l2r", {"mbr_candidates": "search", "method": "greedy"}, "set `method` to beam or diverse_beam"),
        ("l2r", {"mbr_candidates": "search", "num_groups": 5}, "`num_groups` belongs to diverse_beam"),
    ],
)
def test_what_does_not_fit_is_named(trained: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(trained, **{"mbr": "chrf"} | options)


def test_a_model_of_both_directions_is_sampled_from_the_left() -> None:
    assert build("bidirectional", mbr="chrf").samples == FromSide(Sampling(n_best=64, epsilon=0.02), LEFT)
