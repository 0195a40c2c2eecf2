"""`seq2seq decode --score-targets`: what a model gives targets that are given, for filtering, ranking and perplexity.

Lines of sources and of targets enter; for each leaves its target as a hypothesis with scores, in bounded memory. It is
the narrow door, with the length penalty of a search; `seq2seq likelihood` reads tables, filters, and shares the work.
"""

import itertools
from argparse import Namespace
from collections.abc import Iterable, Iterator

from seq2seq.assembly.flat_options import flat_options
from seq2seq.assembly.generator import TextGenerator
from seq2seq.generation.corpus import POOL_LINES
from seq2seq.generation.output import FORMATS, NBest

COUNTING = {"generation_order", "length_penalty", "length_normalization"}
"""Search options that a score depends on."""

UNFIT = ("prefixes", "reference", "trace", "tune_rescoring_weight", "tune_metric", "right_model", "left_model")
"""Other options of `decode` that are about what is searched."""


def check_score_targets(arguments: Namespace, num_processes: int) -> None:
    """Raise ValueError for an option of `decode` that has no meaning for targets that are given."""
    searched = [name for name, _, _ in flat_options() if name not in COUNTING]
    for name in (*UNFIT, *searched):
        if getattr(arguments, name) not in (None, (), []):
            flag = "--" + name.replace("_", "-")
            raise ValueError(f"`{flag}` is about what a model generates; leave it out with `--score-targets`.")
    if num_processes > 1:
        raise ValueError("`--score-targets` runs without `accelerate launch`.")


def scored_lines(
    generator: TextGenerator, sources: Iterable[str], targets: Iterable[str], max_source_tokens: int | None = None
) -> Iterator[NBest]:
    """Yield each source with its target, in input order.

    Raises:
        ValueError: there are more or fewer targets than sources.
    """
    numbered = enumerate(itertools.zip_longest(sources, targets))
    while pool := list(itertools.islice(numbered, POOL_LINES)):
        pairs = [(source, target) for _, (source, target) in pool if source is not None and target is not None]
        if len(pairs) < len(pool):
            raise ValueError(f"There are as many targets as sources up to line {pool[0][0] + len(pairs)} alone.")
        known, given = [source for source, _ in pairs], [target for _, target in pairs]
        found = generator.score_targets(known, given, max_source_tokens, first_row=pool[0][0])
        for (number, (source, _)), hypothesis in zip(pool, found, strict=True):
            yield NBest(number, source, (hypothesis,))


def score_format(name: str, nbest: NBest) -> list[str]:
    """Return the lines of a result in one of `FORMATS`; as text it is its normalised score."""
    if name == "text":
        return [f"{hypothesis.normalized_score:.6f}" for hypothesis in nbest.hypotheses]
    return FORMATS[name](nbest)
