"""A run as an archive in the real Argos Translate, beside its export for CTranslate2, line by line.

    python -m tests.end_to_end.argos RUN LINES.txt FOLDER

Argos runs in a process of its own with its files in the folder, and reaches no network: what cuts texts into sentences
is a model that it would fetch, so each line is given as one sentence. CTranslate2 searches as Argos has it do.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq.apps.command import main
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.engines.ctranslate2_vocabulary import ctranslate2_vocabularies
from seq2seq.lines import lines

IN_ARGOS = """
import json, sys
from argostranslate import package, translate

class Whole:
    def split_sentences(self, text):
        return [text]

archive, source, target = sys.argv[1:]
package.install_from_path(archive)
[installed] = package.get_installed_packages()
translation = translate.get_translation_from_codes(source, target)
translation.underlying.sentencizer = Whole()
found = {"package": str(installed), "readme": installed.get_readme()}
found["lines"] = [translation.translate(line) for line in json.load(sys.stdin)]
print(json.dumps(found))
"""
SEARCH: dict[str, Any] = {"beam_size": 4, "length_penalty": 0.2, "replace_unknowns": True}
"""What Argos 1.11 asks of CTranslate2."""


def of_argos(script: str, arguments: Sequence[str], home: Path, given: str = "") -> str:
    """Return what a script says to which Argos Translate is known, whose files are in a folder."""
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("DATA", "CONFIG", "CACHE")}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        input=given,
        env=os.environ | folders | {"HOME": str(home), "ARGOS_INTRA_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_ctranslate2(folder: Path, texts: Sequence[str]) -> list[str]:
    """Return the lines of an exported folder, one search each, by our tokenizer and its ids."""
    import ctranslate2

    tokenizer = TextTokenizer.load(folder / "tokenizer")
    source_tokens, target_tokens = ctranslate2_vocabularies(tokenizer)
    ids = {token: index for index, token in enumerate(target_tokens)}
    translator = ctranslate2.Translator(str(folder), device="cpu", intra_threads=1)
    sources = [[source_tokens[index] for index in source[:-1]] for source in tokenizer.encode_sources(texts)]
    found = [translator.translate_batch([source], **SEARCH)[0].hypotheses[0] for source in sources]
    return tokenizer.decode_batch([[ids[token] for token in tokens] for tokens in found])


def both(run: Path, texts: Sequence[str], folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Return what Argos says, and the lines of CTranslate2 as Argos shows them: it has spaces for underscores."""
    archive = folder / "en_de.argosmodel"
    languages = ["--source-language", "en", "--target-language", "de"]
    export = ["export", "--model", str(run), "--format"]
    assert main([*export, "argos", *languages, "--output", str(archive)]) == 0
    assert main([*export, "ctranslate2", "--quantization", "int8", "--output", str(folder / "served")]) == 0
    ours = of_ctranslate2(folder / "served", texts)
    said = of_argos(IN_ARGOS, [str(archive), "en", "de"], folder / "home", json.dumps(texts))
    return json.loads(said.splitlines()[-1]), [line.replace("_", " ") for line in ours]


if __name__ == "__main__":
    given = list(itertools.islice(lines(sys.argv[2]), 1000))
    theirs, expected = both(Path(sys.argv[1]), given, Path(sys.argv[3]))
    same = sum(one == other for one, other in zip(theirs["lines"], expected, strict=True))
    print(f"{same} of {len(given)} lines are the same, {len(set(expected))} of them different ones")
    for number, (one, other) in enumerate(zip(theirs["lines"], expected, strict=True), start=1):
        if one != other:
            print(f"{number}: {one!r} {other!r}")
