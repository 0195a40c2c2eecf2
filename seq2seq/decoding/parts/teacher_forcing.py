"""What a model says of given targets while the tokens before each are given: teacher forcing, for inference.

`forced` is the one place that feeds targets to a model; what is read off the logits is the caller's: sums for ranking
anew, log-probabilities for scoring, more for diagnosis. Logits exist for a few sources at a time, of at most
`LOGITS_AT_ONCE` unless a single source has more. Training has functions of its own, through which gradients flow.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy
import torch
from torch import Tensor

from seq2seq.data.bucketing import cut_batches, snake_order
from seq2seq.data.collate import pad_right
from seq2seq.models.interface import SOURCE_PADDING, Seq2Seq

LOGITS_AT_ONCE = 2**24
"""64 MiB in float32; a few tensors of this size exist at a time."""

ROWS_AT_A_TIME = 8
"""Rows whose logits are normalised together, in float32 whatever type they have."""


Ids = Sequence[int]
ReadT = TypeVar("ReadT")


def forced(
    model: Seq2Seq,
    input_ids: Tensor,
    attention_mask: Tensor,
    targets: Sequence[Ids],
    read: Callable[[Tensor, Tensor], ReadT],
    shown: Sequence[Ids] | None = None,
) -> Iterator[tuple[ReadT, Tensor]]:
    """Yield what is read off the logits of successive targets, and which positions are real, bool [R, T].

    Args:
        input_ids: int64 [B, S]; each source is encoded once.
        attention_mask: bool [B, S], True = real.
        targets: G successive ones for each source, in the order of the model's generation; they may be empty.
        read: is given logits [R, T, V], which it may overwrite, and the targets, int64 [R, T].
        shown: per target as many tokens, of which the decoder sees those before the predicted one; by default the
            targets.
    """
    num_rows = len(targets) // len(input_ids)
    num_sources = max(1, LOGITS_AT_ONCE // (num_rows * max(1, *map(len, targets)) * model.vocab_size))
    for start in range(0, len(input_ids), num_sources):
        sources, rows = slice(start, start + num_sources), slice(start * num_rows, (start + num_sources) * num_rows)
        padded = pad_right(targets[rows], model.pad_id)
        labels, mask = (tensor.to(input_ids.device) for tensor in padded)
        ids = labels if shown is None else pad_right(shown[rows], model.pad_id)[0].to(input_ids.device)
        decoder_input_ids = torch.cat([ids.new_full((len(ids), 1), model.decoder_start_id), ids[:, :-1]], dim=1)
        logits = model.teacher_forced(input_ids[sources], attention_mask[sources], decoder_input_ids)
        yield read(logits, labels), mask


def picked_log_probs(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the log-probability of each label, float32 [R, T], from logits [R, T, V]."""
    parts = zip(logits.split(ROWS_AT_A_TIME), labels.split(ROWS_AT_A_TIME), strict=True)
    return torch.cat(
        [rows.log_softmax(-1, dtype=torch.float32).gather(2, wanted.unsqueeze(2)).squeeze(2) for rows, wanted in parts]
    )


def log_probs_of(model: Seq2Seq, input_ids: Tensor, attention_mask: Tensor, targets: Sequence[Ids]) -> Tensor:
    """Return the log-probability of each target, float32 [B * G]; arguments as for `forced`, 0 for an empty one."""
    parts = forced(model, input_ids, attention_mask, targets, picked_log_probs)
    return torch.cat([log_probs.masked_fill(~mask, 0).sum(1) for log_probs, mask in parts])


def of_all(
    model: Seq2Seq,
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    read: Callable[[Tensor, Tensor], dict[str, Tensor]],
    found: dict[str, numpy.ndarray],
    shown: Sequence[Ids] | None = None,
    device: torch.device | str = "cpu",
    batch_tokens: int | None = None,
) -> None:
    """Write what is read off the logits of every target token into flat arrays, one target after another.

    Args:
        sources: of any number, each ends with end of sentence.
        targets: one per source, otherwise as for `forced`.
        read: as for `forced`; returns values [R, T] by the names of `found`.
        batch_tokens: source and target tokens of a batch, padding included; by default as `LOGITS_AT_ONCE` suggests.
    """
    source_lengths, lengths = (numpy.array([*map(len, side)], dtype=numpy.int64) for side in (sources, targets))
    starts = numpy.cumsum(lengths) - lengths
    budget = batch_tokens or max(1, LOGITS_AT_ONCE // model.vocab_size)
    plan = cut_batches(snake_order(source_lengths, lengths), source_lengths, lengths, batch_tokens=budget)
    for batch in plan.batches:
        padded = pad_right([sources[i] for i in batch], SOURCE_PADDING)
        input_ids, attention_mask = (tensor.to(device) for tensor in padded)
        wanted, seen = ([rows[i] for i in batch] if rows is not None else None for rows in (targets, shown))
        assert wanted is not None, "there are targets"
        done = 0
        for values, mask in forced(model, input_ids, attention_mask, wanted, read, seen):
            rows, real = batch[done : done + len(mask)], mask.cpu()
            where = (starts[rows][:, None] + numpy.arange(mask.shape[1]))[real.numpy()]
            for name, tensor in values.items():
                found[name][where] = tensor.cpu()[real].numpy()
            done += len(mask)


@torch.inference_mode()
def target_log_probs(
    model: Seq2Seq,
    sources: Sequence[Ids],
    targets: Sequence[Ids],
    device: torch.device | str = "cpu",
    batch_tokens: int | None = None,
) -> list[list[float]]:
    """Return the log-probability of each token of each target; arguments as for `of_all`."""
    lengths = [len(ids) for ids in targets]
    found = numpy.empty(sum(lengths), numpy.float32)
    of_all(
        model,
        sources,
        targets,
        lambda logits, labels: {"log_probs": picked_log_probs(logits, labels)},
        {"log_probs": found},
        device=device,
        batch_tokens=batch_tokens,
    )
    return [part.tolist() for part in numpy.split(found, numpy.cumsum(lengths)[:-1])] if lengths else []


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
    """Return the values of every target token; arguments as for `of_all` and `forced`."""
    lengths = numpy.array([len(ids) for ids in targets], dtype=numpy.int64)
    found = {name: numpy.empty(lengths.sum(), dtype) for name, dtype in VALUES.items()}
    specials = torch.tensor([model.pad_id, model.eos_id, model.decoder_start_id], device=device)
    of_all(model, sources, targets, lambda logits, labels: token_values(logits, labels, specials), found, shown, device)
    return ForcedTokens(lengths, **found)


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
