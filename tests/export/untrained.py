"""Models with random weights that say something, their tokenizer and texts, for exports."""

import random
from typing import Any

import pytest
import torch

from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

MAX_LENGTH = 23
SEARCH = BeamSearch(beam_width=3, length_penalty=0.6, max_length=MAX_LENGTH)
SIZES: dict[str, Any] = {
    "d_model": 30,
    "num_heads": 5,
    "ffn_size": 37,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "max_positions": 41,
    "tie_embeddings": "none",
}


def random_texts() -> list[str]:
    generator = random.Random(3)
    return ["".join(generator.choices("abcdefghijklm ", k=generator.randint(1, 13))) for _ in range(43)]


TEXTS = [text for text in random_texts() if text.strip()]


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    """Return characters, 18 for the source and 25 for the target."""
    targets = ["zyxwvutsrqponmlkjihgf"]
    return TextTokenizer.train(TEXTS, targets, kind="characters", vocab_size=60, shared=False)


def random_model(tokenizer: TextTokenizer, **options: Any) -> Seq2SeqTransformer:
    """Return a model with weights large enough that its outputs differ from source to source, and some end early."""
    torch.manual_seed(4)
    config = Seq2SeqTransformerConfig(
        vocab_size=tokenizer.target_vocab_size,
        source_vocab_size=tokenizer.source_vocab_size,
        pad_token_id=tokenizer.pad_id,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
        **{**SIZES, **options},
    )
    model = Seq2SeqTransformer(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
            elif "tokens" not in name:
                parameter.mul_(2)
        model.lm_head.weight[tokenizer.eos_id] *= 2
    return model
