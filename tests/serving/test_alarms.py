"""Alarms are given where something is wrong, and not of ordinary outputs."""

from typing import Any

import pytest

from seq2seq.serving.alarms import alarms_of

ORDINARY: dict[str, Any] = {"is_finished": True, "is_translation": True, "is_cut": False}


def names(source: range | list[int], target: range | list[int], **said: Any) -> list[str]:
    return [alarm.name for alarm in alarms_of(list(source), list(target), **(ORDINARY | said))]


@pytest.mark.parametrize(
    ("source", "target", "said", "expected"),
    [
        (range(10), range(12), {}, []),
        (range(1), range(13), {}, []),
        (range(1), range(14), {}, ["length_ratio"]),
        (range(10), range(41), {}, ["length_ratio"]),
        (range(15), range(2), {}, ["length_ratio"]),
        (range(15), range(2), {"is_translation": False}, []),
        (range(14), range(1), {}, []),
        (range(5), range(5), {"is_finished": False}, ["length_limit"]),
        (range(5), range(5), {"is_cut": True}, ["cut_within_sentence"]),
        (range(20), [1, 2, 3] * 6, {}, ["repetition"]),
        ([1, 2, 3] * 6, [1, 2, 3] * 6, {}, []),
        (range(3), [7] * 4, {}, []),
        ([], [], {}, []),
    ],
)
def test_alarms(source: Any, target: Any, said: dict[str, Any], expected: list[str]) -> None:
    assert names(source, target, **said) == expected
