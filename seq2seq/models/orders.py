"""Which generation orders a model can be asked for, and the error where it cannot."""

from typing import TYPE_CHECKING, Self

from seq2seq.models.interface import UnsuitableModel

if TYPE_CHECKING:
    from seq2seq.models.interface import PairedSeq2Seq

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

    def in_pairs(self) -> "PairedSeq2Seq":
        raise wrong_order(self.generation_order, "bidirectional")
