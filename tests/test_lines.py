"""Lines out of files, pipes and streams."""

import bz2
import codecs
import gzip
import io
import lzma
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from seq2seq.lines import aligned, is_stream, lines, numbered_lines, opened, spooled

ODD = ["a\u2028b\x0c\x85", "c\rd", "", "BZh91 \ufeffä", "last"]
TEXT = "a\u2028b\x0c\x85\r\nc\rd\n\nBZh91 \ufeffä\nlast"
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "none": lambda data: data,
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_line_ends_at_a_line_feed_and_nowhere_else(file: Path) -> None:
    file.write_bytes(TEXT.encode())
    assert list(lines(file)) == ODD
    assert list(lines(str(file))) == ODD
    assert list(numbered_lines(file, keep_ends=True)) == list(
        enumerate([ODD[0] + "\r\n", "c\rd\n", "\n", ODD[3] + "\n", "last"], start=1)
    )
    file.write_bytes(b"")
    assert list(lines(file)) == []
    file.write_bytes(b"a\n")
    assert list(lines(file)) == ["a"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize(
    ("mark", "codec"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
        (codecs.BOM_UTF32_BE, "utf-32-be"),
    ],
)
def test_marks_and_compression_are_known_by_content(file: Path, mark: bytes, codec: str, compression: str) -> None:
    text = TEXT + "\n\u0a0a\u0a00\u000a\u0100\n"  # units that hold the byte 0A and are no line feeds
    file.write_bytes(COMPRESSIONS[compression](mark + text.encode(codec)))
    assert list(lines(file)) == [*ODD, "\u0a0a\u0a00", "\u0100"]


def test_a_mark_alone_is_no_line(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8)
    assert list(lines(file)) == []


@pytest.mark.parametrize("text", ["B", "BZ", "BZh", "BZh9", "BZh91AY&S", "\x1f", "\ufffd"])
def test_text_that_begins_like_something_else_is_text(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert list(lines(file)) == [text]


def test_members_of_gzip_follow_each_other(file: Path) -> None:
    file.write_bytes(gzip.compress(b"a\nb") + gzip.compress(b"c\n"))
    assert list(lines(file)) == ["a", "bc"]


@pytest.mark.parametrize("compression", ["gzip", "bzip2", "xz"])
def test_damage_is_named(file: Path, compression: str) -> None:
    whole = COMPRESSIONS[compression](os.urandom(1000))
    file.write_bytes(whole[:-20])
    with pytest.raises(ValueError, match=rf"file: damaged {compression} file"), opened(file) as found:
        found.read()
    file.write_bytes(whole[:60] + b"\x00" * 20 + whole[80:])
    with pytest.raises(ValueError, match=rf"file: damaged {compression} file"), opened(file) as found:
        found.read()


def test_zstd_needs_a_package(file: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    monkeypatch.setitem(sys.modules, "compression", None)
    file.write_bytes(b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00a\n")
    with pytest.raises(ValueError, match="file: reading zstd needs: pip install zstandard"):
        list(lines(file))


class FakeFrame:
    """What `zstandard` gives for a frame, here one of two bytes of text as they are behind the magic."""

    def __init__(self) -> None:
        self.held = b""
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: bytes) -> bytes:
        self.held += data
        self.eof = len(self.held) >= 6
        self.unused_data = self.held[6:]
        return self.held[4:6] if self.eof else b""


def test_frames_of_zstd_follow_each_other_and_are_whole(file: Path, monkeypatch) -> None:
    package = SimpleNamespace(
        ZstdDecompressor=lambda: SimpleNamespace(decompressobj=FakeFrame), ZstdError=type("ZstdError", (Exception,), {})
    )
    monkeypatch.setitem(sys.modules, "compression", None)
    monkeypatch.setitem(sys.modules, "zstandard", package)
    magic = b"\x28\xb5\x2f\xfd"
    file.write_bytes(magic + b"a\n" + magic + b"b\n")
    assert list(lines(file)) == ["a", "b"]
    file.write_bytes(magic + b"a\n" + magic + b"b")
    with pytest.raises(ValueError, match="damaged zstd file: the file ends in the midst"):
        list(lines(file))


def test_what_is_not_of_the_encoding_is_named_with_its_line(file: Path) -> None:
    file.write_bytes(b"a\n\xff\n")
    with pytest.raises(ValueError, match=r"file:2: not valid UTF-8 \(byte 1 of the line, 0xff\)"):
        list(lines(file))
    file.write_bytes(codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8")
    with pytest.raises(ValueError, match="file:2: not valid UTF-16-LE"):
        list(lines(file))


def test_a_mark_of_wide_characters_before_narrow_ones_loses_no_line(file: Path) -> None:
    for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        file.write_bytes(mark + b"abc\n\xc3\xa9 de\n")
        with pytest.raises(ValueError, match="file: begins with the byte-order mark of UTF-16-.*convert the file"):
            list(lines(file, name="file"))
    text = "\u0a85\u0a96\u010a a"  # bytes of line feeds, but none
    file.write_bytes(codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    assert list(lines(file)) == [text]


def test_other_encodings_are_asked_for(file: Path) -> None:
    file.write_bytes("ä\nö".encode("cp1252"))
    assert list(lines(file, "cp1252")) == ["ä", "ö"]
    file.write_bytes("ä\nö".encode("utf-16-le"))
    assert list(lines(file, "utf-16")) == ["ä", "ö"]
    with pytest.raises(ValueError, match="there is no encoding 'utf-17'"):
        list(lines(file, "utf-17"))


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(lines(tmp_path / "none"))


def test_standard_input_is_a_source(monkeypatch) -> None:
    def stream(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    stream(codecs.BOM_UTF8 + b"a\r\nb")
    assert list(lines("-")) == ["a", "b"]
    stream(gzip.compress(b"a\n"))
    assert list(lines("-")) == ["a"]
    stream(b"\xff")
    with pytest.raises(ValueError, match="standard input:1: not valid UTF-8"):
        list(lines("-"))
    with pytest.raises(ValueError, match="can be read only once"):
        list(aligned("-", "-"))


def test_a_line_is_there_before_the_next_is_typed() -> None:
    read, write = os.pipe()
    with os.fdopen(read, "rb") as reader, os.fdopen(write, "wb", buffering=0) as writer:
        found = lines(reader)
        for text in ("a", "BZ", ""):
            writer.write(text.encode() + b"\n")
            assert next(found) == text
        found.close()


def feed(pipe: Path, data: bytes) -> threading.Thread:
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    return writer


def test_a_pipe_is_read_once_and_can_be_spooled(tmp_path: Path) -> None:
    writer = feed(tmp_path / "pipe", gzip.compress(b"a\nb\n"))
    assert is_stream(tmp_path / "pipe")
    with spooled(tmp_path / "pipe") as path:
        assert list(lines(path)) == list(lines(path)) == ["a", "b"]
        assert path.is_file()
    assert not path.exists()
    writer.join()


def test_a_file_is_not_spooled(file: Path) -> None:
    file.write_text("a")
    with spooled(file) as path:
        assert path == file
    with spooled(file.with_name("none")) as path:
        assert not path.exists()
    read, write = os.pipe()
    os.write(write, b"a\n")
    os.close(write)
    with spooled(f"/dev/fd/{read}") as path:
        assert list(lines(path)) == list(lines(path)) == ["a"]
    os.close(read)


def test_aligned(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, count in zip(paths, (2, 2, 5), strict=True):
        path.write_text("".join(f"{path.name}{number}\n" for number in range(count)))
    assert list(aligned(*paths[:2])) == [("a0", "b0"), ("a1", "b1")]
    message = rf"{paths[0]} has 2 lines, but {paths[2]} has 5; line n of one file must belong to line n of the other"
    with pytest.raises(ValueError, match=message):
        list(aligned(*paths))
    with pytest.raises(ValueError, match=rf"{paths[2]} has 5 lines, but {paths[0]} has 2 and {paths[1]} has 2;"):
        list(aligned(paths[2], *paths[:2]))
