"""BLEU, chrF and TER equal sacreBLEU, on real system outputs and on small cases."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq.metrics import make_metric, sacre, sentence_scores
from seq2seq.metrics.sacre import SacreMetric, bleu, chrf, ter
from tests.metrics.texts import HYPOTHESES, REFERENCES, paired, total, wmt22
from tests.shared_data import shared_data

TOLERANCE = 1e-9


def golden(system: str) -> dict[str, Any]:
    return json.loads(shared_data("wmt22_golden/golden_scores.json").read_text("utf-8"))[system]


def corpus(system: str, references: str) -> tuple[list[str], list[list[str]]]:
    pair, name = system.split("/")
    files = [wmt22(f"{pair}/ref.{letter}") for letter in references]
    return wmt22(f"{pair}/hyp.{name}"), paired(*files)


def corpus_score(metric: str, hypotheses: list[str], references: list[list[str]], **options: Any) -> float:
    scorer = make_metric(metric, **options)
    return scorer.score(total(scorer.statistics(hypotheses, references))).value


@pytest.mark.parametrize("system", ["en-de/PROMT", "en-de/OpenNMT", "en-zh/DLUT", "en-zh/Online-A"])
@pytest.mark.parametrize(("suffix", "references"), [("A", "A"), ("B", "B"), ("all", "AB")])
def test_bleu_of_wmt22_systems(system: str, suffix: str, references: str) -> None:
    tokenize = "zh" if system.startswith("en-zh") else "13a"
    score = corpus_score("bleu", *corpus(system, references), tokenize=tokenize)
    assert score == pytest.approx(golden(system)[f"bleu-{suffix}"]["score"], abs=TOLERANCE)
    assert score == pytest.approx(golden(system)[f"bleu-{suffix}"]["official"], abs=TOLERANCE)


@pytest.mark.parametrize(("system", "suffix", "references"), [("en-de/OpenNMT", "all", "AB"), ("en-zh/DLUT", "A", "A")])
def test_chrf_of_wmt22_systems(system: str, suffix: str, references: str) -> None:
    score = corpus_score("chrf", *corpus(system, references))
    assert score == pytest.approx(golden(system)[f"chrf2-{suffix}"], abs=TOLERANCE)


@pytest.mark.parametrize("system", ["en-de/OpenNMT", "en-zh/Online-A"])
@pytest.mark.parametrize(
    ("key", "metric", "options"),
    [
        ("chrf++-A", "chrf++", {}),
        ("bleu-A lc", "bleu", {"lowercase": True}),
        ("bleu-A tok:none", "bleu", {"tokenize": "none"}),
        ("bleu-A tok:intl", "bleu", {"tokenize": "intl"}),
        ("bleu-A tok:char", "bleu", {"tokenize": "char"}),
        ("bleu-A smooth:none", "bleu", {"smooth_method": "none"}),
        ("bleu-A max2", "bleu", {"max_ngram_order": 2}),
    ],
)
def test_variants(system: str, key: str, metric: str, options: dict[str, Any]) -> None:
    if system.startswith("en-zh") and metric == "bleu":
        options = {"tokenize": "zh"} | options
    assert corpus_score(metric, *corpus(system, "A"), **options) == pytest.approx(golden(system)[key], abs=TOLERANCE)


def test_ter_of_the_first_200_segments() -> None:
    hypotheses, references = corpus("en-de/OpenNMT", "A")
    score = corpus_score("ter", hypotheses[:200], references[:200])
    assert score == pytest.approx(golden("en-de/OpenNMT")["ter-A first200"], abs=TOLERANCE)


@pytest.mark.parametrize("system", ["en-de/OpenNMT", "en-de/Online-A", "en-zh/Online-A"])
@pytest.mark.parametrize(
    ("metric", "key"), [("bleu", "sentence_bleu-A exp eff first20"), ("chrf", "sentence_chrf2-A first20")]
)
def test_sentence_scores(system: str, metric: str, key: str) -> None:
    hypotheses, references = corpus(system, "A")
    options = {"tokenize": "zh"} if system.startswith("en-zh") and metric == "bleu" else {}
    scores = sentence_scores(make_metric(metric, **options), hypotheses[:20], references[:20])
    numpy.testing.assert_allclose(scores, golden(system)[key], atol=TOLERANCE, rtol=0)


CASES = [
    ("bleu", {}, BLEU()),
    ("bleu", {"tokenize": "intl", "lowercase": True}, BLEU(tokenize="intl", lowercase=True)),
    ("bleu", {"smooth_method": "add-k"}, BLEU(smooth_method="add-k")),
    ("bleu", {"smooth_method": "floor", "smooth_value": 0.3}, BLEU(smooth_method="floor", smooth_value=0.3)),
    ("bleu", {"effective_order": True, "max_ngram_order": 3}, BLEU(effective_order=True, max_ngram_order=3)),
    ("chrf", {}, CHRF()),
    ("chrf", {"word_order": 1, "char_order": 5, "whitespace": True}, CHRF(word_order=1, char_order=5, whitespace=True)),
    ("chrf++", {"lowercase": True, "eps_smoothing": True}, CHRF(word_order=2, lowercase=True, eps_smoothing=True)),
    ("ter", {}, TER()),
    ("ter", {"normalized": True, "no_punct": True}, TER(normalized=True, no_punct=True)),
    ("ter", {"case_sensitive": True, "normalized": True, "asian_support": True}, TER(True, False, True, True)),
]


@pytest.mark.parametrize(("name", "options", "library"), CASES)
@pytest.mark.parametrize("num_references", [1, 2, "var"])
def test_score_and_signature_are_the_librarys(name: str, options: dict, library: Any, num_references: Any) -> None:
    references: list[list[Any]] = [list(segment[: 1 if num_references == 1 else 2]) for segment in REFERENCES]
    if num_references == "var":
        references[3][1] = None
    expected = library.corpus_score(HYPOTHESES, list(zip(*references, strict=True)))
    metric = make_metric(name, **options)
    score = metric.score(total(metric.statistics(HYPOTHESES, references)))
    assert score.value == pytest.approx(expected.score, abs=TOLERANCE)
    assert score.signature == str(library.get_signature())
    assert score.signature.startswith(f"nrefs:{num_references}|")


def test_a_tokenizer_that_cannot_be_used_is_explained() -> None:
    try:
        metric = make_metric("bleu", tokenize="ja-mecab")
    except ValueError as error:
        assert "pip install sacrebleu[ja]" in str(error)  # noqa: PT017 - the other outcome is fine too
    else:
        assert "tok:ja-mecab" in metric.score(total(metric.statistics(["猫"], [["猫"]]))).signature


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Have the library looked at anew, and again after the test."""
    sacre._check_steps.cache_clear()
    yield
    sacre._check_steps.cache_clear()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("make", [bleu, chrf, ter])
@pytest.mark.parametrize("step", ["_preprocess_segment", "_compute_score_from_stats", "_extract_reference_info"])
def test_a_library_of_other_steps_is_refused(
    make: Callable[[], SacreMetric], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That this version is known is what every other test here says."""
    kind = type(make().scorer)
    original = getattr(kind, step)
    sacre._check_steps.cache_clear()
    monkeypatch.setattr(kind, step, lambda *arguments: original(*arguments, "more"), raising=False)
    with pytest.raises(ValueError, match=r"sacreBLEU [\d.]+ makes its scores in other steps .* install sacrebleu 2.6"):
        make()


@pytest.mark.usefixtures("unchecked")
def test_counts_that_do_not_make_the_library_s_score_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = TER._compute_segment_statistics
    monkeypatch.setattr(TER, "_compute_segment_statistics", lambda *arguments: [7.0, *original(*arguments)[1:]])
    monkeypatch.setattr(TER, "corpus_score", lambda *arguments: SimpleNamespace(score=0.5))
    with pytest.raises(ValueError, match="other steps"):
        ter()
