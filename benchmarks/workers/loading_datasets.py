"""Two files of lines to a tokenised corpus by `datasets` and `tokenizers` alone, for `loading_speed.py`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import concatenate_datasets, load_dataset
from tokenizers import Tokenizer
from workers.protocol import serve

from seq2seq.data.tokenizer_training import EOS


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that does all of it once, with nothing kept from before."""
    [file] = Path(job["tokenizer"]).rglob("tokenizer.json")
    tokenizer = Tokenizer.from_file(str(file))
    eos_id = tokenizer.token_to_id(EOS)
    assert eos_id is not None, "the tokenizer has an end of sentence"

    def columns(texts: dict[str, list[str]]) -> dict[str, list[Any]]:
        encoded: dict[str, list[Any]] = {}
        for side in ("source", "target"):
            ids = [[*found.ids, eos_id] for found in tokenizer.encode_batch_fast(texts[side], add_special_tokens=False)]
            encoded |= {f"{side}_ids": ids, f"{side}_length": list(map(len, ids))}
        return encoded

    def run_round() -> dict[str, Any]:
        with tempfile.TemporaryDirectory(dir=job["folder"]) as cache:
            started = time.perf_counter()
            sides = [
                load_dataset("text", data_files=job[side], split="train", cache_dir=cache).rename_column("text", side)
                for side in ("source", "target")
            ]
            tokenized = concatenate_datasets(sides, axis=1).map(
                columns,
                batched=True,
                num_proc=job["num_workers"] or None,
                cache_file_name=str(Path(cache) / "tokenized.arrow"),
            )
            seconds = time.perf_counter() - started
        return {"seconds": seconds, "pairs": len(tokenized)}

    return {}, run_round


if __name__ == "__main__":
    serve(prepare)
