import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig

from seq2seq.assembly.generation_config import check_known, read_generation_config, rules_of, search_of
from seq2seq.assembly.search import greedy_search_like
from seq2seq.decoding import BeamSearch, Sampling
from seq2seq.models.interface import Seq2Seq
from seq2seq.models.loading import load_model
from tests.models.families.tiny_families import random_model, use_double_norms

NUM_SOURCES = 67
AS_SAVED: dict[str, dict[str, Any]] = {
    "marian": {
        "num_beams": 6,
        "bad_words_ids": [[28]],
        "forced_eos_token_id": 0,
        "renormalize_logits": True,
        "max_length": 24,
    },
    "bart": {
        "num_beams": 4,
        "forced_bos_token_id": 0,
        "forced_eos_token_id": 2,
        "no_repeat_ngram_size": 3,
        "length_penalty": 2.0,
        "min_length": 9,
        "max_length": 22,
        "early_stopping": True,
    },
    "mbart": {"num_beams": 5, "forced_eos_token_id": 2, "max_length": 20, "decoder_start_token_id": 2},
    "m2m100": {"num_beams": 5, "max_length": 29},
    "pegasus": {"num_beams": 8, "length_penalty": 0.6, "forced_eos_token_id": 1, "max_length": 21},
    "t5": {
        "num_beams": 4,
        "max_length": 19,
        "min_length": 5,
        "no_repeat_ngram_size": 3,
        "length_penalty": 2.0,
        "eos_token_id": [6, 1, 17, 23],
    },
    "flan_t5": {"num_beams": 3, "max_new_tokens": 17, "min_new_tokens": 4, "repetition_penalty": 1.3},
    "umt5": {
        "num_beams": 2,
        "max_length": 18,
        "suppress_tokens": [5, 11],
        "begin_suppress_tokens": [7, 13],
        "eos_token_id": [1, 9, 17, 21, 25],
    },
}
"""What the checkpoints of each family say, or what it can say; the rest of its kind is in others' files."""
OF_BEAMS = ("length_penalty", "early_stopping", "repetition_penalty")


def sources(padding: int) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = torch.randint(1, 18, (NUM_SOURCES,))
    mask = torch.arange(17) < lengths[:, None]
    return torch.randint(3, 28, (NUM_SOURCES, 17)).masked_fill(~mask, padding), mask


@pytest.mark.parametrize("beams", [1, None])
@pytest.mark.parametrize("name", AS_SAVED)
def test_search_finds_what_generate_does(
    name: str, beams: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_double_norms(monkeypatch)
    # Of T5's caches transformers makes as many layers as the encoder has.
    theirs = random_model(name, **({"num_layers": 2} if "t5" in name else {}))
    said = dict(AS_SAVED[name])
    if beams == 1:  # what beams alone have is a mistake beside one
        said = {key: value for key, value in said.items() if key not in OF_BEAMS}
        said["num_beams"] = 1
    languages = torch.randint(3, 28, (NUM_SOURCES,)) if name == "m2m100" else None
    theirs.generation_config = GenerationConfig(**theirs.generation_config.to_diff_dict() | said)
    theirs.save_pretrained(tmp_path)
    if name == "flan_t5":
        config = json.loads((tmp_path / "config.json").read_text()) | {"tie_word_embeddings": False}
        (tmp_path / "config.json").write_text(json.dumps(config))
    ours = load_model(tmp_path)
    values = read_generation_config(tmp_path)
    check_known(values, tmp_path)
    rules = rules_of(values, ours)
    search = search_of(values)
    assert isinstance(search, BeamSearch)
    assert search.beam_width == (beams or AS_SAVED[name]["num_beams"])
    if beams == 1:
        search = greedy_search_like(search)
    input_ids, mask = sources(ours.pad_id)
    starts = [list(rules.start)] * NUM_SOURCES if rules.start else None
    if languages is None:
        expected = theirs.generate(
            input_ids, attention_mask=mask.long(), return_dict_in_generate=True, output_scores=True
        )
        rows = [(expected.sequences[i], i) for i in range(NUM_SOURCES)]
        scores = getattr(expected, "sequences_scores", None)
    else:  # transformers has one language a call
        starts = [[int(language)] for language in languages]
        rules = replace(rules, start=tuple(range(3, 28)))
        calls = [
            theirs.generate(
                input_ids[i : i + 1],
                attention_mask=mask[i : i + 1].long(),
                forced_bos_token_id=int(languages[i]),
                return_dict_in_generate=True,
                output_scores=True,
            )
            for i in range(NUM_SOURCES)
        ]
        rows = [(call.sequences[0], i) for i, call in enumerate(calls)]
        scores = None if beams == 1 else torch.cat([call.sequences_scores for call in calls])
    found = rules.applied(search).search(ours, input_ids, mask, starts)
    ends = (ours.eos_id, *rules.other_ends)
    if "eos_token_id" in said:
        assert len({nbest[0].tokens[-1] for nbest in found if nbest[0].finished}) >= 2
    for sequence, i in rows:
        tokens = sequence.tolist()[1:]
        end = next((place for place, token in enumerate(tokens, start=1) if token in ends), len(tokens))
        assert list(found[i][0].tokens) == tokens[:end], i
        assert found[i][0].finished == (tokens[end - 1] in ends)
        if scores is not None:
            assert found[i][0].normalized_score == pytest.approx(scores[i].item(), abs=1e-5)


def of(values: dict[str, Any]) -> Any:
    return search_of(values)


def test_lengths_do_not_count_the_start_token() -> None:
    assert (of({"max_length": 20}).max_length, of({"max_new_tokens": 20}).max_length) == (19, 20)
    assert (of({"min_length": 20}).min_length, of({"min_new_tokens": 20}).min_length) == (19, 20)
    assert of({}) == BeamSearch()
    with pytest.raises(ValueError, match="`max_length` must be at least 1"):
        of({"max_new_tokens": 0})


def test_folders_from_before_there_was_such_a_file_say_all_of_it_in_their_configuration(tmp_path: Path) -> None:
    said = {"do_sample": True, "temperature": 0.7, "top_k": 13, "top_p": 0.9, "num_beams": 1, "max_length": 20}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "t5", "typical_p": 0.5, **said}))
    found = read_generation_config(tmp_path)
    assert of(found) == Sampling(temperature=0.7, top_k=13, top_p=0.9, max_length=19)
    with pytest.raises(ValueError, match="`typical_p` .* has no counterpart"):
        check_known(found, tmp_path)


def test_samples_are_drawn_as_the_file_says() -> None:
    found = of({"do_sample": True, "top_p": 0.9, "temperature": 0.7, "num_return_sequences": 3})
    assert found == Sampling(top_p=0.9, temperature=0.7, top_k=50, n_best=3)
    with pytest.raises(ValueError, match="`do_sample` with `num_beams`"):
        of({"do_sample": True, "num_beams": 4})


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_beam_groups", 2), ("encoder_no_repeat_ngram_size", 3), ("sequence_bias", [[[3], 1.0]]), ("surprise", 1)],
)
def test_what_has_no_counterpart_is_refused_by_name(name: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"`{name}` .* has no counterpart in this search; remove it there"):
        check_known({name: value}, tmp_path)


def test_what_changes_nothing_is_passed_over(tmp_path: Path) -> None:
    check_known({"num_beam_groups": 1, "guidance_scale": None, "use_cache": True, "num_beams": 3}, tmp_path)


def test_tokens_that_are_none_are_refused(tmp_path: Path) -> None:
    random_model("bart").save_pretrained(tmp_path)
    model: Seq2Seq = load_model(tmp_path)
    with pytest.raises(ValueError, match="37 is no token of the target vocabulary of 37"):
        rules_of({"suppress_tokens": [5, 37]}, model)
    with pytest.raises(ValueError, match="41 is no token of the target vocabulary of 37"):
        rules_of({"bad_words_ids": [[5], [7, 41]]}, model)


def test_end_of_sentence_must_be_among_what_ends(tmp_path: Path) -> None:
    model: Any = random_model("t5")
    model.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"`eos_token_id` is \[5, 6\], without the model's own, 1"):
        rules_of({"eos_token_id": [5, 6]}, load_model(tmp_path))
    assert rules_of({"eos_token_id": 1}, load_model(tmp_path)).other_ends == ()


def test_a_penalty_of_logits_is_refused_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`repetition_penalty` .* `num_beams`"):
        of({"num_beams": 1, "repetition_penalty": 1.3})
    assert of({"num_beams": 2, "repetition_penalty": 1.3}) == BeamSearch(beam_width=2)


def test_early_stopping_that_there_is_none_of() -> None:
    with pytest.raises(ValueError, match="`early_stopping` 'never' has no counterpart"):
        of({"num_beams": 4, "early_stopping": "never"})
