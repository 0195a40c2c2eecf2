"""CTranslate2 over the same weights, for `decoding_speed.py`; two threads of one core each or one of two."""

import tempfile
import time
from collections.abc import Callable
from typing import Any

import ctranslate2
from workers.protocol import serve

from seq2seq.export.ctranslate2_export import transformer_spec
from seq2seq.models.transformer import Seq2SeqTransformer

COMPUTE_TYPES = {"fp32": "float32", "int8": "int8", "bf16": "bfloat16"}


def convert(model: Seq2SeqTransformer, folder: str) -> None:
    """Write the model for CTranslate2 with tokens that are just their ids."""
    config = model.config
    spec = transformer_spec(model, num_positions=1024)
    spec.register_source_vocabulary([f"t{i}" for i in range(config.source_vocab_size or config.vocab_size)])
    spec.register_target_vocabulary([f"t{i}" for i in range(config.vocab_size)])
    spec.config.unk_token = spec.config.bos_token = f"t{config.bos_token_id}"
    spec.config.eos_token = f"t{config.eos_token_id}"
    spec.config.decoder_start_token = f"t{config.decoder_start_token_id}"
    spec.config.add_source_eos = True
    spec.config.layer_norm_epsilon = model.config.norm_epsilon
    spec.validate()
    spec.optimize()
    spec.save(folder)


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that decodes all sources once; `num_workers` is the number of batches at once."""
    ours = Seq2SeqTransformer.from_pretrained(job["model"])
    with tempfile.TemporaryDirectory() as folder:
        convert(ours, folder)
        translator = ctranslate2.Translator(
            folder,
            device=job["device"],
            compute_type=COMPUTE_TYPES[job["precision"]],
            inter_threads=job["num_workers"],
            intra_threads=max(1, job["threads"] // job["num_workers"]),
        )
    eos_id = ours.eos_id
    # End of sentence is added by the library.
    sources = [[f"t{i}" for i in source if i != eos_id] for source in job["sources"]]
    batching = {"max_batch_size": job["batch_size"], "batch_type": "examples"}
    if not job["batch_size"]:
        batching = {"max_batch_size": job["batch_tokens"] // job["beam_width"], "batch_type": "tokens"}
    else:  # a batch that one worker takes whole would leave the others idle
        batching["max_batch_size"] = min(job["batch_size"], max(1, len(sources) // job["num_workers"]))

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
