"""WMD and WRD on cases that can be solved by hand, and the properties of a distance."""

import itertools
import sys

import numpy
import pytest

from seq2seq.metrics.transport import TransportDistance, word_movers_distance, word_rotators_distance
from tests.metrics.texts import total

pytest.importorskip("ot", reason="transport distances need POT")

ON_A_LINE = numpy.array([[0.0], [1.0], [3.0], [7.0], [12.0]])
IN_THE_PLANE = numpy.array([[3.0, 0.0], [0.0, 1.0], [2.0, 2.0], [-5.0, 0.0], [0.0, 0.0]])
DISTANCES = [word_movers_distance, word_rotators_distance]


@pytest.mark.parametrize(
    ("hypothesis", "reference", "distance"),
    [
        ([0], [3], 7.0),
        ([0, 1], [2], 2.5),
        ([0, 0, 1], [2], 8 / 3),  # a token twice has twice the mass
        ([0, 1], [3, 1], 3.5),  # on a line, the cheapest plan keeps the order: 0 to 1, 1 to 7
        ([2, 0, 1], [4, 1], 31 / 6),  # 1/3 of 0 to 1, then 1/6 of 1 to 1, 1/6 of 1 to 12, 1/3 of 3 to 12
        ([], [3, 1], 4.0),  # an empty text lies in the origin
        ([], [], 0.0),
    ],
)
def test_word_movers_distance_by_hand(hypothesis: list[int], reference: list[int], distance: float) -> None:
    assert word_movers_distance(hypothesis, reference, ON_A_LINE) == pytest.approx(distance)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "distance"),
    [
        ([0], [0], 0.0),
        ([0], [1], 1.0),
        ([0], [3], 2.0),
        ([0, 1], [0], 0.25),  # masses 3/4 and 1/4
        ([0, 1, 1], [0], 0.4),  # masses 3/5 and 2/5
        ([0], [2], 1 - 0.5**0.5),
        ([], [2], 1.0),
        ([4], [4], 1.0),  # a zero vector has no direction, so it is at right angles to everything
    ],
)
def test_word_rotators_distance_by_hand(hypothesis: list[int], reference: list[int], distance: float) -> None:
    assert word_rotators_distance(hypothesis, reference, IN_THE_PLANE) == pytest.approx(distance)


def test_word_movers_distance_equals_the_best_assignment() -> None:
    generator = numpy.random.default_rng(17)
    embeddings = generator.normal(size=(11, 3))
    hypothesis, reference = [0, 3, 5, 7, 2], [1, 4, 6, 8, 10]
    costs = numpy.linalg.norm(embeddings[hypothesis][:, None] - embeddings[reference], axis=-1)
    best = min(costs[range(5), list(order)].mean() for order in itertools.permutations(range(5)))
    assert word_movers_distance(hypothesis, reference, embeddings) == pytest.approx(best)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_text_has_distance_zero_to_itself_and_equal_distance_both_ways(distance) -> None:
    generator = numpy.random.default_rng(19)
    embeddings = generator.normal(size=(23, 5)).astype(numpy.float32)
    first, second = generator.integers(23, size=13).tolist(), generator.integers(23, size=7).tolist()
    assert distance(first, first[::-1], embeddings) == pytest.approx(0.0, abs=1e-7)
    assert distance(first, second, embeddings) == pytest.approx(distance(second, first, embeddings))
    assert distance(first, second, embeddings) > 0.1


def test_scaling_moves_words_but_does_not_rotate_them() -> None:
    first, second = [0, 1, 2], [2, 3]
    wmd, wrd = (distance(first, second, IN_THE_PLANE) for distance in DISTANCES)
    assert word_movers_distance(first, second, 7 * IN_THE_PLANE) == pytest.approx(7 * wmd)
    assert word_rotators_distance(first, second, 7 * IN_THE_PLANE) == pytest.approx(wrd)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("bad_id", [-1, 5])
def test_ids_without_embedding_are_explained(distance, bad_id: int) -> None:
    with pytest.raises(ValueError, match=f"Token id {bad_id} has no embedding: there are 5"):
        distance([0, bad_id], [1], IN_THE_PLANE)


def test_a_corpus_averages_the_nearest_references() -> None:
    metric = TransportDistance("word_movers_distance", lambda text: [int(word) for word in text.split()], ON_A_LINE)
    statistics = metric.statistics(["0", "0 1", ""], [["3", "2"], ["2", "4"], ["", "1"]])
    score = metric.score(total(statistics))
    assert score.value == pytest.approx((3.0 + 2.5 + 0.0) / 3)
    assert score.signature == "nrefs:2|embeddings:5x1"
    assert not metric.higher_is_better


def test_without_pot_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ValueError, match="pip install POT"):
        word_movers_distance([0], [1], ON_A_LINE)
