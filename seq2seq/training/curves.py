"""A picture of a run: `log.jsonl` enters, `curves.png` leaves, if matplotlib is installed.

Small multiples with one quantity each: loss of training and validation, metrics of decoded text, learning rate,
gradient norm and speed. The best validation is marked.
"""

from pathlib import Path
from typing import Any

from seq2seq.files import written
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
NOT_DRAWN = {
    *("kind", "step", "seconds", "memory_mib", "perplexity", "skipped_steps", "seconds_per_step"),
    *("loss_of_weights", "loss_of_average"),
}


def plot_curves(run_directory: Path | str) -> Path | None:
    """Write `curves.png` beside the log; return its path, or None without matplotlib or without anything to draw."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    run_directory = Path(run_directory)
    log = read_log(run_directory / LOG_NAME)
    panels = [name for name in _quantities(log) if any(_points(log, kind, name)[0] for kind in ("train", "validation"))]
    if not panels:
        return None
    num_columns = min(3, len(panels))
    num_rows = -(-len(panels) // num_columns)
    figure = Figure(figsize=(4.5 * num_columns, 3.0 * num_rows), layout="constrained")
    FigureCanvasAgg(figure)
    for index, name in enumerate(panels):
        _draw(figure.add_subplot(num_rows, num_columns, index + 1), log, name)
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


def _draw(axes: Any, log: list[dict[str, Any]], name: str) -> None:
    for kind, style in (("train", "-"), ("validation", "o-")):
        steps, values = _points(log, kind, name)
        if steps:
            axes.plot(steps, values, style, label=kind, linewidth=1.2, markersize=3)
    steps, values = _points(log, "validation", name)
    if steps:
        best = (min if lower_is_better(name) else max)(range(len(values)), key=values.__getitem__)
        axes.annotate(
            f"{values[best]:.4g}",
            (steps[best], values[best]),
            textcoords="offset points",
            xytext=(0, 5),
            ha="right",
            fontsize=8,
        )
        axes.legend(frameon=False, fontsize=8)
    axes.set_title(TITLES.get(name, name), fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
