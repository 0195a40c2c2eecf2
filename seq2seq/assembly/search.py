"""Searches for a model: the default one, one that flat options change, and what a search needs besides its options.

A configuration and a model folder hold a search as a component. `decode` and `load` take flat options beside it, such
as `beam_width` and `rescore`; here they become the component that they describe. One that the described search does not
have is an error which says where it belongs.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from seq2seq.assembly.flat_options import check_flat_options, flat_options
from seq2seq.config.declaring import options_of
from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import ONE_SIDED, SEARCHES
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.driver import Algorithm
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.algorithms.sampling import Sampling
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.decoding.parts.options import BeamOptions, EarlyStopping, OneSided, SearchOptions, returning_all
from seq2seq.decoding.parts.search import Search
from seq2seq.models.orders import wrong_order

logger = logging.getLogger(__name__)

# ---- the search of a model -------------------------------------------------------------------------------------------


def default_search(trained_order: str) -> Search:
    """Return the search of a model about which nothing is said: beam search in the order that it was trained for."""
    if trained_order == "bidirectional":
        return SynchronousBeamSearch()
    return InterleavedBeamSearch() if trained_order == "interleaved" else BeamSearch()


def beam_search_like(search: Search, beam_width: int) -> BeamSearch:
    """Return beam search of this width for one hypothesis, with what another search says of lengths and stopping."""
    inner = inner_search(search)
    values = _limits(inner)
    if isinstance(inner, EarlyStopping):
        values["early_stopping"] = inner.early_stopping
    return BeamSearch(**values, beam_width=beam_width)


def greedy_search_like(search: Search) -> Greedy:
    """Return greedy search with what another search says of lengths."""
    return Greedy(**_limits(inner_search(search)))


def within_reach(search: Search, max_target_tokens: int | None) -> Search:
    """Return a search whose `max_length` is not beyond what a model can take; say so in the log."""
    if isinstance(search, Rescored):
        return replace(search, candidates=within_reach(search.candidates, max_target_tokens))
    if isinstance(search, MinimumBayesRisk):
        candidates = None if search.candidates is None else within_reach(search.candidates, max_target_tokens)
        samples: Any = within_reach(search.samples, max_target_tokens)
        return replace(search, samples=samples, candidates=candidates)
    if max_target_tokens is None or not isinstance(search, SearchOptions) or search.max_length <= max_target_tokens:
        return search
    logger.warning(
        "`max_length` is %d, but the model has positions for %d tokens; outputs end there.",
        search.max_length,
        max_target_tokens,
    )
    return replace(search, max_length=max_target_tokens)


def complete_search(search: Search, trained_order: str, tokenizer: TextTokenizer | None) -> Search:
    """Return a search that can run: in the model's order, from the end that it begins at, with the texts it compares.

    Args:
        tokenizer: None only checks.

    Raises:
        ValueError: the model was not trained for such a search.
    """
    if isinstance(search, Rescored):
        return search.completed(trained_order)
    if isinstance(search, MinimumBayesRisk):
        from seq2seq.metrics.utility import make_utility  # here, because it loads sacreBLEU, which no other needs

        if trained_order == "interleaved":
            raise ValueError("`mbr` needs samples, which cannot be drawn in the order `interleaved`; leave out `mbr`.")
        parts: dict[str, Any] = {
            "samples": complete_search(search.samples, trained_order, tokenizer),
            "utility": make_utility(search.metric, pairwise=search.pairwise),
            "detokenize": None if tokenizer is None else tokenizer.decode,
        }
        if search.candidates is not None:
            parts["candidates"] = complete_search(returning_all(search.candidates), trained_order, tokenizer)
        return replace(search, **parts)
    if not isinstance(search, OneSided):
        order = "interleaved" if isinstance(search, InterleavedBeamSearch) else "bidirectional"
        if order != trained_order:
            raise wrong_order(trained_order, order)
        return search
    if search.generation_order == "auto" and trained_order in ("bidirectional", "interleaved"):
        return _in_pairs(search, trained_order)
    if search.generation_order not in ("auto", trained_order) and trained_order != "bidirectional":
        raise wrong_order(trained_order, search.generation_order)
    if trained_order == "l2r":
        return search
    is_right = search.generation_order == "r2l" or trained_order == "r2l"
    assert isinstance(search, Algorithm), "what begins at one end has one loop"
    return FromSide(search, RIGHT if is_right else LEFT)


def _in_pairs(search: OneSided, trained_order: str) -> Search:
    """Return a search of one hypothesis's tokens as one that generates from both ends, in a model's order.

    Raises:
        ValueError: there is no such search in that order.
    """
    if isinstance(search, Sampling) and trained_order == "bidirectional":
        return FromSide(search, LEFT)
    if not isinstance(search, BeamSearch | Greedy):
        raise ValueError(
            f"Generation in the order `{trained_order}` has beam search alone; leave out `method`"
            + (", or set `generation_order` to l2r or r2l." if trained_order == "bidirectional" else ".")
        )
    limits, is_narrow = _limits(search), isinstance(search, Greedy) or search.beam_width == 1
    if isinstance(search, BeamSearch):
        limits |= {"n_best": search.n_best, "early_stopping": search.early_stopping}
    if trained_order == "interleaved":
        return InterleavedBeamSearch(**limits, beam_width=1 if is_narrow else search.beam_width)  # type: ignore[union-attr]
    # The least that can generate from both ends is one hypothesis each.
    return SynchronousBeamSearch(**limits, beam_width=2 if is_narrow else search.beam_width)  # type: ignore[union-attr]


# ---- flat options ----------------------------------------------------------------------------------------------------


def changed_search(base: Search | None, changes: Mapping[str, Any], trained_order: str) -> Search:
    """Return the search that flat options make of another.

    Where they choose another algorithm, what the two have in common is kept.

    Args:
        base: None = the default of a model of this order.

    Raises:
        ValueError: there is no such option, it cannot have that value, or the search does not have it.
    """
    given = dict(changes)
    check_flat_options(given)
    base = default_search(trained_order) if base is None else base
    around = {name: given.pop(name) for name in (*_RESCORING, *_BAYES) if name in given}
    has_bayes = around.get("mbr", "none" if not isinstance(base, MinimumBayesRisk) else base.metric) != "none"
    has_rescoring = around.get("rescore", "none" if not isinstance(base, Rescored) else base.rescore) != "none"
    if has_bayes and has_rescoring:
        raise ValueError("`mbr` and `rescore` each rank the hypotheses in their own way; leave one of them out.")
    for names, is_there, selector in ((_RESCORING, has_rescoring, "rescore"), (_BAYES, has_bayes, "mbr")):
        for name in names:
            if name in around and name != selector and not is_there:
                raise ValueError(
                    f"`{name}` belongs to `{selector}`, which is not asked for; add it, or leave this out."
                )
    if has_rescoring:
        return _rescored(base, given, around, trained_order)
    if has_bayes:
        return _bayes(base, given, around, trained_order)
    return _plain(inner_search(base), given, trained_order)


def search_of_older_version(values: Mapping[str, Any], trained_order: str) -> Search:
    """Return the search that the flat options of an earlier version describe, which held those of all searches.

    Raises:
        ValueError: an option is out of range, or there is no such search any more.
    """
    if values.get("coverage_penalty", 0.0):
        raise ValueError("there is no `coverage_penalty` any more; delete it there to search without it.")
    known = {name for name, _, _ in flat_options()}
    given = {name: value for name, value in values.items() if name in known}
    if given.get("mbr", "none") != "none":
        counts = {*_BAYES, *_SAMPLED, *options_of(OneSided), *options_of(SearchOptions), "n_best"}
        if given.get("mbr_candidates") == "search":
            counts |= {"method", *options_of(ONE_SIDED[given.get("method", "beam")])}
        if not given.get("epsilon"):
            given.pop("epsilon", None)  # 0 left it to `mbr_epsilon`
    elif given.get("rescore", "none") != "none":
        counts = {*_RESCORING, "method", "n_best", *options_of(ONE_SIDED[given.get("method", "beam")])}
        counts -= {"generation_order"}
    else:
        if trained_order != "bidirectional" or given.get("pairing") == "rank":
            given.pop("pairing", None)
        kind, _ = _kind(BeamSearch(), dict(given), trained_order)
        counts = {"method", "generation_order", "pairing", *options_of(kind)}
    given = {name: value for name, value in given.items() if name in counts}
    return changed_search(BeamSearch(), given, trained_order)


_RESCORING = ("rescore", "rescoring_weight", "rescoring_margin")
_BAYES = ("mbr", "num_samples", "mbr_epsilon", "mbr_candidates", "mbr_pairwise")
_SAMPLED = ("temperature", "top_k", "top_p", "min_p", "epsilon", "seed")


def inner_search(search: Search) -> Search:
    """Return the search within one that ranks anew what others find."""
    if isinstance(search, Rescored):
        return search.candidates
    if isinstance(search, MinimumBayesRisk):
        return (
            search.candidates if search.candidates is not None else BeamSearch(**_in_common(search.samples, BeamSearch))
        )
    return search


def _plain(base: Search, given: dict[str, Any], trained_order: str) -> Search:
    """Return the search, of one model and not ranked anew, that flat options make of another."""
    kind, chosen = _kind(base, given, trained_order)
    values = (_values(base, kind) if type(base) is kind else _in_common(base, kind)) | chosen
    for name, value in given.items():
        if name not in options_of(kind):
            raise ValueError(_belongs_elsewhere(name, kind))
        values[name] = value
    search: Search = kind(**values)
    return search


def _kind(base: Search, given: dict[str, Any], trained_order: str) -> tuple[type, dict[str, Any]]:
    """Take what chooses an algorithm out of the options; return it, with the options that follow from the choice."""
    order, method = given.pop("generation_order", "auto"), given.pop("method", None)
    pairing = given.pop("pairing", None)
    if order == "auto" and pairing is not None:
        order = "bidirectional"
    if order in ("bidirectional", "interleaved"):
        if order != trained_order:
            raise wrong_order(trained_order, order)
        if method not in (None, "beam", "greedy"):
            raise ValueError(f"Generation in the order `{order}` has beam search alone; leave out `method`.")
        if pairing is not None and order == "interleaved":
            raise ValueError("`pairing` belongs to the order `bidirectional`; leave it out.")
        narrow = _narrow(given, order, method)
        if order == "interleaved":
            return InterleavedBeamSearch, narrow
        if pairing == "joint" or (pairing is None and isinstance(base, JointBeamSearch)):
            return JointBeamSearch, narrow
        return SynchronousBeamSearch, narrow | ({} if pairing is None else {"pairing": pairing})
    if order == "auto" and method in (None, "beam") and not isinstance(base, OneSided):
        return type(base), _narrow(given, trained_order)
    if order == "auto" and method is None:
        return type(base), {}
    kind = ONE_SIDED[method] if method else (type(base) if isinstance(base, OneSided) else BeamSearch)
    return kind, ({} if order == "auto" else {"generation_order": order})


def _narrow(given: dict[str, Any], order: str, method: str | None = None) -> dict[str, Any]:
    """Take beam width 1, or greedy search, out of the options; return the least that can generate from both ends."""
    if method != "greedy" and given.get("beam_width") != 1:
        return {}
    given.pop("beam_width", None)
    return {"beam_width": 2 if order == "bidirectional" else 1}


def _values(search: Search, kind: type) -> dict[str, Any]:
    return {name: getattr(search, name) for name in options_of(kind)}


def _limits(search: Search) -> dict[str, Any]:
    """Return what all searches of one model have in common: lengths and what no hypothesis may say."""
    return _values(search, SearchOptions) if isinstance(search, SearchOptions) else {}


def _in_common(search: Search, kind: type) -> dict[str, Any]:
    """Return the options that a search shares with another kind, as both have them from the same class."""
    shared = [
        c
        for c in (SearchOptions, BeamOptions, EarlyStopping, OneSided)
        if isinstance(search, c) and issubclass(kind, c)
    ]
    return {name: value for c in shared for name, value in _values(search, c).items()}


def _belongs_elsewhere(name: str, kind: type) -> str:
    here = next(own for own, other in SEARCHES.items() if other is kind)
    owners = [own for own, other in SEARCHES.items() if name in options_of(other)]
    return (
        f"`{name}` belongs to {' and '.join(owners)}, but the search is {here}; leave it out, or choose another search."
    )


def _rescored(base: Search, given: dict[str, Any], around: dict[str, Any], trained_order: str) -> Rescored:
    before = base if isinstance(base, Rescored) else Rescored()
    for name in ("generation_order", "pairing"):
        if given.get(name, "auto") not in ("auto", "interleaved"):
            raise ValueError(f"`rescore` says which ends are searched from, each by itself; leave out `{name}`.")
    n_best = given.pop("n_best", getattr(base, "n_best", 1))
    inner = inner_search(base)
    if trained_order != "interleaved" and not isinstance(inner, OneSided):
        inner = BeamSearch(**_in_common(inner, BeamSearch))
    strings = _plain(inner, given, trained_order)
    if trained_order == "interleaved" and isinstance(strings, OneSided):
        strings = _in_pairs(strings, trained_order)
    if isinstance(strings, OneSided):
        strings = replace(strings, generation_order="auto")
    if not isinstance(strings, Greedy):  # a sampling draws what it returns; others are told to return all they find
        strings = replace(strings, n_best=n_best if isinstance(strings, Sampling) else 1)  # type: ignore[type-var]
    return Rescored(
        rescore=around.get("rescore", before.rescore),
        candidates=strings,
        weight=around.get("rescoring_weight", before.weight),
        margin=around.get("rescoring_margin", before.margin),
        n_best=n_best,
    )


def _bayes(base: Search, given: dict[str, Any], around: dict[str, Any], trained_order: str) -> MinimumBayesRisk:
    before = base if isinstance(base, MinimumBayesRisk) else MinimumBayesRisk()
    n_best = given.pop("n_best", getattr(base, "n_best", 1))
    order = given.get("generation_order", "bidirectional" if "pairing" in given else "auto")
    if order in ("bidirectional", "interleaved"):
        instead = "set `generation_order` to l2r or r2l" if trained_order == "bidirectional" else "leave out `mbr`"
        raise ValueError(f"`mbr` needs samples, which cannot be drawn in the order `{order}`; {instead}.")
    sampled = {name: given.pop(name) for name in _SAMPLED if name in given}
    inner = inner_search(base)
    one_sided = inner if isinstance(inner, OneSided) else BeamSearch(**_in_common(inner, BeamSearch))
    searches = around.get("mbr_candidates", "samples" if before.candidates is None else "search") == "search"
    limits = {name: given[name] for name in given if name in options_of(OneSided) or name in options_of(SearchOptions)}
    num_samples = around.get("num_samples", before.samples.n_best)
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1, but is {num_samples}.")
    samples = replace(
        before.samples,
        **(_in_common(one_sided, Sampling) | limits | sampled),
        n_best=num_samples,
    )
    if "epsilon" not in sampled and "mbr_epsilon" in around:
        samples = replace(samples, epsilon=around["mbr_epsilon"])
    if not searches:
        given = {name: value for name, value in given.items() if (name, value) != ("method", "sampling")}
        for name in sorted(given.keys() - limits.keys()):
            raise ValueError(f"`{name}` belongs to `mbr_candidates` search; leave it out, or choose among a search's.")
    candidates = _plain(one_sided, given, trained_order) if searches else None
    if not isinstance(candidates, BeamSearch | DiverseBeamSearch | None):
        raise ValueError("`mbr_candidates` are those of a beam; set `method` to beam or diverse_beam.")
    return MinimumBayesRisk(
        metric=around.get("mbr", before.metric),
        samples=samples,
        candidates=candidates,
        pairwise=around.get("mbr_pairwise", before.pairwise),
        n_best=n_best,
    )
