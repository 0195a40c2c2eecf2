"""From options to a search: what minimum Bayes risk decoding is made of, and what it refuses."""

from dataclasses import asdict
from typing import Any

import pytest

from seq2seq.assembly.search import build_search
from seq2seq.config.schema import DecodingConfig
from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.decoding import BeamSearch, Sampling
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk


def build(trained_order: str = "l2r", **options: Any) -> Any:
    return build_search(asdict(DecodingConfig()) | {"mbr": "chrf"} | options, trained_order, detokenize=str)


def test_without_it_nothing_changes() -> None:
    assert build(mbr="none", num_samples=7, mbr_candidates="search") == BeamSearch()


def test_samples_are_drawn_with_the_options_of_sampling() -> None:
    search = build(num_samples=7, n_best=3, temperature=0.5, seed=9, beam_width=2)
    assert isinstance(search, MinimumBayesRisk)
    assert search.samples == Sampling(n_best=7, temperature=0.5, epsilon=0.02, seed=9)
    assert (search.candidates, search.n_best, search.width) == (None, 3, 7)


@pytest.mark.parametrize(
    ("options", "epsilon"),
    [({}, 0.02), ({"epsilon": 0.1}, 0.1), ({"mbr_epsilon": 0.0}, 0.0), ({"mbr_epsilon": 0.3}, 0.3)],
)
def test_which_epsilon_cuts_the_samples(options: dict[str, float], epsilon: float) -> None:
    assert build(**options).samples.epsilon == epsilon


def test_candidates_of_the_method() -> None:
    search = build(mbr_candidates="search", beam_width=9, n_best=2, num_samples=7, length_penalty=0.5)
    assert search.candidates == BeamSearch(beam_width=9, n_best=9, length_penalty=0.5)
    assert (search.width, search.n_best) == (9, 2)


@pytest.mark.parametrize(
    ("trained", "order", "side"),
    [("r2l", "auto", RIGHT), ("bidirectional", "l2r", LEFT), ("bidirectional", "r2l", RIGHT)],
)
def test_samples_from_either_side(trained: str, order: str, side: int) -> None:
    search = build(trained, generation_order=order, mbr_candidates="search")
    for part, kind in ((search.samples, Sampling), (search.candidates, BeamSearch)):
        assert isinstance(part, FromSide)
        assert part.side == side
        assert isinstance(part.inner, kind)


def test_a_decode_that_was_stopped_knows_its_search_again() -> None:
    """A file's manifest compares searches by their text."""
    assert repr(build()) == repr(build())
    others = [
        build(),
        build(mbr="bleu"),
        build(mbr_pairwise=True),
        build(num_samples=7),
        build(n_best=2),
        build(mbr="ter"),
    ]
    assert len(set(map(repr, others))) == len(others)


@pytest.mark.parametrize(
    ("trained", "options", "message"),
    [
        ("bidirectional", {}, "in the order `bidirectional`; set `generation_order` to l2r or r2l"),
        ("interleaved", {}, "in the order `interleaved`; leave out `mbr`"),
        ("l2r", {"generation_order": "r2l"}, "trained to generate in the order `l2r`"),
        ("bidirectional", {"generation_order": "l2r", "rescore": "both"}, "`mbr` and `rescore`"),
        ("l2r", {"mbr": "blue"}, "no metric 'blue'; did you mean 'bleu'"),
        ("l2r", {"num_samples": 0}, "`num_samples` must be at least 1, but is 0"),
        ("l2r", {"n_best": 0}, "`n_best` must be at least 1, but is 0"),
        ("l2r", {"num_samples": 4, "n_best": 5}, r"`num_samples` must be at least `n_best` \(5\), but is 4"),
        ("l2r", {"mbr_candidates": "search", "n_best": 6}, r"`beam_width` must be at least `n_best` \(6\), but is 5"),
        ("l2r", {"mbr_epsilon": 1.5}, "epsilon` must be at least 0 and below 1, but is 1.5"),
    ],
)
def test_what_does_not_fit_is_named(trained: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(trained, **options)
