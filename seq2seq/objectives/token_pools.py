"""Where decoder inputs may be replaced, and random tokens to put there.

Token ids enter, masks and token ids leave. Special tokens (padding, start and end of a sequence) are neither replaced
nor drawn. All draws are of a generator that the caller gives.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from seq2seq.data.batch import IGNORED_LABEL, Batch


def is_word(ids: Tensor, special_ids: Sequence[int]) -> Tensor:
    """Return where a token is not special, bool of the same shape."""
    return ~torch.isin(ids, torch.tensor(special_ids, dtype=ids.dtype, device=ids.device))


def replaceable(batch: Batch, special_ids: Sequence[int]) -> Tensor:
    """Return the decoder inputs that are words and before a token that is predicted, bool [B * G, T].

    These are all words of a target. The rows of companions, whose labels do not count, keep theirs.
    """
    return is_word(batch.decoder_input_ids, special_ids) & (batch.labels != IGNORED_LABEL)


def drawn_from_rows(pools: Tensor, is_in_pool: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """Return tokens drawn uniformly from each row's own pool, with replacement, int64 [R, T].

    Args:
        pools: int64 [R, P].
        is_in_pool: bool [R, P], which of them may be drawn; a row without any gets its first one.
        length: T.
    """
    counts = is_in_pool.sum(1, keepdim=True)
    uniform = torch.rand(len(pools), length, generator=generator, device=pools.device)
    ranks = torch.minimum((uniform * counts).long(), counts - 1)  # u * n may round to n
    places = torch.searchsorted(is_in_pool.cumsum(1), ranks + 1)
    return pools.gather(1, places)


def drawn_from_vocabulary(
    shape: torch.Size, vocab_size: int, special_ids: Sequence[int], generator: torch.Generator
) -> Tensor:
    """Return tokens drawn uniformly from all that are not special, int64 of this shape."""
    special = sorted(set(special_ids))
    ids = torch.randint(vocab_size - len(special), shape, generator=generator, device=generator.device)
    for special_id in special:  # from below, so that each makes room for itself
        ids += ids >= special_id
    return ids
