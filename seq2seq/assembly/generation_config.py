"""What a model folder's `generation_config.json` says of search, as a search of ours and what no hypothesis may say.

Whoever decodes with a pretrained model compares with `generate` of transformers, which reads that file. What has a
counterpart becomes the default of our option; what forbids or forces tokens becomes a constraint; what says nothing of
the text is passed over; anything else is an error that names it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seq2seq.decoding import BeamSearch, Sampling, Search
from seq2seq.decoding.algorithms.minimum_bayes_risk import MinimumBayesRisk
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.parts.constraints import (
    Constraint,
    ForcedEnd,
    Renormalized,
    SuppressedTokens,
    forbidden_sequences,
    repetition_penalty,
)
from seq2seq.decoding.parts.options import SearchOptions
from seq2seq.files import read_object
from seq2seq.models.families.folders import GENERATION_FILE
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.transformer.inference import CONFIG_FILE

MAPPED = (
    "num_beams", "num_return_sequences", "length_penalty", "early_stopping", "max_length", "max_new_tokens",
    "min_length", "min_new_tokens", "no_repeat_ngram_size", "do_sample", "temperature", "top_k", "top_p", "min_p",
    "epsilon_cutoff", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "forced_bos_token_id",
    "forced_eos_token_id", "renormalize_logits", "repetition_penalty",
)  # fmt: skip
"""What has a counterpart here."""
SILENT = (
    "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id", "decoder_input_ids",
    "transformers_version", "_from_model_config", "use_cache", "cache_implementation", "cache_config",
    "return_dict_in_generate", "output_attentions", "output_hidden_states", "output_scores", "output_logits",
    "return_legacy_cache", "remove_invalid_values", "disable_compile", "compile_config", "max_time", "low_memory",
    "generation_kwargs", "prefill_chunk_size", "token_healing", "max_matching_ngram_size", "num_assistant_tokens",
    "num_assistant_tokens_schedule", "assistant_confidence_threshold", "assistant_lookbehind", "target_lookbehind",
    "is_assistant", "assistant_early_exit", "continuous_batching_config",
)  # fmt: skip
"""What says nothing of which text is found; special tokens are the model's."""
WITHOUT_EFFECT: Mapping[str, Any] = {
    "num_beam_groups": 1,
    "diversity_penalty": 0.0,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
    "typical_p": 1.0,
    "eta_cutoff": 0.0,
    "guidance_scale": 1.0,
    "penalty_alpha": 0.0,
    "top_h": 1.0,
}
"""Of what is refused, the values that change nothing; None never does."""
OF_CONFIGURATION = (*MAPPED, *WITHOUT_EFFECT, "exponential_decay_length_penalty", "forced_decoder_ids", "sequence_bias")
"""What older folders say in `config.json`, where there is no `generation_config.json`."""


@dataclass(frozen=True)
class TargetRules:
    """What no hypothesis of a model may say, whatever the search."""

    constraints: tuple[Constraint, ...] = ()
    start: tuple[int, ...] = ()
    """Tokens that every hypothesis begins with, and that cost nothing."""
    other_ends: tuple[int, ...] = ()
    """Tokens that end a hypothesis as end of sentence does."""

    def applied(self, search: Search) -> Search:
        """Return a search that keeps to these rules."""
        if isinstance(search, Rescored):
            return replace(search, candidates=self.applied(search.candidates))
        if isinstance(search, MinimumBayesRisk):
            candidates = None if search.candidates is None else self.applied(search.candidates)
            samples: Any = self.applied(search.samples)
            return replace(search, samples=samples, candidates=candidates)
        if not isinstance(search, SearchOptions) or not (self.constraints or self.start or self.other_ends):
            return search
        constraints = [*search.constraints, *self.constraints]
        constraints = [ForcedEnd(c.token_id, search.max_length) if isinstance(c, ForcedEnd) else c for c in constraints]
        return replace(
            search,
            constraints=tuple(constraints),
            unscored=(*search.unscored, *self.start),
            other_ends=tuple(dict.fromkeys((*search.other_ends, *self.other_ends))),
        )


def read_generation_config(folder: Path) -> dict[str, Any]:
    """Return what a folder of transformers says of search; nothing where it has none of it."""
    if (folder / GENERATION_FILE).is_file():
        return {name: value for name, value in read_object(folder / GENERATION_FILE).items() if value is not None}
    config = read_object(folder / CONFIG_FILE)
    return {name: config[name] for name in OF_CONFIGURATION if config.get(name) is not None}


def check_known(values: Mapping[str, Any], place: Path) -> None:
    """Raise ValueError for the first value that changes what is found in a way that there is none here."""
    for name, value in values.items():
        if name in MAPPED or name in SILENT or value in (None, [], {}, WITHOUT_EFFECT.get(name)):
            continue
        raise ValueError(
            f"{place}: `{name}` ({value!r}) has no counterpart in this search; remove it there, or decode by "
            "`generate` of transformers."
        )


def search_of(values: Mapping[str, Any]) -> Search:
    """Return the search that a generation configuration describes.

    transformers counts the decoder's start token in `max_length` and `min_length`, which is not counted here. Where
    nothing is said of beams it has one, and we as many as for any other model.

    Raises:
        ValueError: a value is out of range, or there is no such search.
    """
    limits: dict[str, Any] = {"length_penalty": float(values.get("length_penalty", 1.0))}
    if "max_new_tokens" in values or "max_length" in values:
        limits["max_length"] = int(values.get("max_new_tokens", max(int(values.get("max_length", 0)) - 1, 1)))
    limits["min_length"] = values.get("min_new_tokens") or max(int(values.get("min_length", 0)) - 1, 0)
    limits["no_repeat_ngram"] = int(values.get("no_repeat_ngram_size", 0))
    if "max_length" not in limits:
        limits["max_length"] = max(SearchOptions.max_length, limits["min_length"] + 1)
    n_best = int(values.get("num_return_sequences", 1))
    width = int(values.get("num_beams", 1 if values.get("do_sample") else max(n_best, BeamSearch.beam_width)))
    if values.get("do_sample"):
        if width > 1:
            raise ValueError("`do_sample` with `num_beams` draws beams, which there is no search for; remove one")
        names = {"temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p"}
        names["epsilon_cutoff"] = "epsilon"
        drawn = {ours: values[theirs] for theirs, ours in names.items() if theirs in values}
        return Sampling(**limits, **{"top_k": 50} | drawn, n_best=n_best)
    if width == 1 and float(values.get("repetition_penalty", 1.0)) != 1.0:
        raise ValueError(
            "`repetition_penalty` without beams is of logits, and this search has log-probabilities, as that of beams "
            "has; remove it there, or set `num_beams` to 2 or more"
        )
    stops = values.get("early_stopping", False)
    if stops not in (True, False):
        raise ValueError(f"`early_stopping` {stops!r} has no counterpart in this search; true and false have")
    return BeamSearch(**limits, beam_width=width, n_best=n_best, early_stopping=stops)


def rules_of(values: Mapping[str, Any], model: Seq2Seq) -> TargetRules:
    """Return what a generation configuration forbids and forces, in the order in which transformers does.

    Raises:
        ValueError: a token is none of the model's.
    """
    constraints: list[Constraint] = []
    if (penalty := float(values.get("repetition_penalty", 1.0))) != 1.0:
        constraints.append(repetition_penalty(penalty, model.decoder_start_id))
    ends = (model.eos_id, *_other_ends(values, model))
    words = [list(word) for word in values.get("bad_words_ids", ()) if list(word) not in ([end] for end in ends)]
    if single := [word[0] for word in words if len(word) == 1]:
        constraints.append(SuppressedTokens(_tokens(single, model)))
    if longer := [list(_tokens(word, model)) for word in words if len(word) > 1]:
        constraints.append(forbidden_sequences(longer, model.decoder_start_id))
    if (end := values.get("forced_eos_token_id")) is not None:
        end = end[0] if isinstance(end, list) else end
        [end] = _tokens([end], model)
        constraints.append(ForcedEnd(end))
    if suppressed := values.get("suppress_tokens"):
        constraints.append(SuppressedTokens(_tokens(suppressed, model)))
    start = values.get("forced_bos_token_id")
    if suppressed := values.get("begin_suppress_tokens"):
        constraints.append(SuppressedTokens(_tokens(suppressed, model), at_step=0 if start is None else 1))
    if values.get("renormalize_logits"):
        constraints.append(Renormalized())
    return TargetRules(tuple(constraints), () if start is None else _tokens([start], model), _other_ends(values, model))


def _other_ends(values: Mapping[str, Any], model: Seq2Seq) -> tuple[int, ...]:
    """Return the tokens besides end of sentence that end a hypothesis.

    Raises:
        ValueError: they are none of the model's, or end of sentence does not end it.
    """
    ends = values.get("eos_token_id", model.eos_id)
    ends = _tokens(ends if isinstance(ends, list) else [ends], model)
    if model.eos_id not in ends:
        raise ValueError(f"`eos_token_id` is {list(ends)}, without the model's own, {model.eos_id}")
    return tuple(end for end in ends if end != model.eos_id)


def _tokens(ids: Any, model: Seq2Seq) -> tuple[int, ...]:
    for index in ids:
        if not isinstance(index, int) or not 0 <= index < model.vocab_size:
            raise ValueError(f"{index!r} is no token of the target vocabulary of {model.vocab_size}")
    return tuple(ids)
