"""CTranslate2 and our own search over the same random weights: the same tokens, and the same scores within float32."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from seq2seq.assembly.decoding_defaults import DecodingDefaults, read_decoding
from seq2seq.config.writing import plain
from seq2seq.data.huggingface_tokenizer import HuggingFaceTokenizer
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.running.in_process import pad_sources
from seq2seq.engines.ctranslate2_engine import CTranslate2Engine
from seq2seq.engines.ctranslate2_vocabulary import ctranslate2_vocabularies, distinct
from seq2seq.export.ctranslate2_export import export_ctranslate2, transformer_spec
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.transformer import Seq2SeqTransformer
from tests.data.test_tokenizer import ENGLISH, GERMAN
from tests.export.untrained import MAX_LENGTH, SEARCH, TEXTS, random_model, tokenizer

ctranslate2 = pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")

__all__ = ["tokenizer"]

VARIANTS: list[dict[str, Any]] = [
    {"positions": "sinusoidal"},
    {"positions": "rotary"},
    {"positions": "learned", "norm": "rms_norm"},
    {"norm_position": "post", "activation": "gelu"},
    {"activation": "gelu_tanh", "tie_embeddings": "target"},
    {"positions": "closed_sinusoidal", "position_offset": 2},
    {"positions": "learned", "position_offset": 2, "embedding_norm": True, "output_bias": True},
]
SUM_TOLERANCE = 2e-4
"""Of a sum of log-probabilities: float32 itself, since either side is up to 1e-4 from float64 with these weights."""


def our_search(model: Seq2SeqTransformer, sources: list[list[int]], beam_width: int) -> list[list[Hypothesis]]:
    search = BeamSearch(beam_width, n_best=beam_width, length_penalty=0.7, max_length=MAX_LENGTH, early_stopping=True)
    return search.search(model, *pad_sources(sources))


def their_search(folder: Path, sources: list[list[str]], beam_width: int) -> list[Any]:
    translator = ctranslate2.Translator(str(folder), device="cpu", intra_threads=1)
    return translator.translate_batch(
        sources,
        beam_size=beam_width,
        num_hypotheses=beam_width,
        length_penalty=0.7,
        max_decoding_length=MAX_LENGTH,
        min_decoding_length=0,
        return_scores=True,
        return_end_token=True,
    )


def forced_score(model: Seq2SeqTransformer, source: list[int], target: tuple[int, ...]) -> float:
    """Return the log-probability that our model gives to a target."""
    inputs = torch.tensor([[model.decoder_start_id, *target[:-1]]])
    logits = model.teacher_forced(*pad_sources([source]), inputs)
    return logits.detach().log_softmax(-1)[0].gather(1, torch.tensor(target).unsqueeze(1)).sum().item()


def assert_same(model: Seq2SeqTransformer, tokenizer: TextTokenizer, folder: Path, beam_width: int) -> list[Hypothesis]:
    """Compare n-best lists of all texts; return ours, flat."""
    source_tokens, target_tokens = ctranslate2_vocabularies(tokenizer)
    sources = tokenizer.encode_sources(TEXTS)
    ours = our_search(model, sources, beam_width)
    theirs = their_search(folder, [[source_tokens[i] for i in ids[:-1]] for ids in sources], beam_width)
    for ids, hypotheses, result in zip(sources, ours, theirs, strict=True):
        found = [tuple(map(target_tokens.index, tokens)) for tokens in result.hypotheses]
        for hypothesis, tokens in zip(hypotheses, found, strict=True):  # others are as likely, to rounding
            assert hypothesis.tokens == tokens or hypothesis.score == pytest.approx(
                forced_score(model, ids, tokens), abs=SUM_TOLERANCE, rel=0
            )
        sums = [score * len(tokens) ** 0.7 for tokens, score in zip(result.hypotheses, result.scores, strict=True)]
        assert [h.score for h in hypotheses] == pytest.approx(sums, abs=SUM_TOLERANCE, rel=0)
    return [h for hypotheses in ours for h in hypotheses]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_tokens_and_scores_are_ours(options: dict[str, Any], tokenizer: TextTokenizer, tmp_path: Path) -> None:
    model = random_model(tokenizer, **options)
    export_ctranslate2(tmp_path / "served", model, tokenizer, SEARCH)
    greedy = assert_same(model, tokenizer, tmp_path / "served", 1)
    assert len({h.tokens for h in greedy}) > 10, "outputs vary"
    nbest = assert_same(model, tokenizer, tmp_path / "served", 4)
    assert {h.finished for h in nbest} == {True, False}


@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
def test_the_epsilon_of_norms_is_ours(norm: str, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    """Hidden states as small as the epsilon's root show it."""
    model = random_model(tokenizer, norm=norm, positions="rotary")
    with torch.no_grad():
        for side in (model.encoder, model.decoder):
            side.embeddings.tokens.weight.mul_(1e-3)
    export_ctranslate2(tmp_path / "served", model, tokenizer, SEARCH)
    assert_same(model, tokenizer, tmp_path / "served", 1)


def pieces_with_a_typed_eos(tmp_path: Path) -> TextTokenizer:
    """Return a SentencePiece vocabulary whose piece `</s>` is not its end of sentence."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")
    with (tmp_path / "m.model").open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS),
            model_writer=file,
            vocab_size=30,
            hard_vocab_limit=False,
            bos_id=-1,
            eos_id=-1,
            user_defined_symbols=["</s>"],
            minloglevel=2,
        )
    return TextTokenizer.from_pretrained(tmp_path / "m.model")


def words_with_a_hole(tmp_path: Path) -> TextTokenizer:
    """Return a source vocabulary without unknown token, with an id of no token, and with an end of its own."""
    vocabulary = {"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, **{c: i for i, c in enumerate("abcdefghijklm ", start=4)}}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    source = HuggingFaceTokenizer(PreTrainedTokenizerFast(tokenizer_object=backend, **names))
    target = TextTokenizer.train(TEXTS, TEXTS, kind="characters", vocab_size=60).target
    return TextTokenizer(source, target, shared=False)


def trained(kind: str) -> Callable[[Path], TextTokenizer]:
    return lambda tmp_path: TextTokenizer.train(TEXTS + ENGLISH, TEXTS + GERMAN, kind=kind, vocab_size=300)


@pytest.mark.parametrize(
    "make",
    [trained("byte_bpe"), trained("unigram"), trained("sentencepiece"), pieces_with_a_typed_eos, words_with_a_hole],
    ids=["byte_bpe", "unigram", "sentencepiece", "typed_eos", "two_makers"],
)
def test_vocabularies_of_every_kind(make: Callable[[Path], TextTokenizer], tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    model = random_model(tokenizer, tie_embeddings="all" if tokenizer.shared else "none")
    export_ctranslate2(tmp_path / "served", model, tokenizer, SEARCH)
    assert_same(model, tokenizer, tmp_path / "served", 2)
    loaded = TextTokenizer.load(tmp_path / "served" / "tokenizer")
    assert ctranslate2_vocabularies(loaded) == ctranslate2_vocabularies(tokenizer)


def test_names_are_made_for_tokens_without_one_of_their_own() -> None:
    assert distinct(["a", "b", "</s>"], 2) == ["a", "b", "</s>"]
    assert distinct(["</s>", None, "a", "a", "</s>", None], 4) == ["</s><0>", "<1>", "a", "a<3>", "</s>", "<5>"]
    assert distinct(["a", "a", "a<1>", "</s>"], 3) == ["a", "a<1>_", "a<1>", "</s>"]


def test_the_folder_is_all_that_serving_needs(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    export_ctranslate2(tmp_path / "new" / "served", random_model(tokenizer), tokenizer, SEARCH, "copy: ", "int8")
    folder = tmp_path / "new" / "served"
    assert json.loads((folder / "decoding.json").read_text()) == {
        "search": {"beam": plain(SEARCH)},
        "source_prefix": "copy: ",
    }
    assert read_decoding(folder, "l2r") == DecodingDefaults(SEARCH, "copy: ")
    assert TextTokenizer.load(folder / "tokenizer").fingerprint() == tokenizer.fingerprint()
    config = json.loads((folder / "config.json").read_text())
    assert (config["decoder_start_token"], config["eos_token"], config["unk_token"]) == ("<bos>", "<eos>", "<unk>")
    names = {file.name for file in folder.iterdir()}
    vocabularies = {"source_vocabulary.json", "target_vocabulary.json"}
    assert names == {"config.json", "decoding.json", "model.bin", "tokenizer", *vocabularies}
    assert ctranslate2.Translator(str(folder), device="cpu").compute_type.startswith("int8")


def test_sources_are_cut_at_the_positions_that_a_model_has(
    tokenizer: TextTokenizer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    export_ctranslate2(tmp_path / "served", random_model(tokenizer, positions="learned"), tokenizer, SEARCH)
    [found] = CTranslate2Engine(tmp_path / "served", device="cpu")("a" * 60)
    assert found.error is None
    assert "Line 1 has 61 tokens, of which the model takes 41" in caplog.text


def test_positions_reach_as_far_as_the_length_limit(tokenizer: TextTokenizer) -> None:
    spec = transformer_spec(random_model(tokenizer, positions="sinusoidal"), num_positions=1031)
    assert spec.decoder.position_encodings.encodings.shape == (1031, 30)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"generation_order": "bidirectional"}, "generation_order: bidirectional"),
        ({"key_size": 8, "value_size": 8}, "a key_size other than d_model / num_heads"),
        ({"value_size": 7}, "a value_size other than key_size"),
    ],
)
def test_what_cannot_be_expressed_is_refused(
    options: dict[str, Any], message: str, tokenizer: TextTokenizer, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"no counterpart for {message}"):
        export_ctranslate2(tmp_path / "served", random_model(tokenizer, **options), tokenizer, SEARCH)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_quantization_is_refused(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`quantization` must be one of float32, int8, .* but is 'int4'"):
        export_ctranslate2(tmp_path / "served", random_model(tokenizer), tokenizer, SEARCH, quantization="int4")


def test_a_missing_library_is_named(tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ValueError, match="CTranslate2 is not installed: `pip install seq2seq-toolkit"):
        export_ctranslate2(tmp_path / "served", random_model(tokenizer), tokenizer, SEARCH)


def test_the_folder_is_replaced_as_a_whole(
    tokenizer: TextTokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model = tmp_path / "served", random_model(tokenizer)
    folder.mkdir()
    export_ctranslate2(folder, model, tokenizer, SEARCH)
    (folder / "stale").touch()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TextTokenizer, "save", full)
        with pytest.raises(OSError, match="No space left"):
            export_ctranslate2(folder, model, tokenizer, SEARCH)
    assert (folder / "stale").exists(), "a failure leaves the old export"
    assert list(tmp_path.iterdir()) == [folder], "and nothing half-written"
    export_ctranslate2(folder, model, tokenizer, SEARCH)
    assert not (folder / "stale").exists()
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("is_folder", [True, False])
def test_what_is_no_export_is_not_replaced(is_folder: bool, tokenizer: TextTokenizer, tmp_path: Path) -> None:
    kept = tmp_path / "served" / "thesis.tex" if is_folder else tmp_path / "served"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("chapter 1")
    with pytest.raises(ValueError, match="served is there and holds no CTranslate2 model"):
        export_ctranslate2(tmp_path / "served", random_model(tokenizer), tokenizer, SEARCH)
    assert kept.read_text() == "chapter 1"
