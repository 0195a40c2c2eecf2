"""What holds for every metric in the list."""

from typing import Any

import numpy
import pytest

from seq2seq.metrics import METRICS, make_metric, metric_options, sentence_scores
from tests.metrics.texts import HYPOTHESES, REFERENCES, total


@pytest.mark.parametrize("name", METRICS)
def test_statistics_of_parts_add_up_to_the_whole(name: str) -> None:
    metric = make_metric(name)
    whole = metric.statistics(HYPOTHESES, REFERENCES)
    parts = [metric.statistics(HYPOTHESES[part], REFERENCES[part]) for part in (slice(0, 2), slice(2, 5), slice(5, 7))]
    assert whole.dtype == numpy.float64
    assert whole.shape[0] == len(HYPOTHESES)
    numpy.testing.assert_array_equal(numpy.concatenate(parts), whole)
    assert metric.score(numpy.sum([total(part) for part in parts], axis=0)) == metric.score(total(whole))


@pytest.mark.parametrize("name", METRICS)
def test_scoring_changes_no_statistics_and_carries_the_name(name: str) -> None:
    metric = make_metric(name)
    statistics = total(metric.statistics(HYPOTHESES, REFERENCES))
    before = statistics.copy()
    score = metric.score(statistics)
    numpy.testing.assert_array_equal(statistics, before)
    assert score.name == metric.name == name
    assert score.signature.startswith("nrefs:2|")


@pytest.mark.parametrize("name", METRICS)
def test_the_reference_itself_is_best(name: str) -> None:
    metric = make_metric(name)
    references = [["one two three four five"], ["six seven eight nine ten"]]
    perfect, poor = (
        metric.score(total(metric.statistics(hypotheses, references))).value
        for hypotheses in ([segment[0] for segment in references], ["one two six", "ten nine ten"])
    )
    assert perfect == pytest.approx(100.0 if metric.higher_is_better else 0.0)
    assert (poor < perfect) == metric.higher_is_better


@pytest.mark.parametrize("name", METRICS)
def test_missing_references_are_as_if_never_given(name: str) -> None:
    metric = make_metric(name)
    with_gaps: list[list[Any]] = [[segment[0], None, segment[1]] for segment in REFERENCES]
    numpy.testing.assert_array_equal(
        metric.statistics(HYPOTHESES, with_gaps), metric.statistics(HYPOTHESES, REFERENCES)
    )


@pytest.mark.parametrize("name", METRICS)
def test_a_varying_number_of_references_shows_in_the_signature(name: str) -> None:
    metric = make_metric(name)
    statistics = metric.statistics(["a b", "c d"], [["a b"], ["c d", "c"]])
    assert metric.score(total(statistics)).signature.startswith("nrefs:var|")


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("hypotheses", "references", "message"),
    [
        (["a"], [["a"], ["b"]], "1 hypotheses .* references of 2"),
        ([], [], "no segments"),
        (["a", "b"], [["a"], [None]], "Segment 2 .* has no reference"),
        (["a"], ["a"], "Segment 1: references must be a list"),
    ],
)
def test_wrong_input_is_explained(name: str, hypotheses: list, references: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_metric(name).statistics(hypotheses, references)


@pytest.mark.parametrize("name", ["rouge1", "rougeL", "exact_match", "sequence_error_rate"])
def test_means_of_sentence_scores_are_the_corpus_score(name: str) -> None:
    metric = make_metric(name)
    corpus = metric.score(total(metric.statistics(HYPOTHESES, REFERENCES))).value
    assert sentence_scores(metric, HYPOTHESES, REFERENCES).mean() == pytest.approx(corpus)


def test_sentence_bleu_does_not_punish_short_sentences() -> None:
    metric = make_metric("bleu")
    assert metric.score(total(metric.statistics(["two words"], [["two words"]]))).value == 0.0
    assert sentence_scores(metric, ["two words"], [["two words"]]) == pytest.approx([100.0])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("blue", {}, "no metric 'blue'; did you mean 'bleu'"),
        ("rougel", {}, "did you mean 'rougeL'"),
        ("quality", {}, "choose one of bleu, chrf"),
        ("bleu", {"tokenise": "zh"}, "no option 'tokenise'; it has tokenize, lowercase"),
        ("bleu", {"tokenize": "english"}, "no tokenizer 'english'; choose one of .*13a"),
        ("bleu", {"smooth_method": "laplace"}, "no smoothing 'laplace'; choose one of none, floor"),
        ("bleu", {"max_ngram_order": 0}, "at least 1, but is 0"),
        ("chrf", {"char_order": 0}, "`char_order` >= 1"),
        ("chrf++", {"word_order": 1}, "no option 'word_order'"),
    ],
)
def test_unknown_names_and_options_are_explained(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_metric(name, **options)


def test_options_are_listed() -> None:
    assert metric_options("rougeL") == ["stemmer", "sentence_separator"]
    assert "tokenize" in metric_options("bleu")
