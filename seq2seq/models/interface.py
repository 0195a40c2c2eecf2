"""The narrow waist between models and search: all that a decoder may know of a model.

A search sees B sentences with W hypotheses each. `encode` returns an opaque state with W = 1; `step` feeds one token
per hypothesis and returns logits; `reorder` chooses which hypotheses and sentences live on. What belongs to a
sentence (encoder output, cross-attention keys and values) is stored once per sentence and never per hypothesis.
Teacher-forced scoring is the model's ordinary forward.
"""

from typing import Any, Protocol

from torch import Tensor

SOURCE_PADDING = 0
"""What stands behind shorter sources: any id that is a row of the source's embeddings, since it is masked. The padding
of the target is none where the source has a smaller vocabulary."""

State = Any
"""What a model remembers between steps; only the model looks inside."""


class UnsuitableModel(ValueError):
    """A model that cannot do what is asked of it, whatever the sentence."""


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

    @property
    def generation_order(self) -> str:
        """`l2r`, `r2l`, `bidirectional` or `interleaved`: what the model was trained for."""

    @property
    def rows_at_once(self) -> int | None:
        """Hypotheses of a batch beyond which more at a time take memory, but are no faster; None: no such number."""

    @property
    def max_source_tokens(self) -> int | None:
        """Most tokens of a source, end of sentence included; None where there is no such limit."""

    @property
    def max_target_tokens(self) -> int | None:
        """Most tokens of a target, end of sentence included and the start token not; None: no such limit."""

    def from_side(self, side: int) -> "Seq2Seq":
        """Return the model as one that begins at this end of the target: 0 left, 1 right.

        Raises:
            ValueError: it was not trained to.
        """

    def in_pairs(self) -> "PairedSeq2Seq":
        """Return the model as one that generates from both ends at once.

        Raises:
            ValueError: it was not trained to.
        """

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
            sentences: int64 [B'], indices into B, ascending; one that stands several times is copied, and None keeps
                all sentences.
        """

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return logits [B * G, T, V]: position t predicts the token after `decoder_input_ids[:, t]`.

        Args:
            input_ids: int64 [B, S]; each source is encoded once.
            attention_mask: bool [B, S], True = real.
            decoder_input_ids: int64 [B * G, T], G successive rows for each source.
        """


class PairedSeq2Seq(Protocol):
    """A model whose hypotheses are pairs of rows: 0 begins at the left end of the target, 1 at the right end.

    Of a `bidirectional` model both rows generate the whole target, each up to its own end of sentence; of an
    `interleaved` one each generates its half.
    """

    @property
    def vocab_size(self) -> int: ...

    @property
    def pad_id(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    @property
    def decoder_start_id(self) -> int:
        """The token that both rows are given in the first `step`."""

    @property
    def generation_order(self) -> str: ...

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> State:
        """Return the state before the first step, with one pair a sentence; arguments as in `Seq2Seq`."""

    def step(self, state: State, token_ids: Tensor, is_open: Tensor | None = None) -> tuple[Tensor, State]:
        """Feed a token to both rows of each pair; return logits [B, 2, W, V] of their next ones, and the next state.

        Args:
            token_ids: int64 [B, 2, W].
            is_open: bool [B, 2, W]: False where a row has ended, so that no row sees this token; None = all True.
        """

    def reorder(self, state: State, beams: Tensor | None = None, sentences: Tensor | None = None) -> State:
        """Return the state whose row (b, s, w) was row (sentences[b], s, beams[b, s, w]), as in `Seq2Seq`.

        Args:
            beams: int64 [B', 2, W']; the rows of a pair may come from different ones.
            sentences: int64 [B'].
        """
