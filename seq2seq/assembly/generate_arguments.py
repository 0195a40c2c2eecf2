"""Arguments of transformers' `generate` as options of a search here, with transformers' meaning.

Enters what somebody wrote for `generate` or for a pipeline of transformers 4, leave flat options that search the same
way. `max_length` and `min_length` count the start token there, and not here; sampling looks at the 50 likeliest tokens
unless it is told another number. What has no effect there has none here; what cannot be done here is an error.
"""

import math
from collections.abc import Mapping
from typing import Any

from seq2seq.assembly.foreign_names import OF_DECODING, ours_instead
from seq2seq.assembly.generation_config import WITHOUT_EFFECT

RENAMED = {
    "num_return_sequences": "n_best",
    "no_repeat_ngram_size": "no_repeat_ngram",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "epsilon_cutoff": "epsilon",
}
"""Arguments whose values are those of our options."""
OF_LANGUAGE = {"src_lang": "source_language", "tgt_lang": "target_language"}
OF_LENGTH = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
"""Two names each of one thing: with the start token of the decoder, and without."""
RULES = (
    *("repetition_penalty", "bad_words_ids", "suppress_tokens", "begin_suppress_tokens"),
    *("forced_eos_token_id", "renormalize_logits"),
)
"""Arguments that forbid or force tokens, see `generation_config.rules_of`."""
OF_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "epsilon_cutoff")
TRANSLATED = {
    *RULES,
    *(name for names in OF_LENGTH for name in names),
    *("num_beams", "do_sample", "length_penalty", "early_stopping"),
    *RENAMED,
}
"""All arguments that have a counterpart."""
NEUTRAL: Mapping[str, Any] = {
    **WITHOUT_EFFECT,
    **dict.fromkeys(("output_scores", "output_attentions", "output_hidden_states", "return_dict_in_generate"), False),
    "remove_invalid_values": False,
    "use_cache": True,
}
"""Values with which an argument that there is not changes nothing."""
INSTEAD = {
    **dict.fromkeys(("generation_config", "generate_kwargs"), "give its values as arguments of their own"),
    "max_time": "give `max_new_tokens`",
    **dict.fromkeys(("forced_bos_token_id", "decoder_start_token_id"), "give the language as `tgt_lang`"),
    **dict.fromkeys(("stop_sequence", "stop_strings", "eos_token_id"), "cut the text at it afterwards"),
    "seed": "samples are the same in every call; give a generator of `seq2seq.load(model, seed=…)` as `model`",
    "revision": "download it (`hf download NAME --revision …`) and give its folder as `model`",
    **dict.fromkeys(("token", "use_auth_token"), "log in by `hf auth login`, or set HF_TOKEN"),
    "constraints": "begin outputs by `seq2seq.load(model).stream(texts, prefixes=…)`",
}
"""What to do in place of arguments that no option has the meaning of."""
OUR_OPTIONS = "What has an option here is given to `seq2seq.load`, whose generator can be the `model` of a pipeline."
TOP_K = 50
"""Tokens among which transformers samples unless told otherwise."""


def layered(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of several layers, of which each beats those before it; None says nothing.

    A limit beats the same limit under its other name, and sampling a beam, from which nothing is sampled here.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        said = {name: value for name, value in layer.items() if value is not None}
        for names in OF_LENGTH:
            if said.keys() & {*names}:
                merged = {name: value for name, value in merged.items() if name not in names}
        if said.get("do_sample"):
            merged.pop("num_beams", None)
        merged |= said
    return merged


def search_options(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the flat options of the search that `generate` would do by these arguments.

    Raises:
        ValueError: there is nothing here that does the same, or a value is none; says what to write.
    """
    said = {name: value for name, value in arguments.items() if value is not None}
    for name, value in said.items():
        if name not in TRANSLATED and (name not in NEUTRAL or value != NEUTRAL[name]):
            raise not_here(name)
    options: dict[str, Any] = {} if not said.get("do_sample") else {"top_k": TOP_K}
    options |= {ours: said[theirs] for theirs, ours in RENAMED.items() if theirs in said}
    options |= _limits(said) | _method(said)
    if "length_penalty" in said:
        options |= {"length_penalty": said["length_penalty"], "length_normalization": "average"}
    if options.get("method") != "sampling":
        options = {name: value for name, value in options.items() if name not in {RENAMED[n] for n in OF_SAMPLING}}
    return options


def _method(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what chooses the algorithm; nothing where nothing is said of it, so that it is the model's own."""
    num_beams, early_stopping = said.get("num_beams"), said.get("early_stopping")
    if num_beams is not None:
        _whole("num_beams", num_beams, 1)
    if (said.get("do_sample") or num_beams == 1) and said.get("repetition_penalty", 1.0) != 1.0:
        raise ValueError(
            "`repetition_penalty` without beams is of logits, where this search has log-probabilities, as that of "
            "beams has in transformers; set `num_beams` to 2 or more, or leave it out."
        )
    if said.get("do_sample"):
        if num_beams not in (None, 1):
            raise ValueError(
                f"`do_sample` with `num_beams` {num_beams} would sample within a beam, which is not done here; leave "
                "out one of them."
            )
        return {"method": "sampling"}
    if num_beams == 1:
        if said.get("num_return_sequences", 1) != 1:
            raise ValueError("`num_return_sequences` above 1 needs `num_beams` of at least as many, or `do_sample`.")
        return {"method": "greedy"}
    if early_stopping not in (None, True, False):
        raise ValueError(
            f"`early_stopping` must be True or False, but is {early_stopping!r}; False goes on while something better "
            "may come."
        )
    found = {} if early_stopping is None else {"early_stopping": bool(early_stopping)}
    return found if num_beams is None else found | {"method": "beam", "beam_width": num_beams}


def _limits(said: Mapping[str, Any]) -> dict[str, int]:
    """Return the length limits, which here count all tokens but the start of the decoder."""
    limits, names = {}, {}
    for (with_start, without_start), least in zip(OF_LENGTH, (1, 0), strict=True):
        for name, start in ((with_start, 1), (without_start, 0)):  # the latter wins where both are given, as there
            if name in said:
                _whole(name, said[name], least + start if least else 0)
                limits[with_start], names[with_start] = max(said[name] - start, 0), name
    if "min_length" in limits and limits["min_length"] >= limits.get("max_length", math.inf):
        low, high = names["min_length"], names["max_length"]
        raise ValueError(
            f"`{low}` {said[low]} leaves no room for end of sentence within `{high}` {said[high]}; lower `{low}` or "
            f"raise `{high}`."
        )
    return limits


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"`{name}` must be a whole number of at least {least}, but is {value!r}.")


def not_here(name: str) -> ValueError:
    """Return the error of an argument that nothing here does the same as."""
    if name in INSTEAD:
        return ValueError(f"`{name}` is not to be had here; {INSTEAD[name]}.")
    if said := ours_instead(name, OF_DECODING):
        return ValueError(f"A pipeline here has no `{name}`. {said} {OUR_OPTIONS}")
    return ValueError(f"A pipeline here has no `{name}`; it has {', '.join(sorted(TRANSLATED))}. {OUR_OPTIONS}")


def in_their_words(text: str) -> str:
    """Return an error of a search with our options under the names that were given."""
    for theirs, ours in (RENAMED | OF_LANGUAGE | {"num_beams": "beam_width"}).items():
        text = text.replace(f"`{ours}`", f"`{theirs}`")
    return text
