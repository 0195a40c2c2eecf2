"""CTranslate2 over the same weights, for `decoding_speed.py`; two threads of one core each or one of two."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
from workers.protocol import serve

from seq2seq.build.ctranslate2_export import export_ctranslate2
from seq2seq.models.transformer import Seq2SeqTransformer

COMPUTE_TYPES = {"fp32": "float32", "int8": "int8", "bf16": "bfloat16"}


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that decodes all sources once; `inter_threads` is the number of batches at once."""
    ours = Seq2SeqTransformer.from_pretrained(job["model"])
    eos_id = ours.eos_id
    source_tokens = [f"t{i}" for i in range(ours.config.source_vocab_size or ours.vocab_size)]
    target_tokens = [f"t{i}" for i in range(ours.vocab_size)]
    with tempfile.TemporaryDirectory() as folder:
        export_ctranslate2(Path(folder) / "model", ours, source_tokens, target_tokens)
        translator = ctranslate2.Translator(
            str(Path(folder) / "model"),
            device=job["device"],
            compute_type=COMPUTE_TYPES[job["precision"]],
            inter_threads=job["inter_threads"],
            intra_threads=max(1, job["threads"] // job["inter_threads"]),
        )
    # End of sentence is added by the library.
    sources = [[f"t{i}" for i in source if i != eos_id] for source in job["sources"]]
    batching = {"max_batch_size": job["batch_size"], "batch_type": "examples"}
    if not job["batch_size"]:
        batching = {"max_batch_size": job["batch_tokens"] // job["beam_width"], "batch_type": "tokens"}
    elif job["inter_threads"] > 1:
        # A batch that one worker takes whole would leave the others idle.
        batching["max_batch_size"] = max(1, job["batch_size"] // job["inter_threads"])

    def run_round() -> dict[str, Any]:
        started = time.perf_counter()
        results = translator.translate_batch(
            sources,
            beam_size=job["beam_width"],
            length_penalty=1.0,
            min_decoding_length=job["min_length"],
            max_decoding_length=job["max_length"],
            return_end_token=True,
            **batching,
        )
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "hypotheses": [[int(t[1:]) for t in result.hypotheses[0]] for result in results]}

    return {"ctranslate2": ctranslate2.__version__}, run_round


if __name__ == "__main__":
    serve(prepare)
