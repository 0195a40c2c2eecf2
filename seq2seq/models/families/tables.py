"""Tables of weights: how a family calls what our network has, and the conversion in both directions.

An `Entry` is one tensor of ours and those of a checkpoint that make it, one behind the other: queries, keys and values
are one matrix here. Nothing is computed, so that what goes in comes out bit by bit.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq2seq.models.transformer.inference import EMBEDDINGS, TIED_WEIGHTS
from seq2seq.models.transformer.options import TieEmbeddings, TransformerOptions

ENCODER_EMBEDDINGS, OUTPUT, OUTPUT_BIAS = "encoder.embeddings.tokens.weight", "lm_head.weight", "lm_head.bias"
Config = Mapping[str, Any]
"""The values of a checkpoint's `config.json`, and where it says nothing the defaults of its family."""


class NotNative(ValueError):
    """A model of a known family that has what our network has not."""


@dataclass(frozen=True)
class Entry:
    """One tensor of our network and what it is made of."""

    ours: str
    theirs: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """What is known of models of one `model_type`."""

    model_type: str
    class_name: str
    """The class of transformers whose folders these are."""
    defaults: Config
    """Of the values that the options depend on."""
    options: Callable[[Config, bool], dict[str, Any]]
    """From the values, and whether the output layer is tied, to `TransformerOptions` without what embeddings say."""
    layers: Callable[[TransformerOptions], Iterator[Entry]]
    """Of all but embeddings and output."""
    shared: str
    """Embeddings of both sides, where they are the same."""
    encoder_embeddings: str
    decoder_embeddings: str
    output_bias: str | None = None
    base: str = ""
    """What all names but the output layer's begin with; a checkpoint of the model without that layer leaves it out."""
    overflows_in_half: bool = False
    """Whether its activations grow beyond what fp16 holds."""
    computed: tuple[str, ...] = ()
    """Beginnings of the names of tensors that are computed anew, and that a checkpoint may hold."""

    @property
    def embeddings(self) -> tuple[str, ...]:
        """The names of what `network_options` needs to see."""
        names = (self.shared, self.encoder_embeddings, self.decoder_embeddings, OUTPUT, self.output_bias)
        return tuple(name for name in names if name is not None)


@dataclass(frozen=True)
class Converted:
    """A checkpoint as our network takes it."""

    options: TransformerOptions
    weights: dict[str, Tensor]
    """By our names; those that are tied stand under each of their names."""


def completed(family: Family, config: Config) -> dict[str, Any]:
    """Return the values of a configuration, with the family's defaults where it says nothing."""
    return {**family.defaults, **config}


def converted(family: Family, config: Config, tensors: Mapping[str, Tensor]) -> Converted:
    """Return a checkpoint's options and weights.

    Raises:
        ValueError: tensors are absent, misshapen, without a place, or differ where they should be the same; names them.
    """
    left = {name: tensor for name, tensor in tensors.items() if not name.startswith(family.computed or ("\0",))}
    embeddings = embeddings_of(family, left)
    options = network_options(family, config, embeddings)
    weights = dict(embeddings)
    for entry in family.layers(options):
        parts = [left.pop(name, None) for name in entry.theirs]
        if any(part is None for part in parts):
            absent = [name for name, part in zip(entry.theirs, parts, strict=True) if part is None]
            raise ValueError(f"its weights are not those of a {family.model_type} model; absent: {', '.join(absent)}")
        weights[entry.ours] = tensor_of_parts([part for part in parts if part is not None])
    if options.output_bias and OUTPUT_BIAS not in weights:
        weights[OUTPUT_BIAS] = torch.zeros(options.vocab_size, dtype=weights[EMBEDDINGS].dtype)
    if left:
        surplus = ", ".join(sorted(left)[:3])
        raise ValueError(f"its weights are not those of a {family.model_type} model; without a place: {surplus}")
    return Converted(options, weights)


def given_back(family: Family, options: TransformerOptions, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a checkpoint of the family; what is tied stands there once."""
    tensors = {}
    if options.tie_embeddings in ("all", "inputs"):
        tensors[family.shared] = weights[EMBEDDINGS]
    else:
        tensors[family.encoder_embeddings] = weights[ENCODER_EMBEDDINGS]
        tensors[family.decoder_embeddings] = weights[EMBEDDINGS]
    if OUTPUT not in {f"{name}.weight" for name in TIED_WEIGHTS[options.tie_embeddings]}:
        tensors[OUTPUT] = weights[OUTPUT]
    if family.output_bias is not None and options.output_bias:
        tensors[family.output_bias] = weights[OUTPUT_BIAS].unsqueeze(0)
    for entry in family.layers(options):
        parts = weights[entry.ours].split(_sizes(options, entry)) if len(entry.theirs) > 1 else [weights[entry.ours]]
        for name, part in zip(entry.theirs, parts, strict=True):
            tensors[name] = part.contiguous()
    return tensors


def network_options(family: Family, config: Config, embeddings: Mapping[str, Tensor]) -> TransformerOptions:
    """Return the options of a checkpoint's network.

    Args:
        embeddings: those and the output layer, by our names, the same where tied (see `embeddings_of`).
    """
    values = completed(family, config)
    tie_embeddings = _ties(embeddings)
    start, bos, eos, pad = (values.get(f"{name}_token_id") for name in ("decoder_start", "bos", "eos", "pad"))
    source_size, target_size = len(embeddings[ENCODER_EMBEDDINGS]), len(embeddings[EMBEDDINGS])
    own = {"positions": "sinusoidal"} | family.options(values, tie_embeddings in ("all", "target"))
    return TransformerOptions(
        **own,
        tie_embeddings=tie_embeddings,
        vocab_size=target_size,
        source_vocab_size=None if source_size == target_size else source_size,
        pad_token_id=_first(pad),
        eos_token_id=_first(eos),
        bos_token_id=_first(bos, start, pad),
        decoder_start_token_id=_first(start, bos, pad),
    )


def _ties(embeddings: Mapping[str, Tensor]) -> TieEmbeddings:
    """Return `tie_embeddings` of these."""
    source, target, output = (embeddings[name] for name in (ENCODER_EMBEDDINGS, EMBEDDINGS, OUTPUT))
    kinds: dict[tuple[bool, bool], TieEmbeddings] = {
        (True, True): "all",
        (True, False): "inputs",
        (False, True): "target",
        (False, False): "none",
    }
    return kinds[source is target, output is target]


def _first(*ids: Any) -> Any:
    """Return the first id that there is, of several ends of sentence the first."""
    found = next(index for index in ids if index is not None)
    return found[0] if isinstance(found, list) else found


def embeddings_of(family: Family, left: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the embeddings and the output layer out of the tensors; return them by our names, the same where tied.

    Only the numbers say what is tied: an output layer that stands in the file and has others than the embeddings is
    not, whatever the configuration says.
    """
    shared, source, target, output = (
        left.pop(name, None) for name in (family.shared, family.encoder_embeddings, family.decoder_embeddings, OUTPUT)
    )
    bias = None if family.output_bias is None else left.pop(family.output_bias, None)
    source, target = _first_tensor(source, shared, target), _first_tensor(target, shared, source)
    if source is None or target is None:
        raise ValueError(f"its weights are not those of a {family.model_type} model; absent: {family.shared}")
    if shared is not None:
        for name, tensor in ((family.encoder_embeddings, source), (family.decoder_embeddings, target)):
            if not _same(tensor, shared):
                raise ValueError(f"{name}: other numbers than {family.shared}, with which it should be one")
    if _same(source, target):
        source = target
    output = target if output is None or _same(output, target) else output
    found = {ENCODER_EMBEDDINGS: source, EMBEDDINGS: target, OUTPUT: output}
    return found if bias is None else found | {OUTPUT_BIAS: bias.flatten()}


def _first_tensor(*tensors: Tensor | None) -> Tensor | None:
    return next((tensor for tensor in tensors if tensor is not None), None)


def _same(first: Tensor, second: Tensor) -> bool:
    return first is second or (first.shape == second.shape and torch.equal(first, second))


def tensor_of_parts(parts: Sequence[Tensor]) -> Tensor:
    """Return the tensor of ours that these make."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _sizes(options: TransformerOptions, entry: Entry) -> list[int]:
    """Return how many rows each part of a tensor of ours has."""
    keys, values = (options.num_heads * size for size in options.head_sizes)
    if "queries_keys_values" in entry.ours:
        return [keys, keys, values]
    if "source_keys_values" in entry.ours:
        return [keys, values]
    return [options.ffn_size] * len(entry.theirs)
