from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seq2seq.training.curves import plot_curves
from seq2seq.training.tracking import Tracker


def test_a_picture_of_everything_logged(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    tracker = Tracker(tmp_path)
    for step in range(1, 5):
        tracker.log("train", step, {"loss": 1.0 / step, "learning_rate": 0.1, "gradient_norm": None})
    tracker.log("validation", 4, {"loss": 0.5, "bleu": 20.0, "chrf": 50.0})
    path = plot_curves(tmp_path)
    assert path == tmp_path / "curves.png"
    contents = path.read_bytes()
    assert contents[:8] == b"\x89PNG\r\n\x1a\n"
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["curves.png", "log.jsonl"]
    tracker.log("validation", 4, {"rouge1": 20.0})
    plot_curves(tmp_path)
    assert path.read_bytes() != contents, "a further metric has a panel of its own"


@pytest.mark.parametrize("logged", [False, True])
def test_nothing_to_draw_is_no_picture(logged: bool, tmp_path: Path) -> None:
    if logged:
        Tracker(tmp_path).log("data", 0, {"pairs": 3})
    assert plot_curves(tmp_path) is None
    assert not (tmp_path / "curves.png").exists()


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


SHAPES: dict[str, Callable[[int], float]] = {
    "bleu": lambda step: 100.0,
    "exact_match": lambda step: 0.0,
    "chrf": lambda step: 99.0 + step / 100,
    "ter": lambda step: 130.0 - step,
    "token_accuracy": lambda step: 1.0 - 0.5 / step,
    "loss": lambda step: 8.0 / step,
}


@pytest.mark.parametrize("best_step", [1, 53, None])
def test_numbers_stand_inside_their_frames(tmp_path: Path, figures: list[Any], best_step: int | None) -> None:
    """And no axis shows values that its quantity cannot have, nor does a title cover another panel."""
    tracker = Tracker(tmp_path)
    for step in range(1, 98, 4):
        values = {name: shape(step) for name, shape in SHAPES.items()}
        tracker.log("train", step, {"loss": values["loss"], "gradient_norm": 1.0, "learning_rate": 1e-6 * step})
        tracker.log("validation", step, values)
    plot_curves(tmp_path, best_step)
    [figure] = figures
    assert len(figure.axes) == len(SHAPES) + 2
    for axes in figure.axes:
        frame, title = axes.get_window_extent(), axes.title.get_window_extent()
        for text in axes.texts:
            box = text.get_window_extent()
            assert frame.x0 <= box.x0 < box.x1 <= frame.x1, f"{text.get_text()} of {axes.get_title()}"
            assert frame.y0 <= box.y0 < box.y1 <= frame.y1, f"{text.get_text()} of {axes.get_title()}"
        assert not any(title.overlaps(other.get_window_extent()) for other in figure.axes)
        bound = {"token accuracy": 1.0}.get(axes.get_title(), 100.0 if axes.get_title() != "ter" else 1000.0)
        low, high = axes.get_ylim()
        assert all(0 <= round(tick, 9) <= bound for tick in axes.get_yticks() if low <= tick <= high), axes.get_title()
    texts = {axes.get_title(): [text.get_text() for text in axes.texts] for axes in figure.axes}
    at = best_step or 97
    assert texts["ter"] == [f"{SHAPES['ter'](at):.4g}"]
    assert texts["gradient norm"] == []


def test_the_run_and_its_best_step_are_named(tmp_path: Path, figures: list[Any]) -> None:
    run = tmp_path / "of_mine"
    tracker = Tracker(run)
    for step in (10, 20, 30):
        tracker.log("validation", step, {"loss": abs(step - 20) + 1.0})
    plot_curves(run, 20)
    [figure] = figures
    assert figure.get_suptitle() == "of_mine: best validation at step 20"
    [axes] = figure.axes
    assert [list(line.get_xdata()) for line in axes.lines if line.get_linestyle() == ":"] == [[20, 20]]
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["validation", "the best validation"]
