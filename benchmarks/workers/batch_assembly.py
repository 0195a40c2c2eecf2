"""A tokenised corpus to batches, by the toolkit that is imported, for `batch_assembly_speed.py`."""

import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

from workers.protocol import serve

from seq2seq.data.corpus import read_corpus
from seq2seq.data.generation_order import Arranged
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.tokenizer import TextTokenizer

BUDGET = {"max_source_tokens": 1024, "max_target_tokens": 1024, "seed": 1}


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return where the toolkit is, and a function that makes so many batches as the job says, from the first on."""
    import seq2seq

    corpus = read_corpus(source=job["source"], target=job["target"], cache_directory=job["cache"])
    tokenizer = TextTokenizer.load(job["tokenizer"])
    loader = TrainingLoader(
        tokenize_corpus(corpus, tokenizer),
        tokenizer,
        batch_tokens=job["batch_tokens"],
        arrange=Arranged(job["order"]),
        **BUDGET,
    )
    make_batch = next(loader._parts(0, 0))  # a whole epoch, planned

    def run_round() -> dict[str, Any]:
        positions = 0
        started = time.perf_counter()
        for rows in islice(make_batch.batches, job["batches"]):
            positions += make_batch.make_batch(rows).num_slots
        return {"positions_per_second": positions / (time.perf_counter() - started), "positions": positions}

    return {"package": str(Path(seq2seq.__file__).parent)}, run_round


if __name__ == "__main__":
    serve(prepare)
