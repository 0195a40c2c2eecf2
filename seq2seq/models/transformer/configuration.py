"""The hyper-parameters of `Seq2SeqTransformer`, stored as `config.json`.

Every option is checked on construction, so that a wrong combination is refused before any weight exists.
"""

from typing import Any, ClassVar, Literal, get_args

from transformers import PreTrainedConfig

NormPosition = Literal["pre", "post"]
Norm = Literal["layer_norm", "rms_norm"]
Positions = Literal["sinusoidal", "learned", "rotary"]
Activation = Literal["relu", "gelu", "gelu_tanh", "swiglu"]
TieEmbeddings = Literal["all", "target", "none"]
Initialization = Literal["xavier", "orthogonal", "truncated_normal"]
EncoderAttention = Literal["softmax", "linear"]

CHOICES: dict[str, Any] = {
    "norm_position": NormPosition,
    "norm": Norm,
    "positions": Positions,
    "activation": Activation,
    "tie_embeddings": TieEmbeddings,
    "initialization": Initialization,
    "encoder_attention": EncoderAttention,
}
COUNTS = ("vocab_size", "d_model", "encoder_layers", "decoder_layers", "num_heads", "ffn_size", "max_positions")
PROBABILITIES = ("dropout", "attention_dropout", "activation_dropout", "token_dropout", "layer_dropout")
TOKEN_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


class Seq2SeqTransformerConfig(PreTrainedConfig):
    """Options of the Transformer.

    `vocab_size` is that of the target; `source_vocab_size` None means the same. `key_size` and `value_size` None mean
    `d_model / num_heads`. `max_positions` limits learned positions only.

    Raises:
        ValueError: an option, or a combination of options, makes no model.
    """

    model_type = "seq2seq_transformer"
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values"]
    attribute_map: ClassVar[dict[str, str]] = {
        "hidden_size": "d_model",
        "num_attention_heads": "num_heads",
        "num_hidden_layers": "decoder_layers",
        "intermediate_size": "ffn_size",
    }

    vocab_size: int = 8000
    source_vocab_size: int | None = None
    d_model: int = 256
    encoder_layers: int = 4
    decoder_layers: int = 4
    num_heads: int = 4
    ffn_size: int = 1024
    key_size: int | None = None
    value_size: int | None = None
    norm_position: NormPosition = "pre"
    norm: Norm = "layer_norm"
    positions: Positions = "sinusoidal"
    max_positions: int = 1024
    activation: Activation = "relu"
    dropout: float = 0.1
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    token_dropout: float = 0.0
    layer_dropout: float = 0.0
    tie_embeddings: TieEmbeddings = "all"
    initialization: Initialization = "xavier"
    talking_heads: bool = False
    encoder_attention: EncoderAttention = "softmax"
    pad_token_id: int = 0
    bos_token_id: int = 1
    eos_token_id: int = 2
    decoder_start_token_id: int = 1
    is_encoder_decoder: bool = True
    use_cache: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        self._check_values()
        self._check_combinations()

    @property
    def tie_word_embeddings(self) -> bool:
        """What transformers asks before it ties anything."""
        return self.tie_embeddings != "none"

    @property
    def head_sizes(self) -> tuple[int, int]:
        """Sizes of one head's keys and values."""
        default = self.d_model // self.num_heads
        return self.key_size or default, self.value_size or default

    def _check_values(self) -> None:
        for name, choice in CHOICES.items():
            if getattr(self, name) not in get_args(choice):
                allowed = ", ".join(get_args(choice))
                raise ValueError(f"`{name}` must be one of {allowed}, but is {getattr(self, name)!r}")
        sizes = [name for name in ("source_vocab_size", "key_size", "value_size") if getattr(self, name) is not None]
        for name in (*COUNTS, *sizes):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}")
        for name in PROBABILITIES:
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"`{name}` is a probability in [0, 1), but is {getattr(self, name)}")
        for name in TOKEN_IDS:
            if not 0 <= getattr(self, name) < self.vocab_size:
                raise ValueError(
                    f"`{name}` ({getattr(self, name)}) lies outside the target vocabulary of {self.vocab_size} tokens"
                )

    def _check_combinations(self) -> None:
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
        if self.encoder_attention == "linear" and (self.positions == "rotary" or self.talking_heads):
            option = "`talking_heads`" if self.talking_heads else "rotary `positions`"
            raise ValueError(f"{option} cannot be combined with linear `encoder_attention`; use 'softmax'")
