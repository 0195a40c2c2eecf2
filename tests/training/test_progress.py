import io

import pytest

from seq2seq.training.progress import ProgressDisplay

VALUES = {"loss": 2.5, "tokens_per_second": 12345.6, "seconds": 420.0}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    display = ProgressDisplay(100, stream=stream)
    display.advance(2.5, 1000.0, 60.0)
    display.report(7, VALUES)
    display.write("something happened")
    display.close()
    expected = "step 7/100, loss 2.5000, 12,346 target tokens/s, 1:33:00 left\nsomething happened\n"
    assert stream.getvalue() == expected


def test_a_bar_on_a_terminal() -> None:
    stream = Terminal()
    display = ProgressDisplay(10, first_step=4, stream=stream)
    for step in range(5, 11):
        display.advance(2.5, 1234.0, 60.0 * step)
    display.report(10, VALUES)
    display.write("something happened")
    display.close()
    assert "loss 2.500, 1,234 target tokens/s" in stream.getvalue()
    assert "10/10" in stream.getvalue()
    assert "something happened\n" in stream.getvalue()
    assert "step 10/10" not in stream.getvalue(), "the bar says it already"


def test_other_processes_are_silent() -> None:
    stream = Terminal()
    display = ProgressDisplay(10, enabled=False, stream=stream)
    display.advance(2.5, 1234.0, 1.0)
    display.report(1, VALUES)
    display.write("something happened")
    display.close()
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    ("seconds_per_step", "left"), [(1.0, "0:09 left"), (10.0, "1:30 left"), (1000.0, "2:30:00 left")]
)
def test_time_left(seconds_per_step: float, left: str) -> None:
    stream = io.StringIO()
    ProgressDisplay(10, stream=stream).report(1, VALUES | {"seconds": seconds_per_step})
    assert stream.getvalue().endswith(f"{left}\n")


def test_time_left_goes_by_the_last_five_minutes_and_not_by_a_single_line() -> None:
    """Steps of 10 s, then of 2 s: 50 of 150 s, 150 more of 2 s, and a line of two slow ones."""
    stream = io.StringIO()
    display = ProgressDisplay(1000, stream=stream)
    for step, seconds in ((15, 150.0), (90, 300.0), (165, 450.0), (240, 600.0), (242, 612.0)):
        display.report(step, VALUES | {"seconds": seconds})
    left = [line.split(", ")[-1] for line in stream.getvalue().splitlines()]
    of_all_so_far = (1000 - 90) * 300 / 90
    assert left[1] == f"{int(of_all_so_far) // 60}:{round(of_all_so_far) % 60:02d} left"
    assert left[2] == f"{(1000 - 165) * 2 // 60}:{(1000 - 165) * 2 % 60:02d} left", "what was slow is long ago"
    of_late = (1000 - 242) * (612 - 300) / (242 - 90)
    assert left[4] == f"{int(of_late) // 60}:{round(of_late) % 60:02d} left", "not by 6 s a step"


@pytest.mark.parametrize(("seconds", "left"), [(120.0, "1:00 left"), (160.0, "0:20 left"), (200.0, "0:00 left")])
def test_time_left_is_never_more_than_the_run_is_given(seconds: float, left: str) -> None:
    stream = io.StringIO()
    ProgressDisplay(1000, max_seconds=180.0, stream=stream).report(1, VALUES | {"seconds": seconds})
    assert stream.getvalue().endswith(f"{left}\n")


def test_time_left_counts_what_validations_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100 seconds since a run went on, 40 were in steps, ten of 4 seconds: ten more take 100 seconds."""
    clock = iter([1000.0, 1100.0])
    monkeypatch.setattr("seq2seq.training.progress.time.perf_counter", lambda: next(clock))
    stream = io.StringIO()
    display = ProgressDisplay(30, 10, first_seconds=7.0, may_end_early=True, stream=stream)
    display.report(20, VALUES | {"seconds": 47.0})
    assert stream.getvalue().endswith("at most 1:40 left\n")


def test_a_bar_goes_as_far_as_there_is_time() -> None:
    stream = Terminal()
    display = ProgressDisplay(1000, max_seconds=180.0, stream=stream)
    assert display.bar is not None
    for step, total in ((1, 18), (2, 18), (3, 18)):
        display.advance(2.5, 1234.0, 10.0 * step)
        assert display.bar.total == total
    display.advance(2.5, 1234.0, 500.0)
    assert display.bar.total == 4, "never less than what is done"
    display.close()
