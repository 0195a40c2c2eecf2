from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from seq2seq.assembly import validation
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.validation import (
    build_validation_decoder,
    in_input_order,
    scores_of,
    told_metrics,
    usable_pairs,
    validation_search,
)
from seq2seq.data.corpus import Dataset, read_corpus
from seq2seq.data.generation_order import RIGHT
from seq2seq.data.loader import tokenize_corpus
from seq2seq.decoding import BeamSearch, Search
from seq2seq.decoding.algorithms.directions import FromSide
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import JointBeamSearch
from seq2seq.decoding.algorithms.rescoring import Rescored
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from seq2seq.training.options import ValidationOptions
from seq2seq.training.validation import DecodingFailed
from tests.fakes import CharTokenizer
from tests.tiny_run import write_copy_task


@pytest.mark.parametrize("num_items", [0, 1, 2, 3, 7, 11])
@pytest.mark.parametrize("num_processes", [1, 2, 3, 5])
def test_interleaved_undoes_the_sharing_of_work(num_items: int, num_processes: int) -> None:
    items = [str(number) for number in range(num_items)]
    shares: Sequence[Sequence[str]] = [items[index::num_processes] for index in range(num_processes)]
    assert in_input_order(shares) == items


def test_score_of_a_metric_by_name() -> None:
    texts, references = ["a", "b", "c"], [["a"], ["x"], ["c"]]
    assert scores_of(texts, references, ["exact_match"]) == {"exact_match": pytest.approx(200 / 3)}


def test_sentences_are_told_apart_as_the_configuration_says() -> None:
    texts, references = ["a b <n> c d"], [["c d <n> a b"]]
    options = ValidationOptions(metrics=("rougeLsum", "rougeL"), sentence_separator="<n>")
    found = scores_of(texts, references, options.metrics, **told_metrics(options))
    assert found["rougeLsum"] == 100.0 > found["rougeL"]
    assert told_metrics(ValidationOptions()) == {}
    with pytest.raises(ValueError, match="`sentence_separator` belongs to `metrics: ."):
        ValidationOptions(metrics=("rougeL",), sentence_separator="<n>")


# ---- pairs that are too long -----------------------------------------------------------------------------------------

LENGTHS = [3, 17, 5, 40, 4]


class Tokenizer(CharTokenizer):
    def fingerprint(self) -> str:
        return "characters"


TOKENIZER: Any = Tokenizer()


@pytest.fixture
def corpus(tmp_path: Path, private_cache: Path) -> Dataset:
    """Return pairs whose targets have these many letters, and so tokens, besides end of sentence."""
    lines = "".join(f"ab\t{'c' * length}\n" for length in LENGTHS)
    (tmp_path / "pairs.tsv").write_text(lines)
    return tokenize_corpus(read_corpus(path=tmp_path / "pairs.tsv", cache_directory=private_cache), TOKENIZER)


def config_of(folder: Path, *options: str) -> RunConfig:
    return load_run_config([write_copy_task(folder), *options])


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        (["--model.positions", "learned", "--model.max_positions", "17"], [3, 5, 4]),
        (["--model.positions", "learned", "--model.max_positions", "18"], [3, 17, 5, 4]),
        (["--model.max_positions", "2"], LENGTHS),
        (["--data.max_source_tokens", "9", "--data.max_target_tokens", "9", "--data.batch_tokens", "5"], [3, 17, 5, 4]),
        (
            ["--data.max_source_tokens", "9", "--data.max_target_tokens", "9", "--validation.batch_tokens", "99"],
            LENGTHS,
        ),
    ],
)
def test_pairs_that_the_model_cannot_take_are_left_out(
    tmp_path: Path, corpus: Dataset, options: list[str], kept: list[int]
) -> None:
    found, report = usable_pairs(config_of(tmp_path, *options), corpus)
    assert [len(text) for text in found["target"]] == kept
    assert (report.rows, report.kept, report.long_target) == (len(LENGTHS), len(kept), len(LENGTHS) - len(kept))


def test_long_sources_are_cut_where_those_of_training_are(tmp_path: Path, private_cache: Path) -> None:
    (tmp_path / "long.tsv").write_text("".join(f"{'c' * length}\tab\n" for length in LENGTHS))
    corpus = tokenize_corpus(read_corpus(path=tmp_path / "long.tsv", cache_directory=private_cache), TOKENIZER)
    learned = ["--model.positions", "learned", "--model.max_positions", "17"]
    config = config_of(tmp_path, "--data.long_sources", "cut", "--data.max_source_tokens", "6", *learned)
    found, report = usable_pairs(config, corpus)
    assert (len(found), report.kept, report.cut_source) == (len(LENGTHS), len(LENGTHS), 2)


def test_no_pair_left_is_an_error(tmp_path: Path, corpus: Dataset) -> None:
    config = config_of(tmp_path, "--model.positions", "learned", "--model.max_positions", "2")
    with pytest.raises(ValueError, match="No validation pair is left that has no more than 2 tokens a side: kept 0 of"):
        usable_pairs(config, corpus)


# ---- decoding --------------------------------------------------------------------------------------------------------


def decoder(tmp_path: Path, corpus: Dataset, *options: str) -> Callable[[], dict[str, float]]:
    config = config_of(tmp_path, *options)
    one_process: Any = SimpleNamespace(
        process_index=0,
        num_processes=1,
        device="cpu",
        distributed_type=SimpleNamespace(value="NO"),
        unwrap_model=lambda model: model,
    )
    model: Any = SimpleNamespace(max_target_tokens=None)
    found = build_validation_decoder(config, model, TOKENIZER, corpus, one_process)
    assert found is not None
    return found


def test_a_decode_that_fails_says_how(tmp_path: Path, corpus: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any) -> Any:
        raise MemoryError("no memory is left")

    monkeypatch.setattr(validation, "decoding_copy", failing)
    with pytest.raises(DecodingFailed, match="^MemoryError: no memory is left$"):
        decoder(tmp_path, corpus)()


@pytest.mark.parametrize(
    ("order", "search", "expected"),
    [
        ("l2r", "beam.max_length=31", BeamSearch(beam_width=2, max_length=31)),
        ("l2r", "sampling.max_length=31", BeamSearch(beam_width=2, max_length=31)),
        ("l2r", "minimum_bayes_risk.candidates.beam.max_length=31", BeamSearch(beam_width=2, max_length=31)),
        ("bidirectional", "joint.max_length=31", JointBeamSearch(beam_width=2, max_length=31)),
        (
            "bidirectional",
            "synchronous.pairing=companion",
            SynchronousBeamSearch(beam_width=2, pairing="companion"),
        ),
        (
            "bidirectional",
            "beam.generation_order=r2l",
            FromSide(BeamSearch(beam_width=2, generation_order="r2l", max_length=13), RIGHT),
        ),
        (
            "interleaved",
            "rescored.candidates.interleaved.max_length=31",
            InterleavedBeamSearch(beam_width=2, max_length=31),
        ),
    ],
)
def test_validation_searches_as_decoding_by_a_beam_of_its_own(
    tmp_path: Path, order: str, search: str, expected: Search
) -> None:
    options = ["--model.generation_order", order, f"--decoding.{search}", "--validation.beam_width", "2"]
    found = validation_search(config_of(tmp_path, *options), None)
    assert found == expected


def test_a_model_of_both_directions_is_validated_with_its_rescoring(tmp_path: Path) -> None:
    options = ["--model.generation_order", "bidirectional", "--decoding.rescored.rescore", "l2r"]
    found = validation_search(config_of(tmp_path, *options), None)
    assert isinstance(found, Rescored)
    assert (found.rescore, found.n_best) == ("l2r", 1)
    assert found.searches == (FromSide(BeamSearch(beam_width=1), RIGHT),)


@pytest.mark.parametrize(("options", "budget"), [([], 8192), (["--validation.batch_tokens", "77"], 77)])
def test_decoding_has_the_budget_of_validation(
    tmp_path: Path, corpus: Dataset, monkeypatch: pytest.MonkeyPatch, options: list[str], budget: int
) -> None:
    seen: list[int] = []

    def decode_lines(lines: list[str], searcher: Any, tokenizer: Any, batch_tokens: int) -> list[Any]:
        seen.append(batch_tokens)
        return [SimpleNamespace(text="c" * length) for length in LENGTHS]

    monkeypatch.setattr(validation, "decoding_copy", lambda *arguments: None)
    monkeypatch.setattr(validation, "decode_lines", decode_lines)
    assert decoder(tmp_path, corpus, *options)() == {"exact_match": 100.0}
    assert seen == [budget]
