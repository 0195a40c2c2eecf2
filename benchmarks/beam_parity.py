"""Compare our beam search with `generate` of transformers on one checkpoint: hypotheses, scores, and time.

    python benchmarks/beam_parity.py --model runs/multi30k_en_de --input data/multi30k/raw/val.en --beam-width 5

Both decode the same length-sorted batches in fp32 with the same settings, in turns, after one batch to warm up each.
Prints one JSON line: lines, lines whose n-best hypotheses differ, the largest difference of their normalised scores,
tokens per second of each, and the ratio of the times (median over rounds). `differences` shows lines that differ.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import Tensor

import seq2seq
from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.decoding import BeamSearch
from seq2seq.decoding.running.in_process import pad_sources
from seq2seq.lines import lines as read_lines

Found = list[list[tuple[tuple[int, ...], float]]]
"""Per sentence, its hypotheses with their normalised scores, best first."""


def ours(model: seq2seq.Seq2SeqTransformer, batch: tuple[Tensor, Tensor], options: argparse.Namespace) -> Found:
    search = BeamSearch(
        beam_width=options.beam_width,
        n_best=options.n_best,
        length_penalty=options.length_penalty,
        max_length=options.max_length,
    )
    found = search.search(model, *batch)
    return [[(hypothesis.tokens, hypothesis.normalized_score) for hypothesis in sentence] for sentence in found]


def theirs(model: seq2seq.Seq2SeqTransformer, batch: tuple[Tensor, Tensor], options: argparse.Namespace) -> Found:
    with torch.inference_mode():
        output = model.generate(
            input_ids=batch[0],
            attention_mask=batch[1],
            num_beams=options.beam_width,
            num_return_sequences=options.n_best,
            length_penalty=options.length_penalty,
            max_new_tokens=options.max_length,
            max_length=None,
            early_stopping=False,
            return_dict_in_generate=True,
            output_scores=options.beam_width > 1,
        )
    sequences = [trimmed(row[1:], model.eos_id) for row in output.sequences.tolist()]
    scores = [float(score) for score in output.sequences_scores]
    pairs = list(zip(sequences, scores, strict=True))
    return [pairs[start : start + options.n_best] for start in range(0, len(pairs), options.n_best)]


def trimmed(tokens: Sequence[int], eos_id: int) -> tuple[int, ...]:
    """Return the tokens up to and with end of sentence; what follows is padding."""
    return tuple(tokens[: tokens.index(eos_id) + 1] if eos_id in tokens else tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--beam-width", type=int, default=5)
    parser.add_argument("--n-best", type=int, default=1)
    parser.add_argument("--length-penalty", type=float, default=1.0)
    parser.add_argument("--max-length", type=int, default=100)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--max-lines", type=int)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    transformers.utils.logging.set_verbosity_error()

    generator = seq2seq.load(options.model, device="cpu", precision="fp32")
    model = seq2seq.load(options.model, device="cpu", precision="fp32", trainable=True).model
    lines = [line for line in list(read_lines(Path(options.input)))[: options.max_lines] if line.strip()]
    sources = generator.tokenizer.encode_sources(lines)
    lengths = torch.tensor([len(source) for source in sources]).numpy()
    order = length_sorted_batches(lengths, batch_tokens=options.batch_tokens, beam_width=options.beam_width)
    batches = [pad_sources([sources[row] for row in rows]) for rows in order]

    systems = {"ours": partial(ours, generator.model), "transformers": partial(theirs, model)}
    for system in systems.values():
        system(batches[-1], options)
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    found: dict[str, Found] = {}
    for _ in range(options.rounds):
        for name, system in systems.items():
            started = time.perf_counter()
            found[name] = [sentence for batch in batches for sentence in system(batch, options)]
            seconds[name].append(time.perf_counter() - started)

    rows = [row for batch in order for row in batch]
    differences, score_difference = [], 0.0
    for row, mine, other in zip(rows, found["ours"], found["transformers"], strict=True):
        if [tokens for tokens, _ in mine] != [tokens for tokens, _ in other]:
            differences.append({"line": int(row) + 1, "ours": mine[0], "transformers": other[0]})
        else:
            score_difference = max([score_difference, *(abs(a[1] - b[1]) for a, b in zip(mine, other, strict=True))])
    num_tokens = sum(len(sentence[0][0]) for sentence in found["ours"])
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["transformers"], strict=True)]
    report = {
        "lines": len(rows),
        "different": len(differences),
        "largest_score_difference": score_difference,
        "tokens_per_second": {name: num_tokens / statistics.median(times) for name, times in seconds.items()},
        "times_faster": statistics.median(ratios),
        "settings": {name: value for name, value in vars(options).items() if name not in ("model", "input")},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "differences": differences[:5],
    }
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main()
