"""From search options and the order that a model was trained in to the search that they describe."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from seq2seq.assembly.choices import made
from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.decoding import METHODS, Search
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.models.orders import wrong_order

logger = logging.getLogger(__name__)

PAIRINGS: dict[str, type[SynchronousBeamSearch] | type[JointBeamSearch]] = {
    "rank": SynchronousBeamSearch,
    "companion": SynchronousBeamSearch,
    "joint": JointBeamSearch,
}


def within_reach(options: dict[str, Any], max_target_tokens: int | None) -> dict[str, Any]:
    """Return search options whose `max_length` is not beyond what a model can take; say so in the log."""
    if max_target_tokens is None or options["max_length"] <= max_target_tokens:
        return options
    logger.warning(
        "`max_length` is %d, but the model has positions for %d tokens; outputs end there.",
        options["max_length"],
        max_target_tokens,
    )
    return options | {"max_length": max_target_tokens}


def build_search(
    options: dict[str, Any], trained_order: str, detokenize: Callable[[Sequence[int]], str] | None = None
) -> Search:
    """Return the search that `options`, named as in `DecodingConfig`, describe; options it does not have are unused.

    Args:
        detokenize: from target token ids to text, which minimum Bayes risk decoding compares.

    Raises:
        ValueError: the order is not one that the model was trained for, or there is no such search in it.
    """
    if options["mbr"] != "none":
        assert detokenize is not None, "minimum Bayes risk decoding compares texts"
        return _minimum_bayes_risk(options, trained_order, detokenize)
    if options["rescore"] != "none":
        return _rescored(options, trained_order)
    order = trained_order if options["generation_order"] == "auto" else options["generation_order"]
    if order != trained_order and (trained_order, order) not in (("bidirectional", "l2r"), ("bidirectional", "r2l")):
        raise wrong_order(trained_order, order)
    if order in ("l2r", "r2l"):
        search = made(METHODS[options["method"]], options)
        if order == "r2l":
            return FromSide(search, RIGHT)
        return search if trained_order == "l2r" else FromSide(search, LEFT)
    if options["method"] not in ("beam", "greedy"):
        raise ValueError(f"Generation in the order `{order}` has beam search alone; leave out `method`.")
    kind: type[Any] = InterleavedBeamSearch if order == "interleaved" else PAIRINGS[options["pairing"]]
    is_greedy = options["method"] == "greedy" or options["beam_width"] == 1
    # The least that can generate from both ends is one hypothesis each.
    return made(kind, options | {"beam_width": 1 if order == "interleaved" else 2} if is_greedy else options)


def _rescored(options: dict[str, Any], trained_order: str) -> Rescored:
    """Return the search whose hypotheses are ranked anew by two generation orders."""
    searched, scored = _rescoring_orders(options["rescore"], trained_order)
    inner = options | {"rescore": "none", "n_best": options["beam_width"]}
    searches = tuple(build_search(inner | {"generation_order": order}, trained_order) for order in searched)
    names = ("n_best", "length_penalty", "length_normalization")
    weight, margin = options["rescoring_weight"], options["rescoring_margin"]
    return Rescored(searches, weight, margin, orders=scored, **{name: options[name] for name in names})


def _rescoring_orders(rescore: str, trained_order: str) -> tuple[tuple[str, ...], tuple[str, str]]:
    """Return the orders that are searched in, and the two whose scores are mixed."""
    if trained_order == "interleaved":
        if rescore != "l2r":
            raise ValueError(
                "What an interleaved model generates can be ranked from the left alone: `rescore` must be `l2r`, but "
                f"is `{rescore}`."
            )
        return ("interleaved",), ("interleaved", "l2r")
    if trained_order != "bidirectional":
        raise ValueError(
            f"`rescore` needs both directions, but this model knows `{trained_order}` alone; give a second one that "
            "generates from the right as `--right-model` (`right_model` of `load`), as configs/multi30k_en_de_r2l.yaml "
            "trains it, or use a model of `--model.generation_order bidirectional`."
        )
    return {"r2l": ("l2r",), "l2r": ("r2l",), "both": ("l2r", "r2l")}[rescore], ("l2r", "r2l")


def _minimum_bayes_risk(
    options: dict[str, Any], trained_order: str, detokenize: Callable[[Sequence[int]], str]
) -> MinimumBayesRisk:
    """Return the search whose samples, or another search's hypotheses, are ranked by their expected utility."""
    from seq2seq.metrics.utility import make_utility  # here, because it loads sacreBLEU, which no other search needs

    order = trained_order if options["generation_order"] == "auto" else options["generation_order"]
    if order in ("bidirectional", "interleaved"):
        instead = "set `generation_order` to l2r or r2l" if trained_order == "bidirectional" else "leave out `mbr`"
        raise ValueError(f"`mbr` needs samples, which cannot be drawn in the order `{order}`; {instead}.")
    if options["rescore"] != "none":
        raise ValueError("`mbr` and `rescore` each rank the hypotheses in their own way; leave one of them out.")
    searched, n_best = options["mbr_candidates"] == "search", options["n_best"]
    limit = "beam_width" if searched else "num_samples"
    for name, value in (("n_best", n_best), ("num_samples", options["num_samples"])):
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1, but is {value}.")
    if n_best > options[limit]:
        raise ValueError(f"`{limit}` must be at least `n_best` ({n_best}), but is {options[limit]}.")
    inner = options | {"mbr": "none", "n_best": options["beam_width"]}
    drawn = {
        "method": "sampling",
        "n_best": options["num_samples"],
        "epsilon": options["epsilon"] or options["mbr_epsilon"],
    }
    return MinimumBayesRisk(
        samples=build_search(inner | drawn, trained_order),
        utility=make_utility(options["mbr"], pairwise=options["mbr_pairwise"]),
        detokenize=detokenize,
        candidates=build_search(inner, trained_order) if searched else None,
        n_best=n_best,
    )
