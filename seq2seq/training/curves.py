"""A picture of a run: `log.jsonl` enters, `curves.png` leaves, if matplotlib is installed.

Small multiples with one quantity each: loss of training and validation, metrics of decoded text, learning rate,
gradient norm and speed. A line marks the validation that chose the model, with what it came to in each panel.
"""

from pathlib import Path
from typing import Any

from seq2seq.files import written
from seq2seq.metrics import METRICS
from seq2seq.training.axes import show_range, write_number
from seq2seq.training.tracking import LOG_NAME, read_log
from seq2seq.training.validation import lower_is_better

TITLES = {
    "loss": "loss (nats per token)",
    "nll": "negative log-likelihood (nats per token)",
    "token_accuracy": "token accuracy",
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
    "tokens_per_second": "target tokens per second",
}
COLOURS = {"train": "C0", "validation": "C1"}
MARK = "0.2"
LEAST_RANGE = {"metric": 1.0, "token_accuracy": 0.01}
"""The smallest range of an axis, where what is below it is noise; others have a twentieth of their values."""
NOT_DRAWN = {
    *("kind", "step", "seconds", "memory_mib", "perplexity", "skipped_steps", "seconds_per_step"),
    *("loss_of_weights", "loss_of_average"),
}


def plot_curves(run_directory: Path | str, best_step: int | None = None) -> Path | None:
    """Write `curves.png` beside the log; return its path, or None without matplotlib or without anything to draw.

    Args:
        best_step: of the validation that chose the model, if one did.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    run_directory = Path(run_directory)
    log = read_log(run_directory / LOG_NAME)
    panels = [name for name in _quantities(log) if any(_points(log, kind, name)[0] for kind in COLOURS)]
    if not panels:
        return None
    num_columns = min(3, len(panels))
    num_rows = -(-len(panels) // num_columns)
    figure = Figure(figsize=(4.5 * num_columns, 3.0 * num_rows + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    for index, name in enumerate(panels):
        _draw(figure.add_subplot(num_rows, num_columns, index + 1), log, name, best_step)
    chosen = "" if best_step is None else f": best validation at step {best_step}"
    figure.suptitle(f"{run_directory.resolve().name}{chosen}", fontsize=11, wrap=True)
    _say_what_lines_mean(figure, log, best_step)
    path = run_directory / "curves.png"
    with written(path, "wb") as file:
        figure.savefig(file, dpi=120, format="png")
    return path


def _quantities(log: list[dict[str, Any]]) -> list[str]:
    """Return what was logged, known quantities first, then metrics in the order of their first line."""
    logged = dict.fromkeys(name for entry in log if entry["kind"] in ("train", "validation") for name in entry)
    metrics = [name for name in logged if name not in TITLES and name not in NOT_DRAWN]
    known = [name for name in TITLES if name in logged]
    return known[:3] + metrics + known[3:]


def _points(log: list[dict[str, Any]], kind: str, name: str) -> tuple[list[int], list[float]]:
    points = [(e["step"], e[name]) for e in log if e["kind"] == kind and isinstance(e.get(name), int | float)]
    return [step for step, _ in points], [value for _, value in points]


def _draw(axes: Any, log: list[dict[str, Any]], name: str, best_step: int | None) -> None:
    shown: list[float] = []
    for kind, style in (("train", "-"), ("validation", "o-")):
        steps, values = _points(log, kind, name)
        if len(steps) == 1:
            style = "o"
        axes.plot(steps, values, style, color=COLOURS[kind], linewidth=1.2, markersize=3)
        shown += values
    _set_ranges(axes, log, name, shown)
    points = dict(zip(*_points(log, "validation", name), strict=True))
    if best_step is not None:
        axes.axvline(best_step, color=MARK, linewidth=0.8, linestyle=":")
    elif points:
        best_step = (min if lower_is_better(name) else max)(points, key=points.__getitem__)
    if best_step in points:
        value = points[best_step]
        before = [points[step] for step in points if step < best_step]
        write_number(axes, best_step, value, f"{value:.4g}", above=not before or before[-1] <= value)
    axes.set_title(TITLES.get(name, name), fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.locator_params(axis="x", nbins=6, integer=True)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def _set_ranges(axes: Any, log: list[dict[str, Any]], name: str, values: list[float]) -> None:
    """Give all panels the same steps, and no quantity an axis of values that it cannot have."""
    steps = [entry["step"] for entry in log if entry["kind"] in COLOURS]
    room = 0.04 * (max(steps) - min(steps)) or 0.5
    axes.set_xlim(min(steps) - room, max(steps) + room)
    is_share = name == "token_accuracy" or (name in METRICS and not lower_is_better(name))
    highest = (1.0 if name == "token_accuracy" else 100.0) if is_share else float("inf")
    least = LEAST_RANGE.get("metric" if name in METRICS else name) or max(map(abs, values)) / 20 or 1.0
    show_range(axes, values, lowest=0.0, highest=highest, least=least)


def _say_what_lines_mean(figure: Any, log: list[dict[str, Any]], best_step: int | None) -> None:
    """Put one legend below all panels, where it covers none of their numbers."""
    from matplotlib.lines import Line2D

    kinds = [kind for kind in COLOURS if any(entry["kind"] == kind for entry in log)]
    lines = [Line2D([], [], color=COLOURS[kind], linewidth=1.2, label=kind) for kind in kinds]
    if best_step is not None:
        lines.append(Line2D([], [], color=MARK, linewidth=0.8, linestyle=":", label="the best validation"))
    figure.legend(handles=lines, loc="outside lower center", ncols=len(lines), frameon=False, fontsize=8)
