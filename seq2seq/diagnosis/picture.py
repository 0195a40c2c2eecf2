"""Diagnoses of one or several models as one picture, if matplotlib is installed: a colour per model.

Small multiples with one question each: accuracy and entropy by position behind gold and own prefixes, how long
hypotheses equal their reference, the damage of one wrong token, repetition and length, and the curve of beam widths.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2seq.diagnosis.positions import PositionMeans
from seq2seq.diagnosis.report import Diagnosis
from seq2seq.files import written
from seq2seq.metrics import make_metric
from seq2seq.training.axes import show_range

Models = Mapping[str, Diagnosis]

GOLD, OWN = "-", "--"
LEAST_AT_RISK = 5
"""Survival is drawn as long as it rests on so many hypotheses."""
LEAST_TOKENS = 20
"""Tokens that a mean by position must rest on to be drawn, where any mean does."""
NOT_COLOURED = "0.35"
PANEL = (4.1, 3.2)
"""Inches."""


def draw(models: Models, path: Path) -> Path | None:
    """Write the picture as PNG; return its path, or None without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.lines import Line2D
    except ImportError:
        return None
    panels = (_accuracy, _entropy, _survival, _damage, _continuations, _repetition, _beam_metric, _beam_length)
    figure = Figure(figsize=(4 * PANEL[0], 2 * PANEL[1] + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    for index, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(2, 4, index)
        panel(axes, models)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    colours = [Line2D([], [], color=f"C{i}", linewidth=3, label=name) for i, name in enumerate(models)]
    figure.legend(handles=colours, loc="outside lower center", ncols=len(models), frameon=False, fontsize=10)
    with written(path, "wb") as file:
        figure.savefig(file, dpi=120, format="png")
    return path


def _named(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def _styles(axes: Any, labels: Mapping[str, str]) -> None:
    """Say what the styles of lines mean, whatever their colour."""
    lines = [
        axes.plot([], [], style, color=NOT_COLOURED, linewidth=1.4, label=name)[0] for name, style in labels.items()
    ]
    axes.legend(handles=lines, frameon=False, fontsize=8)


def _by_position(axes: Any, models: Models, measures: Mapping[str, str], scale: float = 1.0) -> None:
    """Draw measures of `PositionMeans`, each in its style, over the bins of positions."""
    labels = max(([m.positions for m in _well_founded(model)] for model in models.values()), key=len)
    for i, model in enumerate(models.values()):
        for measure, style in measures.items():
            places = [labels.index(means.positions) for means in _well_founded(model)]
            values = [scale * _or_nan(getattr(means, measure)) for means in _well_founded(model)]
            axes.plot(places, values, style, marker="o", markersize=3, linewidth=1.4, color=f"C{i}")
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, len(labels) - 0.5)


def _drawn(axes: Any) -> list[float]:
    """Return all values that stand in a panel."""
    return [float(value) for line in axes.lines for value in line.get_ydata()]


def _well_founded(model: Diagnosis) -> list[PositionMeans]:
    return [
        means for means in model.by_position if min(means.gold_tokens, means.own_tokens) >= LEAST_TOKENS
    ] or model.by_position


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _accuracy(axes: Any, models: Models) -> None:
    _by_position(axes, models, {"gold_accuracy": GOLD, "own_accuracy": OWN}, scale=100)
    show_range(axes, _drawn(axes), lowest=0, highest=100, least=2)
    _styles(axes, {"gold prefixes": GOLD, "own prefixes, aligned": OWN})
    _named(axes, "Accuracy", "position of the token", "reference tokens that are right (%)")


def _entropy(axes: Any, models: Models) -> None:
    _by_position(axes, models, {"gold_entropy": GOLD, "own_entropy": OWN})
    show_range(axes, _drawn(axes), lowest=0, least=0.1)
    _styles(axes, {"gold prefixes": GOLD, "own prefixes": OWN})
    _named(axes, "Entropy", "position of the token", "entropy of the next token (nats)")


def _survival(axes: Any, models: Models) -> None:
    for i, model in enumerate(models.values()):
        curve = model.survival
        drawn = 1 + sum(count >= LEAST_AT_RISK for count in curve.at_risk)
        axes.step(range(drawn), [100 * s for s in curve.survival[:drawn]], where="post", linewidth=1.4, color=f"C{i}")
    axes.set_ylim(0, 102)
    axes.locator_params(axis="x", integer=True)
    _named(
        axes,
        "Survival of the reference's prefix",
        "tokens from the start",
        "hypotheses equal to the reference (%)",
    )


def _damage(axes: Any, models: Models) -> None:
    """Draw the rise by distance, the places pooled."""
    styles = {"likely": GOLD, "random": OWN}
    for i, model in enumerate(models.values()):
        for replacement, style in styles.items():
            rises = _pooled([d for d in model.damages if d.replacement == replacement])
            places = range(1, len(rises) + 1)
            axes.plot(places, rises, style, marker="o", markersize=3, linewidth=1.4, color=f"C{i}")
    axes.axhline(0, color=NOT_COLOURED, linewidth=0.8)
    axes.set_yscale("symlog", linthresh=0.1)  # the next token suffers a hundred times as much as the eighth
    axes.yaxis.set_major_formatter("{x:g}")
    axes.locator_params(axis="x", integer=True)
    _styles(axes, {f"{name} wrong token": style for name, style in styles.items()})
    _named(axes, "Damage to the reference's next tokens", "tokens after the wrong one", "rise of -log p (nats)")


def _pooled(damages: Sequence[Any]) -> list[float]:
    """Return the mean rise at each distance over all places."""
    found = []
    for k in range(max((len(d.following) for d in damages), default=0)):
        counts = [(d.following[k], d.num_following[k]) for d in damages if len(d.following) > k]
        found.append(sum(rise * count for rise, count in counts) / sum(count for _, count in counts))
    return found


def _continuations(axes: Any, models: Models) -> None:
    styles = {"likely": GOLD, "random": OWN}
    metric = _first_metric(models)
    for i, model in enumerate(models.values()):
        for replacement, style in styles.items():
            found = [d for d in model.damages if d.replacement == replacement and metric in d.continuations]
            places = [100 * d.place for d in found]
            losses = [d.continuations[metric].loss for d in found]
            axes.plot(places, losses, style, marker="o", markersize=3, linewidth=1.4, color=f"C{i}")
    show_range(axes, [0.0, *_drawn(axes)], least=2)
    axes.axhline(0, color=NOT_COLOURED, linewidth=0.8)
    axes.set_xticks(sorted({100 * d.place for model in models.values() for d in model.damages}))
    _styles(axes, {f"{name} wrong token": style for name, style in styles.items()})
    _named(
        axes,
        "Damage to its own continuation",
        "place of the wrong token (% of the reference)",
        f"loss of {metric} (points)",
    )


def _repetition(axes: Any, models: Models) -> None:
    """Draw bars of the hypotheses' shares, and a mark at the references'."""
    shares = {
        "repeated\ntoken\n4-grams": "repeated_token_4grams",
        "repeated\nword\n4-grams": "repeated_word_4grams",
        "adjacent\ntokens": "adjacent_tokens",
        "adjacent\nwords": "adjacent_words",
        "no end": "unfinished",
        "empty": "empty",
    }
    width = 0.8 / len(models)
    for i, model in enumerate(models.values()):
        places = [j - 0.4 + width * (i + 0.5) for j in range(len(shares))]
        axes.bar(places, [100 * getattr(model.greedy, share) for share in shares.values()], width * 0.9, color=f"C{i}")
        references = [100 * getattr(model.references, share) for share in shares.values()]
        axes.plot(
            places,
            references,
            "_",
            color="black",
            clip_on=False,
            markersize=90 * width / len(shares) + 4,
            markeredgewidth=2,
        )
    axes.set_xticks(range(len(shares)), list(shares))
    axes.plot([], [], "_", color="black", markeredgewidth=2, label="references")
    bars = [bar.get_height() for bar in axes.patches]
    show_range(axes, [0.0, *bars, *_drawn(axes)], lowest=0, highest=100, least=1)
    axes.legend(frameon=False, fontsize=8)
    _named(axes, "Greedy hypotheses: repetition and endings", "", "share (%)")
    axes.tick_params(axis="x", labelsize=7)


def _first_metric(models: Models) -> str:
    return next(iter(next(iter(models.values())).beams[0].scores))


def _over_widths(axes: Any, models: Models, title: str, y: str, value: Any) -> None:
    for i, model in enumerate(models.values()):
        places = [beam.beam_width for beam in model.beams]
        axes.plot(places, [value(beam) for beam in model.beams], "o-", markersize=3, linewidth=1.4, color=f"C{i}")
    widths = [beam.beam_width for beam in next(iter(models.values())).beams]
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, list(map(str, widths)))
    axes.set_xticks([], minor=True)
    _named(axes, title, "beam width", y)


def _beam_metric(axes: Any, models: Models) -> None:
    metric = _first_metric(models)
    _over_widths(axes, models, "Wider beams: metric", f"{metric} (points)", lambda beam: beam.scores[metric])
    highest = 100.0 if make_metric(metric).higher_is_better else math.inf
    show_range(axes, _drawn(axes), lowest=0, highest=highest, least=2)


def _beam_length(axes: Any, models: Models) -> None:
    _over_widths(axes, models, "Wider beams: length", "tokens by those of references", lambda b: b.outputs.length_ratio)
    show_range(axes, [1.0, *_drawn(axes)], lowest=0, least=0.1)
    axes.axhline(1, color=NOT_COLOURED, linewidth=0.8)
