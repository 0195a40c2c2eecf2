"""Decode a file of one text per line, on several processes, in parts that survive a stop.

Process r of n decodes pools r, r + n, ... of the input, each into a numbered part file in `<output>.parts`. A decode
that was stopped goes on behind the parts that exist; a manifest makes sure that they belong to the same input, model
and options. When all parts are there, the main process joins them in input order and removes them. What a line becomes
does not depend on the number of processes, nor on a stop in between.
"""

import hashlib
import itertools
import json
import logging
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from seq2seq.decoding.running.batches import Searcher
from seq2seq.decoding.running.corpus import POOL_LINES, Tokenizer, check_max_source_tokens, decode_lines, pools_of
from seq2seq.decoding.running.output import FORMATS, NBest, read_nbest, write_lines, write_nbest

logger = logging.getLogger(__name__)


def read_lines(path: Path) -> Iterator[str]:
    """Yield the texts of a UTF-8 file, split at line feeds alone; a carriage return before one belongs to it.

    Raises:
        ValueError: names the file and the line that is not UTF-8.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield line.decode("utf-8").removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise ValueError(f"{path}, line {number}: not valid UTF-8; convert the file first.") from error


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Return a file's size in bytes and SHA-256."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def check_manifest(folder: Path, fingerprint: dict[str, Any]) -> None:
    """Check that the parts in a folder, if any, were decoded from the same input with the same options.

    Raises:
        ValueError: names what differs.
    """
    manifest = folder / "manifest.json"
    if not manifest.exists():
        return
    found = json.loads(manifest.read_text(encoding="utf-8"))
    different = [name for name in fingerprint if found.get(name) != fingerprint[name]]
    if different:
        raise ValueError(
            f"{folder} holds parts of a decode that was stopped and had another {', '.join(different)}. "
            "Repeat that command to finish it, or remove the folder to start afresh."
        )


def part_path(folder: Path, pool: int) -> Path:
    return folder / f"part-{pool:08}.jsonl"


def count_lines(input_path: Path, prefixes_path: Path | None) -> int:
    """Return the number of lines, after a look at all of them: bad input must fail before anything is decoded.

    Raises:
        ValueError: a line is not UTF-8, or the files are not aligned.
    """
    num_lines = sum(1 for _ in read_lines(input_path))
    if prefixes_path is not None:
        num_prefixes = sum(1 for _ in read_lines(prefixes_path))
        if num_prefixes != num_lines:
            raise ValueError(f"{input_path} has {num_lines} lines, but {prefixes_path} has {num_prefixes}.")
    return num_lines


def decode_file(
    input_path: Path,
    output_path: Path,
    searcher: Searcher,
    tokenizer: Tokenizer,
    batch_tokens: int = 8192,
    *,
    model_fingerprint: str,
    output_format: str = "text",
    source_prefix: str = "",
    max_source_tokens: int | None = None,
    prefixes_path: Path | None = None,
    pool_lines: int = POOL_LINES,
    process_index: int = 0,
    num_processes: int = 1,
    wait_for_everyone: Callable[[], None] = lambda: None,
) -> int:
    """Decode a file into another, going on where an earlier call was stopped; return how many lines failed.

    The first process knows that of all lines, whichever process or earlier call they failed in; for others it is 0.

    Args:
        model_fingerprint: anything that differs between models and tokenizers.
        output_format: one of `output.FORMATS`.
        prefixes_path: file aligned with the input, with the text that each line's hypotheses begin with.
        pool_lines: lines per part, hence what a stop costs at most; also what processes share the work by.
        wait_for_everyone: barrier over all processes.
        Others as for `corpus.decode_lines`.

    Raises:
        ValueError: input that cannot be read, an unknown format, or parts of another decode in the way.
    """
    if output_format not in FORMATS:
        raise ValueError(f"`output_format` must be one of {', '.join(FORMATS)}, but is {output_format!r}.")
    check_max_source_tokens(max_source_tokens)
    num_pools = math.ceil(count_lines(input_path, prefixes_path) / pool_lines)
    folder = output_path.with_name(output_path.name + ".parts")
    fingerprint = {
        "input": file_fingerprint(input_path),
        "prefixes": None if prefixes_path is None else file_fingerprint(prefixes_path),
        "model": model_fingerprint,
        "search": repr(searcher.search),
        "source_prefix": source_prefix,
        "max_source_tokens": max_source_tokens,
        "pool_lines": pool_lines,
    }
    check_manifest(folder, fingerprint)
    if process_index == 0:
        folder.mkdir(parents=True, exist_ok=True)
        write_lines(folder / "manifest.json", [json.dumps(fingerprint, indent=2)])
    wait_for_everyone()

    prefixes = None if prefixes_path is None else read_lines(prefixes_path)
    for number, (pool, pool_prefixes) in enumerate(pools_of(read_lines(input_path), prefixes, pool_lines)):
        part = part_path(folder, number)
        if number % num_processes != process_index or part.exists():
            continue
        results = decode_lines(
            pool,
            searcher,
            tokenizer,
            batch_tokens,
            source_prefix=source_prefix,
            max_source_tokens=max_source_tokens,
            prefixes=pool_prefixes,
            pool_lines=pool_lines,
            first_row=number * pool_lines,
        )
        write_nbest(part, results)
        logger.info("Decoded lines %d to %d.", number * pool_lines + 1, number * pool_lines + len(pool))
    wait_for_everyone()
    num_failed = join_parts(folder, num_pools, output_path, output_format) if process_index == 0 else 0
    wait_for_everyone()
    return num_failed


def join_parts(folder: Path, num_pools: int, output_path: Path, output_format: str) -> int:
    """Write the results of all parts in input order, then remove the parts, the manifest last.

    Returns:
        How many lines could not be decoded.
    """
    num_failed = 0

    def results() -> Iterator[NBest]:
        nonlocal num_failed
        for row, nbest in enumerate(itertools.chain.from_iterable(map(read_nbest, parts))):
            assert nbest.id == row, f"{folder}: result {nbest.id} stands where {row} should"
            num_failed += nbest.failed
            yield nbest

    parts = [part_path(folder, number) for number in range(num_pools)]
    write_nbest(output_path, results(), output_format)
    for part in folder.glob("part-*"):
        part.unlink()
    (folder / "manifest.json").unlink()
    folder.rmdir()
    return num_failed
