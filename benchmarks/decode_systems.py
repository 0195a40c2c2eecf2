"""Write what several systems make of several files: a text file for each, to be scored by `score_systems.py`.

    python benchmarks/decode_systems.py --input val.en test.en --output texts \
        --system l2r runs/l2r beam_width=4 \
        --system two_models runs/l2r right_model=runs/r2l rescore=both beam_width=4

A system is a name, a run and search options, as in `generation_orders.py`; `texts/test.en/l2r.txt` is one output.
"""

import argparse
from pathlib import Path

from generation_orders import search_options

import seq2seq
from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.generation.output import write_lines
from seq2seq.lines import lines as read_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--system", nargs="+", action="append", required=True, metavar="NAME RUN OPTION=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    prepare_process(options.threads)
    keep_freed_memory()
    files = {path.name: list(read_lines(path)) for path in options.input}
    for name in files:
        (options.output / name).mkdir(parents=True, exist_ok=True)
    for system, run, *assignments in options.system:
        generator = seq2seq.load(run.split(","), device=options.device, **search_options(assignments))
        for name, lines in files.items():
            texts = [hypotheses[0].text for hypotheses in generator(lines)]
            write_lines(options.output / name / f"{system}.txt", texts)


if __name__ == "__main__":
    main()
