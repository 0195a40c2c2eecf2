"""From flat options and a model's order to a search: what each makes of another, and what is refused."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from seq2seq.assembly.flat_options import SELECTORS, flat_options
from seq2seq.assembly.search import (
    beam_search_like,
    changed_search,
    complete_search,
    default_search,
    greedy_search_like,
    inner_search,
    within_reach,
)
from seq2seq.config.declaring import options_of
from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import ONE_SIDED, SEARCHES, BeamSearch, DiverseBeamSearch, Greedy, Sampling, Search
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch

ORDERS = ("l2r", "r2l", "bidirectional", "interleaved")
TOKENIZER = cast(TextTokenizer, SimpleNamespace(decode=str))
TEXTS = {name: text for name, _, text in flat_options()}


def described(trained_order: str = "l2r", base: Search | None = None, **options: Any) -> Any:
    """Return the search that options describe, before it is completed."""
    return changed_search(base, options, trained_order)


def build(trained_order: str = "l2r", **options: Any) -> Any:
    """Return the search that runs."""
    return complete_search(described(trained_order, **options), trained_order, TOKENIZER)


# ---- flat options ----------------------------------------------------------------------------------------------------


def test_flat_options_are_those_of_all_searches_each_once_and_with_a_text() -> None:
    names = [name for name, _, _ in flat_options()]
    assert len(names) == len(set(names))
    nested = ("candidates", "samples", "weight", "margin", "metric", "pairwise")  # under other names in `SELECTORS`
    assert set(names) == {*SELECTORS, *(name for kind in SEARCHES.values() for name in options_of(kind))} - {*nested}
    assert all(len(text) > 10 for text in TEXTS.values()), TEXTS


VALUES: dict[str, Any] = {
    "beam_width": 8,
    "n_best": 3,
    "length_penalty": 0.5,
    "length_normalization": "gnmt",
    "early_stopping": True,
    "min_length": 2,
    "max_length": 77,
    "max_length_ratio": 1.5,
    "no_repeat_ngram": 3,
    "generation_order": "l2r",
    "temperature": 0.7,
    "top_k": 9,
    "top_p": 0.9,
    "min_p": 0.1,
    "epsilon": 0.01,
    "seed": 5,
    "num_groups": 4,
    "diversity_penalty": 0.25,
}
"""A value of each option of a search of one model, other than its default."""


def test_all_of_them_are_tried_below() -> None:
    assert {*VALUES, *SELECTORS} == {*TEXTS}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("method", ONE_SIDED)
def test_an_option_reaches_the_search_that_has_it_and_others_refuse_it(method: str, name: str) -> None:
    width = {"beam_width": 8, "num_groups": 2} if method == "diverse_beam" else {}
    if name in options_of(ONE_SIDED[method]):
        assert described(method=method, **width | {name: VALUES[name]}) == ONE_SIDED[method](
            **width | {name: VALUES[name]}
        )
        return
    owners = [own for own, kind in SEARCHES.items() if name in options_of(kind)]
    with pytest.raises(ValueError, match=f"`{name}` belongs to {' and '.join(owners)}, but the search is {method}"):
        described(method=method, **{name: VALUES[name]})


@pytest.mark.parametrize(("order", "kind"), [("bidirectional", "synchronous"), ("interleaved", "interleaved")])
@pytest.mark.parametrize("name", [name for name in VALUES if name != "generation_order"])
def test_searches_from_both_ends_have_their_options_too(order: str, kind: str, name: str) -> None:
    if name in options_of(SEARCHES[kind]) and (order, name) != ("interleaved", "no_repeat_ngram"):
        expected = replace(SEARCHES[kind](), **{name: VALUES[name]})
        assert described(order, **{name: VALUES[name]}) == build(order, **{name: VALUES[name]}) == expected
    else:
        with pytest.raises(ValueError, match=f"`{name}` (belongs to .* search is {kind}|needs the tokens in one)"):
            build(order, **{name: VALUES[name]})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beams_": 3}, "There is no search option `beams_`. There are beam_width, "),
        ({"method": "breadth"}, "`method` must be one of greedy, beam, sampling, diverse_beam, but is 'breadth'"),
        ({"pairing": "best"}, "`pairing` must be one of rank, joint, companion, but is 'best'"),
        ({"rescore": "all"}, "`rescore` must be one of none, l2r, r2l, both, but is 'all'"),
        ({"length_normalization": "sum"}, "`length_normalization` must be one of average, gnmt, but is 'sum'"),
        ({"rescoring_weight": 0.3}, "`rescoring_weight` belongs to `rescore`, which is not asked for; add it"),
        ({"rescoring_margin": 0.3}, "`rescoring_margin` belongs to `rescore`"),
        ({"num_samples": 9}, "`num_samples` belongs to `mbr`, which is not asked for"),
        ({"mbr_epsilon": 0.1}, "`mbr_epsilon` belongs to `mbr`"),
        ({"mbr_candidates": "search"}, "`mbr_candidates` belongs to `mbr`"),
        ({"mbr_pairwise": True}, "`mbr_pairwise` belongs to `mbr`"),
        ({"mbr": "chrf", "rescore": "both"}, "`mbr` and `rescore` each rank the hypotheses in their own way"),
    ],
)
def test_what_makes_no_search_is_refused(options: dict[str, Any], message: str) -> None:
    for order in ("l2r", "bidirectional"):
        with pytest.raises(ValueError, match=message):
            described(order, **options)


def test_where_another_algorithm_is_chosen_what_both_have_is_kept() -> None:
    base = BeamSearch(beam_width=7, n_best=2, length_penalty=0.3, max_length=31, early_stopping=True)
    assert described(base=base) == base
    assert described(base=base, n_best=3) == replace(base, n_best=3)
    assert described(base=base, method="greedy") == Greedy(length_penalty=0.3, max_length=31)
    assert described(base=base, method="diverse_beam", num_groups=7) == DiverseBeamSearch(
        beam_width=7, n_best=2, num_groups=7, length_penalty=0.3, max_length=31
    )
    joint = described("bidirectional", BeamSearch(beam_width=6, max_length=31), pairing="joint")
    assert joint == JointBeamSearch(beam_width=6, max_length=31)
    assert described("bidirectional", joint, max_length=7) == JointBeamSearch(beam_width=6, max_length=7)
    assert described("bidirectional", joint, generation_order="l2r") == BeamSearch(
        beam_width=6, max_length=31, generation_order="l2r"
    )


# ---- orders ----------------------------------------------------------------------------------------------------------


def test_defaults_of_each_order_can_run() -> None:
    defaults = {order: default_search(order) for order in ORDERS}
    assert defaults == {
        "l2r": BeamSearch(),
        "r2l": BeamSearch(),
        "bidirectional": SynchronousBeamSearch(),
        "interleaved": InterleavedBeamSearch(),
    }
    completed = {order: complete_search(search, order, TOKENIZER) for order, search in defaults.items()}
    assert completed == defaults | {"r2l": FromSide(BeamSearch(), RIGHT)}
    for order in ORDERS:
        assert changed_search(None, {}, order) == defaults[order]


@pytest.mark.parametrize(
    ("trained", "order", "expected"),
    [
        ("l2r", "l2r", BeamSearch(generation_order="l2r")),
        ("r2l", "r2l", FromSide(BeamSearch(generation_order="r2l"), RIGHT)),
        ("bidirectional", "l2r", FromSide(BeamSearch(beam_width=4, generation_order="l2r"), LEFT)),
        ("bidirectional", "r2l", FromSide(BeamSearch(beam_width=4, generation_order="r2l"), RIGHT)),
        ("bidirectional", "bidirectional", SynchronousBeamSearch()),
        ("interleaved", "interleaved", InterleavedBeamSearch()),
    ],
)
def test_orders_that_a_model_knows(trained: str, order: str, expected: Search) -> None:
    assert build(trained, generation_order=order) == expected


@pytest.mark.parametrize(
    ("trained", "order"),
    [
        (trained, order)
        for trained in ORDERS
        for order in ORDERS
        if order != trained and (trained, order) not in (("bidirectional", "l2r"), ("bidirectional", "r2l"))
    ],
)
def test_orders_that_a_model_does_not_know(trained: str, order: str) -> None:
    with pytest.raises(ValueError, match=f"trained to generate in the order `{trained}`"):
        build(trained, generation_order=order)


@pytest.mark.parametrize(
    ("search", "trained"),
    [(SynchronousBeamSearch(), "l2r"), (JointBeamSearch(), "interleaved"), (InterleavedBeamSearch(), "bidirectional")],
)
def test_a_search_of_another_order_is_refused(search: Search, trained: str) -> None:
    with pytest.raises(ValueError, match=f"trained to generate in the order `{trained}`"):
        complete_search(search, trained, None)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"pairing": "rank"}, SynchronousBeamSearch()),
        ({"pairing": "companion", "beam_width": 6}, SynchronousBeamSearch(pairing="companion", beam_width=6)),
        ({"pairing": "joint"}, JointBeamSearch()),
        ({"method": "beam"}, SynchronousBeamSearch()),
        ({"method": "sampling"}, FromSide(Sampling(), LEFT)),
        ({"method": "sampling", "generation_order": "r2l"}, FromSide(Sampling(generation_order="r2l"), RIGHT)),
    ],
)
def test_searches_of_a_model_of_both_directions(options: dict[str, Any], expected: Search) -> None:
    assert build("bidirectional", **options) == expected


@pytest.mark.parametrize(
    ("trained", "options", "message"),
    [
        ("bidirectional", {"method": "diverse_beam", "num_groups": 4}, "has beam search alone; .*or set `generation_o"),
        ("interleaved", {"method": "sampling"}, r"`interleaved` has beam search alone; leave out `method`\.$"),
        ("interleaved", {"method": "sampling", "generation_order": "interleaved"}, "has beam search alone"),
        ("bidirectional", {"method": "sampling", "pairing": "rank"}, "has beam search alone"),
        ("interleaved", {"pairing": "rank"}, "in the order `interleaved`"),
        ("interleaved", {"pairing": "rank", "generation_order": "interleaved"}, "`pairing` belongs to the order `bid"),
        ("l2r", {"pairing": "rank"}, "in the order `l2r`"),
        ("bidirectional", {"beam_width": 5}, "half of `beam_width`, but that is 5; use 4 or 6"),
    ],
)
def test_there_is_no_such_search_in_an_order(trained: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(trained, **options)


@pytest.mark.parametrize(
    "options", [{"beam_width": 1}, {"method": "greedy"}, {"beam_width": 1, "method": "beam"}], ids=str
)
@pytest.mark.parametrize(
    ("trained", "order", "expected"),
    [
        ("l2r", "auto", 1),
        ("r2l", "auto", 1),
        ("bidirectional", "auto", 2),
        ("bidirectional", "bidirectional", 2),
        ("bidirectional", "l2r", 1),
        ("interleaved", "auto", 1),
        ("interleaved", "interleaved", 1),
    ],
)
def test_the_narrowest_beam_of_each_order(options: dict[str, Any], trained: str, order: str, expected: int) -> None:
    """From both ends at least one hypothesis each is needed."""
    assert build(trained, **options, generation_order=order).width == expected


@pytest.mark.parametrize("trained", ORDERS)
def test_a_configured_beam_of_width_1_is_the_narrowest(trained: str) -> None:
    found = complete_search(BeamSearch(beam_width=1, max_length=9), trained, None)
    assert found.width == (2 if trained == "bidirectional" else 1)


@pytest.mark.parametrize("pairing", ["joint", "companion"])
def test_a_pairing_stays_under_a_narrow_beam(pairing: str) -> None:
    base = described("bidirectional", pairing=pairing)
    for options in ({"beam_width": 1}, {"method": "beam", "beam_width": 2}):
        assert described("bidirectional", base, **options) == replace(base, beam_width=2)


# ---- searches like others --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "search",
    [
        BeamSearch(beam_width=7, n_best=2, max_length=31, early_stopping=True),
        JointBeamSearch(max_length=31, early_stopping=True),
        Rescored(candidates=BeamSearch(max_length=31, early_stopping=True)),
        MinimumBayesRisk(candidates=BeamSearch(max_length=31, early_stopping=True)),
    ],
)
def test_a_beam_and_a_greedy_search_with_the_limits_of_another(search: Search) -> None:
    assert beam_search_like(search, 3) == BeamSearch(beam_width=3, max_length=31, early_stopping=True)
    assert greedy_search_like(search) == Greedy(max_length=31)


@pytest.mark.parametrize(
    "search",
    [
        BeamSearch(max_length=31),
        Rescored(candidates=BeamSearch(max_length=31)),
        MinimumBayesRisk(samples=Sampling(max_length=31), candidates=BeamSearch(max_length=31)),
    ],
)
def test_no_search_goes_beyond_the_positions_of_a_model(search: Search, caplog: pytest.LogCaptureFixture) -> None:
    assert within_reach(search, None) == within_reach(search, 31) == search
    assert caplog.messages == []
    found: Any = within_reach(search, 16)
    assert inner_search(found) == BeamSearch(max_length=16)
    assert getattr(found, "samples", Sampling(max_length=16)) == Sampling(max_length=16)
    assert set(caplog.messages) == {"`max_length` is 31, but the model has positions for 16 tokens; outputs end there."}
