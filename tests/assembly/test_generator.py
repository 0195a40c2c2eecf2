import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

import seq2seq
from seq2seq.assembly.decoding_defaults import read_decoding
from seq2seq.assembly.generator import TextGenerator, pick_device
from seq2seq.data.generation_order import LEFT, RIGHT
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import BeamSearch, DiverseBeamSearch, Greedy, Sampling, Search
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.models.ensemble import Ensemble
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from tests.oracles import token_log_probs
from tests.tiny_run import distinct_texts

TEXTS = ["jabc", "fgh"]


def write_model(
    folder: Path, tokenizer: TextTokenizer, seed: int = 1, generation_order: Any = "l2r", **options: Any
) -> Path:
    """Save an untrained model with this tokenizer."""
    torch.manual_seed(seed)
    config = Seq2SeqTransformerConfig(
        vocab_size=tokenizer.target_vocab_size,
        d_model=8,
        num_heads=2,
        encoder_layers=1,
        decoder_layers=1,
        ffn_size=13,
        generation_order=generation_order,
        pad_token_id=tokenizer.pad_id,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
        **options,
    )
    Seq2SeqTransformer(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


def write_bart(folder: Path, tokenizer: TextTokenizer) -> Path:
    """Save an untrained BART of 16 positions with this tokenizer."""
    torch.manual_seed(1)
    config = BartConfig(
        vocab_size=tokenizer.target_vocab_size,
        d_model=8,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=13,
        decoder_ffn_dim=13,
        max_position_embeddings=16,
        pad_token_id=tokenizer.pad_id,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.eos_id,
        forced_eos_token_id=None,
    )
    BartForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save(folder)
    return folder


@pytest.mark.parametrize("kind", ["ours", "BART", "ensemble"])
def test_what_is_longer_than_the_model_takes_is_cut(
    copy_task: Path, tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = TextTokenizer.load(copy_task / "run" / "model")
    if kind == "BART":
        folders = [write_bart(tmp_path, tokenizer)]
    else:
        limits = {"positions": "learned", "max_positions": 16}
        folders = [write_model(tmp_path / "learned", tokenizer, **limits)]
        if kind == "ensemble":
            folders.append(write_model(tmp_path / "endless", tokenizer))
    generator = seq2seq.load(folders, device="cpu", beam_width=2, min_length=15)
    assert caplog.messages == ["`max_length` is 256, but the model has positions for 16 tokens; outputs end there."]
    assert generator.search == BeamSearch(beam_width=2, min_length=15, max_length=16)
    caplog.clear()
    cut, exact, short = generator(["abcdefghij" * 3, "abcdefghijabcde", "abc"])
    assert caplog.messages == [
        "Line 1 has 31 tokens, of which the model takes 16; the rest of the line is not decoded."
    ]
    assert [hypothesis.error for hypothesis in (*cut, *exact, *short)] == [None] * 3
    assert cut == exact
    assert len(cut[0].tokens) == len(short[0].tokens) == 16


def test_unknown_options_are_refused_with_those_that_exist(copy_task: Path) -> None:
    with pytest.raises(ValueError, match=r"no search option `beams_`. There are .*beam_width"):
        seq2seq.load(copy_task / "run", device="cpu", beams_=3)
    generator = seq2seq.load(copy_task / "run", device="cpu")
    with pytest.raises(ValueError, match="no search option `num_beams`"):
        generator(TEXTS, num_beams=3)
    with pytest.raises(ValueError, match=r"`method` must be one of greedy, beam, .*'breadth'"):
        generator(TEXTS, method="breadth")
    with pytest.raises(ValueError, match="`beam_width` must be at least `n_best`"):
        generator("abc", beam_width=2, n_best=3)


def test_options_of_a_call_beat_those_of_load_and_those_of_the_run(copy_task: Path) -> None:
    generator = seq2seq.load(copy_task / "run", device="cpu", n_best=2)
    assert generator.search == BeamSearch(beam_width=3, n_best=2, max_length=13), "the width and the limit of the run"
    assert len(generator("abc")) == 2
    assert len(generator("abc", n_best=1)) == 1
    assert generator.search.n_best == 2, "a call changes nothing for the next"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"method": "greedy"}, Greedy(max_length=7)),
        ({"method": "beam"}, BeamSearch(beam_width=3, max_length=7)),
        ({"method": "sampling", "n_best": 2}, Sampling(n_best=2, max_length=7)),
        ({"method": "diverse_beam", "num_groups": 3}, DiverseBeamSearch(beam_width=3, num_groups=3, max_length=7)),
    ],
)
def test_a_method_takes_what_it_has_in_common_with_that_of_the_run(
    copy_task: Path, options: dict[str, Any], expected: Search
) -> None:
    searcher = seq2seq.load(copy_task / "run", device="cpu").searcher(**options, max_length=7)
    assert isinstance(searcher, InProcess)
    assert searcher.search == expected


def test_minimum_bayes_risk_in_python(copy_task: Path) -> None:
    generator = seq2seq.load(copy_task / "run", device="cpu", mbr="chrf", num_samples=16, temperature=2.0)
    ranked = generator("jabc", n_best=16)
    assert len({hypothesis.text for hypothesis in ranked}) == len(ranked) > 1
    assert ranked[0].text == "jabc"
    assert 20 < ranked[0].normalized_score < 100
    assert ranked[0].score == pytest.approx(sum(ranked[0].token_log_probs))
    [[best], _] = generator(TEXTS)
    assert best.text == "jabc"
    assert best.normalized_score == ranked[0].normalized_score, "batch-mates change nothing"


def test_a_run_and_its_model_folder_are_the_same(copy_task: Path) -> None:
    run, folder = (seq2seq.load(copy_task / "run" / part, device="cpu") for part in (".", "model"))
    assert run.fingerprint == folder.fingerprint
    assert run(TEXTS) == folder(TEXTS)


def test_a_device_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="`device` 'gpu' cannot be used"):
        pick_device("gpu")
    assert pick_device("cpu") == "cpu"


def test_an_ensemble_is_the_mean_of_its_members(copy_task: Path, tmp_path: Path) -> None:
    """Two members' log-probabilities of a text are derived from those of each alone."""
    other = write_model(tmp_path / "other", TextTokenizer.load(copy_task / "run" / "model"))
    members = [seq2seq.load(path, device="cpu") for path in (copy_task / "run", other)]
    both = seq2seq.load([copy_task / "run", other], device="cpu", weights=[3.0, 1.0], beam_width=1)
    assert isinstance(both.model, Ensemble)
    assert both.search.max_length == 13, "of the first member"
    [best] = both("jabc")
    vocabulary = {
        token: index for index, token in enumerate(both.tokenizer.target_tokens(range(both.model.vocab_size)))
    }
    tokens = [vocabulary[token] for token in best.tokens]
    start = torch.tensor([[both.tokenizer.decoder_start_id, *tokens[:-1]]])
    source = torch.tensor(both.tokenizer.encode_sources(["jabc"]))
    probabilities = [
        member.model.teacher_forced(source, torch.ones_like(source).bool(), start).softmax(-1)[0] for member in members
    ]
    mean = (0.75 * probabilities[0] + 0.25 * probabilities[1]).log().detach()
    expected = [float(mean[position, token]) for position, token in enumerate(tokens)]
    assert list(best.token_log_probs) == pytest.approx(expected, abs=1e-5)


def test_an_ensemble_needs_one_tokenizer(copy_task: Path, tmp_path: Path) -> None:
    tokenizer = TextTokenizer.train(distinct_texts(), ["abc"], kind="bpe", vocab_size=31)
    other = write_model(tmp_path / "other", tokenizer)
    with pytest.raises(ValueError, match=r"run/model, .*other: models that work together must have the same tokenizer"):
        seq2seq.load([copy_task / "run", other], device="cpu")


def test_fingerprints_tell_models_dtypes_and_weights_apart(copy_task: Path, tmp_path: Path) -> None:
    """A decode that was stopped goes on only where nothing that its output depends on has changed."""
    shutil.copytree(copy_task / "run" / "model", tmp_path / "model")
    first = seq2seq.load(tmp_path / "model", device="cpu").fingerprint
    assert seq2seq.load(copy_task / "run", device="cpu").fingerprint == first
    assert seq2seq.load(tmp_path / "model", device="cpu", precision="bf16").fingerprint != first
    pair = [tmp_path / "model"] * 2
    fingerprints = {seq2seq.load(pair, device="cpu", weights=[1.0, weight]).fingerprint for weight in (1.0, 2.0)}
    assert len(fingerprints) == 2
    decoding = json.loads((tmp_path / "model" / "decoding.json").read_text())
    (tmp_path / "model" / "decoding.json").write_text(json.dumps(decoding | {"source_prefix": "x"}))
    assert seq2seq.load(tmp_path / "model", device="cpu").fingerprint != first


def test_source_prefix_reaches_the_model_but_not_the_result(copy_task: Path) -> None:
    plain = seq2seq.load(copy_task / "run", device="cpu")
    prefixed = TextGenerator(plain.model, plain.tokenizer, plain.search, source_prefix="ab")
    [nbest] = prefixed.stream(["cde"])
    assert nbest.source == "cde"
    assert nbest.text == plain("abcde")[0].text


def test_long_sources_are_cut_where_asked(copy_task: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = seq2seq.load(copy_task / "run", device="cpu")
    [nbest] = generator.stream(["abcdefg"], max_source_tokens=4)
    assert nbest.text == generator("abc")[0].text
    assert "Line 1 has 8 tokens" in caplog.text


def test_a_given_target_scores_what_the_search_reports_of_it(copy_task: Path) -> None:
    """Of 7 sources with 3 hypotheses each, in one call, and with other length penalties."""
    generator = seq2seq.load(copy_task / "run", device="cpu", n_best=3, max_length=31)
    texts = distinct_texts()[:7]
    for options in ({}, {"length_penalty": 0.3, "length_normalization": "gnmt"}):
        found = [
            (text, h) for text, hypotheses in zip(texts, generator(texts, **options), strict=True) for h in hypotheses
        ]
        assert all(h.finished for _, h in found)
        scored = generator.score_targets([text for text, _ in found], [h.text for _, h in found], **options)
        for (_, expected), hypothesis in zip(found, scored, strict=True):
            assert (hypothesis.text, hypothesis.tokens) == (expected.text, expected.tokens)
            assert hypothesis.token_log_probs == pytest.approx(expected.token_log_probs, abs=1e-5)
            assert hypothesis.score == pytest.approx(expected.score, abs=1e-5)
            assert hypothesis.normalized_score == pytest.approx(expected.normalized_score, abs=1e-5)
    assert generator.score_targets([], []) == []
    with pytest.raises(ValueError, match="2 targets for 1 sources"):
        generator.score_targets(["abc"], ["abc", "cab"])


@pytest.mark.parametrize("value", [None, float("nan"), 7, ["a"]])
def test_what_is_no_text_is_named_and_not_left_out(copy_task: Path, value: Any) -> None:
    """A list of as many results would be of other texts than one thinks."""
    generator = seq2seq.load(copy_task / "run", device="cpu")
    for use in (
        lambda: generator(["abc", value, "cab"]),
        lambda: list(generator(iter(["abc", value]))),
        lambda: generator.score_targets(["abc", "cab"], ["abc", value]),
        lambda: generator.align(["abc", value], ["abc", "cab"]),
    ):
        with pytest.raises(ValueError, match=r"Text 2 must be a str, but is .*; give texts alone"):
            use()
    with pytest.raises(ValueError, match="`prefixes` is a single text"):
        next(generator.stream(["abc"], prefixes="a"))
    with pytest.raises(ValueError, match="`unit` must be words or tokens, but is 'word'"):
        generator.align(["abc"], ["abc"], unit="word")  # type: ignore[arg-type]


def test_no_model_is_no_ensemble() -> None:
    with pytest.raises(ValueError, match="No model is named"):
        seq2seq.load([])


@pytest.mark.parametrize(("trained", "order"), [("r2l", "auto"), ("bidirectional", "auto"), ("bidirectional", "r2l")])
def test_a_given_target_is_scored_in_the_order_of_the_search(
    copy_task: Path, tmp_path: Path, trained: str, order: str
) -> None:
    tokenizer = TextTokenizer.load(copy_task / "run" / "model")
    generator = seq2seq.load(
        write_model(tmp_path / "model", tokenizer, 3, trained), device="cpu", generation_order=order
    )
    side = LEFT if (trained, order) == ("bidirectional", "auto") else RIGHT
    texts, targets = distinct_texts()[:5], ["", "a", "jab", "abcdefg", "cc"]
    for source, target, scored in zip(texts, targets, generator.score_targets(texts, targets), strict=True):
        [input_ids], [ids] = tokenizer.encode_sources([source]), tokenizer.encode_targets([target])
        generated = ids if side == LEFT else [*reversed(ids[:-1]), ids[-1]]
        expected = token_log_probs(generator.model.from_side(side), input_ids, generated)
        read = expected if side == LEFT else [*reversed(expected[:-1]), expected[-1]]
        assert scored.token_log_probs == pytest.approx(read, abs=1e-5)
        assert (scored.text, scored.tokens) == (target, tuple(tokenizer.target_tokens(ids)))
        assert scored.direction == ("l2r" if side == LEFT else "r2l")


def test_an_interleaved_model_does_not_score_from_one_end(copy_task: Path, tmp_path: Path) -> None:
    tokenizer = TextTokenizer.load(copy_task / "run" / "model")
    generator = seq2seq.load(write_model(tmp_path / "model", tokenizer, 3, "interleaved"), device="cpu")
    with pytest.raises(ValueError, match="cannot generate in the order `l2r`"):
        generator.score_targets(["abc"], ["abc"])


@pytest.mark.parametrize(("value", "loads"), [(0.0, True), (0.2, False)])
def test_options_of_former_versions_are_passed_over_where_they_did_nothing(
    copy_task: Path, tmp_path: Path, value: float, loads: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(copy_task / "run" / "model", folder)
    search = {"method": "beam", "beam_width": 3, "max_length": 13, "num_groups": 5, "coverage_penalty": value}
    (folder / "decoding.json").write_text(json.dumps({"search": search, "source_prefix": ""}))
    if loads:
        generator = seq2seq.load(folder, device="cpu")
        assert generator.search == BeamSearch(beam_width=3, max_length=13)
        assert generator("jabc")[0].text == "jabc"
    else:
        with pytest.raises(ValueError, match=r"decoding.json: there is no `coverage_penalty` any more"):
            seq2seq.load(folder, device="cpu")


@pytest.mark.parametrize(
    "saved",
    [
        *({"search": {"beam": {"max_length": 10**9}}}, {"search": {"beam": {"beam_width": 10**6}}}),
        *({"search": {"method": "beam", "max_length": 10**9}}, {"max_source_tokens": -3}, {"max_source_tokens": 0}),
        *({"search": 3}, {"search": []}, {"source_prefix": {}}, {"more": 1}),
    ],
)
def test_a_search_of_a_folder_that_cannot_be_meant_is_named(saved: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "decoding.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=r"decoding\.json") as caught:
        read_decoding(tmp_path, "l2r")
    assert "\n" not in str(caught.value)


def test_what_a_folder_says_of_its_search_is_read(tmp_path: Path) -> None:
    saved = {"search": {"sampling": {"seed": 2**40}}, "source_prefix": "a ", "max_source_tokens": 9}
    (tmp_path / "decoding.json").write_text(json.dumps(saved))
    found = read_decoding(tmp_path, "l2r")
    assert (found.search.seed, found.source_prefix, found.max_source_tokens) == (2**40, "a ", 9)
