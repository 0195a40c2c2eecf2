"""The narrow waist between models and search: all that a decoder may know of a model.

A search sees B sentences with W hypotheses each. `encode` returns an opaque state with W = 1; `step` feeds one token
per hypothesis and returns logits; `reorder` chooses which hypotheses and sentences live on. What belongs to a
sentence (encoder output, cross-attention keys and values) is stored once per sentence and never per hypothesis.
Teacher-forced scoring is the model's ordinary forward.
"""

from typing import Any, Protocol

from torch import Tensor

State = Any
"""What a model remembers between steps; only the model looks inside."""


class Seq2Seq(Protocol):
    """An encoder-decoder behind which any search can run."""

    @property
    def vocab_size(self) -> int:
        """Entries of the target vocabulary."""

    @property
    def pad_id(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    @property
    def decoder_start_id(self) -> int:
        """The token that the first `step` is given."""

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> State:
        """Return the state before the first step, W = 1.

        Args:
            input_ids: int64 [B, S].
            attention_mask: bool [B, S], True = real.
        """

    def step(self, state: State, token_ids: Tensor) -> tuple[Tensor, State]:
        """Feed one token per hypothesis; return logits [B, W, V] of the next one, and the state after it.

        The state passed in must not be used again. Logits need not be normalised, and are the caller's to overwrite.

        Args:
            token_ids: int64 [B, W]; W is that of the state.
        """

    def reorder(self, state: State, beams: Tensor | None = None, sentences: Tensor | None = None) -> State:
        """Return the state whose hypothesis (b, w) was hypothesis (sentences[b], beams[b, w]).

        The two may share memory: once the new one has been stepped, the one passed in must not be.

        Args:
            beams: int64 [B', W'], indices into W; None keeps each sentence's hypotheses as they are.
            sentences: int64 [B'], indices into B, ascending; None keeps all sentences.
        """

    def cross_attention(self, state: State) -> Tensor:
        """Return the latest step's attention over the source, [B, W, S], mean over heads, of the last layer.

        Raises:
            ValueError: this model does not keep it.
        """

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return logits [B, T, V]: position t predicts the token after `decoder_input_ids[:, t]`."""
