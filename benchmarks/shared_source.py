"""Pretrained models behind the wrapper: the source once per sentence against a copy for every hypothesis, in turns.

    python benchmarks/shared_source.py [longt5 bigbird_pegasus t5gemma] [--sentences 4] [--source 512] [--rounds 3]

Random weights of six layers, 512 wide; random sources of one length; targets all as long, whatever the model would say.
Prints the most that keys and values of the source took, the seconds of a search, and the median over rounds of the
ratio of these.
"""

import argparse
import statistics
import time
from typing import Any

import torch
from torch import Tensor
from transformers import (
    BigBirdPegasusConfig,
    BigBirdPegasusForConditionalGeneration,
    LongT5Config,
    LongT5ForConditionalGeneration,
    PreTrainedModel,
    T5GemmaConfig,
    T5GemmaForConditionalGeneration,
    T5GemmaModuleConfig,
)

from seq2seq.decoding import BeamSearch
from seq2seq.models.pretrained import PretrainedSeq2Seq, PretrainedState

IDS: dict[str, Any] = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
VOCAB_SIZE, WIDTH, LAYERS, HEADS = 32_128, 512, 6, 8


def longt5() -> PreTrainedModel:
    sizes: dict[str, Any] = {"d_model": WIDTH, "d_ff": 1024, "num_layers": LAYERS, "num_heads": HEADS}
    return LongT5ForConditionalGeneration(
        LongT5Config(vocab_size=VOCAB_SIZE, **sizes, decoder_start_token_id=0, feed_forward_proj="gated-gelu", **IDS)
    )


def bigbird_pegasus() -> PreTrainedModel:
    sides = {
        f"{side}_{name}": size
        for side in ("encoder", "decoder")
        for name, size in (("layers", LAYERS), ("attention_heads", HEADS), ("ffn_dim", 2048))
    }
    sizes: dict[str, Any] = {"vocab_size": VOCAB_SIZE, "d_model": WIDTH, "attention_type": "original_full", **sides}
    return BigBirdPegasusForConditionalGeneration(BigBirdPegasusConfig(**sizes, decoder_start_token_id=2, **IDS))


def t5gemma() -> PreTrainedModel:
    sizes: dict[str, Any] = {"hidden_size": WIDTH, "intermediate_size": 1024, "num_hidden_layers": LAYERS}
    heads: dict[str, Any] = {"num_attention_heads": HEADS, "num_key_value_heads": HEADS // 2, "head_dim": 64}
    side = T5GemmaModuleConfig(vocab_size=VOCAB_SIZE, **sizes, **heads, **IDS)
    return T5GemmaForConditionalGeneration(T5GemmaConfig(encoder=side, decoder=side, vocab_size=VOCAB_SIZE))


FAMILIES = {make.__name__: make for make in (longt5, bigbird_pegasus, t5gemma)}


class Weighed(PretrainedSeq2Seq):
    """Notes the most that keys and values of the source took, in MiB."""

    source_mib = 0.0

    def step(self, state: PretrainedState, token_ids: Tensor) -> tuple[Tensor, PretrainedState]:
        logits, state = super().step(state, token_ids)
        layers = state.cache.cross_attention_cache.layers
        size = sum(part.nbytes for layer in layers for part in (layer.keys, layer.values)) / 2**20
        self.source_mib = max(self.source_mib, size)
        return logits, state


def search(model: PreTrainedModel, shares: bool, sources: Tensor, beam_width: int, length: int) -> tuple[float, float]:
    """Return the seconds of a search, and MiB of the source in it."""
    weighed = Weighed(model)
    if not shares:
        weighed.shares_source = False
    begun = time.perf_counter()
    searched = BeamSearch(beam_width=beam_width, min_length=length - 1, max_length=length)
    searched.search(weighed, sources, torch.ones_like(sources, dtype=torch.bool))
    seconds = time.perf_counter() - begun
    assert weighed.shares_source == shares, "the family cannot share its source"
    return seconds, weighed.source_mib


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("families", nargs="*", default=list(FAMILIES))
    for name, default in (("sentences", 4), ("source", 512), ("length", 32), ("beam-width", 4), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.manual_seed(1)
    for family in options.families:
        model = FAMILIES[family]().eval()
        sources = torch.randint(3, VOCAB_SIZE, (options.sentences, options.source))
        rounds = []
        for _ in range(options.rounds):
            once, repeated = (
                search(model, shares, sources, options.beam_width, options.length) for shares in (True, False)
            )
            rounds.append((*once, *repeated, repeated[0] / once[0]))
        seconds, mib, theirs, their_mib, ratio = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(
            f"{family}: once per sentence {mib:.0f} MiB, {seconds:.1f} s; repeated {their_mib:.0f} MiB, "
            f"{theirs:.1f} s; {ratio:.2f} times as fast"
        )


if __name__ == "__main__":
    main()
