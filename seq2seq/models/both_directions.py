"""Two models of one direction each as one that knows both, each by its own weights."""

from torch import Tensor

from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq, State


class BothDirections:
    """A `Seq2Seq` that generates from the left by one model and from the right by another.

    Args:
        left: knows `l2r`.
        right: knows `r2l`; with the same target vocabulary.

    Raises:
        ValueError: one does not know its order, or they do not fit together.
    """

    generation_order = "bidirectional"

    def __init__(self, left: Seq2Seq, right: Seq2Seq) -> None:
        self.left, self.right = left.from_side(0), right.from_side(1)
        self.vocab_size = left.vocab_size
        self.pad_id, self.eos_id, self.decoder_start_id = left.pad_id, left.eos_id, left.decoder_start_id
        self.rows_at_once = min((m.rows_at_once for m in (left, right) if m.rows_at_once), default=None)
        if (left.vocab_size, left.eos_id) != (right.vocab_size, right.eos_id):
            raise ValueError("The models from the left and from the right must share their target vocabulary.")

    def from_side(self, side: int) -> Seq2Seq:
        return self.right if side else self.left

    def in_pairs(self) -> PairedSeq2Seq:
        raise ValueError(
            "Two models of one direction each cannot search from both ends at once; use `--rescore`, or one model that "
            "was trained with `--model.generation_order bidirectional`."
        )

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> State:
        """Return the state of the model from the left, which all that is not asked of a side is done by."""
        return self.left.encode(input_ids, attention_mask)

    def step(self, state: State, token_ids: Tensor) -> tuple[Tensor, State]:
        return self.left.step(state, token_ids)

    def reorder(self, state: State, beams: Tensor | None = None, sentences: Tensor | None = None) -> State:
        return self.left.reorder(state, beams, sentences)

    def cross_attention(self, state: State) -> Tensor:
        return self.left.cross_attention(state)

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        return self.left.teacher_forced(input_ids, attention_mask, decoder_input_ids)
