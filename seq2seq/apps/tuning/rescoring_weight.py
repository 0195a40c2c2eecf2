"""`seq2seq decode --tune-rescoring-weight`: which share of the score from the right is best for text with references.

Each source is searched, and its strings scored from both ends, once; every weight then ranks the same strings. What
enters is the best hypothesis of each source by each weight, what leaves are those by the best weight, and a table.
"""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import replace

from seq2seq.assembly.scoring import make_metrics
from seq2seq.decoding.algorithms.rescoring import BestByWeight, Rescored
from seq2seq.decoding.parts.search import Search
from seq2seq.generation.output import NBest
from seq2seq.processes import Processes

WEIGHTS = tuple(tenths / 10 for tenths in range(11))


def by_every_weight(search: Search, arguments: Namespace, processes: Processes) -> BestByWeight:
    """Return the search whose n-best list is what `search` would find best by each of `WEIGHTS`.

    Raises:
        ValueError: it has no weight, or other options of `decode` do not fit.
    """
    make_metrics([arguments.tune_rescoring_weight])
    if not arguments.reference:
        raise ValueError("`--tune-rescoring-weight` scores the output; give what to score it against as `--reference`.")
    if processes.num_processes > 1:
        raise ValueError("`--tune-rescoring-weight` runs without `accelerate launch`; on a CPU it uses all cores.")
    if not isinstance(search, Rescored):
        raise ValueError("`--tune-rescoring-weight` is for hypotheses that are ranked anew; add `--rescore both`.")
    return BestByWeight(search, WEIGHTS)


def tuned(
    results: Iterable[NBest], references: Sequence[Sequence[str]], metric_name: str
) -> tuple[list[NBest], list[float], float]:
    """Return the results by the best weight, one hypothesis a source; the metric by each weight; and the best weight.

    Of weights that are equally good, it is the one nearest to 0.5.

    Args:
        results: of a search `by_every_weight`.
        references: of each source, one or more.

    Raises:
        ValueError: there are not as many references as results, or there is no such metric.
    """
    [metric], found = make_metrics([metric_name]), list(results)
    if len(found) != len(references):
        raise ValueError(f"{len(found)} lines were decoded, but the references have {len(references)}.")
    choices = [[_only(nbest, i) for nbest in found] for i in range(len(WEIGHTS))]
    texts = [[nbest.text for nbest in chosen] for chosen in choices]
    scores = [metric.score(metric.statistics(column, references).sum(0)).value for column in texts]
    sign = 1 if metric.higher_is_better else -1
    best = max(range(len(WEIGHTS)), key=lambda i: (sign * scores[i], -abs(WEIGHTS[i] - 0.5)))
    return choices[best], scores, WEIGHTS[best]


def _only(nbest: NBest, index: int) -> NBest:
    """Return one of a result's hypotheses as the only one; an empty source has the same one by every weight."""
    return replace(nbest, hypotheses=(nbest.hypotheses[index if len(nbest.hypotheses) > 1 else 0],))


def format_curve(metric_name: str, scores: Sequence[float], best: float) -> str:
    """Return a table of all weights, with the option that sets the best one."""
    lines = [f"{weight:6.1f}  {score:{len(metric_name)}.2f}" for weight, score in zip(WEIGHTS, scores, strict=True)]
    lines[WEIGHTS.index(best)] += "  best"
    return "\n".join([f"weight  {metric_name}", *lines, f"Decode with `--rescoring-weight {best}`."])
