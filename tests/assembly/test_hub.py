from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.hub import is_hub_name
from seq2seq.assembly.model_folder import find_model


def test_what_is_nowhere_here_may_be_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert is_hub_name("facebook/nllb-200-distilled-600M")
    for other in ("runs/mine", "/a/b", "a/b/c", "alone", "../a/b", str(tmp_path / "x")):
        assert not is_hub_name(other), other


def test_without_a_way_to_the_hub_a_model_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match="nobody/nothing: there is no such folder, and the Hub gave no model"):
        find_model("nobody/nothing")
    (tmp_path / "in.txt").write_text("a\n")
    assert main(["decode", "--model", "nobody/nothing", "--input", str(tmp_path / "in.txt")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
