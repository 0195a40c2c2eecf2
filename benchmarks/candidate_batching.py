"""What there is to gain by decoding the candidates of parameter search in one batch, for models of several sizes.

    python benchmarks/candidate_batching.py --threads 1

A greedy search of K times the rows with the same weights, over K searches of the rows one after another: the least that
batching of K models can take on a processor that gains nothing by products side by side. Models are as large as those
of the configurations, with random weights, so that all hypotheses grow to the longest. Prints the median of the ratios
over rounds (least and greatest).
"""

import argparse
import statistics
import time
from dataclasses import dataclass

import torch

from seq2seq.build.process import keep_freed_memory, prepare_process
from seq2seq.decoding.greedy import Greedy
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

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


def ratio(model: Seq2SeqTransformer, size: Size) -> float:
    """Return the time of one search of all rows over that of K searches."""
    sources = torch.randint(4, size.vocab_size, (size.num_rows, size.source_length))
    repeated, search = sources.repeat(NUM_CANDIDATES, 1), Greedy(max_length=size.source_length + 4)
    started = time.perf_counter()
    for _ in range(NUM_CANDIDATES):
        search.search(model, sources, torch.ones_like(sources).bool())
    between = time.perf_counter()
    search.search(model, repeated, torch.ones_like(repeated).bool())
    return (time.perf_counter() - between) / (between - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    prepare_process(options.threads)
    keep_freed_memory()
    for name, size in SIZES.items():
        model = make_model(size)
        ratio(model, size)
        found = [ratio(model, size) for _ in range(options.rounds)]
        print(f"{name:36}{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})", flush=True)


if __name__ == "__main__":
    main()
