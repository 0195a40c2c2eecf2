"""What a sentence takes in batches as a server has them and as a file has, and what a step takes by its sentences.

    python benchmarks/batch_sizes.py --model runs/multi30k_en_de --input test.en --rounds 4

One process on one core, without a server: a server's process has half of 64 clients' sentences at a time, as they come;
from a file it has 126 of like length. Medians over rounds; in each, every way of batching has all sentences, and a
different one is the first. The result is printed as one line of JSON.
"""

import argparse
import itertools
import json
import random
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor

import seq2seq

Sentences = list[list[int]]
STEPS = 16
SIZES = (1, 2, 4, 8, 16, 32, 64, 126)


class Measured:
    """A model and its search, and sentences as token ids, those alike in length beside each other."""

    def __init__(self, folder: str, precision: str, texts: list[str]) -> None:
        generator = seq2seq.load(folder, precision=precision)
        self.model, self.search = generator.model, generator.search
        self.sentences = sorted(generator.tokenizer.encode_sources(texts), key=len)

    def _tensors(self, batch: Sentences) -> tuple[Tensor, Tensor]:
        longest = max(map(len, batch))
        ids = torch.tensor([sentence + [self.model.pad_id] * (longest - len(sentence)) for sentence in batch])
        lengths = torch.tensor([len(sentence) for sentence in batch])
        return ids, torch.arange(longest) < lengths.unsqueeze(1)

    def sentence(self, batches: list[Sentences]) -> float:
        """Return the milliseconds that a sentence of these batches takes."""
        begun = time.perf_counter()
        for batch in batches:
            self.search.search(self.model, *self._tensors(batch))
        return (time.perf_counter() - begun) / sum(map(len, batches)) * 1000

    @torch.inference_mode()
    def step(self, size: int) -> float:
        """Return the milliseconds that the model takes for one of the first steps of so many sentences."""
        model, width = self.model, self.search.width
        longer_half = itertools.cycle(self.sentences[len(self.sentences) // 2 :])
        state = model.encode(*self._tensors(list(itertools.islice(longer_half, size))))
        _, state = model.step(state, torch.full((size, 1), model.decoder_start_id))
        state = model.reorder(state, torch.zeros(size, width, dtype=torch.long))
        begun = time.perf_counter()
        for _ in range(STEPS):
            _, state = model.step(state, torch.full((size, width), self.sentences[0][0]))
        return (time.perf_counter() - begun) / STEPS * 1000

    def ways(self, seed: int) -> dict[str, list[Sentences]]:
        """Return ways of batching all sentences."""
        drawn = random.Random(seed).sample(self.sentences, len(self.sentences))
        return {
            "32": parts(drawn, 32),
            "two_of_16_alike": [half for part in parts(drawn, 32) for half in parts(sorted(part, key=len), 16)],
            "64": parts(drawn, 64),
            "126_alike": parts(self.sentences, 126),
        }


def parts(sentences: Sentences, size: int) -> list[Sentences]:
    return [sentences[start : start + size] for start in range(0, len(sentences), size)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="run or model folder")
    parser.add_argument("--input", required=True, help="file with one text per line")
    parser.add_argument("--precision", default="fp32", help="default: %(default)s")
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    texts = Path(arguments.input).read_text(encoding="utf-8").split("\n")[: arguments.lines]
    measured = Measured(arguments.model, arguments.precision, [text for text in texts if text.strip()])
    a_sentence: dict[str, list[float]] = {}
    a_step: dict[int, list[float]] = {}
    measured.sentence([measured.sentences[:64]])
    for number in range(arguments.rounds):
        ways = measured.ways(seed=number)
        names = list(ways)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            a_sentence.setdefault(name, []).append(measured.sentence(ways[name]))
        for size in SIZES:
            a_step.setdefault(size, []).append(statistics.median(measured.step(size) for _ in range(5)))
    result = {
        "milliseconds_a_sentence": {name: round(statistics.median(values), 1) for name, values in a_sentence.items()},
        "rounds": {name: [round(value, 1) for value in values] for name, values in a_sentence.items()},
        "milliseconds_a_step": {size: round(statistics.median(values), 1) for size, values in a_step.items()},
    }
    said = {"model": Path(arguments.model).name, "lines": len(measured.sentences), "precision": arguments.precision}
    print(json.dumps(said | result))


if __name__ == "__main__":
    main()
