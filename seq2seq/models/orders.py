"""Which generation orders a model can be asked for: the error where it cannot, and two models that know one each."""

from typing import Self

from torch import Tensor

from seq2seq.data.cutting import smallest
from seq2seq.models.interface import PairedSeq2Seq, Seq2Seq, State, UnsuitableModel

EXAMPLES = {
    "r2l": "`--model.generation_order r2l`, or `bidirectional` for both directions in one model",
    "l2r": "`--model.generation_order l2r`, or `bidirectional` for both directions in one model",
    "bidirectional": "`--model.generation_order bidirectional`, as configs/multi30k_en_de_bidirectional.yaml does",
    "interleaved": "`--model.generation_order interleaved`, as configs/multi30k_en_de_interleaved.yaml does",
}
"""What trains a model of each order."""


def wrong_order(trained: str, wanted: str) -> UnsuitableModel:
    """Return the error of a model that does not know an order."""
    return UnsuitableModel(
        f"This model was trained to generate in the order `{trained}` and cannot generate in the order `{wanted}`; "
        f"train one with {EXAMPLES[wanted]}."
    )


class FromTheLeft:
    """What the waist says of orders, for a model that generates from the left alone."""

    generation_order = "l2r"
    rows_at_once: int | None = None
    max_source_tokens: int | None = None
    max_target_tokens: int | None = None

    def from_side(self, side: int) -> Self:
        if side:
            raise wrong_order(self.generation_order, "r2l")
        return self

    def in_pairs(self) -> PairedSeq2Seq:
        raise wrong_order(self.generation_order, "bidirectional")


class TwoModels:
    """A `Seq2Seq` of which one model does all that is not asked of a side.

    Raises:
        ValueError: the models do not have the same target vocabulary.
    """

    def __init__(self, first: Seq2Seq, second: Seq2Seq) -> None:
        if (first.vocab_size, first.eos_id) != (second.vocab_size, second.eos_id):
            raise ValueError("Two models that work together must share their target vocabulary.")
        self.first = first
        self.vocab_size = first.vocab_size
        self.pad_id, self.eos_id, self.decoder_start_id = first.pad_id, first.eos_id, first.decoder_start_id
        self.rows_at_once = smallest(model.rows_at_once for model in (first, second))
        self.max_source_tokens = smallest(model.max_source_tokens for model in (first, second))
        self.max_target_tokens = smallest(model.max_target_tokens for model in (first, second))

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> State:
        return self.first.encode(input_ids, attention_mask)

    def step(self, state: State, token_ids: Tensor) -> tuple[Tensor, State]:
        return self.first.step(state, token_ids)

    def reorder(self, state: State, beams: Tensor | None = None, sentences: Tensor | None = None) -> State:
        return self.first.reorder(state, beams, sentences)

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        return self.first.teacher_forced(input_ids, attention_mask, decoder_input_ids)


class BothDirections(TwoModels):
    """Generates from the left by one model and from the right by another.

    Args:
        left: knows `l2r`.
        right: knows `r2l`; with the same target vocabulary.

    Raises:
        ValueError: one does not know its order, or they do not fit together.
    """

    generation_order = "bidirectional"

    def __init__(self, left: Seq2Seq, right: Seq2Seq) -> None:
        self.left, self.right = left.from_side(0), right.from_side(1)
        super().__init__(self.left, self.right)

    def from_side(self, side: int) -> Seq2Seq:
        return self.right if side else self.left

    def in_pairs(self) -> PairedSeq2Seq:
        raise UnsuitableModel(
            "Two models of one direction each cannot search from both ends at once; use `--rescore`, or one model that "
            "was trained with `--model.generation_order bidirectional`."
        )


class InterleavedAndLeft(TwoModels):
    """Generates from both ends to the middle by one model; another, from the left, can rank what it generates.

    Args:
        interleaved: knows `interleaved`.
        left: knows `l2r`; with the same target vocabulary.

    Raises:
        ValueError: one does not know its order, or they do not fit together.
    """

    generation_order = "interleaved"

    def __init__(self, interleaved: Seq2Seq, left: Seq2Seq) -> None:
        if interleaved.generation_order != "interleaved":
            raise wrong_order(interleaved.generation_order, "interleaved")
        super().__init__(interleaved, left)
        self.left = left.from_side(0)

    def from_side(self, side: int) -> Seq2Seq:
        if side:
            raise wrong_order("l2r", "r2l")
        return self.left

    def in_pairs(self) -> PairedSeq2Seq:
        return self.first.in_pairs()
