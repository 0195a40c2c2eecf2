"""Eole's own beam search over the same weights, for `decoding_speed.py`; runs in the environment of Eole.

Our model folder becomes a model folder of Eole, which takes pre-norm models with sinusoids. Eole loads it as `eole
predict` does, with fused projections of queries, keys and values, and searches batches of token ids.

Eole ends a search once its best hypothesis has ended, counts one token more in the length penalty, and lets an ended
hypothesis take a place in the beam for a step. Where all hypotheses have one length, as with a random model, it finds
what we find; elsewhere some lines differ.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import torch
from eole.config.run import PredictConfig
from eole.predict import Translator, build_predictor
from safetensors.torch import load_file, save_file
from torch import Tensor
from workers.eole_model import convert_weights, model_options, vocabulary
from workers.protocol import serve

from seq2seq.data.bucketing import length_sorted_batches

ROLES = ("pad", "bos", "eos")


def convert(model: Path, folder: Path) -> dict[str, int]:
    """Write our model for Eole; return the ids of the special tokens.

    Raises:
        ValueError: Eole has no counterpart for an option of the model.
    """
    ours = json.loads((model / "config.json").read_text(encoding="utf-8"))
    if ours["norm_position"] != "pre" or ours["decoder_start_token_id"] != ours["bos_token_id"]:
        raise ValueError("Eole decodes pre-norm models that begin with the beginning of sentence.")
    token_ids = {role: ours[f"{role}_token_id"] for role in ROLES}
    # Vocabulary files are not read where there is a `vocab.json`, but must be named.
    config = {"model": model_options(ours), "training": {}, "data": {}, "src_vocab": "", "tgt_vocab": ""}
    files = {"config": config, "vocab": vocabulary(ours["vocab_size"], token_ids)}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    save_file(convert_weights(load_file(model / "model.safetensors")), folder / "model.00.safetensors")
    return token_ids


def load(job: dict[str, Any], folder: Path) -> Translator:
    """Return Eole's translator with the job's search options."""
    device_id = 0 if job["device"] == "cuda" else -1
    config = PredictConfig(
        model_path=str(folder),
        src="",
        gpu_ranks=[] if device_id < 0 else [device_id],
        compute_dtype=job["precision"],
        beam_size=job["beam_width"],
        min_length=job["min_length"],
        max_length=job["max_length"],
        max_length_ratio=0,  # else the length would also be limited by the source's
        fuse_kvq=True,
    )
    return build_predictor(config, device_id)


def tensor_batches(job: dict[str, Any], pad_id: int) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """Yield the sources of each batch as row numbers, and as Eole's searches take them."""
    sources, size = job["sources"], job["batch_size"]
    lengths = numpy.array([len(source) for source in sources])
    order = [list(range(start, min(start + size, len(sources)))) for start in range(0, len(sources), size or 1)]
    if not size:
        batches = length_sorted_batches(lengths, batch_tokens=job["batch_tokens"], beam_width=job["beam_width"])
        order = [batch.tolist() for batch in batches]
    for rows in order:
        padded = torch.full((len(rows), int(lengths[rows].max())), pad_id)
        for i, row in enumerate(rows):
            padded[i, : lengths[row]] = torch.tensor(sources[row])
        yield rows, {"src": padded.to(job["device"]), "srclen": torch.tensor(lengths[rows], device=job["device"])}


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that decodes all sources once."""
    torch.set_num_threads(job["threads"])
    with tempfile.TemporaryDirectory() as folder:
        token_ids = convert(Path(job["model"]), Path(folder))
        translator = load(job, Path(folder))

    def run_round() -> dict[str, Any]:
        found: dict[int, list[int]] = {}
        started = time.perf_counter()
        for rows, batch in tensor_batches(job, token_ids["pad"]):
            results = translator.predict_batch(batch, attn_debug=False)
            found |= {row: nbest[0].tolist() for row, nbest in zip(rows, results["predictions"], strict=True)}
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "hypotheses": [found[i] for i in range(len(job["sources"]))]}

    return {"eole": version("eole"), "torch": torch.__version__}, run_round


if __name__ == "__main__":
    serve(prepare)
