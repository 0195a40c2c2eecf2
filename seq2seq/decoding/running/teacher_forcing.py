"""What a model says of every token of given targets while the tokens before it are given: teacher forcing in batches.

Enter sources, targets and, where they differ from these, the tokens that the decoder is shown; leaves one value per
target token, in numpy. Logits exist for one batch at a time, of at most `LOGITS_AT_ONCE` unless a single pair has more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy
import torch
from torch import Tensor

from seq2seq.data.bucketing import cut_batches, snake_order
from seq2seq.data.collate import pad_right
from seq2seq.models.interface import SOURCE_PADDING, Seq2Seq

LOGITS_AT_ONCE = 2**24
"""64 MiB in float32; a few tensors of this size exist at a time."""

Ids = Sequence[int]


@dataclass(frozen=True)
class ForcedTokens:
    """Values of all tokens of N targets, one target after another; n is the sum of the lengths."""

    lengths: numpy.ndarray
    """int64 [N], end of sentence included"""
    log_probs: numpy.ndarray
    """float32 [n], of the target's token, natural logarithm"""
    entropies: numpy.ndarray
    """float32 [n], of the distribution that the token is drawn from, in nats"""
    is_best: numpy.ndarray
    """bool [n], whether no token is likelier than the target's"""
    likeliest_others: numpy.ndarray
    """int64 [n], the likeliest token that is neither the target's nor start, end or padding"""

    @cached_property
    def starts(self) -> numpy.ndarray:
        """int64 [N], where each target's values begin."""
        return numpy.cumsum(self.lengths) - self.lengths

    @cached_property
    def rows(self) -> numpy.ndarray:
        """int64 [n], the target that each token is of."""
        return numpy.repeat(numpy.arange(len(self.lengths)), self.lengths)

    @cached_property
    def positions(self) -> numpy.ndarray:
        """int64 [n], the place of each token in its target, counted from 0."""
        return numpy.arange(len(self.rows)) - self.starts[self.rows]


VALUES = {
    "log_probs": numpy.float32,
    "entropies": numpy.float32,
    "is_best": numpy.bool_,
    "likeliest_others": numpy.int64,
}


@torch.inference_mode()
def forced_tokens(
    model: Seq2Seq,
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    shown: Sequence[Ids] | None = None,
    device: torch.device | str = "cpu",
) -> ForcedTokens:
    """Return the values of every target token.

    Args:
        sources: each ends with end of sentence.
        targets: one per source, what is predicted, in the order of generation.
        shown: per target as many tokens, of which the decoder sees those before the predicted one; by default the
            targets.
        device: where the model is.
    """
    source_lengths, lengths = (
        numpy.array([len(ids) for ids in side], dtype=numpy.int64) for side in (sources, targets)
    )
    found = ForcedTokens(lengths, **{name: numpy.empty(lengths.sum(), dtype) for name, dtype in VALUES.items()})
    budget = max(1, LOGITS_AT_ONCE // model.vocab_size)
    plan = cut_batches(snake_order(source_lengths, lengths), source_lengths, lengths, batch_tokens=budget)
    specials = torch.tensor([model.pad_id, model.eos_id, model.decoder_start_id], device=device)
    for batch in plan.batches:
        input_ids, attention_mask = pad_right([sources[i] for i in batch], SOURCE_PADDING)
        labels, mask = pad_right([targets[i] for i in batch], model.pad_id)
        ids, _ = pad_right([(shown or targets)[i] for i in batch], model.pad_id)
        starts = ids.new_full((len(ids), 1), model.decoder_start_id)
        inputs = (input_ids, attention_mask, torch.cat([starts, ids[:, :-1]], dim=1))
        logits = model.teacher_forced(*(part.to(device) for part in inputs))
        where = (found.starts[batch][:, None] + numpy.arange(mask.shape[1]))[mask.numpy()]
        for name, values in token_values(logits, labels.to(device), specials).items():
            getattr(found, name)[where] = values.cpu()[mask].numpy()
    return found


def token_values(logits: Tensor, labels: Tensor, specials: Tensor) -> dict[str, Tensor]:
    """Return what `ForcedTokens` holds, each [B, T].

    Args:
        logits: [B, T, V].
        labels: int64 [B, T].
        specials: int64, tokens that are never among `likeliest_others`.
    """
    log_probs = logits.log_softmax(-1, dtype=torch.float32)
    of_labels = log_probs.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    is_best = of_labels >= log_probs.amax(-1)
    entropies = torch.special.entr(log_probs.exp()).sum(-1)
    log_probs.scatter_(-1, labels.unsqueeze(-1), -torch.inf).index_fill_(-1, specials, -torch.inf)
    return {
        "log_probs": of_labels,
        "entropies": entropies,
        "is_best": is_best,
        "likeliest_others": log_probs.argmax(-1),
    }
