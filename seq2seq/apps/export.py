"""Write a trained model in the format of another library, for serving; on request, check that both say the same.

    seq2seq export --model runs/x --format ctranslate2 --output served --quantization int8 --check test.source
    seq2seq export --model runs/x --format transformers --output folder
    seq2seq export --model runs/x --format onnx --output folder --quantization int8 --check test.source
    seq2seq export --model runs/x --format argos --source-language en --target-language de --output en_de.argosmodel

As `transformers`, a model is one of a family that everybody reads: `AutoModelForSeq2SeqLM`, and converters of other
libraries. One that was tuned is of its own family; one that was trained from random weights is a PEGASUS or a Marian,
where it has nothing that these have not. `--push-to-hub NAME` uploads the folder.

For CTranslate2, the folder holds all that it needs, the tokenizer in `tokenizer/`, and the run's search options in
`decoding.json`. CTranslate2 is called with the tokenizer's source tokens without end of sentence;
`return_end_token=True` and `min_decoding_length=0` make its scores the same as ours.

As `onnx`, the folder has the layout that transformers.js loads, in browsers and elsewhere. With `--page` it is a site
whose page runs the model itself, without a server; `--runtime` names the npm packages that are copied into it.

For Argos Translate and LibreTranslate, one archive is written. They read `tokenizer.kind: sentencepiece` alone.
"""

import argparse
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from seq2seq.apps.option_values import CHECKPOINT_HELP, integer
from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.assembly.hub import uploaded
from seq2seq.assembly.model_folder import read_model
from seq2seq.data.language_names import named_language
from seq2seq.data.tokenizer import SOURCE_FOLDER, TARGET_FOLDER
from seq2seq.engines.ctranslate2_engine import require_ctranslate2
from seq2seq.export import argos_export
from seq2seq.export.ctranslate2_export import QUANTIZATIONS, export_ctranslate2
from seq2seq.export.ctranslate2_parity import Parity, different_options, measure_parity
from seq2seq.export.onnx_export import export_onnx
from seq2seq.export.onnx_nodes import require_onnx
from seq2seq.export.onnx_page import HOW_TO_GET, Page, packages_of
from seq2seq.export.onnx_parity import OnnxParity, measure_onnx_parity, require_onnxruntime
from seq2seq.export.transformers_export import export_transformers
from seq2seq.lines import lines
from seq2seq.models.pretrained import PretrainedSeq2Seq
from seq2seq.models.transformer import Seq2SeqTransformer

CHECK_LINES = 200
PAGE_FILE = Path(__file__).parents[1] / "serving" / "page" / "index.html"
"""The page of the server, which takes any engine."""
Languages = tuple[str | None, str | None]
OF_PAGES = ("page", "runtime")
"""Options of a site, which is made of ONNX alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="run directory or model folder")
    parser.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    parser.add_argument("--format", choices=list(FORMATS), default="ctranslate2", help="default: %(default)s")
    parser.add_argument("--push-to-hub", metavar="NAME", help="upload what is written, as a private model NAME")
    parser.add_argument(
        "--output", required=True, help="folder to write, of argos a file; an earlier export is replaced"
    )
    parser.add_argument(
        "--quantization",
        choices=QUANTIZATIONS,
        help=f"type of the weights; default: float32, of argos {argos_export.QUANTIZATION}",
    )
    for side in ("source", "target"):
        parser.add_argument(
            f"--{side}-language",
            metavar="CODE[=NAME]",
            help=f"of argos and onnx, the language of the {side}s, such as `de`; argos: or `hsb=Upper Sorbian`",
        )
    parser.add_argument("--page", action="store_true", help="make the folder of ONNX a site whose page runs the model")
    parser.add_argument(
        "--runtime", metavar="FOLDER", help="where npm has installed onnxruntime-web and @huggingface/tokenizers"
    )
    parser.add_argument("--check", metavar="FILE", help="UTF-8 file with one source per line to decode with both")
    parser.add_argument(
        "--check-lines", type=integer, help=f"lines of the file that are compared; default: {CHECK_LINES}"
    )


def run(arguments: argparse.Namespace) -> int:
    FORMATS[arguments.format](arguments, Path(arguments.output))
    return 0


def write_ctranslate2(arguments: argparse.Namespace, folder: Path) -> None:
    """Write a folder for CTranslate2."""
    checked = lines_to_check(arguments)
    refuse(arguments, ("source_language", "target_language", *OF_PAGES))
    require_ctranslate2()
    generator, model = load_for_export(arguments.model, arguments.checkpoint)
    options = {**of_generator(generator), "quantization": arguments.quantization or "float32"}
    export_ctranslate2(folder, model, **options, languages=generator.languages)
    if generator.rules.constraints or generator.rules.other_ends:
        print("CTranslate2 leaves out the tokens that generation_config.json forbids or ends with.", file=sys.stderr)
    if different := different_options(generator.search):
        named = ", ".join(f"`{name}: {value}`" for name, value in different.items())
        print(f"CTranslate2 cannot follow the run's {named}; a check leaves this out.", file=sys.stderr)
    if arguments.check:
        print(report(measure_parity(folder, generator, checked)))
    push(folder, arguments.push_to_hub)


def write_onnx(arguments: argparse.Namespace, folder: Path) -> None:
    """Write a folder for onnxruntime and transformers.js."""
    checked, quantization = lines_to_check(arguments), arguments.quantization or "float32"
    require_onnx()
    if arguments.check:
        require_onnxruntime()
    page = page_to_write(arguments)
    generator, _ = load_for_export(arguments.model, arguments.checkpoint)
    generator, model, languages = spoken(arguments, generator)
    options = {**of_generator(generator), "quantization": quantization, "rules": generator.rules}
    export_onnx(folder, model, **options, page=page, called=Path(arguments.model).name, languages=languages)
    if page is not None:
        print(how_to_open(folder, page))
    if arguments.check:
        print(report_onnx(measure_onnx_parity(folder, generator, checked), quantization))
    push(folder, arguments.push_to_hub)


def spoken(
    arguments: argparse.Namespace, generator: TextGenerator
) -> tuple[TextGenerator, Seq2SeqTransformer, Languages]:
    """Return a generator that is told the languages that were named, if it can be, its model, and their codes."""
    named = (arguments.source_language, arguments.target_language)
    codes = tuple(None if text is None else text.partition("=")[0] for text in named)
    told = generator.tokenizer.languages
    if told.ids:
        own = (None if told.of_target_only else codes[0], codes[1])
        generator = generator.speaking(*own)
    source, target = (code or own for code, own in zip(codes, generator.languages, strict=True))
    assert isinstance(generator.model, Seq2SeqTransformer), "languages make no other model of one"
    return generator, generator.model, (source, target)


def page_to_write(arguments: argparse.Namespace) -> Page | None:
    """Return the page if one is asked for; raise ValueError if what it needs is not there."""
    if not arguments.page:
        if arguments.runtime:
            raise ValueError("`--runtime` is for a page in the browser; add `--page`.")
        return None
    packages = packages_of(Path(arguments.runtime) if arguments.runtime else None)
    return Page(PAGE_FILE.read_text(encoding="utf-8"), packages)


def how_to_open(folder: Path, page: Page) -> str:
    """Return what to do next with a site."""
    if page.packages is not None:
        return f"{folder} is a site: `python -m http.server --directory {folder}`, then http://localhost:8000"
    return f"{folder} is a site but for its runtime. To add it:\n" + "\n".join(f"    {line}" for line in HOW_TO_GET)


def of_generator(generator: TextGenerator) -> dict[str, Any]:
    """Return what an export writes beside the weights."""
    names = ("tokenizer", "search", "source_prefix", "max_source_tokens")
    return {name: getattr(generator, name) for name in names}


def write_transformers(arguments: argparse.Namespace, folder: Path) -> None:
    """Write a folder of transformers; raise ValueError for options that it has no use for."""
    refuse(arguments, ("check", "check_lines", "quantization", "source_language", "target_language", *OF_PAGES))
    name = read_model(arguments.model, lambda found: export_transformers(found, folder), arguments.checkpoint)
    has_two = (folder / SOURCE_FOLDER).is_dir()
    sides = f" (with `subfolder={SOURCE_FOLDER!r}` or `{TARGET_FOLDER!r}`)" if has_two else ""
    print(f"{folder} holds a {name}; `AutoModelForSeq2SeqLM` and `AutoTokenizer`{sides} read it.")
    push(folder, arguments.push_to_hub)


def write_argos(arguments: argparse.Namespace, file: Path) -> None:
    """Write an archive of Argos Translate; raise ValueError for options that it has no use for, or that it lacks."""
    refuse(arguments, ("check", "check_lines", "push_to_hub", *OF_PAGES))
    if arguments.source_language is None or arguments.target_language is None:
        raise ValueError("Argos Translate needs `--source-language` and `--target-language`, such as `en` and `de`.")
    source, target = (named_language(text) for text in (arguments.source_language, arguments.target_language))
    require_ctranslate2()
    generator, model = load_for_export(arguments.model, arguments.checkpoint)
    argos_export.export_argos(
        file,
        model,
        generator.tokenizer,
        generator.search,
        source,
        target,
        source_prefix=generator.source_prefix,
        quantization=arguments.quantization or argos_export.QUANTIZATION,
    )
    print(f"{file} translates {source.name} to {target.name}; Argos Translate and LibreTranslate install it.")


def refuse(arguments: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise ValueError for one of these options that was given, of which the format has no use."""
    for name in names:
        if getattr(arguments, name) not in (None, False):
            option = name.replace("_", "-")
            raise ValueError(f"`--{option}` is nothing for `--format {arguments.format}`; leave it out.")


def push(folder: Path, name: str | None) -> None:
    """Upload a folder if that is asked for, and say where it is."""
    if name is not None:
        print(f"Uploaded to {uploaded(folder, name)}")


def lines_to_check(arguments: argparse.Namespace) -> list[str]:
    """Return the first lines of the file to check with; raise ValueError if they hold no text."""
    if arguments.check_lines is not None and arguments.check_lines < 1:
        raise ValueError(f"`--check-lines` must be at least 1, but is {arguments.check_lines}.")
    if not arguments.check:
        if arguments.check_lines is not None:
            raise ValueError("`--check-lines` says how much of a file is compared; give the file as `--check`.")
        return []
    num_lines = arguments.check_lines or CHECK_LINES
    checked = list(itertools.islice(lines(arguments.check), num_lines))
    if not any(line.strip() for line in checked):
        raise ValueError(f"{arguments.check} has no text in its first {num_lines} lines to check with.")
    return checked


def load_for_export(path: str, checkpoint: str | None = None) -> tuple[TextGenerator, Seq2SeqTransformer]:
    """Return a generator on the CPU in float32, and its model.

    Raises:
        ValueError: there is no model, or it is not one of this toolkit's own.
    """

    generator = load(path, device="cpu", precision="fp32", trainable=True, checkpoint=checkpoint)
    model = generator.model
    if isinstance(model, Seq2SeqTransformer):
        return generator, model
    assert isinstance(model, PretrainedSeq2Seq), "loading one folder gives no other model"
    raise ValueError(
        f"{path} holds a {model.model.config.model_type} model; only this toolkit's own are exported. CTranslate2 "
        "itself may convert it: `ct2-transformers-converter --help`."
    )


def report(parity: Parity) -> str:
    """Return the result of a check as aligned lines."""
    return in_columns(
        {
            **agreement(parity),
            "seconds, this toolkit": f"{parity.seconds:.2f} (float32)",
            "seconds, CTranslate2": f"{parity.ctranslate2_seconds:.2f} ({parity.compute_type})",
        }
    )


def report_onnx(parity: OnnxParity, quantization: str) -> str:
    """Return the result of a check of ONNX as aligned lines; onnxruntime has one sentence at a time."""
    return in_columns(
        {
            **agreement(parity),
            "seconds, this toolkit": f"{parity.seconds:.2f} (float32)",
            "seconds, onnxruntime, line by line": f"{parity.onnx_seconds:.2f} ({quantization})",
        }
    )


def agreement(parity: Parity | OnnxParity) -> dict[str, str]:
    """Return how much both sides say the same."""
    return {
        "lines": str(parity.num_lines),
        "same tokens": f"{parity.num_equal} ({parity.num_equal / parity.num_lines:.1%})",
        "largest score difference among them": f"{parity.largest_score_difference:.2g}",
    }


def in_columns(rows: dict[str, str]) -> str:
    """Return names and values, a line each."""
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())


FORMATS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "ctranslate2": write_ctranslate2,
    "transformers": write_transformers,
    "onnx": write_onnx,
    "argos": write_argos,
}
"""What writes each format."""
