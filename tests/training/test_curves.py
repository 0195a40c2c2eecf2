from pathlib import Path

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
