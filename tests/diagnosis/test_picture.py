"""What stands in the picture of a diagnosis, read back from the figure."""

from pathlib import Path
from typing import Any

import pytest

from seq2seq.diagnosis.gap import Estimate
from seq2seq.diagnosis.picture import draw
from tests.diagnosis.diagnoses import diagnosis_of

IN_PERCENT = {"Accuracy", "Survival of the reference's prefix", "Wider beams: metric"}


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the figures that are drawn, instead of having them written."""
    found: list[Any] = []
    figure = pytest.importorskip("matplotlib.figure").Figure

    def kept(self: Any, *_: Any, **__: Any) -> None:
        self.canvas.draw()
        found.append(self)

    monkeypatch.setattr(figure, "savefig", kept)
    return found


def test_flat_lines_get_no_axis_of_values_that_cannot_be(tmp_path: Path, figures: list[Any]) -> None:
    """All right, or all wrong: an axis around a flat line would reach from 95 to 105, or below 0."""
    for accuracy, score in ((1.0, 100.0), (0.0, 0.0)):
        draw({"copy": diagnosis_of(accuracies=(accuracy,) * 3, score=score)}, tmp_path / "report.png")
    assert len(figures) == 2
    for figure in figures:
        for axes in figure.axes:
            low, high = axes.get_ylim()
            ticks = [round(tick, 9) for tick in axes.get_yticks() if low <= tick <= high]
            assert high - low >= 0.1, axes.get_title()
            if axes.get_title() in IN_PERCENT:
                assert min(ticks) >= 0, axes.get_title()
                assert max(ticks) <= 100, axes.get_title()
                assert high - low >= 2, axes.get_title()


def test_all_values_of_all_models_are_shown(tmp_path: Path, figures: list[Any]) -> None:
    models = {
        "one": diagnosis_of(Estimate(0.03, 0.02, 0.04), accuracies=(0.9, 0.85, 0.8, 0.7, 0.65), score=31.2),
        "other": diagnosis_of(accuracies=(0.1, 0.05, 0.02), score=2.5),
    }
    draw(models, tmp_path / "report.png")
    [figure] = figures
    for axes in figure.axes:
        low, high = axes.get_ylim()
        values = [value for line in axes.lines for value in line.get_ydata()]
        assert all(low <= value <= high for value in values), axes.get_title()
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "other"]
