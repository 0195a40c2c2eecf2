"""Pictures as SVG within the page: curves, bars with intervals, and what a model looked at. Colours are the page's."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq.reporting.page.markup import Markup, element

WIDTH, HEIGHT = 380, 220
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 34
CELL = 15
LETTER = 6.4
"""Width of a letter of the heat map, about."""


@dataclass(frozen=True)
class Line:
    """Points of one curve."""

    label: str
    points: tuple[tuple[float, float], ...]
    colour: int
    """Number of a colour of the page."""
    has_dots: bool = False


def curve(lines: Sequence[Line], title: str, x_label: str, *, x_names: Sequence[str] = ()) -> Markup:
    """Return curves over one axis; every label says a number that is on it.

    Args:
        x_names: what stands at 0, 1, … on the x axis instead of numbers.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    y_ticks = ticks(min(ys), max(ys))
    x_ticks = [float(place) for place in range(len(x_names))] or ticks(min(xs), max(xs), most=5)
    low, high = min(y_ticks[0], min(ys)), max(y_ticks[-1], max(ys))
    first, last = (min(xs), max(xs)) if min(xs) < max(xs) else (min(xs) - 1, max(xs) + 1)

    def x_of(value: float) -> float:
        return round(LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y_of(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM), 1)

    parts = []
    for tick in y_ticks:
        parts.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y_of(tick), y2=y_of(tick), class_="grid"))
        parts.append(
            element("text", short_number(tick), x=LEFT - 6, y=y_of(tick) + 4, class_="tick", text_anchor="end")
        )
    for tick in (t for t in x_ticks if first <= t <= last):
        name = x_names[int(tick)] if x_names else short_number(tick)
        anchor = "start" if x_names and tick == 0 else "end" if x_names and tick == len(x_names) - 1 else "middle"
        parts.append(element("text", name, x=x_of(tick), y=HEIGHT - BOTTOM + 16, class_="tick", text_anchor=anchor))
    parts.append(element("text", x_label, x=(LEFT + WIDTH) / 2, y=HEIGHT - 3, class_="tick", text_anchor="middle"))
    for line in lines:
        points = " ".join(f"{x_of(x)},{y_of(y)}" for x, y in line.points)
        parts.append(element("polyline", points=points, class_=f"line c{line.colour}"))
        if line.has_dots or len(line.points) == 1:
            dots = [
                element("circle", cx=x_of(x), cy=y_of(y), r=3, class_=f"dot c{line.colour}") for x, y in line.points
            ]
            parts += dots
    picture = element(
        "svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=_spoken(title, lines), class_="curve"
    )
    legend = [element("span", element("i", class_=f"key c{line.colour}"), line.label) for line in lines]
    return element("figure", element("figcaption", title), picture, element("p", legend, class_="legend"))


def _spoken(title: str, lines: Sequence[Line]) -> str:
    """Return what the curves come to, for who does not see them."""
    ends = [
        f"{line.label} from {short_number(line.points[0][1])} to {short_number(line.points[-1][1])}" for line in lines
    ]
    return f"{title}: {'; '.join(ends)}"


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return round numbers about a range, at most so many steps."""
    if high <= low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 5, 10) if size * power >= rough)
    start, end = math.floor(low / step), math.ceil(high / step)
    return [round(place * step, 10) for place in range(start, end + 1)]


def short_number(value: float) -> str:
    """Return a number as short as it can be read."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.4g}"


def bar(value: float, low: float | None, high: float | None, most: float, colour: int = 0) -> Markup:
    """Return a bar of a score, with its interval; the number stands beside it."""
    scale = 100 / (most or 1)
    parts = [element("rect", x=0, y=2, width=round(max(0.0, value) * scale, 2), height=8, class_=f"bar c{colour}")]
    if low is not None and high is not None:
        start, end = (round(max(0.0, bound) * scale, 2) for bound in (low, high))
        parts.append(element("rect", x=start, y=5, width=max(0.4, round(end - start, 2)), height=2, class_="interval"))
    return element(
        "svg",
        parts,
        viewBox="0 0 100 12",
        preserveAspectRatio="none",
        class_="bar",
        aria_hidden="true",
        focusable="false",
    )


def heat(rows: Sequence[str], columns: Sequence[str], weights: Sequence[Sequence[float]], title: str) -> Markup:
    """Return what each row's token looked at among the columns'; the darker, the more."""
    left = round(8 + LETTER * max(map(len, rows), default=1))
    top = round(8 + LETTER * max(map(len, columns), default=1))
    parts = []
    for place, word in enumerate(columns):
        x = left + place * CELL + CELL / 2 + 4
        parts.append(element("text", word, x=x, y=top - 4, class_="token", transform=f"rotate(-90 {x} {top - 4})"))
    for place, (word, line) in enumerate(zip(rows, weights, strict=True)):
        y = top + place * CELL
        parts.append(element("text", word, x=left - 5, y=y + 11, class_="token", text_anchor="end"))
        for column, weight in enumerate(line):
            cell = {"x": left + column * CELL, "y": y, "width": CELL - 1, "height": CELL - 1}
            parts.append(element("rect", class_="cell", fill_opacity=f"{max(0.04, min(1.0, weight)):.2f}", **cell))
    width, height = left + CELL * len(columns) + 4, top + CELL * len(rows) + 4
    return element(
        "div",
        element(
            "svg", parts, viewBox=f"0 0 {width} {height}", width=width, height=height, role="img", aria_label=title
        ),
        class_="scroll",
        role="region",
        aria_label=title,
        tabindex=0,
    )
