"""What there is to gain by decoding the candidates of parameter search in one batch, for models of several sizes.

    python benchmarks/candidate_batching.py --threads 1

The time of K sets of weights searched with side by side (`parameter_search.candidates_at_once`), copies of the weights
included, over that of K greedy searches one after another; and, as the least that it can take on a processor that gains
nothing by products side by side, that of one search of K times the rows with the same weights. Models are as large as
those of the configurations, with random weights, so that all hypotheses grow to the longest. Prints the medians of the
ratios over rounds (least and greatest).
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from seq2seq.assembly.generator import pick_device
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.side_by_side import SideBySide

NUM_CANDIDATES = 4
SPECIAL_IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


@dataclass(frozen=True)
class Size:
    """A model and the batch it is tuned on."""

    d_model: int
    ffn_size: int
    num_layers: int
    vocab_size: int
    source_length: int
    num_rows: int


SIZES = {
    "toy: 1+1 layers, 16 wide": Size(16, 32, 1, 14, 5, 64),
    "phonemes: 3+3 layers, 128 wide": Size(128, 512, 3, 60, 10, 120),
    "inflection: 3+3 layers, 128 wide": Size(128, 512, 3, 60, 20, 60),
    "captions: 3+3 layers, 256 wide": Size(256, 512, 3, 8000, 16, 120),
}


def make_model(size: Size) -> Seq2SeqTransformer:
    torch.manual_seed(0)
    layers = {"encoder_layers": size.num_layers, "decoder_layers": size.num_layers}
    widths = {"d_model": size.d_model, "ffn_size": size.ffn_size}
    config = Seq2SeqTransformerConfig(vocab_size=size.vocab_size, **layers, **widths, **SPECIAL_IDS)
    return Seq2SeqTransformer(config).eval()


def ratios(model: Seq2SeqTransformer, size: Size, device: str) -> tuple[float, float]:
    """Return the times of a search side by side and of one of as many rows, over that of K searches."""
    sources = torch.randint(4, size.vocab_size, (size.num_rows, size.source_length), device=device)
    repeated, search = sources.repeat(NUM_CANDIDATES, 1), Greedy(max_length=size.source_length + 4)

    def side_by_side() -> None:
        models = SideBySide(model, NUM_CANDIDATES)
        for number in range(NUM_CANDIDATES):
            models.take(number, model)
        search.search(models, repeated, torch.ones_like(repeated).bool())

    def apart() -> None:
        for _ in range(NUM_CANDIDATES):
            search.search(model, sources, torch.ones_like(sources).bool())

    whole = seconds_of(apart)
    rows = seconds_of(lambda: search.search(model, repeated, torch.ones_like(repeated).bool()))
    return seconds_of(side_by_side) / whole, rows / whole


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long it takes; hypotheses are read from the device, which waits for it."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    prepare_process(options.threads)
    keep_freed_memory()
    device = pick_device(options.device)
    print(f"{'':36}{'side by side':20}one model")
    for name, size in SIZES.items():
        model: Any = make_model(size)
        model.to(device)
        ratios(model, size, device)
        found = [ratios(model, size, device) for _ in range(options.rounds)]
        shown = [
            f"{statistics.median(part):.2f} ({min(part):.2f}-{max(part):.2f})" for part in zip(*found, strict=True)
        ]
        print(f"{name:36}{shown[0]:20}{shown[1]}", flush=True)


if __name__ == "__main__":
    main()
