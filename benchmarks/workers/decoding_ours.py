"""Our search over one model, for `decoding_speed.py`."""

import time
from collections.abc import Callable
from typing import Any

import numpy
import torch
from workers.protocol import serve

from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.decoding import BeamSearch, Greedy
from seq2seq.decoding.batches import pad_sources
from seq2seq.models.loading import load_model

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that decodes all sources once."""
    torch.set_num_threads(job["threads"])
    model = load_model(job["model"], job["device"], PRECISIONS[job["precision"]])
    limits = {"max_length": job["max_length"], "min_length": job["min_length"]}
    search: BeamSearch | Greedy = Greedy(**limits)
    if job["beam_width"] > 1:
        search = BeamSearch(beam_width=job["beam_width"], early_stopping=job["early_stopping"], **limits)
    sources = job["sources"]
    if job["batch_size"]:
        batches = [
            list(range(i, min(i + job["batch_size"], len(sources)))) for i in range(0, len(sources), job["batch_size"])
        ]
    else:
        lengths = numpy.array([len(source) for source in sources])
        batches = length_sorted_batches(lengths, batch_tokens=job["batch_tokens"], beam_width=search.width)

    def run_round() -> dict[str, Any]:
        found: dict[int, tuple[int, ...]] = {}
        started = time.perf_counter()
        for batch in batches:
            input_ids, mask = pad_sources([sources[i] for i in batch], model.pad_id)
            results = search.search(model, input_ids.to(job["device"]), mask.to(job["device"]))
            found |= {i: hypotheses[0].tokens for i, hypotheses in zip(batch, results, strict=True)}
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "hypotheses": [list(found[i]) for i in range(len(sources))]}

    return {"torch": torch.__version__}, run_round


if __name__ == "__main__":
    serve(prepare)
