"""The Transformer for search alone: from a folder that `Seq2SeqTransformer` was saved to, without transformers.

Importing transformers takes longer than decoding some hundred lines. The network is the same, from the same parts;
what is left out is training, saving and `generate`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seq2seq.files import read_object
from seq2seq.models.transformer.interleaved import make_decoder
from seq2seq.models.transformer.options import EARLIER_MODEL_TYPE, MODEL_TYPE, TransformerOptions
from seq2seq.models.transformer.searching import SearchableTransformer
from seq2seq.models.transformer.stacks import Encoder
from seq2seq.models.weights import check_finite, in_own_memory, read_shapes, read_weights

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
TIED_WEIGHTS = {
    "all": ("lm_head", "encoder.embeddings.tokens"),
    "inputs": ("encoder.embeddings.tokens",),
    "target": ("lm_head",),
    "none": (),
}
"""Modules whose weight is the decoder's embeddings."""
EMBEDDINGS = "decoder.embeddings.tokens.weight"


def output_layer(options: TransformerOptions) -> nn.Linear:
    """Return what makes logits of the decoder's states; its bias, where it has one, is not trained."""
    layer = nn.Linear(options.d_model, options.vocab_size, bias=options.output_bias)
    if layer.bias is not None:
        layer.bias.requires_grad_(False)
    return layer


class InferenceTransformer(SearchableTransformer):
    """Encoder, decoder and output layer, in evaluation mode."""

    def __init__(self, options: TransformerOptions) -> None:
        super().__init__()
        self.options = options
        self.encoder = Encoder(options)
        self.decoder = make_decoder(options)
        self.lm_head = output_layer(options)
        self.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: Path) -> "InferenceTransformer":
        """Return the model of a folder, with weights of the type that was saved.

        Raises:
            ValueError: the configuration or the weights are damaged, or are not of each other; names the file.
        """
        options = read_options(folder)
        check_header(folder, options)
        model = cls.without_weights(options)
        weights = load_weights(folder, options.tie_embeddings)
        check_weights(folder, {name: parameter.shape for name, parameter in model.named_parameters()}, weights)
        return model.with_weights(in_own_memory(weights))

    def with_weights(self, weights: Mapping[str, Tensor], strict: bool = True) -> "InferenceTransformer":
        """Take these tensors as weights, those that are tied as one, which is moved and converted once; return self.

        Args:
            strict: whether these are all weights; otherwise others are there already.
        """
        self.load_state_dict(weights, assign=True, strict=strict)
        for name in TIED_WEIGHTS[self.options.tie_embeddings]:
            self.get_submodule(name).weight = self.decoder.embeddings.tokens.weight
        return self.requires_grad_(False)

    @classmethod
    def without_weights(cls, options: TransformerOptions) -> "InferenceTransformer":
        """Return the model with parameters that have shapes, but no memory."""
        with without_memory():
            return cls(options)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head


@contextmanager
def without_memory() -> Iterator[None]:
    """Give modules that are made in the `with` block parameters that have shapes, but no memory, and draw nothing."""
    with torch.device("meta"), _Uninitialized():
        yield


class _Uninitialized(TorchFunctionMode):
    """Within it, modules leave their new weights as they are.

    Even without memory, drawing them takes a second: for the shape of random numbers torch imports its compiler.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def load_weights(folder: Path, tie_embeddings: str) -> dict[str, Tensor]:
    """Return the weights of a folder by name, with those that a model shares under each of their names.

    Raises:
        ValueError: the file is damaged.
    """
    weights, path = read_weights(folder / WEIGHTS_FILE), folder / WEIGHTS_FILE
    if EMBEDDINGS not in weights:
        raise wrong_weights(folder, [EMBEDDINGS])
    check_finite(weights, path)
    shared = [f"{name}.weight" for name in TIED_WEIGHTS[tie_embeddings]]
    if untied := [name for name in shared if name in weights and not torch.equal(weights[name], weights[EMBEDDINGS])]:
        raise wrong_weights(folder, [], untied)
    return weights | dict.fromkeys(shared, weights[EMBEDDINGS])


def check_header(folder: Path, options: TransformerOptions) -> None:
    """Raise ValueError if the weights are of another size than the options, before a network of that size is built."""
    shapes = read_shapes(folder / WEIGHTS_FILE)
    if shapes.get(EMBEDDINGS) != (options.vocab_size, options.d_model):
        raise wrong_weights(folder, [EMBEDDINGS])
    for stack, layers in (("encoder", options.encoder_layers), ("decoder", options.decoder_layers)):
        last = f"{stack}.layers.{layers - 1}."
        if not any(name.startswith(last) for name in shapes):
            raise wrong_weights(folder, [f"{last}*"])


def check_weights(folder: Path, expected: Mapping[str, tuple[int, ...]], weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError if the weights of a folder are not of these names and shapes, and of one type."""
    wrong = [name for name, shape in expected.items() if name not in weights or weights[name].shape != shape]
    surplus = [name for name in weights if name not in expected]
    if wrong or surplus:
        raise wrong_weights(folder, wrong, surplus)
    if len(types := {str(weight.dtype) for weight in weights.values()}) > 1:
        raise ValueError(f"{folder}: its weights are of several types, {', '.join(sorted(types))}; save them in one.")


def read_options(folder: Path) -> TransformerOptions:
    """Return the options of a model of this toolkit; raise ValueError, which names the file, if they make none."""
    try:
        return TransformerOptions.of_values(read_object(folder / CONFIG_FILE))
    except ValueError as error:
        text, path = str(error), str(folder / CONFIG_FILE)
        raise ValueError(text if text.startswith(path) else f"{path}: {text}") from None


def is_loadable(folder: Path) -> bool:
    """Return whether a folder with a configuration holds this very model, in one file of weights."""
    return (
        read_object(folder / CONFIG_FILE).get("model_type") in (MODEL_TYPE, EARLIER_MODEL_TYPE)
        and (folder / WEIGHTS_FILE).is_file()
    )


def wrong_weights(folder: Path, names: list[str], surplus: Sequence[str] = ()) -> ValueError:
    """Return the error of weights that are absent or misshapen, or for which there is no place."""
    parts = {"absent or misshapen": names, "without a place": surplus}
    shown = "; ".join(f"{problem}: {', '.join(sorted(found)[:3])}" for problem, found in parts.items() if found)
    return ValueError(f"the weights in {folder} are not those of its config.json; {shown}")
