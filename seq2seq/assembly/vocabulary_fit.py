"""Whether a tokenizer's ids are rows of a model's embeddings, asked where the two are put together."""

from pathlib import Path

from seq2seq.data.tokenizer import SideTokenizer, TextTokenizer
from seq2seq.models.interface import Seq2Seq


def check_fit(folder: Path, model: Seq2Seq, tokenizer: TextTokenizer) -> None:
    """Raise ValueError if a text could become ids that the model of a folder has no vector for."""
    rows = {"source": getattr(model, "source_vocab_size", None), "target": model.vocab_size}
    for side, found in (("source", tokenizer.source), ("target", tokenizer.target)):
        size, wanted = rows[side], num_ids(found)
        if size is not None and wanted > size:
            raise ValueError(
                f"{folder}: its tokenizer has {wanted:,} {side} tokens, but its model {size:,}; they are not of one "
                "training."
            )


def num_ids(side: SideTokenizer) -> int:
    """Return how many ids a text can become; padding that was added behind all others is none of them."""
    return side.vocab_size - (side.pad_id == side.vocab_size - 1)
