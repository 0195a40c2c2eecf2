"""From a model folder to one of a family of transformers, which is read without this package."""

import shutil
from pathlib import Path
from typing import Any

from seq2seq.assembly.generator import CARD_FILE
from seq2seq.data.tokenizer import SOURCE_FOLDER, TARGET_FOLDER, TextTokenizer
from seq2seq.files import new_folder, read_object
from seq2seq.generation.engine import DECODING_FILE
from seq2seq.models.families.folders import GENERATION_FILE, FamilyModel, family_of, open_family, write_family
from seq2seq.models.families.plain import family_like
from seq2seq.models.transformer.inference import InferenceTransformer, is_loadable, load_weights


def export_transformers(source: Path, folder: Path) -> str:
    """Write a folder that `AutoModelForSeq2SeqLM` and `AutoTokenizer` read; return the class of its model.

    It appears whole or not at all. A model that was tuned is one of its family already, and is copied.

    Raises:
        ValueError: there is no family with such a network, what is to be copied is not whole, or the folder holds
            something.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ValueError(f"{folder} is there and holds something; give a new name, or remove it yourself.")
    family = family_of(source)
    if family is not None:
        open_family(source)
        TextTokenizer.load(source)
        with new_folder(folder) as unfinished:
            for part in source.iterdir():
                if part.is_file():
                    shutil.copyfile(part, unfinished / part.name)
                elif part.name in (SOURCE_FOLDER, TARGET_FOLDER):
                    shutil.copytree(part, unfinished / part.name)
        return family.class_name
    if not is_loadable(source):
        raise ValueError(f"{source} is a folder of transformers already, of a kind that is only decoded with here.")
    options = InferenceTransformer.load(source).options
    like, config = family_like(options)
    weights = load_weights(source, options.tie_embeddings)
    generation: dict[str, Any] = read_object(source / GENERATION_FILE) if (source / GENERATION_FILE).is_file() else {}
    tokenizer = TextTokenizer.load(source)
    with new_folder(folder) as unfinished:
        write_family(unfinished, FamilyModel(like, config, options, weights), generation)
        tokenizer.save(unfinished)
        for name in (DECODING_FILE, CARD_FILE):
            if (source / name).is_file():
                shutil.copyfile(source / name, unfinished / name)
    return like.class_name
