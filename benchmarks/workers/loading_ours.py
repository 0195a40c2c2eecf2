"""Two files of lines to a tokenised corpus and its first batch, by this toolkit, for `loading_speed.py`."""

import tempfile
import time
from collections.abc import Callable
from typing import Any

from workers.protocol import serve

from seq2seq.data.corpus import read_corpus
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.tokenizer import TextTokenizer

BUDGET = {"max_source_tokens": 1024, "max_target_tokens": 1024, "batch_tokens": 4096, "seed": 1}


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that does all of it once, with nothing kept from before."""
    tokenizer = TextTokenizer.load(job["tokenizer"])

    def run_round() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=job["folder"]) as cache:
            started = time.perf_counter()
            corpus = read_corpus(source=job["source"], target=job["target"], cache_directory=cache)
            tokenized = tokenize_corpus(corpus, tokenizer, num_workers=job["num_workers"])
            read = time.perf_counter()
            loader = TrainingLoader(tokenized, tokenizer, **BUDGET)
            next(loader.micro_batches())
            planned = time.perf_counter()
        return {"seconds": read - started, "seconds_to_first_batch": planned - read, "pairs": len(tokenized)}

    return {}, run_round


if __name__ == "__main__":
    serve(prepare)
