"""Diagnoses of one or several models as tables to read, models side by side.

A table has a row per position, place, width or quantity, and a group of columns per model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seq2seq.diagnosis.conclusion import conclusions
from seq2seq.diagnosis.gap import Estimate
from seq2seq.diagnosis.report import Diagnosis

Columns = Sequence[tuple[str, Sequence[str]]]
"""Headings with their cells."""
Models = Mapping[str, Diagnosis]


def format_diagnoses(models: Models, facts: Mapping[str, Any]) -> str:
    """Return all tables, and below them what they come to.

    Args:
        models: diagnoses by the models' names, on the same pairs.
        facts: what `report.json` says of the data.
    """
    blank = f", {facts['num_blank']} with a blank side left out" if facts["num_blank"] else ""
    head = [f"{facts['num_pairs']} pairs of {facts['data']}{blank}"]
    if not facts["same_tokenizer"]:
        head.append("The models have different tokenizers: what is said of tokens cannot be compared between them.")
    tables = [_gap, _positions, _quarters, _survival, _outputs, _beams]
    if all(model.damages for model in models.values()):
        tables[4:4] = [_damage, _continuations]
    said = "\n".join(conclusions(models, comparable=facts["same_tokenizer"]))
    return "\n\n".join(["\n".join(head), *(table(models) for table in tables), f"Conclusion\n{said}"])


def aligned_table(title: str, labels: Sequence[str], groups: Mapping[str, Columns]) -> str:
    """Return a table: the title, the models' names over their columns, headings, and a row for each label."""
    first = max(map(len, labels), default=0)
    lines = [" " * first, " " * first, *(label.ljust(first) for label in labels)]
    for name, columns in groups.items():
        widths = [max(map(len, [heading, *cells])) for heading, cells in columns]
        widths[0] += max(0, len(name) - sum(widths) - 2 * (len(widths) - 1))
        rows = zip(*((heading, *cells) for heading, cells in columns), strict=True)
        texts = ["  ".join(map(str.rjust, row, widths)) for row in rows]
        lines = [f"{line}   {text}" for line, text in zip(lines, [name.rjust(len(texts[0])), *texts], strict=True)]
    return "\n".join([title, *map(str.rstrip, lines)])


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _estimate(estimate: Estimate | None, shown: Callable[[float], str]) -> tuple[str, str]:
    if estimate is None:
        return "-", "-"
    return shown(estimate.value), f"[{shown(estimate.low)}, {shown(estimate.high)}]"


def _gap(models: Models) -> str:
    labels = [
        "accuracy, gold prefixes (%)",
        "accuracy, own prefixes, aligned (%)",
        "drop (points)",
        "drop, last quarter less first (points)",
        "entropy rise, own less gold (nats)",
    ]
    groups = {}
    for name, model in models.items():
        gap = model.gap
        cells = [
            (_percent(gap.gold_accuracy), ""),
            (_percent(gap.own_accuracy), ""),
            _estimate(gap.accuracy_drop, _percent),
            _estimate(gap.accuracy_drop_growth, _percent),
            _estimate(gap.entropy_growth, _number),
        ]
        values, intervals = zip(*cells, strict=True)
        groups[name] = [("value", values), ("95% interval", intervals)]
    return aligned_table("Exposure gap: the model's own prefixes against gold ones", labels, groups)


def _by_range(models: Models, title: str, chosen: Callable[[Diagnosis], Sequence[Any]]) -> str:
    ranges = {name: {means.positions: means for means in chosen(model)} for name, model in models.items()}
    labels = max(
        (list(means) for means in ranges.values()), key=len
    )  # later positions are what another model may not have

    def column(means: Mapping[str, Any], attribute: str, shown: Callable[[Any], str]) -> list[str]:
        return [shown(getattr(means.get(label), attribute, None)) for label in labels]

    groups = {
        name: [
            ("tokens", column(means, "gold_tokens", str)),
            ("acc gold", column(means, "gold_accuracy", _percent)),
            ("acc own", column(means, "own_accuracy", _percent)),
            ("entropy gold", column(means, "gold_entropy", _number)),
            ("entropy own", column(means, "own_entropy", _number)),
        ]
        for name, means in ranges.items()
    }
    return aligned_table(title, labels, groups)


def _positions(models: Models) -> str:
    return _by_range(models, "By position: accuracy (%) and entropy (nats)", lambda model: model.by_position)


def _quarters(models: Models) -> str:
    return _by_range(models, "By quarter of the sequence", lambda model: model.by_quarter)


def _survival(models: Models) -> str:
    longest = max(len(model.survival.survival) for model in models.values())
    ticks = [t for t in (1, 2, 4, 8, 16, 32, 64) if t < longest]
    groups = {}
    for name, model in models.items():
        curve = model.survival
        padded = [*curve.survival, *[None] * longest]
        left = [str(curve.at_risk[t - 1]) if t <= len(curve.at_risk) else "-" for t in ticks]
        groups[name] = [("share", [_percent(padded[t]) for t in ticks]), ("of", left)]
    title = "Hypotheses that equal their reference so far: share (%), and how many were left to look at"
    return aligned_table(title, [f"first {t} tokens" if t > 1 else "first token" for t in ticks], groups)


def _damage_labels(models: Models) -> list[str]:
    model = next(iter(models.values()))
    return [f"{damage.replacement} token at {damage.place:.0%}" for damage in model.damages]


def _damage(models: Models) -> str:
    def nth(model: Diagnosis, n: int) -> list[str]:
        return [_number(d.following[n - 1] if len(d.following) >= n else None) for d in model.damages]

    groups = {
        name: [
            *((heading, nth(model, n)) for heading, n in (("next", 1), ("2nd", 2), ("4th", 4), ("8th", 8))),
            ("9th on, sum", [_number(damage.rest) for damage in model.damages]),
            ("all, sum", [_number(damage.total) for damage in model.damages]),
        ]
        for name, model in models.items()
    }
    title = "Damage of one wrong token: rise of the reference's -log p (nats) of the tokens after it"
    return aligned_table(title, _damage_labels(models), groups)


def _continuations(models: Models) -> str:
    groups = {}
    for name, model in models.items():
        columns = []
        for metric in dict.fromkeys(metric for damage in model.damages for metric in damage.continuations):
            found = [damage.continuations.get(metric) for damage in model.damages]
            columns.append((f"{metric} right", ["-" if c is None else _number(c.right, 1) for c in found]))
            columns.append(("wrong", ["-" if c is None else _number(c.wrong, 1) for c in found]))
            columns.append(("loss", ["-" if c is None else _number(c.loss, 1) for c in found]))
        groups[name] = columns
    title = "Its own continuation: mean sentence score behind the right and behind the wrong prefix"
    return aligned_table(title, _damage_labels(models), groups)


def _outputs(models: Models) -> str:
    quantities: dict[str, Callable[[Any], str]] = {
        "length, by that of the reference": lambda o: _number(o.length_ratio),
        "without an end (%)": lambda o: _percent(o.unfinished),
        "empty (%)": lambda o: _percent(o.empty),
        "repeated 4-grams of tokens (%)": lambda o: _percent(o.repeated_token_4grams),
        "repeated 4-grams of words (%)": lambda o: _percent(o.repeated_word_4grams),
        "adjacent equal tokens (%)": lambda o: _percent(o.adjacent_tokens),
        "adjacent equal words (%)": lambda o: _percent(o.adjacent_words),
    }
    groups = {
        name: [
            ("greedy", [shown(model.greedy) for shown in quantities.values()]),
            ("references", [shown(model.references) for shown in quantities.values()]),
        ]
        for name, model in models.items()
    }
    return aligned_table("Greedy hypotheses and references", list(quantities), groups)


def _beams(models: Models) -> str:
    first = next(iter(models.values()))
    groups = {}
    for name, model in models.items():
        beams = model.beams
        groups[name] = [
            *((metric, [_number(beam.scores[metric], 2) for beam in beams]) for metric in beams[0].scores),
            ("length", [_number(beam.outputs.length_ratio) for beam in beams]),
            ("score", [_number(beam.model_score) for beam in beams]),
            ("empty", [_percent(beam.outputs.empty) for beam in beams]),
            ("higher", [_percent(beam.higher_score) for beam in beams]),
            ("worse", [_percent(beam.higher_but_worse) for beam in beams]),
        ]
    title = (
        "By beam width: metrics, length by the reference's, model score (nats), empty (%), pairs with a higher score\n"
        "than by the width before (%), and pairs with a higher score that are worse by the first metric (%)"
    )
    return aligned_table(title, [f"beam {beam.beam_width}" for beam in first.beams], groups)
