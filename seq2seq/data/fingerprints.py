"""What pairs a corpus holds, as a short text: the same for the same pairs, wherever they lie and however they are kept.

A corpus enters, a hash leaves. It is taken of Arrow's buffers, a block of rows at a time, and not row by row.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pyarrow

from seq2seq.data.corpus import Corpus, Dataset, IterableDataset
from seq2seq.data.corpus_options import LANGUAGES

_BLOCK_ROWS = 10_000
"""Another number would give other hashes."""
STREAM_HEAD_ROWS = 10_000
"""Pairs at the head of a stream by which it is known."""


def corpus_fingerprint(corpus: Corpus, options: dict[str, Any] | None = None) -> str:
    """Return the number of pairs and a hash of all texts.

    A stream is never read as a whole, so of one it is the hash of its first pairs and of what else is known of it.

    Args:
        options: of a stream, what says that it is the same one.
    """
    if isinstance(corpus, Dataset):
        columns = ["source", "target", *(name for name in LANGUAGES if name in corpus.column_names)]
        texts = corpus.select_columns(columns).with_format("arrow")
        return f"{len(corpus)} pairs {_hash(texts.iter(_BLOCK_ROWS))}"
    blocks = _head(corpus)
    return f"stream {_hash(blocks, json.dumps(options, sort_keys=True))}"


def _head(corpus: IterableDataset) -> Iterator[pyarrow.Table]:
    rows = list(corpus.take(STREAM_HEAD_ROWS))
    schema = pyarrow.schema({"source": pyarrow.string(), "target": pyarrow.string()})
    yield pyarrow.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)


def _hash(blocks: Iterator[pyarrow.Table], options: str = "") -> str:
    """Return a hash of the lengths and the bytes of all texts, in whatever chunks they lie."""
    found = hashlib.sha256(options.encode())
    for block in blocks:
        for name in block.column_names:
            texts = block[name].cast(pyarrow.large_string()).combine_chunks()
            _, offsets, data = texts.buffers()
            if not len(texts):
                continue
            bounds = pyarrow.Array.from_buffers(pyarrow.int64(), len(texts) + 1, [None, offsets], offset=texts.offset)
            bounds = bounds.to_numpy()
            found.update(bounds[1:] - bounds[0])
            if data is not None:
                found.update(memoryview(data)[bounds[0] : bounds[-1]])
    return found.hexdigest()[:32]
