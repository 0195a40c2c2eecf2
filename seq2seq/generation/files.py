"""Decode a file of one text per line, on several processes, in parts that survive a stop.

Process r of n decodes pools r, r + n, ... of the input, each into a numbered part file in `<output>.parts`. A decode
that was stopped goes on behind the parts that exist; a manifest makes sure that they belong to the same input, model
and options. When all parts are there, the main process joins them in input order and removes them. What a line becomes
does not depend on the number of processes, nor on a stop in between.
"""

import itertools
import json
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seq2seq.files import fingerprint, read_object
from seq2seq.generation.batches import BATCH_TOKENS, Searcher
from seq2seq.generation.corpus import POOL_LINES, Tokenizer, check_max_source_tokens, decode_lines, pools_of
from seq2seq.generation.output import FORMATS, NBest, read_nbest, write_lines, write_nbest
from seq2seq.lines import lines, spooled, unequal_lengths
from seq2seq.locks import locked

MANIFEST = "manifest.json"

logger = logging.getLogger(__name__)


def check_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Check that the parts in a folder, if any, were decoded from the same input with the same options.

    Raises:
        ValueError: names what differs.
    """
    if not (parts := [*folder.glob("part-*")]):
        return
    for part in parts:
        if not part.is_file():
            raise ValueError(f"{part} is no file, where a part of a decode is expected; remove it.")
    cure = "Repeat that command to finish it, or remove the folder to start afresh."
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} holds parts of a decode, but no {MANIFEST} that says of which; remove the folder.")
    found = read_object(folder / MANIFEST)
    if different := [name for name in facts if found.get(name) != facts[name]]:
        raise ValueError(
            f"{folder} holds parts of a decode that was stopped and had another {', '.join(different)}. {cure}"
        )


def enter_parts(folder: Path, facts: dict[str, Any], process_index: int, wait_for_everyone: Callable[[], None]) -> None:
    """Make a folder of parts and its manifest, after all processes have looked at what is there (`check_manifest`).

    Raises:
        ValueError: parts of another decode are there, or this process has not read what the first one has.
    """
    check_manifest(folder, facts)
    wait_for_everyone()
    if process_index == 0:
        folder.mkdir(exist_ok=True)
        write_lines(folder / MANIFEST, [json.dumps(facts, indent=2)])
    wait_for_everyone()
    found = read_object(folder / MANIFEST)
    if different := [name for name in facts if found.get(name) != facts[name]]:
        raise ValueError(
            f"The processes of this decode have read another {', '.join(different)} each, which was replaced "
            "meanwhile, as by a training; give the command again."
        )


def part_path(folder: Path, pool: int) -> Path:
    return folder / f"part-{pool:08}.jsonl"


def count_lines(input_path: Path, prefixes_path: Path | None) -> int:
    """Return the number of lines, after a look at all of them: bad input must fail before anything is decoded.

    Raises:
        ValueError: a line is not UTF-8, or the files are not aligned.
    """
    num_lines = sum(1 for _ in lines(input_path))
    if prefixes_path is not None:
        num_prefixes = sum(1 for _ in lines(prefixes_path))
        if num_prefixes != num_lines:
            raise unequal_lengths([(str(input_path), num_lines), (str(prefixes_path), num_prefixes)])
    return num_lines


def decode_file(
    input_path: Path,
    output_path: Path,
    searcher: Searcher,
    tokenizer: Tokenizer,
    batch_tokens: int = BATCH_TOKENS,
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
    progress: Callable[[int, int], None] = lambda decoded, total: None,
) -> int:
    """Decode a file into another, going on where an earlier call was stopped; return how many lines failed.

    The first process knows that of all lines, whichever process or earlier call they failed in; for others it is 0. The
    output is locked meanwhile.

    Args:
        model_fingerprint: anything that differs between models and tokenizers.
        output_format: one of `output.FORMATS`.
        prefixes_path: file aligned with the input, with the text that each line's hypotheses begin with.
        pool_lines: lines per part, hence what a stop costs at most; also what processes share the work by.
        wait_for_everyone: barrier over all processes.
        progress: is told after each part how many lines there are up to its end, and how many in all.
        Others as for `corpus.decode_lines`.

    Raises:
        ValueError: input that cannot be read, an unknown format, parts of another decode in the way, or another
            process that decodes into this output.
    """
    if output_format not in FORMATS:
        raise ValueError(f"`output_format` must be one of {', '.join(FORMATS)}, but is {output_format!r}.")
    check_max_source_tokens(max_source_tokens)
    with ExitStack() as stack:
        if prefixes_path is not None:  # they are read three times
            prefixes_path = stack.enter_context(spooled(prefixes_path))
        num_lines = count_lines(input_path, prefixes_path)
        folder = output_path.with_name(output_path.name + ".parts")
        if process_index == 0:
            output_path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(output_path))
        facts = {
            "input": fingerprint(input_path),
            "prefixes": None if prefixes_path is None else fingerprint(prefixes_path),
            "model": model_fingerprint,
            "search": repr(searcher.search),
            "source_prefix": source_prefix,
            "max_source_tokens": max_source_tokens,
            "pool_lines": pool_lines,
        }
        enter_parts(folder, facts, process_index, wait_for_everyone)
        prefixes = None if prefixes_path is None else lines(prefixes_path)
        for number, (pool, pool_prefixes) in enumerate(pools_of(lines(input_path), prefixes, pool_lines)):
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
            progress(number * pool_lines + len(pool), num_lines)
        wait_for_everyone()
        num_failed = join_parts(folder, num_lines, pool_lines, output_path, output_format) if process_index == 0 else 0
        wait_for_everyone()
    return num_failed


def join_parts(folder: Path, num_lines: int, pool_lines: int, output_path: Path, output_format: str) -> int:
    """Write the results of all parts in input order, then remove the parts, the manifest last.

    Returns:
        How many lines could not be decoded.

    Raises:
        ValueError: a part does not hold the results that it should; names it.
    """

    num_failed = 0

    def results() -> Iterator[NBest]:
        nonlocal num_failed
        for number, part in enumerate(parts):
            rows = range(number * pool_lines, min((number + 1) * pool_lines, num_lines))
            for row, nbest in itertools.zip_longest(rows, read_nbest(part)):
                if row is None or nbest is None or nbest.id != row:
                    raise ValueError(
                        f"{part} is damaged: it does not hold lines {rows.start + 1} to {rows.stop} one by one; remove "
                        "it and repeat the command."
                    )
                num_failed += nbest.failed
                yield nbest

    parts = [part_path(folder, number) for number in range(math.ceil(num_lines / pool_lines))]
    write_nbest(output_path, results(), output_format, may_be_stream=True)
    for part in folder.glob("part-*"):
        part.unlink()
    (folder / MANIFEST).unlink()
    folder.rmdir()
    return num_failed
