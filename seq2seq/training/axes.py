"""What the pictures of runs and of diagnoses have in common: the range of an axis, and where a number stands in it."""

import math
from collections.abc import Iterable
from typing import Any

NUMBER_ROOM = 0.1
"""Share of the axes' height that a number needs."""


def show_range(
    axes: Any, values: Iterable[float], *, lowest: float = -math.inf, highest: float = math.inf, least: float
) -> None:
    """Let the vertical axis show these values and some room around them.

    Args:
        lowest, highest: what the quantity cannot pass, so neither does the axis, but for the width of a line.
        least: the smallest range that is shown: differences below it are not worth a look.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return
    low, high = min(finite), max(finite)
    missing = max(0.0, least - (high - low))
    low, high = low - missing / 2, high + missing / 2
    span = high - low
    low, high = low - 0.15 * span, high + 0.15 * span
    line = 0.02 * span
    if missing and high > highest + line:
        low, high = low - (high - highest - line), highest + line
    if missing and low < lowest - line:
        low, high = lowest - line, high + (lowest - line - low)
    axes.set_ylim(max(low, lowest - line), min(high, highest + line))


def write_number(axes: Any, x: float, y: float, text: str, *, above: bool) -> Any:
    """Write a number beside a point, above or below it where there is room within the frame; return what was written.

    It stands towards the middle of the axes, so that no number leaves them at the sides.
    """
    right, upper = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
    above = upper < 1 - NUMBER_ROOM and (above or upper < NUMBER_ROOM)
    return axes.annotate(
        text,
        (x, y),
        textcoords="offset points",
        xytext=(-4 if right > 0.5 else 4, 4 if above else -4),
        ha="right" if right > 0.5 else "left",
        va="bottom" if above else "top",
        fontsize=8,
    )
