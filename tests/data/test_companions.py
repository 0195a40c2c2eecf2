import numpy
import pytest

from seq2seq.data.collate import collate
from seq2seq.data.companions import CompanionRows, refreshed_rows, share_run_away
from seq2seq.data.generation_order import Arrangement
from seq2seq.data.sequences import Sequences

EOS = 2
TARGETS = [[11, 12, 13, EOS], [14, 15, EOS], [16, EOS]]
FROM_LEFT = [[21, 22, EOS], [23, 24, 25, 26, EOS], [27, EOS]]
FROM_RIGHT = [[31, 32, 33, EOS], [EOS], [34, 35, EOS]]


def rows_of(dropout: float = 0.1, is_scored: bool = True) -> CompanionRows:
    return CompanionRows(Sequences.of(FROM_LEFT), Sequences.of(FROM_RIGHT), 5, dropout, is_scored)


def arranged(arrange: Arrangement, targets: list[list[int]], rows: list[int], epoch: int) -> dict[str, list]:
    """Return the fields of the rows of these targets as lists, ids in the order of generation."""
    found = arrange(Sequences.of(targets), numpy.array(rows), epoch)
    ids, mask = found.ids.padded(0, order=found.order)
    assert found.sides is not None
    assert found.is_visible is not None
    assert found.is_scored is not None
    return {
        "ids": [row[real].tolist() for row, real in zip(ids, mask, strict=True)],
        "sides": found.sides.tolist(),
        "is_visible": found.is_visible.tolist(),
        "is_scored": found.is_scored.tolist(),
    }


def test_one_row_is_the_reference_and_the_other_never() -> None:
    """The guard: no batch holds the reference twice."""
    arrange: Arrangement = rows_of(dropout=0.0)
    references = []
    for epoch in range(20):
        found = arranged(arrange, TARGETS, [0, 1, 2], epoch)
        assert found["sides"] == [0, 1] * 3
        for i, target in enumerate(TARGETS):
            left, right = found["ids"][2 * i : 2 * i + 2]
            read = [*reversed(right[:-1]), EOS]
            from_left = (left, read) == (target, FROM_RIGHT[i])
            assert from_left or (left, read) == (FROM_LEFT[i], target)
            references.append(from_left)
    assert 0.3 < numpy.mean(references) < 0.7


def test_rows_depend_on_seed_epoch_and_row_alone() -> None:
    arrange = rows_of(dropout=0.5)
    together = arranged(arrange, TARGETS, [0, 1, 2], 4)
    for i in range(3):
        alone = arranged(arrange, TARGETS[i : i + 1], [i], 4)
        assert alone == {name: values[2 * i : 2 * i + 2] for name, values in together.items()}


@pytest.mark.parametrize(("dropout", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.25, 0.25)])
def test_companions_are_hidden_as_often_as_asked_for(dropout: float, expected: float) -> None:
    ends = Sequences.of([[EOS]] * 4000)
    arrange = CompanionRows(ends, ends, seed=3, dropout=dropout, is_scored=True)
    is_visible = arranged(arrange, [[EOS]] * 4000, list(range(4000)), 0)["is_visible"]
    assert is_visible[::2] == is_visible[1::2], "both rows of a target see each other, or neither"
    assert 1 - numpy.mean(is_visible) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("scored", [True, False])
def test_labels_of_companions(scored: bool) -> None:
    targets = rows_of(dropout=0.0, is_scored=scored)(Sequences.of(TARGETS), numpy.arange(3), 0)
    sources = Sequences.of([[5, EOS]] * 3)
    batch = collate(sources, targets, [0, 1, 2], source_pad_id=0, target_pad_id=0, decoder_start_id=1)
    rows = targets.ids.lengths.sum() if scored else sum(map(len, TARGETS))
    assert batch.num_target_tokens == rows
    assert batch.visible is not None
    assert batch.visible.sum(1).tolist() == targets.ids.lengths.tolist(), "start and words, not what is behind"


def test_slots_hold_the_longest_of_three() -> None:
    lengths = rows_of().slots(numpy.array([4, 3, 2]), numpy.arange(3))
    assert lengths.tolist() == [8, 10, 6]


def test_a_runaway_companion_is_neither_seen_nor_learned() -> None:
    """Of 3 tokens the longest companion that is used has 9 (1.5 * 3 + 5 = 9.5)."""
    target, loops = [11, 12, EOS], Sequences.of([[21] * 9 + [EOS], [21] * 8 + [EOS]])
    arrange = CompanionRows(loops, loops, seed=5, dropout=0.0, is_scored=True)
    sides = set()
    for epoch in range(9):
        found = arranged(arrange, [target, target], [0, 1], epoch)
        reference = found["ids"][:2].index([EOS]) ^ 1
        sides.add(reference)
        assert len(found["ids"][reference]) == 3
        assert found["is_scored"] == [reference == 0, reference == 1, True, True]
        assert found["is_visible"] == [False, False, True, True]
        assert sorted(map(len, found["ids"][2:])) == [3, 9]
    assert sides == {0, 1}
    assert arrange.slots(numpy.array([3, 3]), numpy.arange(2)).tolist() == [6, 18]
    assert share_run_away(loops.lengths, numpy.array([3, 3])) == 0.5


def test_rows_take_turns_at_refreshes() -> None:
    """13 rows by 5: two refreshes have no row in common, and the third begins again with two of the first."""
    turns = [refreshed_rows(13, refresh, 0.4, seed=1).tolist() for refresh in range(3)]
    assert [len(turn) for turn in turns] == [5, 5, 5]
    assert all(turn == sorted(set(turn)) for turn in turns)
    assert set(turns[0]).isdisjoint(turns[1])
    assert set().union(*turns) == set(range(13))
    assert len(set(turns[2]) & set(turns[0])) == 2
    assert refreshed_rows(13, 0, 0.4, seed=2).tolist() != turns[0]
    for refresh in range(2):
        assert refreshed_rows(13, refresh, 1.0, seed=1).tolist() == list(range(13))
    assert len(refreshed_rows(13, 0, 0.01, seed=1)) == 1
