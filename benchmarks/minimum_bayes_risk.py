"""What minimum Bayes risk decoding finds beside beam search and single samples: scores, significance and seconds.

    python benchmarks/minimum_bayes_risk.py --run runs/multi30k_en_de --input data/multi30k/raw/test_2016_flickr.en \
        --reference data/multi30k/raw/test_2016_flickr.de --utilities chrf bleu --num-samples 16 64

Systems are beam search, one sample, and each utility with each number of samples; `--pairwise` adds the comparison of
all pairs, `--search-candidates` the choice among the hypotheses of beam search. All but the first are tested against it
(paired bootstrap). Scores under the utility itself are biased in its favour, so the others are those to read. Prints a
line each and appends all numbers as one JSON line to benchmarks/results/minimum_bayes_risk.jsonl. Seconds are those of
decoding in this process, which is meant for comparison when nothing else runs.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from decoding_speed import RESULTS, processor
from generation_orders import decode, scored, search_options

from seq2seq.assembly.process import keep_freed_memory, prepare_process
from seq2seq.lines import lines as read_lines


def systems(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each system's name and search options."""
    yield f"beam {options.beam_width}", {"beam_width": options.beam_width}
    yield "sample", {"method": "sampling"}
    yield f"sample, epsilon {options.epsilon}", {"method": "sampling", "epsilon": options.epsilon}
    for utility, num_samples in product(options.utilities, options.num_samples):
        chosen = {"mbr": utility, "num_samples": num_samples, "mbr_epsilon": options.epsilon}
        yield f"{utility} of {num_samples}", chosen
        if options.pairwise:
            yield f"{utility} of {num_samples}, pairs", chosen | {"mbr_pairwise": True}
        if options.search_candidates:
            beam = {"mbr_candidates": "search", "beam_width": options.beam_width}
            yield f"{utility} of {num_samples}, beam's", chosen | beam


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--max-lines", type=int, help="take this many of the first lines alone")
    parser.add_argument("--utilities", nargs="+", default=["chrf", "bleu"])
    parser.add_argument("--num-samples", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--epsilon", type=float, default=0.02, help="0 takes unbiased samples")
    parser.add_argument("--beam-width", type=int, default=5)
    parser.add_argument("--pairwise", action="store_true")
    parser.add_argument("--search-candidates", action="store_true")
    parser.add_argument("--more", nargs="*", default=[], metavar="OPTION=VALUE", help="search options of all systems")
    parser.add_argument("--metrics", nargs="+", default=["bleu", "chrf"])
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    prepare_process(options.threads)
    keep_freed_memory()
    lines, references = (list(read_lines(path))[: options.max_lines] for path in (options.input, options.reference))
    rows: list[dict[str, Any]] = []
    baseline: list[str] | None = None
    for name, chosen in systems(options):
        found = decode(options.run, search_options(options.more) | chosen, lines, references)
        numbers, shown = scored(found["texts"], baseline, references, options.metrics)
        baseline = baseline or found["texts"]
        rows.append({"system": name, "options": chosen} | numbers | {"seconds": found["seconds"]})
        print(f"{name:28}{shown}  {found['seconds']:.1f} s", flush=True)
    with (Path(RESULTS) / "minimum_bayes_risk.jsonl").open("a", encoding="utf-8") as file:
        settings = {"run": options.run, "input": options.input.name, "lines": len(lines), "more": options.more}
        file.write(json.dumps({"processor": processor(), "settings": settings, "rows": rows}) + "\n")


if __name__ == "__main__":
    main()
