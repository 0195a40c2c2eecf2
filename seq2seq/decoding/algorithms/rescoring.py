"""N-best lists ranked anew by what two generation orders give each string.

A string's score is a weighted mean of its log-probabilities in both, divided by its length penalty. That of the order
it was generated in is the search's own; that from the left or from the right, if it is another, is had from one
teacher-forced pass. Lists of several searches, without interaction, may be pooled first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from seq2seq.config.declaring import check_numbers, choice, part
from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.diverse_beam import DiverseBeamSearch
from seq2seq.decoding.algorithms.greedy import Greedy
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.sampling import Sampling
from seq2seq.decoding.algorithms.synchronous import best_of
from seq2seq.decoding.parts.options import LengthNormalization, length_divisor, returning_all
from seq2seq.decoding.parts.search import Search
from seq2seq.decoding.parts.teacher_forcing import log_probs_of
from seq2seq.generation.hypothesis import Hypothesis, checked, first_failure, has_failed
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.orders import wrong_order

CANDIDATES: dict[str, type[Any]] = {
    "beam": BeamSearch,
    "diverse_beam": DiverseBeamSearch,
    "greedy": Greedy,
    "sampling": Sampling,
    "interleaved": InterleavedBeamSearch,
}
"""What may find the strings, by name."""

SIDES = {"l2r": LEFT, "r2l": RIGHT}
"""Where the orders begin that any string can be scored in."""


@dataclass(frozen=True)
class Rescored:
    """The hypotheses of one or several searches, pooled, scored in two orders and ranked.

    What the strings come from follows from `rescore` and the model's order, see `completed`.

    Args:
        searches: what the strings come from; each returns its own n-best list.
        weight: share of the score from the right, or from the left in that of an `interleaved` model's hypotheses, 0 to
            1.
        margin: how far below a search's best score, per token with average length normalisation, a hypothesis is still
            ranked anew; those further below are left out, and one that is left alone keeps the search's score. 0 ranks
            all. docs/results/both_directions.md has what margins gain.
        n_best: hypotheses returned per sentence.
        orders: of generation; one that is neither `l2r` nor `r2l` must be that of all searches.
        rescore: rank the hypotheses anew by what both directions of a `bidirectional` model give them: `r2l` those of a
            search from the left, `l2r` those of one from the right, `both` of one each. Those of an `interleaved` model
            are ranked by a model from the left beside it: `l2r`.
        candidates: the search that finds them.

    Raises:
        ValueError: the weight is not between 0 and 1, or the margin is negative.
    """

    searches: tuple[Search, ...] = part(())
    weight: float = 0.5
    margin: float = 0.0
    n_best: int = 1
    length_penalty: float = part(1.0)
    length_normalization: LengthNormalization = part("average")
    orders: tuple[str, str] = part(("l2r", "r2l"))
    rescore: Literal["l2r", "r2l", "both"] = "both"
    candidates: Any = choice(CANDIDATES, "beam")

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1:
            raise ValueError(f"`weight` must be between 0 and 1, but is {self.weight}.")
        if self.margin < 0:
            raise ValueError(f"`margin` must be at least 0, but is {self.margin}.")
        if self.n_best < 1:
            raise ValueError(f"`n_best` must be at least 1, but is {self.n_best}.")
        check_numbers(self)

    def completed(self, trained_order: str) -> Self:
        """Return the search with what its strings come from, for a model of this order.

        Raises:
            ValueError: such a model does not know two orders, or not these.
        """
        searched, orders = orders_of(self.rescore, trained_order)
        found_by = self.candidates
        if searched == ("interleaved",) and not isinstance(found_by, InterleavedBeamSearch):
            raise ValueError(
                "What an interleaved model generates is found by interleaved search; set `candidates` to it."
            )
        if searched != ("interleaved",) and isinstance(found_by, InterleavedBeamSearch):
            raise wrong_order(trained_order, "interleaved")
        all_found = returning_all(found_by)
        sides = [FromSide(all_found, SIDES[order]) for order in searched if order in SIDES]
        return replace(
            self,
            searches=tuple(sides) or (all_found,),
            orders=orders,
            length_penalty=found_by.length_penalty,
            length_normalization=found_by.length_normalization,
        )

    @property
    def width(self) -> int:
        return max(search.width for search in self.searches)

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return each sentence's `n_best` strings, best first; see `search.Search`.

        Raises:
            ValueError: the model does not know both orders.
        """
        found = self.pooled(model, input_ids, attention_mask, prefixes, rows)
        contested = [
            place
            for place, hypotheses in enumerate(found)
            if not has_failed(hypotheses) and (len(hypotheses) > 1 or not self.margin)
        ]
        if contested:
            pooled = [found[place] for place in contested]
            scores = self.scores(model, input_ids[contested], attention_mask[contested], pooled)
            for place, hypotheses in zip(contested, self.ranked(pooled, scores), strict=True):
                found[place] = hypotheses
        return [hypotheses[: self.n_best] for hypotheses in found]

    def scores(
        self, model: Seq2Seq, input_ids: Tensor, attention_mask: Tensor, pooled: Sequence[Sequence[Hypothesis]]
    ) -> Tensor:
        """Return the weighted mean of both orders' log-probabilities of each string, float64 [B, N]."""
        scores = torch.zeros(len(pooled), max(map(len, pooled)), dtype=torch.float64)
        for order, share in zip(self.orders, (1 - self.weight, self.weight), strict=True):
            if share:
                scores += share * log_probs_in(order, model, input_ids, attention_mask, pooled)
        return scores

    def pooled(self, model: Seq2Seq, input_ids: Tensor, attention_mask: Tensor, *rest: Any) -> list[list[Hypothesis]]:
        """Return what the searches find for each sentence, each string once; arguments as for `search`.

        A sentence that one of them fails for is a failure.
        """
        lists = [search.search(model, input_ids, attention_mask, *rest) for search in self.searches]
        return [first_failure(found) or best_of(*map(self.within_margin, found)) for found in zip(*lists, strict=True)]

    def within_margin(self, hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        """Return those hypotheses of one search, best first, that are within the margin of the best."""
        least = hypotheses[0].normalized_score - self.margin
        return [h for h in hypotheses if h.normalized_score >= least] if self.margin else hypotheses

    def ranked(self, pooled: Sequence[Sequence[Hypothesis]], scores: Tensor) -> list[list[Hypothesis]]:
        """Return each sentence's hypotheses, best first, by scores [B, N] before their length penalty."""
        return [
            checked(sorted(map(self._rescored, hypotheses, row), key=lambda h: -h.normalized_score))
            for hypotheses, row in zip(pooled, scores.tolist(), strict=True)
        ]

    def _rescored(self, hypothesis: Hypothesis, score: float) -> Hypothesis:
        divisor = length_divisor(len(hypothesis.tokens), self.length_penalty, self.length_normalization)
        return replace(hypothesis, normalized_score=score / divisor)


def orders_of(rescore: str, trained_order: str) -> tuple[tuple[str, ...], tuple[str, str]]:
    """Return the orders that are searched in, and the two whose scores are mixed.

    Raises:
        ValueError: a model that was trained in this order does not know them.
    """
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


@dataclass(frozen=True)
class BestByWeight:
    """The best hypothesis by each of several weights, in their order: what a weight is chosen by.

    Strings are found and scored once for all weights.
    """

    rescored: Rescored
    weights: tuple[float, ...]

    @property
    def width(self) -> int:
        return self.rescored.width

    @torch.inference_mode()
    def search(
        self,
        model: Seq2Seq,
        input_ids: Tensor,
        attention_mask: Tensor,
        prefixes: Sequence[Sequence[int]] | None = None,
        rows: Sequence[int] | None = None,
    ) -> list[list[Hypothesis]]:
        """Return a hypothesis for each weight; see `Rescored.search`."""
        found = self.rescored.pooled(model, input_ids, attention_mask, prefixes, rows)
        places = [place for place, hypotheses in enumerate(found) if not has_failed(hypotheses)]
        results = [hypotheses * len(self.weights) for hypotheses in found]
        if not places:
            return results
        pooled = [found[place] for place in places]
        sources = (input_ids[places], attention_mask[places])
        first, second = (log_probs_in(order, model, *sources, pooled) for order in self.rescored.orders)
        by_weight = [self.rescored.ranked(pooled, (1 - w) * first + w * second) for w in self.weights]
        for place, lists in zip(places, zip(*by_weight, strict=True), strict=True):
            results[place] = [hypotheses[0] for hypotheses in lists]
        return results


def log_probs_in(
    order: str,
    model: Seq2Seq,
    input_ids: Tensor,
    attention_mask: Tensor,
    pooled: Sequence[Sequence[Hypothesis]],
) -> Tensor:
    """Return the log-probability of each sentence's hypotheses in that order, float64 [B, N], 0 where there is none."""
    scores = torch.zeros(len(pooled), max(map(len, pooled)), dtype=torch.float64)
    others = []
    for hypotheses, row in zip(pooled, scores, strict=True):
        row[: len(hypotheses)] = torch.tensor([h.score for h in hypotheses], dtype=torch.float64)
        others.append([place for place, h in enumerate(hypotheses) if h.direction != order])
    for num_rows in sorted({len(places) for places in others} - {0}):  # one pass each, so that no row is padding
        sources = [source for source, places in enumerate(others) if len(places) == num_rows]
        side = SIDES[order]
        ids = [tokens_from_side(pooled[source][place], side) for source in sources for place in others[source]]
        found = log_probs_of(model.from_side(side), input_ids[sources], attention_mask[sources], ids).double().cpu()
        for source, values in zip(sources, found.view(-1, num_rows), strict=True):
            scores[source][others[source]] = values
    return scores


def tokens_from_side(hypothesis: Hypothesis, side: int) -> list[int]:
    """Return the tokens as they are generated from that end.

    A string of the length limit has no end of sentence, and is scored without one.
    """
    tokens = list(hypothesis.tokens)
    if side == LEFT:
        return tokens
    return from_right(tokens) if hypothesis.finished else tokens[::-1]
