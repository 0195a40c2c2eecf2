import pytest

from seq2seq.data.examination.findings import part_of, percent, shown


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        *((0.0, "0 %"), (1e-9, "under 0.1 %"), (0.001, "0.1 %"), (0.046, "4.6 %"), (0.05, "5 %"), (0.11, "11 %")),
        *((0.5, "50 %"), (0.1102, "11 %"), (0.995, "99.5 %"), (0.99999, "over 99.9 %"), (1.0, "100 %")),
    ],
)
def test_shares_in_per_cent(share: float, expected: str) -> None:
    assert percent(share) == expected


def test_counts_among_others() -> None:
    assert part_of(811, 7363) == "811 of 7,363 (11 %)"
    assert part_of(0, 0) == "0 of 0 (0 %)"


def test_examples_fit_into_a_line() -> None:
    assert shown(["a" * 60, "b" * 61]) == ("a" * 60, f"{'b' * 60}…")


def test_examples_stand_on_one_line_and_command_no_terminal() -> None:
    assert shown(["a\x1c\x1b[31m\u2028b", "हिन्दी ‍ü"]) == (r"a\x1c\x1b[31m\u2028b", "हिन्दी ‍ü")
