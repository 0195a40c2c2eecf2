import os
from pathlib import Path

import pytest

from seq2seq.data.kept_files import is_whole, keep_record, remove_unless_whole


def test_a_kept_file_is_whole_until_it_changes(tmp_path: Path) -> None:
    file, record = tmp_path / "kept.arrow", tmp_path / "kept.json"
    assert not is_whole(file)
    file.write_bytes(b"content")
    assert not is_whole(file)
    keep_record(file)
    assert is_whole(file)
    remove_unless_whole(file)
    file.write_bytes(b"contents")
    with pytest.warns(UserWarning, match=r"kept.arrow is damaged; it is removed and written anew"):
        assert not is_whole(file)
    assert not file.exists()
    assert not record.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_a_file_whose_record_says_nothing_is_not_read(text: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.arrow"
    file.write_bytes(b"content")
    (tmp_path / "kept.json").write_text(text)
    assert not is_whole(file)
    remove_unless_whole(file)
    assert not file.exists()


@pytest.mark.parametrize("name", ["kept.arrow", "kept.json"])
def test_nobody_waits_for_a_pipe(name: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.arrow"
    file.write_bytes(b"content")
    keep_record(file)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    assert not is_whole(file)
    assert not (tmp_path / name).exists()
