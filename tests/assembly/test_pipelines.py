import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

import seq2seq
from seq2seq.assembly.pipelines import TextPipeline, pipeline, said_by_model
from seq2seq.data.tokenizer import TextTokenizer
from tests.models.families.tiny_families import random_model, use_double_norms

TEXTS = ["jabc", "bca fed", "j"]

NEVER: dict[str, Any] = {"bad_words_ids": [[0], [1]]}
"""Padding and the start token, which random models would say."""
PREFIX = "abc "
SUMMARY = {"early_stopping": True, "length_penalty": 2.0, "max_length": 14, "min_length": 6, "no_repeat_ngram_size": 3}
OF_TASKS = {
    "summarization": SUMMARY | {"num_beams": 3, "prefix": PREFIX},
    "translation_en_to_de": {"max_length": 9, "num_beams": 2, "prefix": "de "},
}


def saved(folder: Path, family: str, general: dict[str, Any], **more: Any) -> tuple[Path, PreTrainedModel]:
    """Write a random model of a family with a tokenizer of letters; `general` goes into its generation config."""
    tokenizer = TextTokenizer.train(["abcdefghij "], ["abcdefghij "], kind="characters")
    ids = {"pad_token_id": tokenizer.pad_id, "eos_token_id": tokenizer.eos_id, "bos_token_id": tokenizer.bos_id}
    start = {"decoder_start_token_id": tokenizer.pad_id}
    torch.manual_seed(3)
    more = {"num_layers": 2} | more if family == "t5" else {"forced_eos_token_id": None} | more
    model = random_model(family, vocab_size=tokenizer.target_vocab_size, **ids, **start, **more)
    model.generation_config = GenerationConfig(**ids, **start, **NEVER | general)
    model.save_pretrained(folder)
    tokenizer.save(folder)
    return folder, model


def say_of_tasks(folder: Path, of_tasks: Any = OF_TASKS) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"task_specific_params": of_tasks}))


def generated(model: PreTrainedModel, translate: TextPipeline, text: str, **arguments: Any) -> list[torch.Tensor]:
    """Return what transformers generates for a text, with the start token and without padding."""
    tokenizer = translate.generator.tokenizer
    [ids] = tokenizer.encode_sources([text])
    rows = model.generate(torch.tensor([ids]), **arguments)
    found = []
    for row in rows:
        body = row[1:].tolist()
        end = body.index(tokenizer.eos_id) + 2 if tokenizer.eos_id in body else len(row)
        found.append(row[:end])
    return found


@pytest.mark.parametrize("family", ["marian", "t5", "bart"])
@pytest.mark.parametrize(
    ("arguments", "defaults"),
    [
        ({"num_beams": 1, "max_length": 12}, {}),
        ({"num_beams": 1, "max_new_tokens": 7, "min_new_tokens": 5}, {}),
        ({"num_beams": 3, "max_length": 12, "min_length": 8}, {}),
        ({"num_beams": 5, "max_new_tokens": 9, "num_return_sequences": 3, "length_penalty": 0.3}, {}),
        ({"num_beams": 3, "max_length": 17, "no_repeat_ngram_size": 2, "early_stopping": True}, {}),
        ({"num_beams": 2, "max_length": 17, "repetition_penalty": 1.7}, {}),
        ({"max_length": 12}, {"num_beams": 4}),
    ],
)
def test_results_are_those_of_generate(
    family: str, arguments: dict[str, Any], defaults: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_double_norms(monkeypatch)
    folder, model = saved(tmp_path, family, {})
    translate = pipeline("translation", model=str(folder), device="cpu")
    found = translate(TEXTS, **arguments, return_text=True, return_tensors=True)
    for text, results in zip(TEXTS, found, strict=True):
        expected = generated(model, translate, text, **arguments, **defaults)
        results = [results] if isinstance(results, dict) else results
        assert [result["translation_token_ids"].tolist() for result in results] == [row.tolist() for row in expected]
        texts = [translate.generator.tokenizer.decode(row.tolist()) for row in expected]
        assert [result["translation_text"] for result in results] == texts


def test_what_nobody_says_is_as_in_the_pipelines_of_transformers(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "silent", "marian", {})
    assert said_by_model(folder, "translation") == {"num_beams": 4, "max_new_tokens": 256} | NEVER
    folder, _ = saved(tmp_path / "talking", "marian", {"num_beams": 6, "max_length": 24})
    assert said_by_model(folder, "translation") == {"num_beams": 6, "max_length": 24} | NEVER
    folder, _ = saved(tmp_path / "old", "marian", {"max_length": 20})
    assert said_by_model(folder, "translation") == {"num_beams": 4, "max_new_tokens": 256} | NEVER


def test_what_a_model_says_of_generation_holds_unless_the_call_says_otherwise(tmp_path: Path) -> None:
    general = {"num_beams": 2, "max_new_tokens": 5, "no_repeat_ngram_size": 2}
    folder, model = saved(tmp_path, "marian", general)
    translate = pipeline("translation", folder, device="cpu", num_beams=3)
    for arguments in ({}, {"max_length": 11}, {"num_beams": 1}, {"bad_words_ids": [[5]]}):
        [expected] = generated(model, translate, "jabc", **{"num_beams": 3} | general | {"num_beams": 3} | arguments)
        if "max_length" in arguments:  # a limit of the call takes the place of the model's under its other name
            model.generation_config.max_new_tokens = None
            [expected] = generated(model, translate, "jabc", num_beams=3, max_length=11)
            model.generation_config.max_new_tokens = 5
        found = translate("jabc", **arguments, return_tensors=True)
        assert found[0]["translation_token_ids"].tolist() == expected.tolist(), arguments
    assert translate.generator.rules.constraints, "the model's own, which a call does not change"


def test_a_model_that_samples_is_searched_where_that_is_asked_for(tmp_path: Path) -> None:
    folder, model = saved(tmp_path, "bart", {"do_sample": True, "max_new_tokens": 8})
    translate = pipeline("translation", model=folder, device="cpu", return_tensors=True)
    for said, beams in (({}, 4), ({"num_beams": 1}, 1)):
        [found] = translate(TEXTS[0], do_sample=False, **said)
        [expected] = generated(model, translate, TEXTS[0], do_sample=False, num_beams=beams, max_new_tokens=8)
        assert found["translation_token_ids"].tolist() == expected.tolist()
        assert translate(TEXTS[0])[0]["translation_token_ids"].tolist() != expected.tolist()


def test_what_may_not_be_said_is_what_is_said_last(tmp_path: Path) -> None:
    folder, model = saved(tmp_path, "marian", {"num_beams": 2, "max_length": 12, "repetition_penalty": 3.0})
    translate = pipeline("translation", folder, device="cpu")
    [penalized], [free] = (generated(model, translate, "jabc", repetition_penalty=size) for size in (3.0, 1.0))
    assert penalized.tolist() != free.tolist()
    for arguments, expected in (({"repetition_penalty": 1.0}, free), ({}, penalized)):
        assert translate("jabc", **arguments, return_tensors=True)[0]["translation_token_ids"].tolist() == [*expected]
    beside = pipeline("translation", seq2seq.load(folder, device="cpu"))
    for text in TEXTS:
        [first] = generated(model, translate, text)
        forbidden = [[first[1].item()]]
        [expected] = generated(model, translate, text, bad_words_ids=NEVER["bad_words_ids"] + forbidden)
        found = beside(text, bad_words_ids=forbidden, return_tensors=True)
        assert found[0]["translation_token_ids"].tolist() == [*expected], "in addition to what the generator keeps to"
    with pytest.raises(ValueError, match="`bad_words_ids`.*write them as for `generate`"):
        beside("jabc", bad_words_ids=5)
    with pytest.raises(ValueError, match="99 is no token of the target vocabulary"):
        beside("jabc", suppress_tokens=[99])


def test_what_t5_and_bart_say_of_tasks_holds_for_these_tasks(tmp_path: Path) -> None:
    folder, model = saved(tmp_path, "t5", {"num_beams": 6, "max_length": 25})
    say_of_tasks(folder)
    summarize = pipeline("summarization", folder, device="cpu")
    assert summarize.generator.source_prefix == PREFIX
    [expected] = generated(model, summarize, PREFIX + "jabc", num_beams=3, **SUMMARY)
    assert summarize("jabc", return_tensors=True)[0]["summary_token_ids"].tolist() == expected.tolist()
    assert summarize("jabc") == [{"summary_text": summarize.generator.tokenizer.decode(expected.tolist())}]
    [shorter] = generated(model, summarize, PREFIX + "jabc", num_beams=3, **SUMMARY | {"max_length": 9})
    assert summarize("jabc", max_length=9, return_tensors=True)[0]["summary_token_ids"].tolist() == shorter.tolist()
    others = [pipeline(task, folder, device="cpu") for task in ("translation_en_to_de", "translation")]
    assert [other.generator.source_prefix for other in others] == ["de ", "de "]
    [expected] = generated(model, summarize, "de jabc", num_beams=2, max_length=9)
    assert others[0]("jabc", return_tensors=True)[0]["translation_token_ids"].tolist() == expected.tolist()
    plain = pipeline("text2text-generation", folder, device="cpu", max_length=6)
    assert plain.generator.source_prefix == ""
    assert [*plain("jabc")[0]] == ["generated_text"]
    assert pipeline("summarization", folder, device="cpu", prefix="").generator.source_prefix == ""


def test_a_prefix_of_the_whole_model(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path, "bart", {})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prefix": " "}))
    assert pipeline("summarization", folder, device="cpu").generator.source_prefix == " "


def test_a_model_that_was_trained_here_gets_no_words_of_others_in_front(copy_task: Path, tmp_path: Path) -> None:
    shutil.copytree(copy_task / "run" / "model", tmp_path / "model")
    say_of_tasks(tmp_path / "model")
    summarize = pipeline("summarization", tmp_path / "model", device="cpu")
    assert summarize.generator.source_prefix == ""
    assert summarize("abc") == [{"summary_text": "abc"}]


def test_a_first_token_that_is_forced_is_one_of_the_ids(tmp_path: Path) -> None:
    folder, model = saved(tmp_path, "bart", {"forced_bos_token_id": 5, "num_beams": 3, "max_length": 9})
    translate = pipeline("translation", folder, device="cpu")
    for arguments in ({}, {"suppress_tokens": [6]}):
        [expected] = generated(model, translate, "jabc", **arguments)
        found = translate("jabc", **arguments, return_tensors=True)
        assert found[0]["translation_token_ids"].tolist() == expected.tolist()
        assert expected[1] == 5


def test_what_a_task_says_and_there_is_not_is_named_with_its_file(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path, "t5", {})
    say_of_tasks(folder, {"summarization": {"num_beam_groups": 2}})
    with pytest.raises(ValueError, match=r"config\.json: `task_specific_params` of summarization: .*`num_beam_groups`"):
        pipeline("summarization", folder, device="cpu")


@pytest.fixture
def copying(copy_task: Path) -> TextPipeline:
    return pipeline("text2text-generation", copy_task / "run", device="cpu")


def test_a_run_says_itself_how_it_searches(copying: TextPipeline, copy_task: Path) -> None:
    assert copying.generator.search == seq2seq.load(copy_task / "run", device="cpu").search
    assert copying("abcd") == [{"generated_text": "abcd"}]


def test_shapes_of_what_goes_in_and_comes_out(copying: TextPipeline) -> None:
    one, two = {"generated_text": "abcd"}, {"generated_text": "fgh"}
    assert copying("abcd") == [one]
    assert copying(["abcd"]) == [one]
    assert copying(["abcd", "fgh"]) == [one, two]
    assert copying(("abcd", "fgh")) == [one, two]
    assert copying([]) == []
    nested = copying(["abcd", "fgh"], num_beams=4, num_return_sequences=2)
    assert [[*map(len, found)] for found in nested] == [[1, 1], [1, 1]]
    assert [found[0] for found in nested] == [one, two]
    assert len(copying("abcd", num_beams=4, num_return_sequences=3)) == 3
    lazy = copying(text for text in ["abcd", "fgh"])
    assert iter(lazy) is lazy
    assert [*lazy] == [[one], [two]]


class Rows:
    """A data set of torch: a length and rows by their numbers, which may go on beyond it."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> str:
        return ["abcd", "fgh", "no row"][index]


def test_data_sets_give_iterators(copying: TextPipeline) -> None:
    expected = [[{"generated_text": "abcd"}], [{"generated_text": "fgh"}]]
    rows = copying(Rows())
    assert next(rows) == expected[0]
    assert [*rows] == expected[1:]
    column = datasets.Dataset.from_dict({"text": ["abcd", "fgh"]})["text"]
    assert [*copying(column)] == (expected if not isinstance(column, list) else [found for [found] in expected])


@pytest.mark.parametrize("batch_size", [None, 3])
def test_an_iterator_is_read_as_far_as_a_batch_reaches(copying: TextPipeline, batch_size: int | None) -> None:
    read: list[str] = []

    def texts() -> Iterator[str]:
        for text in ["abcd", "fgh", "hgf", "abc", "bca"]:
            read.append(text)
            yield text

    results = copying(texts(), batch_size=batch_size)
    assert next(results) == [{"generated_text": "abcd"}]
    assert len(read) == (batch_size or 1)
    assert len([*results]) == 4


def test_arguments_of_a_call_change_nothing_for_the_next(copy_task: Path) -> None:
    copying = pipeline("text2text-generation", copy_task / "run", device="cpu", max_length=3)
    assert copying("abcd") == [{"generated_text": "ab"}]
    assert copying("abcd", max_new_tokens=3) == [{"generated_text": "abc"}]
    assert copying("abcd") == [{"generated_text": "ab"}]


def test_samples_are_drawn_as_those_of_a_generator(copying: TextPipeline, copy_task: Path) -> None:
    found = copying(["abcd"], do_sample=True, temperature=3.0, num_return_sequences=4)
    options: dict[str, Any] = {"method": "sampling", "temperature": 3.0, "n_best": 4, "top_k": 50}
    [expected] = seq2seq.load(copy_task / "run", device="cpu")(["abcd"], **options)
    assert [[result["generated_text"] for result in found[0]]] == [[hypothesis.text for hypothesis in expected]]


def test_texts_and_ids(copying: TextPipeline) -> None:
    [both] = copying("abcd", return_text=True, return_tensors=True)
    assert sorted(both) == ["generated_text", "generated_token_ids"]
    assert both["generated_token_ids"].dtype == torch.int64
    tokenizer = copying.generator.tokenizer
    assert both["generated_token_ids"].tolist() == [
        copying.generator.model.decoder_start_id,
        *tokenizer.encode_targets(["abcd"])[0],
    ]
    assert [*copying("abcd", return_tensors=True)[0]] == ["generated_token_ids"]


def test_spaces_before_punctuation(copying: TextPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "he does n't , I 'm , we 've ' so ' they 're it 's ? ! ."
    monkeypatch.setattr(copying.generator.tokenizer, "decode", lambda ids: said, raising=True)
    assert copying("abcd", clean_up_tokenization_spaces=False)[0]["generated_text"] == said
    cleaned = copying("abcd", clean_up_tokenization_spaces=True)[0]["generated_text"]
    assert cleaned == "he doesn't, I'm, we've'so'they're it's?!."


def test_a_text_that_fails_has_its_error(copying: TextPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = copying.generator.model.encode

    def encode_or_break(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        if input_ids.shape[1] > 5:
            raise RuntimeError("broken")
        return encode(input_ids, attention_mask)

    monkeypatch.setattr(copying.generator.model, "encode", encode_or_break, raising=True)
    first, second = copying(["abcdefgh", "abc"])
    assert first["generated_text"] == ""
    assert "broken" in first["error"]
    assert second == {"generated_text": "abc"}


def test_truncation_is_at_what_the_tokenizer_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = saved(tmp_path, "bart", {"max_length": 8})
    ids = {"pad_token": "<pad>", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    of_letters = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), model_max_length=5, **ids)
    of_letters.save_pretrained(folder)
    translate = pipeline("translation", folder, device="cpu")
    encoded: list[list[int]] = []
    encode = translate.generator.model.encode

    def encode_and_tell(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        encoded.append(attention_mask.sum(1).tolist())
        return encode(input_ids, attention_mask)

    monkeypatch.setattr(translate.generator.model, "encode", encode_and_tell, raising=True)
    for truncation in (True, False, None):
        translate(["abcdefghij"], truncation=truncation)
    assert encoded == [[5], [11], [11]]
    assert not [message for message in caplog.messages if "tokens, of which" in message]
    assert translate.generator.tokenizer.longest_source is None, "a call changes nothing for the next"
    with pytest.raises(ValueError, match="`truncation` must be True or False, but is 'shortest'"):
        translate("abc", truncation="shortest")


@pytest.mark.parametrize("texts", [3, None, b"abc", {"text": "abc"}])
def test_what_is_no_text_is_refused(copying: TextPipeline, texts: Any) -> None:
    with pytest.raises(ValueError, match="takes a text or many of them, but was given a"):
        copying(texts)


def test_what_is_no_text_among_texts_is_refused(copying: TextPipeline) -> None:
    with pytest.raises(ValueError, match="Text 2 must be a str, but is None"):
        copying(["abc", None])
    with pytest.raises(ValueError, match=r"Text 1 must be a str, but is \['abc'\]"):
        copying([["abc"]])


def test_a_generator_is_a_model(copying: TextPipeline, copy_task: Path) -> None:
    generator = seq2seq.load(copy_task / "run", device="cpu", mbr="chrf", num_samples=4)
    assert pipeline("summarization", generator)("abcd") == [{"summary_text": "abcd"}]
    assert pipeline("summarization", generator, prefix="ab").generator.source_prefix == "ab"
    assert generator.source_prefix == ""
    with pytest.raises(ValueError, match="`device` and `dtype` of a generator"):
        pipeline("summarization", generator, device=-1)


def test_tasks_that_there_are_not() -> None:
    for task in ("text-generation", "translation_en_de", None):
        with pytest.raises(ValueError, match="There is no task .*summarization.*translation_en_to_de"):
            pipeline(task, "runs/mine")  # type: ignore[arg-type]


def test_a_model_that_is_no_folder_is_refused_with_its_place(tmp_path: Path) -> None:
    _, model = saved(tmp_path, "marian", {})
    with pytest.raises(ValueError, match="`model` must be a folder, .* but is a MarianMTModel; give its folder"):
        pipeline("translation", model)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="but is a NoneType"):
        pipeline("translation")
    with pytest.raises(ValueError, match="`tokenizer` must be the one in the folder"):
        pipeline("translation", tmp_path, tokenizer="elsewhere")
    assert pipeline("translation", str(tmp_path), tokenizer=tmp_path, device="cpu").task == "translation"


def test_languages_are_refused_where_there_are_none(copying: TextPipeline, copy_task: Path) -> None:
    with pytest.raises(ValueError, match="`src_lang` is 'eng_Latn', but this model's tokenizer knows no languages"):
        copying("abc", src_lang="eng_Latn")
    with pytest.raises(ValueError, match="`tgt_lang`"):
        pipeline("translation", copy_task / "run", device="cpu", tgt_lang="deu_Latn")
    assert pipeline("translation_en_to_de", copy_task / "run", device="cpu")("abc") == [{"translation_text": "abc"}]


def test_warnings_of_transformers_are_not_missed(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path, "marian", {})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        translate = pipeline("translation", folder, device=-1, torch_dtype=torch.float32, framework="pt", num_workers=2)
        assert [result.keys() for result in translate("abc")] == [{"translation_text"}]
