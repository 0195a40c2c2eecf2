"""Options that all searches share: every search refuses the same mistakes in the same words."""

import math
from typing import Any

import pytest
import torch

from seq2seq.decoding import ONE_SIDED, DiverseBeamSearch, Sampling
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.decoding.parts.options import LENGTH_RATIO_OFFSET, BeamOptions, SearchOptions, length_divisor

SEARCHES: list[type[Any]] = [*ONE_SIDED.values(), SynchronousBeamSearch, JointBeamSearch, InterleavedBeamSearch]
BEAMS = [search for search in SEARCHES if issubclass(search, BeamOptions)]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 0}, "`max_length` must be at least 1, but is 0"),
        ({"min_length": -1}, "`min_length` must not be negative, but is -1; 0 switches it off"),
        ({"min_length": 5, "max_length": 5}, r"`min_length` \(5\) must be below `max_length` \(5\)"),
        ({"max_length_ratio": -0.5}, "`max_length_ratio` must not be negative, but is -0.5"),
        ({"no_repeat_ngram": -1}, "`no_repeat_ngram` must not be negative, but is -1"),
        ({"length_penalty": math.nan}, "`length_penalty` must be a finite number, but is nan"),
        ({"length_penalty": -math.inf}, "`length_penalty` must be a finite number, but is -inf"),
        ({"length_penalty": 20.0}, "`length_penalty` is 20.0, by which scores of long hypotheses would vanish"),
        ({"length_penalty": -1e9}, "`length_penalty` is -1000000000.0, by which"),
        ({"max_length_ratio": math.inf}, "`max_length_ratio` must be a finite number, but is inf"),
        ({"max_length_ratio": 1e9}, "`max_length_ratio` must be at most 1,000,000, but is 1000000000.0"),
        ({"max_length_ratio": 1e308}, "`max_length_ratio` must be 0, or of 1e-30 to 1e\\+12 in size, but is 1e\\+308"),
        ({"max_length": 2**63}, "`max_length` must be an integer of 64 bits, but is 9223372036854775808"),
        ({"length_normalization": "mean"}, "`length_normalization` must be average or gnmt, but is 'mean'"),
    ],
)
def test_every_search_names_a_bad_option(search: type[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        search(**options)


@pytest.mark.parametrize(
    ("search", "name"),
    [
        (DiverseBeamSearch, "diversity_penalty"),
        (Sampling, "temperature"),
    ],
)
def test_numbers_of_one_search_are_numbers(search: type[Any], name: str) -> None:
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match=f"`{name}` must be a finite number, but is {value}"):
            search(**{name: value})


@pytest.mark.parametrize("search", BEAMS)
def test_every_beam_returns_at_least_one_and_no_more_than_it_has(search: type[Any]) -> None:
    with pytest.raises(ValueError, match="`n_best` must be at least 1, but is 0"):
        search(n_best=0)
    with pytest.raises(ValueError, match=r"`beam_width` must be at least `n_best` \(11\), but is"):
        search(n_best=11)


@pytest.mark.parametrize("search", [SynchronousBeamSearch, JointBeamSearch])
def test_each_direction_has_half_of_the_beam(search: type[Any]) -> None:
    with pytest.raises(ValueError, match="half of `beam_width`, but that is 5; use 4 or 6"):
        search(beam_width=5)


def never(step: int, token_ids: torch.Tensor, log_probs: torch.Tensor) -> torch.Tensor:
    raise AssertionError("a search that cannot show tokens in one order must not ask")


@pytest.mark.parametrize("options", [{"no_repeat_ngram": 3}, {"constraints": (never,)}])
def test_what_needs_tokens_in_one_order_is_refused_from_both_ends_to_the_middle(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` needs the tokens in one order"):
        InterleavedBeamSearch(**options)


def test_limits_follow_the_source_up_to_the_longest() -> None:
    """Sources of 2, 3 and 7 tokens at a ratio of 1.5: 3, 4 (cut) and 10, and the offset, but at most 17."""
    mask = torch.arange(7) < torch.tensor([[2], [3], [7]])
    assert SearchOptions(max_length=17).limits(mask).tolist() == [17] * 3
    expected = [3 + LENGTH_RATIO_OFFSET, 4 + LENGTH_RATIO_OFFSET, 17]
    assert SearchOptions(max_length=17, max_length_ratio=1.5).limits(mask).tolist() == expected


@pytest.mark.parametrize(
    ("length", "length_penalty", "normalization", "expected"),
    [
        (7, 0.0, "average", 1.0),
        (7, 1.0, "average", 7.0),
        (9, 0.5, "average", 3.0),
        (4, -0.5, "average", 0.5),
        (7, 0.0, "gnmt", 1.0),
        (1, 3.0, "gnmt", 1.0),
        (7, 1.0, "gnmt", 2.0),
        (19, 0.5, "gnmt", 2.0),
    ],
)
def test_length_divisor_by_hand(length: int, length_penalty: float, normalization: Any, expected: float) -> None:
    assert length_divisor(length, length_penalty, normalization) == pytest.approx(expected)
