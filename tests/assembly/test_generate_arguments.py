from typing import Any

import pytest

from seq2seq.assembly.generate_arguments import in_their_words, layered, search_options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, {}),
        ({"max_length": 20}, {"max_length": 19}),
        ({"max_new_tokens": 20}, {"max_length": 20}),
        ({"max_length": 20, "max_new_tokens": 7}, {"max_length": 7}),
        ({"min_length": 6}, {"min_length": 5}),
        ({"min_length": 0}, {"min_length": 0}),
        ({"min_length": 9, "min_new_tokens": 6}, {"min_length": 6}),
        ({"num_beams": 1}, {"method": "greedy"}),
        ({"num_beams": 1, "early_stopping": True}, {"method": "greedy"}),
        ({"num_beams": 4}, {"method": "beam", "beam_width": 4}),
        ({"num_return_sequences": 3}, {"n_best": 3}),
        ({"early_stopping": True, "num_beams": 2}, {"method": "beam", "beam_width": 2, "early_stopping": True}),
        ({"length_penalty": 2}, {"length_penalty": 2, "length_normalization": "average"}),
        ({"no_repeat_ngram_size": 3}, {"no_repeat_ngram": 3}),
        ({"do_sample": True}, {"method": "sampling", "top_k": 50}),
        ({"do_sample": True, "num_beams": 1}, {"method": "sampling", "top_k": 50}),
        (
            {"do_sample": True, "top_k": 0, "top_p": 0.9, "temperature": 0.7, "min_p": 0.1, "epsilon_cutoff": 0.01},
            {"method": "sampling", "top_k": 0, "top_p": 0.9, "temperature": 0.7, "min_p": 0.1, "epsilon": 0.01},
        ),
        ({"do_sample": False, "top_k": 50, "temperature": 1.0, "num_beams": 1}, {"method": "greedy"}),
        ({"repetition_penalty": 1.0, "num_beam_groups": 1, "use_cache": True, "max_time": None}, {}),
        ({"bad_words_ids": [[3]], "renormalize_logits": True, "repetition_penalty": 1.2}, {}),
    ],
)
def test_options_that_do_what_arguments_do(arguments: dict[str, Any], options: dict[str, Any]) -> None:
    assert search_options(arguments) == options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_length": 1}, "`max_length` must be a whole number of at least 2, but is 1"),
        ({"max_new_tokens": 0}, "`max_new_tokens` must be a whole number of at least 1, but is 0"),
        ({"max_length": 8.0}, r"`max_length` must be a whole number .* 8\.0"),
        ({"min_length": -1}, "`min_length` must be a whole number of at least 0"),
        ({"num_beams": True}, "`num_beams` must be a whole number of at least 1, but is True"),
        ({"min_length": 30, "max_new_tokens": 20}, "`min_length` 30 leaves no room .* `max_new_tokens` 20; lower"),
        ({"num_beams": 1, "num_return_sequences": 2}, "`num_return_sequences` above 1 needs `num_beams`"),
        ({"do_sample": True, "num_beams": 2}, "`do_sample` with `num_beams` 2"),
        ({"early_stopping": "never"}, "`early_stopping` must be True or False, but is 'never'"),
        ({"num_beams": 1, "repetition_penalty": 1.2}, "`repetition_penalty` without beams"),
        ({"do_sample": True, "repetition_penalty": 1.2}, "`repetition_penalty` without beams"),
        ({"num_beam_groups": 2}, "no `num_beam_groups`.*`num_groups`.*`seq2seq.load`"),
        ({"penalty_alpha": 0.6}, "no `penalty_alpha`"),
        ({"forced_bos_token_id": 5}, "`forced_bos_token_id` .* `tgt_lang`"),
        ({"beam_width": 5}, "no `beam_width`; it has .*num_beams.*`seq2seq.load`"),
        ({"generation_config": object()}, "`generation_config` .* arguments of their own"),
        ({"revision": "main"}, "`revision` .* give its folder"),
        ({"use_cache": False}, "no `use_cache`"),
    ],
)
def test_what_cannot_be_done_is_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        search_options(arguments)


def test_later_layers_beat_earlier_ones_under_either_name() -> None:
    model = {"max_length": 200, "min_length": 30, "num_beams": 4, "length_penalty": 2.0}
    assert layered(model, {"max_new_tokens": 9}) == {
        "min_length": 30,
        "num_beams": 4,
        "length_penalty": 2.0,
        "max_new_tokens": 9,
    }
    assert layered({"max_new_tokens": 256}, {"max_length": 9}) == {"max_length": 9}
    assert layered(model, {"min_new_tokens": 0})["min_new_tokens"] == 0
    assert "min_length" not in layered(model, {"min_new_tokens": 0})
    assert layered(model, {"num_beams": None}) == model
    assert "num_beams" not in layered(model, {"do_sample": True})
    assert layered(model, {"do_sample": True, "num_beams": 4})["num_beams"] == 4


def test_errors_of_a_search_have_the_names_that_were_given() -> None:
    assert in_their_words("`beam_width` must be at least `n_best`") == (
        "`num_beams` must be at least `num_return_sequences`"
    )
