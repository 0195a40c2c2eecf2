"""The whole command, loading included: `decode.py`, with an export too, beside a plain client of CTranslate2, in turns.

    python benchmarks/command_speed.py --model runs/multi30k_en_de \
        --input data/multi30k/raw/test_2016_flickr.en --reference data/multi30k/raw/test_2016_flickr.de

Every run is a fresh process from lines on standard input to lines on standard output. Prints seconds, ratios and BLEU,
and writes benchmarks/results/command_speed.json.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seq2seq.assembly.scoring import score_texts
from seq2seq.lines import lines as read_lines

BENCHMARKS = Path(__file__).resolve().parent
CLIENT = BENCHMARKS / "workers" / "ctranslate2_client.py"


def commands(options: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Return each system's command; CTranslate2 gives each batch one thread, its faster split here."""
    decode = [sys.executable, str(BENCHMARKS.parent / "decode.py"), "--model", options.model]
    decode += ["--beam-width", str(options.beam_width), "--max-length", "100"]
    found = {f"ours {precision}": [*decode, "--precision", precision] for precision in ("fp32", "bf16", "int8")}
    cores = str(os.cpu_count())
    for precision, compute_type in (("fp32", "float32"), ("int8", "int8")):
        exported = folder / precision
        export = [sys.executable, "-m", "seq2seq.apps.command", "export", "--model", options.model]
        export += ["--format", "ctranslate2", "--output", str(exported)]
        subprocess.run(export, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        client = [sys.executable, str(CLIENT), str(exported), compute_type, str(options.beam_width)]
        found[f"ctranslate2 {precision}"] = [*client, cores, "1"]
        exported_decode = [sys.executable, str(BENCHMARKS.parent / "decode.py"), "--model", str(exported)]
        exported_decode += ["--beam-width", str(options.beam_width), "--max-length", "100", "--precision", precision]
        found[f"decode, {precision} export"] = exported_decode
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="runs/multi30k_en_de")
    parser.add_argument("--input", default="data/multi30k/raw/test_2016_flickr.en", type=Path)
    parser.add_argument("--reference", default="data/multi30k/raw/test_2016_flickr.de", type=Path)
    parser.add_argument("--beam-width", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    references = [[line] for line in read_lines(options.reference)]
    with tempfile.TemporaryDirectory() as folder:
        systems = commands(options, Path(folder))
        seconds: dict[str, list[float]] = {name: [] for name in systems}
        texts: dict[str, list[str]] = {}
        for number in range(options.rounds + 1):
            for name, command in systems.items():
                with options.input.open("rb") as lines:
                    started = time.perf_counter()
                    done = subprocess.run(command, check=True, stdin=lines, capture_output=True, encoding="utf-8")
                    if number:  # the first warms up the files
                        seconds[name].append(time.perf_counter() - started)
                texts[name] = done.stdout.removesuffix("\n").split("\n")
    ours = min((name for name in systems if name.startswith("ours")), key=lambda name: statistics.median(seconds[name]))
    rows = []
    for name in systems:
        ratio = statistics.median(a / b for a, b in zip(seconds[name], seconds[ours], strict=True))
        [bleu] = score_texts(texts[name], references, ["bleu"])
        row = {"system": name, "seconds": seconds[name], "time_relative_to_ours": ratio, "bleu": bleu.value}
        rows.append(row)
        print(f"{name:26}{statistics.median(seconds[name]):8.2f} s{ratio:8.2f}   BLEU {bleu.value:.2f}")
    settings = {name: str(value) for name, value in vars(options).items()}
    result = json.dumps({"settings": settings, "rows": rows}, indent=1)
    (BENCHMARKS / "results" / "command_speed.json").write_text(result + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
