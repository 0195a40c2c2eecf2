"""Positions come from files; what is none is said so. The streams themselves are tested with their loaders."""

from typing import Any

import pytest

from seq2seq.data.micro_batches import recounted

GOOD = {"epoch": 1, "pool": 2, "batch": 3, "number": 40, "batch_tokens": 64}


def test_a_position_is_counted_anew_for_another_budget() -> None:
    assert recounted(GOOD, 64) == GOOD
    earlier = {"batch": 0, "batch_tokens": 32, "earlier": [[64, 3]]}
    assert recounted(GOOD, 32) == GOOD | earlier
    assert recounted(GOOD | earlier | {"batch": 5}, 16)["earlier"] == [[64, 3], [32, 5]]


@pytest.mark.parametrize(
    "position",
    [
        *(
            "a",
            3,
            [],
            {},
            {"epoch": 1, "batch": 1},
            GOOD | {"epoch": "a"},
            GOOD | {"batch": -1},
            GOOD | {"batch": None},
        ),
        *(GOOD | {"number": 1.5}, GOOD | {"epoch": 10**30}, GOOD | {"batch_tokens": []}, GOOD | {"earlier": 3}),
        *(GOOD | {"seen": 3}, GOOD | {"seen": {"a": "b"}}, GOOD | {"seen": {"a": -1}}),
        *(GOOD | {"earlier": [3]}, GOOD | {"earlier": [[1]]}, GOOD | {"earlier": [[1, "a"]]}, GOOD | {"pool": {}}),
    ],
)
def test_what_is_no_position_is_said_so(position: Any) -> None:
    with pytest.raises(ValueError, match="which is none; it is damaged"):
        recounted(position, 64)
