"""Generate text with a trained model: one output line per input line, in input order.

    seq2seq decode --model runs/x --beam-width 5 < source.txt > output.txt
    seq2seq decode --model runs/x --input test.en --reference test.de --n-best 5 --output nbest.jsonl

Several models are an ensemble. With references the output is scored. Under `accelerate launch` the work is shared; a
decode into a file that was stopped goes on where it stopped. Search options default to those of the run.
"""

import argparse
import sys
import types
import typing
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from accelerate import PartialState

from seq2seq.apps.score import DEFAULT_METRICS, format_scores, make_metrics, read_aligned, score_texts
from seq2seq.build.generator import PRECISIONS, TextGenerator, build_search, load
from seq2seq.build.process import prepare_process
from seq2seq.config.loading import option_documentation
from seq2seq.config.schema import DecodingConfig
from seq2seq.decoding.corpus import POOL_LINES
from seq2seq.decoding.files import decode_file, read_lines
from seq2seq.decoding.output import FORMATS, best_texts, write_lines

STANDARD = "-"
ENDINGS = {".jsonl": "jsonl", ".moses": "moses", ".nbest": "moses"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", nargs="+", required=True, help="run directory or model folder; several: an ensemble")
    parser.add_argument("--weights", nargs="+", type=float, help="weights of the ensemble's members; default: equal")
    parser.add_argument("--input", default=STANDARD, help="UTF-8 file with one source per line; `-` is standard input")
    parser.add_argument("--output", default=STANDARD, help="file to write; `-` is standard output")
    parser.add_argument(
        "--format", choices=["auto", *FORMATS], default="auto", help="by default by the output's ending"
    )
    parser.add_argument("--prefixes", help="file with one target text per line that the output must begin with")
    parser.add_argument("--reference", nargs="+", help="files aligned with the input, to score the output against")
    parser.add_argument("--metrics", nargs="+", default=list(DEFAULT_METRICS), help="default: %(default)s")
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1 …; default: the GPU where there is one")
    parser.add_argument("--precision", choices=list(PRECISIONS), default="fp32", help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves the choice to torch")
    parser.add_argument("--max-source-tokens", type=int, help="longer sources are cut, with a warning")
    documentation = option_documentation(DecodingConfig)
    group = parser.add_argument_group("search options (default: those of the run)")
    for field in fields(DecodingConfig):
        flag = "--" + field.name.replace("_", "-")
        group.add_argument(
            flag, dest=field.name, help=documentation[field.name].replace("%", "%%"), **_kind(field.type)
        )


def _kind(annotation: Any) -> dict[str, Any]:
    """Return argparse's keywords for an option's type."""
    if typing.get_origin(annotation) is typing.Literal:
        return {"choices": typing.get_args(annotation)}
    assert not isinstance(annotation, types.UnionType | str), "decoding options are plain numbers and names"
    return {"type": annotation, "metavar": annotation.__name__.upper()}


def run(arguments: argparse.Namespace) -> int:
    import torch

    processes = PartialState(cpu=arguments.device == "cpu" or not torch.accelerator.is_available())
    if processes.num_processes > 1 and (arguments.output == STANDARD or is_stream(arguments.input)):
        raise ValueError("Several processes need files: give `--input` and `--output`.")
    prepare_process(arguments.threads)
    device = str(processes.device) if processes.num_processes > 1 else arguments.device
    chosen = {field.name: getattr(arguments, field.name) for field in fields(DecodingConfig)}
    generator = load(
        arguments.model,
        device=device,
        dtype=PRECISIONS[arguments.precision],
        weights=arguments.weights,
        **{name: value for name, value in chosen.items() if value is not None},
    )
    references = read_references(arguments)
    if arguments.output == STANDARD or is_stream(arguments.input):
        texts = write_stream(generator, arguments, keep=references is not None)
    else:
        texts = write_file(generator, arguments, processes, keep=references is not None)
    if references is not None and processes.is_main_process:
        if len(texts) != len(references):
            raise ValueError(f"{len(texts)} lines were decoded, but the references have {len(references)}.")
        scores = format_scores(score_texts(texts, references, arguments.metrics))
        print(scores, file=sys.stderr if arguments.output == STANDARD else sys.stdout)
    return 0


def is_stream(name: str) -> bool:
    """Return whether a name stands for what can be read only once: standard input, or a pipe."""
    return name == STANDARD or Path(name).is_fifo()


def read_references(arguments: argparse.Namespace) -> list[list[str]] | None:
    """Return each segment's references, or None without any; a file to decode must be aligned with them.

    Raises:
        ValueError: the files do not fit together, or a metric is unknown: known before decoding, not after.
    """
    if not arguments.reference:
        return None
    make_metrics(arguments.metrics)
    sources = [] if is_stream(arguments.input) else [arguments.input]
    columns = read_aligned([*sources, *arguments.reference])[len(sources) :]
    return [list(references) for references in zip(*columns, strict=True)]


def write_stream(generator: TextGenerator, arguments: argparse.Namespace, *, keep: bool) -> list[str]:
    """Decode from or to a standard stream; return the best texts if `keep`."""
    lines = read_standard() if arguments.input == STANDARD else read_lines(Path(arguments.input))
    prefixes = read_lines(Path(arguments.prefixes)) if arguments.prefixes else None
    somebody_types = arguments.input == STANDARD and sys.stdin.isatty()
    pool_lines = 1 if somebody_types else POOL_LINES
    results = generator.stream(lines, prefixes, arguments.max_source_tokens, pool_lines)
    formatted = FORMATS[chosen_format(arguments)]
    texts: list[str] = []

    def output_lines() -> Iterator[str]:
        for nbest in results:
            if keep:
                texts.append(nbest.text)
            yield from formatted(nbest)

    if arguments.output == STANDARD:
        sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
        for line in output_lines():
            print(line, flush=somebody_types)
        sys.stdout.flush()
    else:
        write_lines(Path(arguments.output), output_lines())
    return texts


def read_standard() -> Iterator[str]:
    """Yield the lines of standard input, split at line feeds alone; raise ValueError at one that is not UTF-8."""
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise ValueError(f"standard input, line {number}: not valid UTF-8; convert it first.") from error


def write_file(
    generator: TextGenerator, arguments: argparse.Namespace, processes: PartialState, *, keep: bool
) -> list[str]:
    """Decode a file into another in parts that survive a stop; return the best texts if `keep`."""
    output, output_format = Path(arguments.output), chosen_format(arguments)
    decode_file(
        Path(arguments.input),
        output,
        generator.model,
        generator.tokenizer,
        build_search(generator.options),
        generator.options["batch_tokens"],
        model_fingerprint=generator.fingerprint,
        output_format=output_format,
        source_prefix=generator.source_prefix,
        max_source_tokens=arguments.max_source_tokens,
        prefixes_path=Path(arguments.prefixes) if arguments.prefixes else None,
        process_index=processes.process_index,
        num_processes=processes.num_processes,
        wait_for_everyone=processes.wait_for_everyone,
        device=generator.device,
    )
    return list(best_texts(output, output_format)) if keep and processes.is_main_process else []


def chosen_format(arguments: argparse.Namespace) -> str:
    """Return the name of the output's format, for `auto` by its ending: .jsonl, .moses or .nbest, else text."""
    if arguments.format != "auto":
        return str(arguments.format)
    return ENDINGS.get(Path(arguments.output).suffix, "text")
