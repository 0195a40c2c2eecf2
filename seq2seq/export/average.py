"""From several model folders to one whose weights are their mean."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from seq2seq.assembly.architecture import architecture, first_difference
from seq2seq.assembly.decoding_defaults import read_decoding
from seq2seq.assembly.generator import CARD_FILE, common_tokenizer
from seq2seq.assembly.model_card import write_card_of_mean
from seq2seq.assembly.model_folder import read_models
from seq2seq.assembly.vocabulary_fit import check_fit
from seq2seq.data.foreign_folder import check_foreign_folder
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.files import new_folder
from seq2seq.models.loading import load_model
from seq2seq.models.transformer.inference import WEIGHTS_FILE, is_loadable, read_options
from seq2seq.models.weights import read_weights, weights_written, write_weights
from seq2seq.training.averaging import weighted_mean


def average_models(
    folder: Path, models: Sequence[str | Path], shares: Sequence[float], checkpoint: str | int | None = None
) -> None:
    """Write a model folder with the mean of the models' weights, and all else as the first model has it.

    It appears whole or not at all. The mean of models that have gone on from one can be better than each, and give
    back what going on has lost (Wortsman et al. 2022, "Robust fine-tuning"); that of models with nothing in common is
    of no use.

    Args:
        models: run directories, model folders or checkpoints, two or more.
        shares: of each model, in any unit; above 0.
        checkpoint: of the runs; see `load`.

    Raises:
        ValueError: there are fewer than two, their architectures or tokenizers differ, a share is not above 0, or the
            folder is there.
    """
    if len(models) < 2:
        raise ValueError("A mean is of two or more models.")
    if len(shares) != len(models) or not all(0 < share < math.inf for share in shares):
        raise ValueError(f"{len(models)} models need as many shares above 0, but they are {list(shares)}.")
    if folder.exists():
        raise ValueError(f"{folder} is there; give a new name, or remove it yourself.")
    read_models(models, lambda folders: _write_mean(folder, folders, shares, list(map(str, models))), checkpoint)


def _write_mean(folder: Path, folders: Sequence[Path], shares: Sequence[float], names: Sequence[str]) -> None:
    """Write the mean of these model folders, after a look at whether they have one; its card tells their names."""
    for path in folders:
        if not (path / WEIGHTS_FILE).is_file():
            raise ValueError(f"{path} has no {WEIGHTS_FILE}; weights in several files are not averaged.")
        check_foreign_folder(path)  # all files but the weights are copied from the first
        check_same_architecture(folders[0], path)
    tokenizer = common_tokenizer(folders)
    mean = weighted_mean(shares, ((path, _checked_weights(path, tokenizer)) for path in folders))
    with new_folder(folder) as unfinished, weights_written(folder):
        others = shutil.ignore_patterns(WEIGHTS_FILE, CARD_FILE)
        shutil.copytree(folders[0], unfinished, ignore=others, dirs_exist_ok=True)
        write_weights(mean, unfinished / WEIGHTS_FILE)
        if is_loadable(unfinished):
            order = read_options(unfinished).generation_order
            write_card_of_mean(unfinished, names, read_decoding(unfinished, order).source_prefix, order=order)


def _checked_weights(folder: Path, tokenizer: TextTokenizer) -> dict[str, Tensor]:
    """Return the weights of a folder as they are saved; raise ValueError if they are not its configuration's."""
    check_fit(folder, load_model(folder), tokenizer)
    return read_weights(folder / WEIGHTS_FILE)


def check_same_architecture(first: Path, other: Path) -> None:
    """Raise ValueError naming the first option in which two models differ: weights that mean other things can have the
    same shapes, such as those of the two generation orders."""
    expected, found = architecture(first), architecture(other)
    if (name := first_difference(expected, found)) is not None:
        raise ValueError(
            f"{other} has `{name}: {found.get(name)}`, but {first} `{name}: {expected.get(name)}`; only models of "
            "the same architecture have a mean."
        )
