"""What no output of a model may say, as values of JSON beside its graphs, and how one greedy search keeps to them.

Enter the constraints that a folder of transformers makes (`assembly/generation_config.py`); each leaves as an object
with one of the names of `APPLIED`, or `renormalize`, which comes last. The page applies the same rules in the same
order (`browser/rules.js`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from seq2seq.decoding.parts.constraints import (
    Constraint,
    ForcedEnd,
    LogitsProcessorConstraint,
    Renormalized,
    SuppressedTokens,
)

Rule = Mapping[str, Any]


def written_rules(constraints: Sequence[Constraint]) -> list[dict[str, Any]]:
    """Return constraints as values.

    Raises:
        ValueError: one is none of those that a folder can ask for.
    """
    return [_written(constraint) for constraint in constraints]


def _written(constraint: Constraint) -> dict[str, Any]:
    if isinstance(constraint, SuppressedTokens):
        at_step = {} if constraint.at_step is None else {"at_step": constraint.at_step}
        return {"suppress": list(constraint.token_ids), **at_step}
    if isinstance(constraint, ForcedEnd):
        return {"forced_end": constraint.token_id}
    if isinstance(constraint, Renormalized):
        return {"renormalize": True}
    if isinstance(constraint, LogitsProcessorConstraint) and isinstance(constraint.said, list):
        return {"forbid": constraint.said}
    if isinstance(constraint, LogitsProcessorConstraint) and isinstance(constraint.said, float):
        return {"repetition_penalty": constraint.said}
    raise ValueError(f"{constraint} has no counterpart in ONNX; decode with `seq2seq decode`.")


def generation_values(rules: Sequence[Rule]) -> dict[str, Any]:
    """Return rules by the names that `generation_config.json` has for them."""
    said: dict[str, Any] = {}
    for rule in rules:
        if "suppress" in rule:
            name = "begin_suppress_tokens" if "at_step" in rule else "suppress_tokens"
            said[name] = [*said.get(name, []), *rule["suppress"]]
        elif "forced_end" in rule:
            said["forced_eos_token_id"] = rule["forced_end"]
        elif "forbid" in rule:
            said["bad_words_ids"] = rule["forbid"]
        elif "renormalize" in rule:
            said["renormalize_logits"] = True
        else:
            said |= rule
    return said


def within_rules(
    log_probs: numpy.ndarray, tokens: Sequence[int], rules: Sequence[Rule], max_length: int, end: int
) -> numpy.ndarray:
    """Return log-probabilities of what follows, [V], with -inf for what may not; what can say nothing else may end.

    Args:
        log_probs: changed in place.
        tokens: so far, with the start token.
        end: end of sentence.
    """
    end_score = log_probs[end]
    for rule in rules:
        if "renormalize" not in rule:
            APPLIED[next(iter(rule))](log_probs, list(tokens), rule, max_length)
    if numpy.isneginf(log_probs).all():
        log_probs[end] = end_score
    if not any("renormalize" in rule for rule in rules):
        return log_probs
    shifted = log_probs - log_probs.max()
    return shifted - numpy.log(numpy.exp(shifted).sum())


def _suppress(log_probs: numpy.ndarray, tokens: list[int], rule: Rule, max_length: int) -> None:
    if rule.get("at_step", len(tokens) - 1) == len(tokens) - 1:
        log_probs[rule["suppress"]] = -numpy.inf


def _forced_end(log_probs: numpy.ndarray, tokens: list[int], rule: Rule, max_length: int) -> None:
    if len(tokens) == max_length:
        log_probs[:] = -numpy.inf
        log_probs[rule["forced_end"]] = 0.0


def _forbid(log_probs: numpy.ndarray, tokens: list[int], rule: Rule, max_length: int) -> None:
    for *begin, last in rule["forbid"]:
        if tokens[-len(begin) :] == begin:
            log_probs[last] = -numpy.inf


def _penalty(log_probs: numpy.ndarray, tokens: list[int], rule: Rule, max_length: int) -> None:
    seen, penalty = sorted(set(tokens)), rule["repetition_penalty"]
    values = log_probs[seen]
    log_probs[seen] = numpy.where(values < 0, values * penalty, values / penalty)


APPLIED: dict[str, Callable[[numpy.ndarray, list[int], Rule, int], None]] = {
    "suppress": _suppress,
    "forced_end": _forced_end,
    "forbid": _forbid,
    "repetition_penalty": _penalty,
}
"""How each is applied, by its first name."""
