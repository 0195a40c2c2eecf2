"""Give a pretrained model a language or tokens that it does not have, to be tuned with them.

    seq2seq extend --model facebook/nllb-200-distilled-600M --add-language bar_Latn --like deu_Latn --output extended
    seq2seq extend --model google/flan-t5-base --add-tokens "{" "}" --output extended --text train.source

What the model says of its old tokens does not change. A new language begins as one that it is like, a new token as the
mean of the pieces that it was made of. With `--text` a report says what of a text the tokenizer does not know.
"""

import argparse
from pathlib import Path

from seq2seq.lines import lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, help="model folder, run directory, or name of a model on the Hub")
    parser.add_argument("--add-language", nargs="+", default=[], metavar="CODE", help="new languages")
    parser.add_argument("--like", nargs="+", default=[], metavar="CODE", help="for each, the one that it begins as")
    parser.add_argument("--add-tokens", nargs="+", default=[], metavar="TOKEN", help="tokens that are never split")
    parser.add_argument("--text", metavar="FILE", help="UTF-8 file to report unknown pieces of")
    parser.add_argument("--output", required=True, help="folder to write; must not be there yet")


def run(arguments: argparse.Namespace) -> int:
    from seq2seq.assembly.extension import extend_model, unknown_of
    from seq2seq.assembly.model_folder import read_model
    from seq2seq.data.tokenizer import TextTokenizer

    if len(arguments.add_language) != len(arguments.like):
        raise ValueError("`--like` names for each `--add-language` one that the model has; give as many.")
    if len({*arguments.add_language}) < len(arguments.add_language):
        raise ValueError("`--add-language` names a language twice; each begins like one other.")
    if not arguments.add_language and not arguments.add_tokens:
        raise ValueError("There is nothing to add: give `--add-language` and `--like`, or `--add-tokens`.")
    languages = dict(zip(arguments.add_language, arguments.like, strict=True))
    output = Path(arguments.output)
    ids = read_model(arguments.model, lambda source: extend_model(source, output, languages, arguments.add_tokens))
    for name, index in ids.items():
        print(f"{name} is token {index}")
    if arguments.text:
        found = unknown_of(TextTokenizer.load(output), lines(arguments.text))
        share = found.num_unknown / max(found.num_tokens, 1)
        print(f"{arguments.text}: {found.num_unknown:,} of {found.num_tokens:,} tokens are unknown ({share:.2%})")
        if found.characters:
            shown = ", ".join(f"{character} ({number:,})" for character, number in found.characters)
            print(f"characters that are unknown, and how often they occur: {shown}")
    print(f"Wrote {output}; tune it by `seq2seq train configs/finetune.yaml --init-from {output}`.")
    return 0
