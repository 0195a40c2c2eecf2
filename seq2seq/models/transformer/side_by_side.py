"""Several sets of weights of one Transformer as one model, so that all of them are searched with in one batch.

A batch holds as many sentences for each set of weights, one set's behind the other's. Every product becomes a batched
one over the sets; whatever has no weights does not notice. For a small model on a fast device a step's time is that of
its calls, not of its arithmetic, so K sets take little longer than one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq
from seq2seq.models.transformer.decoding_state import DecodingState
from seq2seq.models.transformer.inference import InferenceTransformer
from seq2seq.models.transformer.norms import RMSNorm
from seq2seq.models.transformer.searching import SearchableTransformer


class StackedLinear(nn.Module):
    """K linear layers; weight [K, out, in], bias [K, out]. Takes and returns rows [K * B, T, D]."""

    def __init__(self, linear: nn.Linear, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.sizes = getattr(linear, "sizes", None)

    def forward(self, hidden: Tensor) -> Tensor:
        rows = hidden.reshape(len(self.weight), -1, hidden.shape[-1])
        weight = self.weight.transpose(1, 2)
        product = rows @ weight if self.bias is None else torch.baddbmm(self.bias.unsqueeze(1), rows, weight)
        return product.view(*hidden.shape[:-1], -1)


class StackedNorm(nn.Module):
    """K layer or root-mean-square norms; weight and bias [K, D]."""

    def __init__(self, norm: nn.LayerNorm | nn.RMSNorm, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        normalize: Any = functional.rms_norm if isinstance(norm, nn.RMSNorm) else functional.layer_norm
        self.normalize = partial(normalize, normalized_shape=norm.normalized_shape, eps=norm.eps)

    def forward(self, hidden: Tensor) -> Tensor:
        normalized = self.normalize(hidden).view(len(self.weight), -1, hidden.shape[-1])
        scaled = normalized * self.weight.unsqueeze(1)
        return (scaled if self.bias is None else scaled + self.bias.unsqueeze(1)).view(hidden.shape)


class StackedEmbedding(nn.Module):
    """K embeddings; weight [K, V, D]."""

    def __init__(self, embedding: nn.Embedding, weight: Tensor, bias: None) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, ids: Tensor) -> Tensor:
        num_models, vocab_size = self.weight.shape[:2]
        firsts = torch.arange(num_models, device=ids.device).mul_(vocab_size)
        places = ids.view(num_models, -1) + firsts.unsqueeze(1)
        return functional.embedding(places.view(ids.shape), self.weight.flatten(0, 1))


STACKED = {
    nn.Linear: StackedLinear,
    nn.LayerNorm: StackedNorm,
    RMSNorm: StackedNorm,
    nn.Embedding: StackedEmbedding,
}


def check_stackable(positions: str, generation_order: str) -> None:
    """Raise ValueError if a model of these options has parts with weights that are not stacked here."""
    if positions in ("learned", "relative") or generation_order != "l2r":
        raise ValueError(
            "Only a model from the left, without learned or relative `positions`, can stand side by side with others "
            "in one batch."
        )


@dataclass
class Rows:
    """Where the sentences of a search are among those of a state, which has as many for each set of weights.

    As sentences leave a search, some sets have fewer left than others; others stand in for those that are missing.
    """

    inner: DecodingState
    places: Tensor
    """int64 [B], ascending"""

    def padded(self, values: Tensor) -> Tensor:
        """Return values [B, …] as [sentences of the state, …], 0 for stand-ins."""
        if len(values) == self.inner.num_sentences:
            return values
        padded = values.new_zeros(self.inner.num_sentences, *values.shape[1:])
        padded[self.places] = values
        return padded


class SideBySide:
    """K sets of weights as one `Seq2Seq`: the first B / K sentences of a batch are for the first set, and so on.

    Args:
        model: gives the shapes, types and device; its own weights are not used.
        num_models: K.

    Raises:
        ValueError: see `check_stackable`.
    """

    generation_order = "l2r"

    def __init__(self, model: SearchableTransformer, num_models: int) -> None:
        options = model.options
        check_stackable(options.positions, options.generation_order)
        self.num_models = num_models
        self.weights = {
            id(parameter): parameter.new_empty(num_models, *parameter.shape) for parameter in model.parameters()
        }
        names = dict(model.named_parameters(remove_duplicate=False))
        self.network = InferenceTransformer.without_weights(options)
        _stack(self.network, {name: self.weights[id(parameter)] for name, parameter in names.items()})
        self.vocab_size, self.pad_id, self.eos_id = model.vocab_size, model.pad_id, model.eos_id
        self.decoder_start_id = model.decoder_start_id
        self.rows_at_once = None
        self.max_source_tokens, self.max_target_tokens = model.max_source_tokens, model.max_target_tokens

    @torch.no_grad()
    def take(self, number: int, model: nn.Module) -> None:
        """Copy the current weights of the model into the set with this number."""
        for parameter in model.parameters():
            self.weights[id(parameter)][number].copy_(parameter)

    def from_side(self, side: int) -> Seq2Seq:
        self.network.from_side(side)  # raises for the right
        return self

    def in_pairs(self) -> PairedSeq2Seq:
        return self.network.in_pairs()

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Rows:
        """See `Seq2Seq.encode`; the number of sentences is a multiple of K."""
        assert len(input_ids) % self.num_models == 0, "each set of weights has as many sentences"
        return Rows(
            self.network.encode(input_ids, attention_mask), torch.arange(len(input_ids), device=input_ids.device)
        )

    def step(self, state: Rows, token_ids: Tensor) -> tuple[Tensor, Rows]:
        logits, state.inner = self.network.step(state.inner, state.padded(token_ids))
        return logits if len(logits) == len(state.places) else logits[state.places], state

    def reorder(self, state: Rows, beams: Tensor | None = None, sentences: Tensor | None = None) -> Rows:
        if sentences is not None:
            state = self._of_sentences(state, sentences)
        beams = None if beams is None else state.padded(beams)
        return Rows(self.network.reorder(state.inner, beams), state.places)

    def _of_sentences(self, state: Rows, sentences: Tensor) -> Rows:
        """Return the state of these sentences; where a set has fewer than another, sentence 0 stands in."""
        places = state.places[sentences]
        models = places // (state.inner.num_sentences // self.num_models)
        counts = models.bincount(minlength=self.num_models)
        size = int(counts.max())
        firsts = counts.cumsum(0) - counts
        new_places = models * size + torch.arange(len(places), device=places.device) - firsts[models]
        chosen = places.new_zeros(self.num_models * size)
        chosen[new_places] = places
        return Rows(self.network.reorder(state.inner, sentences=chosen), new_places)

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        return self.network.teacher_forced(input_ids, attention_mask, decoder_input_ids)


def _stack(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Replace every module that has weights by one of stacked ones, which are given by the names of single ones."""
    for name, module in list(network.named_modules()):
        kind = next((stacked for plain, stacked in STACKED.items() if isinstance(module, plain)), None)
        if kind is not None:
            path, _, child = name.rpartition(".")
            new = kind(module, weights[f"{name}.weight"], weights.get(f"{name}.bias"))
            setattr(network.get_submodule(path), child, new)
