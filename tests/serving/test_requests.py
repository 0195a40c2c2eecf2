import pickle

import pytest

from seq2seq.serving.limits import Limits
from seq2seq.serving.requests import RequestRefused


def test_a_refusal_keeps_all_that_it_says_between_processes() -> None:
    refused = RequestRefused(429, "queue_full", "Later.", limit=10, retry_after=2.5)
    copy = pickle.loads(pickle.dumps(refused))
    assert (copy.status, copy.name, copy.message, copy.limit, copy.retry_after) == (
        429,
        "queue_full",
        "Later.",
        10,
        2.5,
    )
    assert str(copy) == "Later."


@pytest.mark.parametrize("name", ["characters", "texts", "body_bytes", "n_best", "seconds"])
def test_limits_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` must be positive"):
        Limits(**{name: 0})
