"""More sources to distil from: beginnings of sentences with ends of others, joined where both have the same words.

    python benchmarks/recombine_sources.py --input data/multi30k/raw/train.en --output extra.en --count 58000

"A man with a hat sleeps" and "A truck with two wheels" make "A man with two wheels". A teacher says what the new
sources become (`decode.py --input extra.en`), so they need no references. Only the first place of a kind in a sentence
is used, frequent kinds as often as they are frequent; results are new, unlike each other and of `--min-words` to
`--max-words` words.
"""

import argparse
import random
from pathlib import Path

PLACES = [
    *(" is ", " are ", " with ", " while ", " in front of ", " wearing ", " on a ", " in a ", " at a ", " near "),
    *(" as ", " holding ", " through "),
]
"""Of English captions."""

PATIENCE = 100_000
"""Draws in a row that bring nothing new, after which there is likely nothing left."""


def recombined(lines: list[str], places: list[str], count: int, words: range, seed: int) -> list[str]:
    """Return so many new lines.

    Raises:
        ValueError: there are not as many.
    """
    split = {place: [line.partition(place)[::2] for line in lines if line.find(place) > 0] for place in places}
    weights = [len(split[place]) for place in places]
    if not any(weights):
        raise ValueError("No line has any of the places to join at; give others with `--places`.")
    generator, seen, found, idle = random.Random(seed), set(lines), [], 0
    while len(found) < count:
        [place] = generator.choices(places, weights)
        line = generator.choice(split[place])[0] + place + generator.choice(split[place])[1]
        idle += 1
        if line not in seen and len(line.split()) in words:
            seen.add(line)
            found.append(line)
            idle = 0
        if idle > PATIENCE:
            raise ValueError(f"Only {len(found)} new lines can be found; ask for fewer with `--count`.")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, required=True, help="UTF-8, one source a line")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--places", nargs="+", default=PLACES, help="words to join at, with the spaces around them")
    parser.add_argument("--min-words", type=int, default=5)
    parser.add_argument("--max-words", type=int, default=22)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep-input", action="store_true", help="write the input's own lines first")
    options = parser.parse_args()
    lines = options.input.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    words = range(options.min_words, options.max_words + 1)
    try:
        found = recombined(lines, options.places, options.count, words, options.seed)
    except ValueError as error:
        parser.error(str(error))
    kept = lines if options.keep_input else []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text("\n".join([*kept, *found]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
