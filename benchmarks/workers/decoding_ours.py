"""Our search over one model, for `decoding_speed.py`; threads split each product, or processes share the batches."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import torch
from workers.protocol import serve

from seq2seq.assembly.generation_config import read_generation_config, rules_of
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.decoding import BeamSearch, Greedy, Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.decoding.running.workers import WorkerProcesses
from seq2seq.generation.batches import Searcher, SourceBatch
from seq2seq.models.loading import load_model

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.int8}


def make_batches(job: dict[str, Any], num_workers: int) -> list[list[int]]:
    """Return which sources are searched together: batches of a token budget, or of a size, less if workers had none."""
    sources, size = job["sources"], job["batch_size"]
    if not size:
        lengths = numpy.array([len(source) for source in sources])
        return length_sorted_batches(lengths, batch_tokens=job["batch_tokens"], beam_width=job["beam_width"])
    size = min(size, max(1, len(sources) // num_workers))
    return [list(range(start, min(start + size, len(sources)))) for start in range(0, len(sources), size)]


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that decodes all sources once; `num_workers` is the number of batches at once."""
    num_workers = job["num_workers"]
    prepare_process(job["threads"] // num_workers)
    model = load_model(job["model"], job["device"], PRECISIONS[job["precision"]])
    keep_freed_memory()
    limits = {"max_length": job["max_length"], "min_length": job["min_length"]}
    search: Search = Greedy(**limits)
    if job["beam_width"] > 1:
        search = BeamSearch(beam_width=job["beam_width"], early_stopping=job["early_stopping"], **limits)
    search = rules_of(read_generation_config(Path(job["model"])), model).applied(search)
    searcher: Searcher = InProcess(model, search, job["device"])
    if num_workers > 1:
        searcher = WorkerProcesses(model, search, num_workers)
    sources = job["sources"]
    indices = make_batches(job, num_workers)
    batches = [SourceBatch([sources[i] for i in rows], rows) for rows in indices]

    def run_round() -> dict[str, Any]:
        started = time.perf_counter()
        results = list(searcher.search_batches(batches))
        seconds = time.perf_counter() - started
        found = {
            i: list(nbest[0].tokens)
            for rows, batch in zip(indices, results, strict=True)
            for i, nbest in zip(rows, batch, strict=True)
        }
        return {"seconds": seconds, "hypotheses": [found[i] for i in range(len(sources))]}

    return {"torch": torch.__version__}, run_round


if __name__ == "__main__":
    serve(prepare)
