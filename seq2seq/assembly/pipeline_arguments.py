"""Arguments of a pipeline that are not of the search: how texts are read, what results hold, device and type.

They have the names and the meaning that transformers 4 gave them. What changes nothing here is taken where its value
asks for nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from seq2seq.generation.engine import each_text

PRECISIONS = {"float32": "fp32", "float": "fp32", "bfloat16": "bf16", "float16": "fp16", "half": "fp16"}
SPLIT_OFF = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")
"""What `clean_up_tokenization_spaces` takes the spaces from, one after another."""
NO_EFFECT: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "framework": ((None, "pt"), "models run in PyTorch"),
    "use_fast": ((None, True, False), "a tokenizer is what its folder says"),
    "num_workers": ((None, *range(1024)), "it is a number of processes, and texts are read in this one"),
    "binary_output": ((None, False), "results are dictionaries"),
    "trust_remote_code": ((None, False), "code of a folder is never run"),
    "config": ((None,), "a model's folder has its configuration"),
    "model_kwargs": ((None, {}), "`dtype` and `device` are arguments by themselves"),
    "device_map": ((None,), "a model is on one device, which is `device`"),
    **dict.fromkeys(("feature_extractor", "image_processor", "processor"), ((None,), "models read and write text")),
    "pipeline_class": ((None,), "tasks have pipelines of their own"),
    **dict.fromkeys(("assistant_model", "assistant_tokenizer"), ((None,), "no model drafts for another")),
}
"""Arguments that change nothing, with the values that they may have, and why they may have no others."""


@dataclass(frozen=True)
class AroundTheSearch:
    """What a pipeline does with texts before its search and with hypotheses after it."""

    batch_size: int = 1
    """Texts that are read from an iterator before their results appear; the more, the faster. Batches themselves are of
    tokens (`batch_tokens` of `seq2seq.load`): of a list or a data set, whose length is known, thousands of texts are
    sorted into them, whatever this number is."""
    truncation: Any = None
    """True cuts texts at the tokenizer's `model_max_length`. What is longer than the model's positions is cut in any
    case, with a warning."""
    src_lang: str | None = None
    """Language of the texts, for a model of several."""
    tgt_lang: str | None = None
    """Language of the results, for a model of several."""
    return_text: bool | None = None
    """Whether results have a text; by default where they have no token ids."""
    return_tensors: bool = False
    """Whether results have token ids, with the start of the decoder and end of sentence, without padding."""
    clean_up_tokenization_spaces: bool = False
    """Whether spaces before punctuation are taken out, for tokenizers that split it off."""

    def __post_init__(self) -> None:
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise ValueError(f"`batch_size` must be a whole number of at least 1, but is {self.batch_size!r}.")
        if self.return_text is False and not self.return_tensors:
            raise ValueError("`return_text` False leaves nothing to return; add `return_tensors=True`.")

    @property
    def cuts(self) -> bool:
        """Whether texts are cut at what the tokenizer says."""
        name = str(getattr(self.truncation, "value", self.truncation)).lower()  # transformers has an Enum for it, too
        if name not in ("none", "false", "do_not_truncate", "true", "longest_first", "only_first"):
            raise ValueError(f"`truncation` must be True or False, but is {self.truncation!r}.")
        return name not in ("none", "false", "do_not_truncate")


def without_effect(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that change nothing.

    Raises:
        ValueError: one of these has a value that would.
    """
    for name in arguments.keys() & NO_EFFECT.keys():
        values, reason = NO_EFFECT[name]
        if arguments[name] not in values:
            raise ValueError(f"`{name}` cannot be {arguments[name]!r} here: {reason}; leave it out.")
    return {name: value for name, value in arguments.items() if name not in NO_EFFECT}


def device_name(device: Any) -> str | None:
    """Return the name of a device; the number of a GPU is the CPU where there is no GPU, as in transformers."""
    if isinstance(device, int):
        return f"cuda:{device}" if device >= 0 and torch.cuda.is_available() else "cpu"
    return None if device is None else str(device)


def precision_name(dtype: Any) -> str | None:
    """Return our name of a type of weights; None for that of the saved ones, which transformers calls `auto`."""
    name = str(dtype).removeprefix("torch.")
    return None if dtype is None or name == "auto" else PRECISIONS.get(name, name)


def checked_texts(texts: Any) -> Iterator[str]:
    """Return an iterator of the texts of a list, data set or iterator.

    Raises:
        ValueError: it is none of these; or, when it is reached, one of them is no text.
    """
    if not hasattr(texts, "__iter__") and hasattr(texts, "__getitem__"):  # a data set of torch
        return each_text(texts[index] for index in range(len(texts)))
    if isinstance(texts, bytes | Mapping) or not isinstance(texts, Iterable):
        raise ValueError(f"A pipeline takes a text or many of them, but was given a {type(texts).__name__}.")
    return each_text(texts)


def cleaned_up(text: str) -> str:
    """Return the text without the spaces that tokenizers of words have left before punctuation."""
    for split in SPLIT_OFF:
        text = text.replace(split, split.strip())
    return text
