"""CTranslate2 over the same weights, for `decoding_speed.py`; two threads of one core each or one of two.

Models of transformers become folders by its own converter.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
from ctranslate2.converters import TransformersConverter
from transformers import AutoConfig, PretrainedConfig
from workers.protocol import serve

from seq2seq.export.ctranslate2_export import transformer_spec
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.inference import is_loadable

COMPUTE_TYPES = {"fp32": "float32", "int8": "int8", "bf16": "bfloat16"}


class Tokens:
    """What the converter asks of a tokenizer, where tokens are just their ids; Marian's padding is none of them."""

    def __init__(self, config: PretrainedConfig) -> None:
        self.names = [f"t{i}" for i in range(config.vocab_size)]
        if config.model_type == "marian":
            self.names[config.pad_token_id] = "<pad>"
        self.bos_token = self.unk_token = self.names[config.bos_token_id or config.eos_token_id]
        self.eos_token, self.pad_token = self.names[config.eos_token_id], self.names[config.pad_token_id]
        self.unk_token_id, self.num_madeup_words, self.special_tokens_map = config.bos_token_id, 0, {}

    def get_vocab(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def convert_ids_to_tokens(self, index: int) -> str:
        return self.names[index]


class FamilyConverter(TransformersConverter):
    """Converts a folder that has no tokenizer."""

    def load_tokenizer(self, tokenizer_class: Any, model_name_or_path: str, **kwargs: Any) -> Tokens:
        return Tokens(AutoConfig.from_pretrained(model_name_or_path))


def write(source: str, folder: str) -> tuple[int, bool]:
    """Write a folder's model for CTranslate2; return its end of sentence, and whether the library adds that itself."""
    if not is_loadable(Path(source)):
        FamilyConverter(source).convert(folder, force=True)
        return AutoConfig.from_pretrained(source).eos_token_id, False
    ours = Seq2SeqTransformer.from_pretrained(source)
    convert(ours, folder)
    return ours.eos_id, True


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
    with tempfile.TemporaryDirectory() as folder:
        eos_id, adds_eos = write(job["model"], folder)
        translator = ctranslate2.Translator(
            folder,
            device=job["device"],
            compute_type=COMPUTE_TYPES[job["precision"]],
            inter_threads=job["num_workers"],
            intra_threads=max(1, job["threads"] // job["num_workers"]),
        )
    sources = [[f"t{i}" for i in source if not (adds_eos and i == eos_id)] for source in job["sources"]]
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
