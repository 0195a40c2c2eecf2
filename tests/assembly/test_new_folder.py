"""A folder that appears whole or not at all."""

from pathlib import Path

import pytest

from seq2seq.assembly.new_folder import new_folder


def test_it_stands_where_another_did_once_it_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "model"
    folder.mkdir(parents=True)
    (folder / "old").write_text("old")
    with new_folder(folder) as unfinished:
        (unfinished / "weights").write_text("new")
        assert [path.name for path in folder.iterdir()] == ["old"]
    assert [path.name for path in folder.iterdir()] == ["weights"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def fill_half(folder: Path) -> None:
    with new_folder(folder) as unfinished:
        (unfinished / "weights").write_text("half")
        raise OSError("no space")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("old")
    with pytest.raises(OSError, match="no space"):
        fill_half(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (folder / "old").read_text() == "old"


def test_what_a_kill_has_left_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "model.tmp").mkdir()
    (tmp_path / "model.tmp" / "half").touch()
    with new_folder(tmp_path / "model") as unfinished:
        (unfinished / "weights").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["weights"]
