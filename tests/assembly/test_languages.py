"""Languages, told to small models of all families that have them, by tokenizers that are made on the spot."""

import json
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
import yaml
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    M2M100Tokenizer,
    MBart50Tokenizer,
    MBartTokenizer,
    NllbTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

import seq2seq
from seq2seq.apps.command import main
from seq2seq.assembly import validation
from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.data import build_data
from seq2seq.assembly.guard import guard_corpora
from seq2seq.assembly.pipelines import pipeline
from seq2seq.assembly.start import with_start
from seq2seq.data.corpus import read_corpus
from seq2seq.data.loader import TrainingLoader, tokenize_corpus
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.loading import without_reports
from seq2seq.models.pretrained import PretrainedSeq2Seq
from tests.models.families.tiny_families import FAMILIES

TEXTS = ["the quick fox", "lazy dog", "brown", "fox fox fox over the dog"]
CASES: dict[str, tuple[type, str, str, str, dict[str, Any]]] = {
    "nllb": (NllbTokenizer, "m2m100", "eng_Latn", "deu_Latn", {"vocab_size": 290}),
    "m2m100": (M2M100Tokenizer, "m2m100", "en", "de", {"vocab_size": 185}),
    "mbart50": (MBart50Tokenizer, "mbart", "en_XX", "de_DE", {"vocab_size": 140, "decoder_start_token_id": 2}),
    "mbart": (MBartTokenizer, "mbart", "en_XX", "de_DE", {"vocab_size": 110}),
}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of sentencepiece."""
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "text").write_text("".join(f"the quick brown fox jumps over the lazy dog {i}\n" for i in range(300)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=str(folder / "m"), vocab_size=60, minloglevel=2
    )
    return folder / "m.model"


def tokenizer_of(kind: type, model: Path, folder: Path) -> PreTrainedTokenizerBase:
    loaded = sentencepiece.SentencePieceProcessor(str(model))
    own = [(loaded.id_to_piece(i), loaded.get_score(i)) for i in range(3, loaded.get_piece_size())]
    scored = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")] + own
    vocabulary = {token: i for i, (token, _) in enumerate(scored)}
    if kind is NllbTokenizer:
        return NllbTokenizer(vocab=vocabulary, merges=[])
    if kind is M2M100Tokenizer:
        folder.mkdir(exist_ok=True)
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        return M2M100Tokenizer(str(folder / "vocab.json"), str(model), src_lang="en", tgt_lang="en")
    return kind(vocab=scored)


def model_of(name: str, model: Path, folder: Path) -> tuple[Any, Any]:
    """Write a random model with its tokenizer; return both."""
    kind, family, _, _, sizes = CASES[name]
    torch.manual_seed(3)
    network = FAMILIES[family](max_position_embeddings=300, init_std=0.5, **sizes).eval()
    network.generation_config.update(max_length=15, forced_eos_token_id=None)
    with without_reports():
        network.save_pretrained(folder)
    tokenizer = tokenizer_of(kind, model, folder)
    tokenizer.save_pretrained(folder)
    return network, tokenizer


@pytest.mark.parametrize("name", CASES)
def test_texts_become_what_generate_makes_of_them(name: str, pieces: Path, tmp_path: Path) -> None:
    network, tokenizer = model_of(name, pieces, tmp_path / "model")
    _, _, source, target, _ = CASES[name]
    generator = seq2seq.load(tmp_path / "model", source_language=source, target_language=target, beam_width=3)
    found = generator(TEXTS)
    tokenizer.src_lang = source
    batch = tokenizer(TEXTS, return_tensors="pt", padding=True)
    language = tokenizer.get_lang_id(target) if name == "m2m100" else tokenizer.convert_tokens_to_ids(target)
    role = "decoder_start_token_id" if name == "mbart" else "forced_bos_token_id"
    rows = network.generate(**batch, num_beams=3, max_length=15, **{role: language}).tolist()
    for hypotheses, row in zip(found, rows, strict=True):
        ids = row[1 : row.index(2, 1) + 1] if 2 in row[1:] else row[1:]
        assert list(hypotheses[0].tokens) == generator.tokenizer.target_tokens(ids)


@pytest.mark.parametrize("kind", ["ensemble", "behind the wrapper", "trainable"])
def test_a_decoder_that_starts_from_a_language_does_so_whatever_the_model_is(
    kind: str, pieces: Path, tmp_path: Path
) -> None:
    languages = {"source_language": "en_XX", "target_language": "de_DE"}
    model_of("mbart", pieces, tmp_path / "model")
    [expected] = seq2seq.load(tmp_path / "model", **languages)(["lazy dog"])  # type: ignore[arg-type]
    if kind == "behind the wrapper":
        config = json.loads((tmp_path / "model" / "config.json").read_text())
        (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"activation_function": "gelu_python"}))
    place: Any = [tmp_path / "model"] * 2 if kind == "ensemble" else tmp_path / "model"
    generator = seq2seq.load(place, trainable=kind == "trainable", **languages)  # type: ignore[arg-type]
    assert isinstance(generator.model, PretrainedSeq2Seq) == (kind == "behind the wrapper")
    [found] = generator(["lazy dog"])
    assert found[0].tokens == expected[0].tokens


@pytest.mark.parametrize("name", CASES)
def test_the_code_that_a_target_begins_with_costs_as_little_as_in_a_search(
    name: str, pieces: Path, tmp_path: Path
) -> None:
    model_of(name, pieces, tmp_path / "model")
    _, _, source, target, _ = CASES[name]
    generator = seq2seq.load(tmp_path / "model", source_language=source, target_language=target)
    [start] = generator.tokenizer.forced_starts(["fox dog"], 1) or []
    [found] = next(generator.stream(["lazy dog"], prefixes=["fox dog"], max_length=len(start) + 1)).hypotheses
    [scored] = generator.score_targets(["lazy dog"], ["fox dog"])
    assert scored.tokens[:-1] == found.tokens[:-1]
    assert scored.token_log_probs[:-1] == pytest.approx(found.token_log_probs[:-1], abs=1e-5)
    assert (scored.token_log_probs[0] == 0) == (name != "mbart")


def test_each_text_may_have_languages_of_its_own(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    languages = ["deu_Latn", "fra_Latn", "deu_Latn", "eng_Latn"]
    generator = seq2seq.load(tmp_path / "model", source_language="eng_Latn", beam_width=2)
    mixed = generator(iter(TEXTS), target_language=languages)
    for text, language, hypotheses in zip(TEXTS, languages, mixed, strict=True):
        assert hypotheses[0].tokens == generator(text, target_language=language)[0].tokens
        assert hypotheses[0].tokens[0] == language


@pytest.mark.parametrize("name", ["nllb", "mbart50"])
def test_a_code_stands_in_front_of_both_sides(name: str, pieces: Path, tmp_path: Path) -> None:
    kind, _, source_language, target_language, _ = CASES[name]
    known = tokenizer_of(kind, pieces, tmp_path)
    known.save_pretrained(tmp_path)
    tokenizer = TextTokenizer.load(tmp_path).speaking(source_language, target_language)
    [ids], [targets] = tokenizer.encode_sources(["fox"]), tokenizer.encode_targets(["fox"])
    assert ids[0] == known.convert_tokens_to_ids(source_language)
    assert targets[0] == known.convert_tokens_to_ids(target_language)
    assert ids[1:] == targets[1:]
    assert ids[-1] == known.eos_token_id
    assert tokenizer.forced_starts(None, 2) == [[targets[0]]] * 2
    assert tokenizer.forced_starts(["fox"], 1) == [targets[:-1]]


def test_a_code_stands_behind_sources_of_mbart_and_starts_its_decoder(pieces: Path, tmp_path: Path) -> None:
    known = tokenizer_of(MBartTokenizer, pieces, tmp_path)
    known.save_pretrained(tmp_path)
    tokenizer = TextTokenizer.load(tmp_path).speaking("en_XX", "de_DE")
    english, german = known.convert_tokens_to_ids(["en_XX", "de_DE"])
    assert tokenizer.encode_sources(["fox"])[0][-2:] == [known.eos_token_id, english]
    assert tokenizer.encode_targets(["fox"])[0][-1] == known.eos_token_id
    assert tokenizer.decoder_start_id == german
    assert tokenizer.forced_starts(None, 1) is None


@pytest.fixture
def tagged(tmp_path: Path) -> TextTokenizer:
    """Return a tokenizer that is told the target's language in front of the source, as that of OPUS-MT."""
    words = {token: index for index, token in enumerate(["<pad>", "</s>", "<unk>", ">>deu<<", ">>fra<<", "a", "b"])}
    made = Tokenizer(WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = WhitespaceSplit()
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(tmp_path / "tagged")
    return TextTokenizer.load(tmp_path / "tagged")


def test_a_tag_in_front_takes_the_place_of_another(tagged: TextTokenizer) -> None:
    french = tagged.speaking(None, "fra")
    assert french.encode_sources(["a b"]) == [[4, 5, 6, 1]]
    assert french.speaking(None, "deu").encode_sources(["a b"]) == [[3, 5, 6, 1]]
    assert french.speaking(None, None).encode_sources(["a b"]) == [[4, 5, 6, 1]]


def test_an_empty_source_behind_the_tag_of_its_row_is_empty(
    tagged: TextTokenizer, tmp_path: Path, private_cache: Path
) -> None:
    rows = [{"source": source, "target": "a", "to": to} for source, to in [("a", "deu"), ("", "fra"), ("b", "fra")]]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    corpus = read_corpus(path=tmp_path / "rows.jsonl", target_language_column="to", cache_directory=private_cache)
    limits = {"max_source_tokens": 9, "max_target_tokens": 9, "batch_tokens": 64, "seed": 1}
    loader = TrainingLoader(tokenize_corpus(corpus, tagged), tagged, **limits)
    assert loader.rows.tolist() == [0, 2]


def test_corpora_of_several_languages_are_learned_together(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    languages = {"german": "deu_Latn", "french": "fra_Latn"}
    for name in languages:
        (tmp_path / f"{name}.tsv").write_text("".join(f"the fox {i}\tlazy dog {i}\n" for i in range(17)))
    corpora = [
        {"path": str(tmp_path / f"{name}.tsv"), "source_language": "eng_Latn", "target_language": language}
        for name, language in languages.items()
    ]
    values = {
        "run_directory": str(tmp_path / "run"),
        "data": {"train": corpora, "validation": {"path": corpora[0]["path"]}, "max_source_tokens": 64},
        "training": {"max_steps": 2, "threads": 1, "initialize_from": str(tmp_path / "model")},
        "validation": {"every": 2, "metrics": ["chrf"], "select_by": "chrf"},
    }
    config = load_run_config([str(write_yaml(tmp_path / "run.yaml", values))])
    data = build_data(with_start(config), Path(config.run_directory))
    ids = TextTokenizer.load(tmp_path / "model").languages.ids
    targets = [row[0] for row in data.train["target_ids"]]
    assert targets == [ids["deu_Latn"]] * 17 + [ids["fra_Latn"]] * 17
    assert {row[0] for row in data.train["source_ids"]} == {ids["eng_Latn"]}
    assert {row[0] for row in data.validation["target_ids"]} == {ids["deu_Latn"]}
    assert main(["train", str(tmp_path / "run.yaml")]) == 0
    [found] = seq2seq.load(tmp_path / "run")("the fox", max_length=5)
    assert found.tokens[0] == "deu_Latn"


def of_rows(folder: Path, languages: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Write rows of which each names the language of its target; return a configuration that learns from them."""
    rows = [
        {"source": f"the fox {i}", "target": f"lazy dog {i}", "to": language} for i, language in enumerate(languages)
    ]
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (folder / "plain.tsv").write_text("the fox\tlazy dog\n" * 5)
    pairs = {"path": str(folder / "rows.jsonl"), "source_language": "eng_Latn", "target_language_column": "to"}
    return {
        "run_directory": str(folder / "run"),
        "data": {"train": pairs, "validation": {"path": pairs["path"]}, "max_source_tokens": 64} | options,
        "training": {"max_steps": 2, "threads": 1, "initialize_from": str(folder / "model")},
        "validation": {"every": 2, "metrics": ["chrf"], "select_by": "chrf"},
    }


@pytest.mark.parametrize("is_list", [False, True])
def test_each_row_of_a_table_may_have_languages_of_its_own(is_list: bool, pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    languages = ["deu_Latn", "fra_Latn", "deu_Latn", "fra_Latn", "fra_Latn", "eng_Latn", "deu_Latn"]
    values = of_rows(tmp_path, languages, {})
    if is_list:
        plain = {"path": str(tmp_path / "plain.tsv"), "source_language": "deu_Latn", "target_language": "eng_Latn"}
        values["data"]["train"] = [values["data"]["train"], plain]
    config = load_run_config([str(write_yaml(tmp_path / "run.yaml", values))])
    data = build_data(with_start(config), Path(config.run_directory))
    ids = TextTokenizer.load(tmp_path / "model").languages.ids
    expected = languages + ["eng_Latn"] * 5 if is_list else languages
    assert [row[0] for row in data.train["target_ids"]] == [ids[language] for language in expected]
    sources = ["eng_Latn"] * 7 + ["deu_Latn"] * 5 * is_list
    assert [row[0] for row in data.train["source_ids"]] == [ids[language] for language in sources]
    assert [row[0] for row in data.validation["target_ids"]] == [ids[language] for language in languages]
    german = TextTokenizer.load(tmp_path / "model").speaking("eng_Latn", "deu_Latn")
    assert data.train["target_ids"][6] == german.encode_targets(["lazy dog 6"])[0]
    assert main(["train", str(tmp_path / "run.yaml")]) == 0


def test_a_validation_decodes_each_row_into_its_language(
    pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, _ = model_of("nllb", pieces, tmp_path / "model")
    languages = ["deu_Latn", "fra_Latn", "deu_Latn", "eng_Latn", "fra_Latn"]
    values = of_rows(tmp_path, languages, {}) | {"optimizer": {"learning_rate": 1e-12}}
    seen: list[Any] = []
    scores = validation.scores_of
    monkeypatch.setattr(validation, "scores_of", lambda *given, **more: seen.append(given) or scores(*given, **more))
    assert main(["train", str(write_yaml(tmp_path / "run.yaml", values))]) == 0
    generator = seq2seq.load(tmp_path / "model", source_language="eng_Latn", beam_width=1)
    found = generator([f"the fox {i}" for i in range(5)], target_language=languages, max_length=256)
    assert seen[-1][0] == [hypotheses[0].text for hypotheses in found]
    assert len(set(seen[-1][0])) > 1


@pytest.mark.parametrize(
    ("languages", "words"),
    [
        (["deu_Latn", "xx"], "`data.validation`, row 2: `target_language` 'xx' is none of the"),
        (["deu_Latn", ""], "`data.validation`, row 2: `target_language` '' is none of the"),
    ],
)
def test_a_row_of_an_unknown_language_is_named(languages: list[str], words: str, pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    config = load_run_config([str(write_yaml(tmp_path / "run.yaml", of_rows(tmp_path, languages, {})))])
    with pytest.raises(ValueError, match=words):
        build_data(with_start(config), Path(config.run_directory))


def test_a_teacher_of_many_languages_is_told_which(pieces: Path, tmp_path: Path) -> None:
    """The run knows none, and has a tokenizer of its own."""
    model_of("nllb", pieces, tmp_path / "model")
    languages = {"source_language": "eng_Latn", "target_language": "deu_Latn"}
    (tmp_path / "pairs.tsv").write_text("".join(f"{text}\t{text}\n" for text in TEXTS))
    corpus = {"path": str(tmp_path / "pairs.tsv")}
    values = {
        "data": {"train": corpus, "validation": {**corpus}},
        "tokenizer": {"kind": "characters"},
        "model": {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "num_heads": 2, "ffn_size": 16},
        "teaching": {"model": str(tmp_path / "model")} | languages,
        "training": {"max_steps": 1, "threads": 1},
        "run_directory": str(tmp_path / "run"),
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    assert main(["train", str(tmp_path / "run.yaml")]) == 0
    found = seq2seq.load(tmp_path / "model", beam_width=4, **languages)(TEXTS)  # type: ignore[arg-type]
    taught = (tmp_path / "run" / "taught" / "train.target").read_text().splitlines()
    assert taught == [
        " ".join(hypotheses[0].text.split()) or text for hypotheses, text in zip(found, TEXTS, strict=True)
    ]


def test_a_decoder_that_starts_from_a_language_has_one(pieces: Path, tmp_path: Path) -> None:
    model_of("mbart", pieces, tmp_path / "model")
    values = of_rows(tmp_path, ["de_DE"] * 3, {})
    values["data"]["train"]["source_language"] = "en_XX"
    config = load_run_config([str(write_yaml(tmp_path / "run.yaml", values))])
    with pytest.raises(ValueError, match=r"`data.validation`: the decoder of this model starts .* not by a column"):
        build_data(with_start(config), Path(config.run_directory))


def test_a_guard_may_be_of_other_languages(pieces: Path, tmp_path: Path) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    (tmp_path / "pairs.tsv").write_text("".join(f"the fox {i}\tlazy dog {i}\n" for i in range(7)))
    pairs = {"path": str(tmp_path / "pairs.tsv")}
    corpus = pairs | {"source_language": "eng_Latn", "target_language": "deu_Latn"}
    guard = [pairs | {"label": "as trained"}, pairs | {"label": "french", "target_language": "fra_Latn"}]
    values = {
        "run_directory": str(tmp_path / "run"),
        "data": {"train": corpus, "validation": pairs, "guard": guard, "max_source_tokens": 64},
        "training": {"max_steps": 2, "threads": 1, "initialize_from": str(tmp_path / "model")},
        "validation": {"every": 2, "metrics": ["chrf"], "select_by": "chrf"},
    }
    config = load_run_config([str(write_yaml(tmp_path / "run.yaml", values))])
    found = guard_corpora(with_start(config), build_data(with_start(config), tmp_path / "run").tokenizer)
    ids = TextTokenizer.load(tmp_path / "model").languages.ids
    assert [corpus.tokenizer.target_start for corpus in found] == [(ids["deu_Latn"],), (ids["fra_Latn"],)]
    assert main(["train", str(tmp_path / "run.yaml")]) == 0
    kept = json.loads((tmp_path / "run" / "guard.json").read_text())
    assert kept["as trained"]["before"]["outputs"] != kept["french"]["before"]["outputs"]


def write_yaml(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--target-language", "deu"], "`target_language` 'deu' is none of the .* languages of this model, such as "),
        (["--source-language", "xx"], "`source_language` 'xx' is none of"),
    ],
)
def test_a_language_that_the_model_does_not_know_is_one_line(
    options: list[str], words: str, pieces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model_of("nllb", pieces, tmp_path / "model")
    (tmp_path / "in.txt").write_text("fox\n")
    capsys.readouterr()
    command = ["decode", "--model", str(tmp_path / "model"), "--input", str(tmp_path / "in.txt"), *options]
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert words.split(" .* ")[0] in error


@pytest.mark.parametrize("name", ["nllb", "m2m100", "mbart"])
def test_a_pipeline_tells_a_model_its_languages(name: str, pieces: Path, tmp_path: Path) -> None:
    network, tokenizer = model_of(name, pieces, tmp_path)
    _, _, source, target, _ = CASES[name]
    tokenizer.src_lang = source
    batch = tokenizer(["lazy dog"], return_tensors="pt")
    language = tokenizer.get_lang_id(target) if name == "m2m100" else tokenizer.convert_tokens_to_ids(target)
    role = "decoder_start_token_id" if name == "mbart" else "forced_bos_token_id"
    [row] = network.generate(**batch, num_beams=3, max_length=15, **{role: language}).tolist()
    by_arguments = pipeline("translation", tmp_path, device="cpu", num_beams=3, max_length=15, src_lang=source)
    by_task = pipeline(f"translation_{source}_to_{target}", tmp_path, device="cpu", num_beams=3, max_length=15)
    for found in (
        by_arguments("lazy dog", tgt_lang=target, return_tensors=True),
        by_arguments("lazy dog", tgt_lang=target, return_tensors=True, renormalize_logits=False),
        by_task("lazy dog", return_tensors=True),
    ):
        assert found[0]["translation_token_ids"].tolist() == row
    with pytest.raises(ValueError, match="`tgt_lang` 'xxx' is none of the .* languages of this model"):
        by_arguments("lazy dog", tgt_lang="xxx")
    with pytest.raises(ValueError, match="'xx' is none of the .* languages"):
        pipeline("translation_xx_to_yy", tmp_path, device="cpu")
    told = seq2seq.load(tmp_path, device="cpu", source_language=source, target_language=target)
    assert pipeline("translation_xx_to_yy", told).generator.languages == (source, target)
