"""A tokenised corpus to batches, by the toolkit that is imported, for `batch_assembly_speed.py`."""

import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

from workers.protocol import serve

from seq2seq.data.corpus import read_corpus
from seq2seq.data.generation_order import Arranged
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.tokenizer import TextTokenizer

SECONDS_TO_PLAN = 1.0
"""In which the plan of the second epoch is made too, and as many batches as are made ahead."""
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

    def run_round() -> dict[str, Any]:
        with closing(loader.micro_batches()) as stream:
            next(stream)
            time.sleep(SECONDS_TO_PLAN)
            started, worked = time.perf_counter(), time.process_time()
            positions = sum(batch.num_slots for _, batch in islice(stream, job["batches"]))
            seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - worked
        return {"positions": positions, "seconds": seconds, "cpu_seconds": cpu_seconds}

    return {"package": str(Path(seq2seq.__file__).parent)}, run_round


if __name__ == "__main__":
    serve(prepare)
