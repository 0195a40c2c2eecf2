"""Lines of text out of files, pipes and streams; the only file that reads them.

A path, `-` for standard input, or an open binary file enters; texts leave. A line ends at "\\n" and nowhere else, and
one "\\r" before it belongs to the end. A byte-order mark is no text and says what the encoding is; compression (gzip,
bzip2, xz, zstd) is known by the first bytes, not by the name. What is wrong is a ValueError that names file and line.
"""

import bz2
import codecs
import gzip
import io
import lzma
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, TypeAlias

from seq2seq.files import is_special

Source: TypeAlias = str | Path | IO[bytes]

STANDARD = "-"
"""The name of standard input."""

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_ENDINGS = (".gz", ".bz2", ".xz", ".zst")
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
"""What follows "BZh" and a digit, which text may begin with too."""
_MARKS = {  # the longer first, since one begins with another
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}
_LONGEST_HEAD = 10
_DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError)


def is_stream(source: str | Path) -> bool:
    """Return whether a name stands for what can be read only once: standard input, a pipe, or a device."""
    return str(source) == STANDARD or is_special(source)


def name_of(source: Source) -> str:
    """Return what errors call a source."""
    if isinstance(source, str | Path):
        return "standard input" if str(source) == STANDARD else str(source)
    return str(getattr(source, "name", "the stream"))


def plain_name(path: str | Path) -> str:
    """Return a name without the ending of a compression: what is left tells the format."""
    name = str(path)
    return next((name.removesuffix(ending) for ending in _ENDINGS if name.endswith(ending)), name)


def lines(source: Source, encoding: str = "utf-8", *, name: str | None = None) -> Iterator[str]:
    """Yield the texts of the lines; `name` is what errors call a source that has none.

    Raises:
        ValueError: the compression is damaged or not installed, or a line is not of the encoding.
        OSError: the file cannot be read.
    """
    return (text for _, text in numbered_lines(source, encoding, name=name))


def numbered_lines(
    source: Source, encoding: str = "utf-8", *, errors: str = "strict", keep_ends: bool = False, name: str | None = None
) -> Iterator[tuple[int, str]]:
    """Yield the number of each line, counted from 1, and its text.

    Args:
        errors: what becomes of bytes that are not of the encoding, as for `bytes.decode`.
        keep_ends: leave "\\n" and "\\r\\n" on the texts.
    """
    name = name or name_of(source)
    try:
        encoding = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(f"{name}: there is no encoding {encoding!r}; `utf-8` is one, `cp1252` another.") from None
    with opened(source) as file:
        head = _head(file, _MARKS)
        mark = next((mark for mark in _MARKS if head.startswith(mark)), b"")
        codec = _MARKS[mark] if mark else _WITHOUT_MARK.get(encoding, encoding)
        file = _buffered(head.removeprefix(mark), file)
        for number, line in enumerate(_raw_lines(file, "\n".encode(codec)), start=1):
            try:
                text = line.decode(codec, errors)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{name}:{number}: not valid {codec.upper()} (byte {error.start + 1} of the line, "
                    f"0x{line[error.start]:02x}); convert the file to UTF-8."
                ) from None
            if number == 1 and mark and _only_seems_wide(line, codec):
                raise ValueError(
                    f"{name}: begins with the byte-order mark of {codec.upper()}, but its lines end like those of "
                    "another encoding; convert the file to UTF-8."
                )
            yield number, text if keep_ends else text.removesuffix("\n").removesuffix("\r")


def aligned(*sources: Source, encoding: str = "utf-8") -> Iterator[tuple[str, ...]]:
    """Yield the texts of line n of each source.

    Raises:
        ValueError: they have different numbers of lines, found when the shortest has ended; names how many.
    """
    if sum(str(source) == STANDARD for source in sources) > 1:
        raise ValueError("Standard input (`-`) can be read only once; name files for the other texts.")
    columns = [lines(source, encoding) for source in sources]
    for number, texts in enumerate(zip_longest(*columns), start=1):
        if any(text is None for text in texts):
            counts = [
                number - 1 if text is None else number + sum(1 for _ in column)
                for text, column in zip(texts, columns, strict=True)
            ]
            raise unequal_lengths(list(zip(map(name_of, sources), counts, strict=True)))
        yield texts


def unequal_lengths(counts: Sequence[tuple[str, int]]) -> ValueError:
    """Return the error for files that are to be aligned and are not, of which the first is taken for right."""
    (first, expected), *others = counts
    different = " and ".join(f"{name} has {count}" for name, count in others if count != expected)
    return ValueError(
        f"{first} has {expected} lines, but {different}; line n of one file must belong to line n of the other."
    )


@contextmanager
def spooled(source: str | Path) -> Iterator[Path]:
    """Yield the path of a file that can be read more than once: the source's own, or for a stream that of a copy."""
    if not is_stream(source):
        yield Path(source)
        return
    with TemporaryDirectory(prefix="seq2seq-") as folder:
        copy = Path(folder) / name_of(source).strip("/").replace("/", "-").replace(" ", "-")
        with ExitStack() as stack:
            file = stack.enter_context(_bytes_of(source))
            shutil.copyfileobj(file, stack.enter_context(copy.open("wb")))
        yield copy


@contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """Yield a source's bytes as a binary file, decompressed; damage in the compression becomes a ValueError."""
    with _bytes_of(source) as raw:
        head = _head(raw, _MAGIC)
        kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
        if kind == "bzip2" and head[4:] not in _BZIP2_BLOCKS:
            kind = None
        file = _buffered(head, raw)
        if kind is None:
            yield file
            return
        try:
            yield _decompressed(kind, file, name_of(source))
        except _DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the system, and no damage
            raise ValueError(f"{name_of(source)}: damaged {kind} file: {error}") from error


@contextmanager
def _bytes_of(source: Source) -> Iterator[IO[bytes]]:
    if not isinstance(source, str | Path):
        yield source
    elif str(source) == STANDARD:
        yield sys.stdin.buffer
    else:
        with Path(source).open("rb") as file:
            yield file


class _Rest(io.RawIOBase):
    """Bytes that were read from a file already, and then the rest of it, each piece as soon as it is there."""

    def __init__(self, head: bytes, file: IO[bytes]) -> None:
        self.head = head
        self.read_some = getattr(file, "read1", file.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self.head[: len(buffer)] or self.read_some(len(buffer))
        self.head = self.head[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def _buffered(head: bytes, file: IO[bytes]) -> io.BufferedReader:
    return io.BufferedReader(_Rest(head, file), buffer_size=2**17)


def _head(file: IO[bytes], beginnings: dict[bytes, str]) -> bytes:
    """Return as many first bytes as tell which of the beginnings it is, and none more: somebody may be typing them."""
    head = b""
    while len(head) < _LONGEST_HEAD and any(
        beginning.startswith(head) or (beginning == b"BZh" and head.startswith(beginning)) for beginning in beginnings
    ):
        byte = file.read(1)
        if not byte:
            break
        head += byte
    return head


def _raw_lines(file: io.BufferedReader, end: bytes) -> Iterator[bytes]:
    """Yield lines with their ends; characters take one byte, two or four, as many as the line feed."""
    if len(end) == 1:
        yield from file
        return
    line = b""
    while piece := file.readline():
        line += piece
        if rest := len(line) % len(end):
            line += file.read(len(end) - rest)
        if line.endswith(end):
            yield line
            line = b""
    if line:
        yield line


def _only_seems_wide(line: bytes, codec: str) -> bool:
    """Return whether a first line of wide characters is a file of narrow ones, whose line feeds are halves of others.

    What is wide and has a line feed or one space, digit or Latin letter has a byte of zeros.
    """
    return codec != "utf-8" and b"\n" in line and b"\0" not in line


def _decompressed(kind: str, file: io.BufferedReader, name: str) -> IO[bytes]:
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]  # an IO[bytes] in all but name
    if kind == "bzip2":
        return bz2.BZ2File(file)
    if kind == "xz":
        return lzma.LZMAFile(file)
    return _zstd(file, name)


def _zstd(file: io.BufferedReader, name: str) -> IO[bytes]:
    """Return the bytes of Zstandard frames, by the standard library where it has them (Python 3.14)."""
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        pass
    else:
        return zstd.ZstdFile(file)  # type: ignore[no-any-return,unused-ignore]
    try:
        import zstandard  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ValueError(f"{name}: reading zstd needs: pip install zstandard.") from None
    return io.BufferedReader(_Frames(zstandard, file))


class _Frames(io.RawIOBase):
    """What the package `zstandard` decompresses; an end in the midst of a frame, which it passes over, is an error."""

    def __init__(self, package: Any, file: io.BufferedReader) -> None:
        self.package = package
        self.file = file
        self.frame: Any = None
        self.compressed = b""
        self.plain = memoryview(b"")  # of which a part is taken without a copy of the rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.plain:
            self.compressed = self.compressed or self.file.read1()
            if not self.compressed and self.frame is not None:
                raise EOFError("the file ends in the midst of a frame")
            if not self.compressed:
                return 0
            self.frame = self.frame or self.package.ZstdDecompressor().decompressobj()
            try:
                self.plain = memoryview(self.frame.decompress(self.compressed))
            except self.package.ZstdError as error:
                raise OSError(str(error)) from error
            self.compressed = self.frame.unused_data
            if self.frame.eof:
                self.frame = None
        piece = self.plain[: len(buffer)]
        self.plain = self.plain[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)
