"""The hyper-parameters of the Transformer, without any library: what is stored as `config.json`.

Every option is checked on construction, so that a wrong combination is refused before any weight exists.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, get_args

from seq2seq.config.declaring import part, refuse_unused
from seq2seq.data.generation_order import GenerationOrder

MODEL_TYPE = "seq2seq-toolkit"
"""What `config.json` calls this model. It is the name by which this package is installed, since all that transformers
says of a model that it does not know is its type."""
EARLIER_MODEL_TYPE = "seq2seq_transformer"
"""What earlier versions wrote."""

NormPosition = Literal["pre", "post"]
Norm = Literal["layer_norm", "rms_norm"]
Positions = Literal["sinusoidal", "closed_sinusoidal", "learned", "rotary", "relative"]
RelativeLayers = Literal["first", "all"]
Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
TieEmbeddings = Literal["all", "inputs", "target", "none"]
Interaction = Literal["none", "linear", "tanh", "relu", "gate"]
InteractionLayers = Literal["all", "last"]

CHOICES: dict[str, Any] = {
    "norm_position": NormPosition,
    "norm": Norm,
    "positions": Positions,
    "relative_layers": RelativeLayers,
    "activation": Activation,
    "tie_embeddings": TieEmbeddings,
    "generation_order": GenerationOrder,
    "interaction": Interaction,
    "interaction_layers": InteractionLayers,
}
LARGEST = {"encoder_layers": 1_000, "decoder_layers": 1_000}
"""Numbers of layers that are still taken for meant."""
LEAST_BUCKETS = 4
"""Two distances on either side."""
MOST_POSITIONS = 2**20
"""Positions beyond which an offset is not taken for meant."""
MOST_WEIGHTS = 10**12
"""Entries of a single matrix beyond which sizes are not taken for meant."""
COUNTS = (
    "vocab_size",
    "d_model",
    "encoder_layers",
    "decoder_layers",
    "num_heads",
    "ffn_size",
    "max_positions",
    "relative_buckets",
    "relative_distance",
)
PROBABILITIES = (
    "dropout",
    "attention_dropout",
    "activation_dropout",
    "token_dropout",
    "interaction_dropout",
)
REMOVED: dict[str, Any] = {
    "talking_heads": False,
    "encoder_attention": "softmax",
    "layer_dropout": 0.0,
    "initialization": "xavier",
}
"""Options that models once had, and the value that makes the models of today."""
TOKEN_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


RELATIVE_OPTIONS = ("relative_buckets", "relative_distance", "relative_layers")
INTERACTION_OPTIONS = ("interaction_weight", "interaction_layers", "interaction_dropout")


def refuse_removed(values: Mapping[str, Any]) -> None:
    """Raise ValueError if the values of a `config.json` are of a model that there no longer is."""
    for name, kept in REMOVED.items():
        if (value := values.get(name, kept)) != kept:
            raise ValueError(f"`{name}` is {value!r}, but the option was removed; only models of {kept!r} can be used")


@dataclass(kw_only=True)
class TransformerOptions:
    """Options of the Transformer, and behind them what its tokenizer, or the model that it starts as, decides.

    `vocab_size` is that of the target; `source_vocab_size` None means the same. `max_tokens` is the longest source or
    target that it was made for, where that is not what `positions` say. With `fixed_padding` the vector of padding,
    which may be the start of targets, does not learn as an input.

    Raises:
        ValueError: an option, or a combination of options, makes no model.
    """

    d_model: int = 256
    """Width of the residual stream."""
    encoder_layers: int = 4
    """Layers of the encoder."""
    decoder_layers: int = 4
    """Layers of the decoder."""
    num_heads: int = 4
    """Attention heads."""
    ffn_size: int = 1024
    """Width of the feed-forward layers."""
    key_size: int | None = None
    """Size of one head's queries and keys; by default `d_model / num_heads`."""
    value_size: int | None = None
    """Size of one head's values; by default `d_model / num_heads`."""
    norm_position: NormPosition = "pre"
    """Normalise before each sub-layer, or after its residual sum."""
    norm: Norm = "layer_norm"
    """Kind of normalisation."""
    norm_epsilon: float = 1e-5
    """Added to the variance that normalisations divide by."""
    embedding_scale: bool = True
    """Multiply token vectors by the root of `d_model`."""
    embedding_norm: bool = False
    """Normalise the sum of token and position vectors."""
    positions: Positions = "rotary"
    """Kind of position information: queries and keys that are turned, vectors that are added to embeddings, of which
    `closed_sinusoidal` ones have wavelengths up to and including the longest, or (`relative`) a learned bias of
    self-attention for each distance."""
    max_positions: int = 1024
    """Longest sequence that `learned` positions can represent, in tokens."""
    position_offset: int = 0
    """Number of the first position; 0 is where counting begins in most models."""
    relative_buckets: int = 32
    """Groups of distances that `relative` positions tell apart."""
    relative_distance: int = 128
    """Distance from which on all are one group, in tokens."""
    relative_layers: RelativeLayers = "first"
    """Whether the first layer's biases serve all layers of a stack, or each has its own."""
    attention_scale: bool = True
    """Divide attention's products by the root of `key_size`."""
    activation: Activation = "relu"
    """Non-linearity of the feed-forward layers."""
    gated_feed_forward: bool = False
    """Multiply what has passed the non-linearity with a second product of the same input."""
    biases: bool = True
    """Whether linear layers have biases."""
    output_scale: bool = False
    """Divide the decoder's output by the root of `d_model`."""
    output_bias: bool = False
    """Whether logits have a bias, which training leaves as it is."""
    dropout: float = 0.1
    """Dropout after each sub-layer and after the embeddings."""
    attention_dropout: float = 0.0
    """Dropout of attention weights."""
    activation_dropout: float = 0.0
    """Dropout inside the feed-forward layers."""
    token_dropout: float = 0.0
    """Probability of zeroing a whole token embedding of the source or decoder input."""
    tie_embeddings: TieEmbeddings = "all"
    """Share source, target and output embeddings; or only source and target (`inputs`), or target and output
    (`target`); or nothing."""
    generation_order: GenerationOrder = "l2r"
    """Order in which targets are generated: from the left, from the right, both in one model, or from both ends
    to the middle, two tokens a step. Data are always written from left to right."""
    interaction: Interaction = "none"
    """How a `bidirectional` model's two directions attend to each other (Zhou et al. 2019); needs `companions`."""
    interaction_weight: float = 0.1
    """Weight of what comes from the other direction, for all kinds but `gate`; 0 switches the interaction off."""
    interaction_layers: InteractionLayers = "all"
    """Decoder layers that interact."""
    interaction_dropout: float = 0.0
    """Dropout of what comes from the other direction (the authors' code has 0.3)."""
    max_tokens: int | None = part(None)
    fixed_padding: bool = part(False)
    vocab_size: int = part(8000)
    source_vocab_size: int | None = part(None)
    pad_token_id: int = part(0)
    bos_token_id: int = part(1)
    eos_token_id: int = part(2)
    decoder_start_token_id: int = part(1)

    def __post_init__(self, **kwargs: Any) -> None:
        self.check()

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> Self:
        """Return the options among the values of a `config.json`; see also `refuse_removed`."""
        refuse_removed(values)
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})

    @property
    def tie_word_embeddings(self) -> bool:
        """What transformers asks before it ties anything."""
        return self.tie_embeddings != "none"

    @property
    def longest(self) -> int | None:
        """Most tokens of a source or target; None where there is no such limit."""
        return self.max_positions if self.positions == "learned" else self.max_tokens

    @property
    def head_sizes(self) -> tuple[int, int]:
        """Sizes of one head's keys and values."""
        default = self.d_model // self.num_heads
        return self.key_size or default, self.value_size or default

    @property
    def has_sides(self) -> bool:
        """Whether targets are generated from both ends."""
        return self.generation_order in ("bidirectional", "interleaved")

    @property
    def interacts(self) -> bool:
        """Whether the two directions attend to each other."""
        return self.interaction != "none" and self.interaction_weight > 0

    def check(self) -> None:
        """Raise ValueError for an option, or a combination of options, that makes no model."""
        self._check_values()
        self._check_combinations()

    def _check_values(self) -> None:
        for name, choice in CHOICES.items():
            if getattr(self, name) not in get_args(choice):
                allowed = ", ".join(get_args(choice))
                raise ValueError(f"`{name}` must be one of {allowed}, but is {getattr(self, name)!r}")
        sizes = [
            name
            for name in ("source_vocab_size", "key_size", "value_size", "max_tokens")
            if getattr(self, name) is not None
        ]
        for name in (*COUNTS, *sizes):
            if self._number(name, int) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        for name, largest in LARGEST.items():
            if getattr(self, name) > largest:
                raise ValueError(f"`{name}` must be at most {largest}, but is {getattr(self, name)}")
        for name in ("position_offset", "norm_epsilon"):
            if not 0 <= self._number(name) < MOST_POSITIONS:
                raise ValueError(f"`{name}` must not be negative, but is {getattr(self, name)}")
        for name in PROBABILITIES:
            if not 0 <= self._number(name) < 1:
                raise ValueError(f"`{name}` is a probability in [0, 1), but is {getattr(self, name)}")
        for name in TOKEN_IDS:
            if not 0 <= self._number(name, int) < self.vocab_size:
                raise ValueError(
                    f"`{name}` ({getattr(self, name)}) lies outside the target vocabulary of {self.vocab_size} tokens"
                )

    def _number(self, name: str, kind: type = float) -> Any:
        """Return a number; raise ValueError for anything else."""
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
            raise ValueError(f"`{name}` must be {'a whole number' if kind is int else 'a number'}, but is {value!r}")
        return value

    def _check_combinations(self) -> None:
        widths = (self.ffn_size, self.vocab_size, self.source_vocab_size or 1, self.max_positions)
        if self.d_model * max(*widths, self.num_heads * max(self.head_sizes)) > MOST_WEIGHTS:
            raise ValueError(f"the sizes make matrices of more than {MOST_WEIGHTS:,} weights, which cannot be meant")
        source_vocab_size = self.source_vocab_size or self.vocab_size
        if self.tie_embeddings in ("all", "inputs") and source_vocab_size != self.vocab_size:
            raise ValueError(
                f"`tie_embeddings` '{self.tie_embeddings}' needs one vocabulary, but the source has "
                f"{source_vocab_size} tokens and the target {self.vocab_size}; share the tokenizer, or use "
                "'target' or 'none'"
            )
        if self.d_model % self.num_heads and (self.key_size is None or self.value_size is None):
            raise ValueError(
                f"`num_heads` ({self.num_heads}) does not divide `d_model` ({self.d_model}); change one of them, or "
                "give both `key_size` and `value_size`"
            )
        if self.positions == "rotary" and self.head_sizes[0] % 2:
            raise ValueError(
                f"rotary `positions` turn pairs of features and need an even `key_size`, but it is {self.head_sizes[0]}"
            )
        if not 0 <= self._number("interaction_weight") < math.inf:
            raise ValueError(f"`interaction_weight` must not be negative, but is {self.interaction_weight}")
        if self.interaction != "none" and self.generation_order != "bidirectional":
            raise ValueError(
                f"`interaction` {self.interaction!r} is between two directions: it needs `generation_order` "
                f"'bidirectional', but that is {self.generation_order!r}"
            )
        if self.positions == "relative" and (
            self.relative_buckets < LEAST_BUCKETS or self.relative_distance <= self.relative_buckets // 2
        ):
            raise ValueError(
                f"`relative_buckets` ({self.relative_buckets}) must be {LEAST_BUCKETS} or more and at most twice "
                f"`relative_distance` ({self.relative_distance})"
            )


def without_interaction(options: TransformerOptions) -> TransformerOptions:
    """Return the options of a model whose directions do not see each other, with nothing said of how they would."""
    defaults: dict[str, Any] = {name: getattr(TransformerOptions, name) for name in INTERACTION_OPTIONS}
    return replace(options, interaction="none", **defaults)


def check_use(options: TransformerOptions) -> None:
    """Raise ValueError for an option that says nothing beside another; models that were saved may hold such."""
    refuse_unused(options, RELATIVE_OPTIONS, "positions: relative", applies=options.positions == "relative")
    refuse_unused(options, ("max_positions",), "positions: learned", applies=options.positions == "learned")
    refuse_unused(options, INTERACTION_OPTIONS, "an `interaction`", applies=options.interaction != "none")
