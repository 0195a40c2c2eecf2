"""The decoder that generates from both ends towards the middle, two tokens a step (Zhang, Titov and Sennrich 2020).

Its rows hold tokens from the left and from the right in turn: A E B D C for the target A B C D E. Both tokens of a
step see all tokens of earlier steps and are predicted independently of each other; as no later token is ever seen, gold
targets leak nothing. Positions are counted from both ends, 0, -0, 1, -1, …; where there are none below 0, as of learned
and relative positions, both ends have the same, and only the vector of its side tells a token's end.
"""

import torch
from torch import Tensor

from seq2seq.models.transformer.attention import attention_bias
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.transformer.stacks import Decoder


class InterleavedDecoder(Decoder):
    """Rows of an even number of tokens; each two stand at the same distance from either end."""

    positions_at_once = 2

    def _sides(self, token_ids: Tensor) -> Tensor:
        return torch.arange(token_ids.shape[1], device=token_ids.device).remainder(2).unsqueeze(0)

    def _causal_bias(self, length: int, past: int, attention_mask: Tensor | None, like: Tensor) -> Tensor:
        assert length % 2 == past % 2 == 0, "interleaved rows hold two tokens a step"
        step = torch.arange(past + length, device=like.device) // 2
        visible = step[past:, None] >= step
        if attention_mask is not None:
            visible = visible & attention_mask[:, None, None, :].bool()
        return attention_bias(visible, like.dtype)


def make_decoder(options: TransformerOptions) -> Decoder:
    """Return the decoder of a model's generation order."""
    return InterleavedDecoder(options) if options.generation_order == "interleaved" else Decoder(options)
