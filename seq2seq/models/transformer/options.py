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
Positions = Literal["sinusoidal", "learned", "rotary"]
Activation = Literal["relu", "gelu", "gelu_tanh"]
TieEmbeddings = Literal["all", "target", "none"]
Interaction = Literal["none", "linear", "tanh", "relu", "gate"]
InteractionLayers = Literal["all", "last"]

CHOICES: dict[str, Any] = {
    "norm_position": NormPosition,
    "norm": Norm,
    "positions": Positions,
    "activation": Activation,
    "tie_embeddings": TieEmbeddings,
    "generation_order": GenerationOrder,
    "interaction": Interaction,
    "interaction_layers": InteractionLayers,
}
LARGEST = {"encoder_layers": 1_000, "decoder_layers": 1_000}
"""Numbers of layers that are still taken for meant."""
MOST_WEIGHTS = 10**12
"""Entries of a single matrix beyond which sizes are not taken for meant."""
COUNTS = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "num_heads", "ffn_size", "max_positions")
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


INTERACTION_OPTIONS = ("interaction_weight", "interaction_layers", "interaction_dropout")


def refuse_removed(values: Mapping[str, Any]) -> None:
    """Raise ValueError if the values of a `config.json` are of a model that there no longer is."""
    for name, kept in REMOVED.items():
        if (value := values.get(name, kept)) != kept:
            raise ValueError(f"`{name}` is {value!r}, but the option was removed; only models of {kept!r} can be used")


@dataclass(kw_only=True)
class TransformerOptions:
    """Options of the Transformer, and behind them what its tokenizer decides.

    `vocab_size` is that of the target; `source_vocab_size` None means the same.

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
    positions: Positions = "sinusoidal"
    """Kind of position information."""
    max_positions: int = 1024
    """Longest sequence that `learned` positions can represent, in tokens."""
    activation: Activation = "relu"
    """Non-linearity of the feed-forward layers."""
    dropout: float = 0.1
    """Dropout after each sub-layer and after the embeddings."""
    attention_dropout: float = 0.0
    """Dropout of attention weights."""
    activation_dropout: float = 0.0
    """Dropout inside the feed-forward layers."""
    token_dropout: float = 0.0
    """Probability of zeroing a whole token embedding of the source or decoder input."""
    tie_embeddings: TieEmbeddings = "all"
    """Share source, target and output embeddings; or only target and output; or nothing."""
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
        sizes = [name for name in ("source_vocab_size", "key_size", "value_size") if getattr(self, name) is not None]
        for name in (*COUNTS, *sizes):
            if self._number(name, int) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        for name, largest in LARGEST.items():
            if getattr(self, name) > largest:
                raise ValueError(f"`{name}` must be at most {largest}, but is {getattr(self, name)}")
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
        if self.tie_embeddings == "all" and source_vocab_size != self.vocab_size:
            raise ValueError(
                f"`tie_embeddings` 'all' needs one vocabulary, but the source has {source_vocab_size} tokens and the "
                f"target {self.vocab_size}; share the tokenizer, or use 'target' or 'none'"
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
        if self.generation_order == "interleaved" and self.positions == "learned":
            raise ValueError(
                "`generation_order` 'interleaved' counts positions from both ends, which 'learned' `positions` do not "
                "have; use 'sinusoidal' or 'rotary'"
            )


def without_interaction(options: TransformerOptions) -> TransformerOptions:
    """Return the options of a model whose directions do not see each other, with nothing said of how they would."""
    defaults: dict[str, Any] = {name: getattr(TransformerOptions, name) for name in INTERACTION_OPTIONS}
    return replace(options, interaction="none", **defaults)


def check_use(options: TransformerOptions) -> None:
    """Raise ValueError for an option that says nothing beside another; models that were saved may hold such."""
    refuse_unused(options, ("max_positions",), "positions: learned", applies=options.positions == "learned")
    refuse_unused(options, INTERACTION_OPTIONS, "an `interaction`", applies=options.interaction != "none")
