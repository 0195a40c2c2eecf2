"""From a trained model to the archive that Argos Translate and LibreTranslate install.

An `.argosmodel` is a zip with one folder: CTranslate2's model, the SentencePiece model of both sides, and a file that
says between which languages they translate. The same model gives the same bytes, wherever and whenever it is packed.
Argos searches as it likes, not as the run does: from the left, beam 4, length penalty 0.2.
"""

import json
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from seq2seq import __version__
from seq2seq.data.language_names import NamedLanguage
from seq2seq.data.sentencepiece_tokenizer import SentencePieceTokenizer
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import Search
from seq2seq.engines.ctranslate2_vocabulary import ctranslate2_vocabularies
from seq2seq.export.ctranslate2_export import ctranslate2_spec
from seq2seq.files import written
from seq2seq.models.transformer import Seq2SeqTransformer

MODEL_FOLDER, PIECES_FILE, METADATA_FILE, README_FILE = "model", "sentencepiece.model", "metadata.json", "README.md"
"""The names that Argos looks for."""
PACKAGE_VERSION, ARGOS_VERSION = "1.0", "1.11"
"""Of the package, and of the oldest Argos Translate that these packages were tried with."""
QUANTIZATION = "int8"
"""That of Argos's own packages."""
ADVICE = "train with `tokenizer.kind: sentencepiece` and `tokenizer.shared: true`"
_PACKED_AT = (1980, 1, 1, 0, 0, 0)
"""The first moment of a zip, so that its bytes do not depend on the clock."""
_RIGHTS = 0o644 << 16
README = """\
# {source} to {target}

A model for [Argos Translate](https://github.com/argosopentech/argos-translate) {argos} and newer, and for
LibreTranslate, made with seq2seq-toolkit {version}.

    python -c "from argostranslate import package; package.install_from_path('FILE.argosmodel')"
    argos-translate --from-lang {source_code} --to-lang {target_code} "A text."

Remove another package from {source} to {target} first; Argos would go on using that one.

Argos cuts texts into sentences by a model of MiniSBD, which it fetches when it translates for the first time. Where
there is no network, put the model of the language, such as `en.onnx` of
<https://github.com/LibreTranslate/MiniSBD/releases>, into a folder `minisbd` beside this file.

Argos shows every underscore of a translation as a space.
"""


def export_argos(
    file: Path,
    model: Seq2SeqTransformer,
    tokenizer: TextTokenizer,
    search: Search,
    source: NamedLanguage,
    target: NamedLanguage,
    *,
    source_prefix: str = "",
    quantization: str = QUANTIZATION,
) -> None:
    """Write the archive; it appears whole or not at all, in the place of an older one.

    Args:
        search: its length limit is the least number of positions that the model is given.

    Raises:
        ValueError: Argos cannot do what the model needs, CTranslate2 is missing or cannot express it, or the file is
            something else than an archive.
    """
    if tokenizer.languages.ids or tokenizer.target_start:
        raise ValueError(
            "Argos Translate puts no language in front of a source, and this model is told its languages by tokens in "
            "front of texts; it cannot be packed for it. `--format ctranslate2` writes a folder that is told them."
        )
    pieces = shared_pieces(tokenizer)
    if (order := model.config.generation_order) != "l2r":
        raise ValueError(
            f"Argos Translate searches from the left to the right; a model of `generation_order: {order}` cannot be "
            f"packed for it. Train one of `generation_order: l2r`, perhaps on what this one decodes."
        )
    if source_prefix:
        raise ValueError(
            f"Argos Translate puts nothing in front of a source, but this model wants `source_prefix: "
            f"{source_prefix!r}`; train one without."
        )
    if file.exists() and not (file.is_file() and zipfile.is_zipfile(file)):
        raise ValueError(f"{file} is there and is no archive; give a new name, or remove it yourself.")
    spec = ctranslate2_spec(model, tokenizer, search, quantization)
    metadata = {
        "package_version": PACKAGE_VERSION,
        "argos_version": ARGOS_VERSION,
        "from_code": source.code,
        "from_name": source.name,
        "to_code": target.code,
        "to_name": target.name,
    }
    readme = README.format(
        source=source.name,
        source_code=source.code,
        target=target.name,
        target_code=target.code,
        argos=ARGOS_VERSION,
        version=__version__,
    )
    with TemporaryDirectory(prefix="seq2seq-") as temporary:
        folder = Path(temporary)
        (folder / METADATA_FILE).write_text(json.dumps(metadata, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / README_FILE).write_text(readme, encoding="utf-8")
        (folder / PIECES_FILE).write_bytes(pieces.model())
        (folder / MODEL_FOLDER).mkdir()
        spec.save(str(folder / MODEL_FOLDER))
        write_archive(file, folder, f"translate-{source.code}_{target.code}")


def shared_pieces(tokenizer: TextTokenizer) -> SentencePieceTokenizer:
    """Return the tokenizer of both sides if Argos can read it, with the tokens that CTranslate2 is given.

    Raises:
        ValueError: it is of another kind, there are two, or two tokens have one name.
    """
    side = tokenizer.source
    if not isinstance(side, SentencePieceTokenizer):
        raise ValueError(f"Argos Translate reads tokenizers of SentencePiece alone, and this is another; {ADVICE}.")
    if not tokenizer.shared:
        raise ValueError(f"Argos Translate reads one tokenizer for both sides, and this model has two; {ADVICE}.")
    for vocabulary in ctranslate2_vocabularies(tokenizer):
        for piece, token in zip(side.pieces(), vocabulary, strict=False):  # those that we add follow the pieces
            if piece != token:
                raise ValueError(
                    f"Argos Translate goes by the names of pieces, and this SentencePiece model has two tokens called "
                    f"{piece!r}; {ADVICE}."
                )
    return side


def write_archive(file: Path, folder: Path, name: str) -> None:
    """Write a zip with the files of a folder, as those of a folder of this name."""
    with written(file, "wb") as unfinished, zipfile.ZipFile(unfinished, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{name}/{path.relative_to(folder).as_posix()}", _PACKED_AT)
            entry.compress_type, entry.external_attr = zipfile.ZIP_STORED, _RIGHTS
            entry.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target)
