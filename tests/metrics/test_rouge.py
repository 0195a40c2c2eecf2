"""ROUGE equals rouge-score on ASCII text, and means something in other scripts."""

import random
import string

import pytest
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import DefaultTokenizer

from seq2seq.metrics import make_metric
from seq2seq.metrics.rouge import WordTokenizer, tokenize
from tests.metrics.texts import total
from tests.shared_data import shared_data

ROUGES = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


def rouge(name: str, hypotheses: list[str], references: list[list[str]], stemmer: bool = False) -> float:
    metric = make_metric(name, stemmer=stemmer)
    return metric.score(total(metric.statistics(hypotheses, references))).value


@pytest.mark.parametrize("stemmer", [False, True])
def test_words_of_ascii_text_are_rouge_scores(stemmer: bool) -> None:
    chooser = random.Random(3)
    every_character = "".join(f"a{chr(code)}B" for code in range(128))
    texts = [every_character, "Running runners' flies, don't die_hard 3.14 agreed skies"]
    texts += ["".join(chooser.choices(string.printable + string.ascii_letters * 3, k=97)) for _ in range(200)]
    ours, theirs = WordTokenizer(stemmer), DefaultTokenizer(stemmer)
    for text in texts:
        assert ours.tokenize(text) == theirs.tokenize(text)


@pytest.mark.parametrize("name", ROUGES)
@pytest.mark.parametrize("stemmer", [False, True])
def test_scores_of_ascii_text_are_rouge_scores(name: str, stemmer: bool) -> None:
    chooser = random.Random(5)
    words = ["run", "running", "cats", "cat", "The", "house", "houses", "blue", ".\n", ","]
    texts = [" ".join(chooser.choices(words, k=chooser.randint(0, 17))) for _ in range(93)]
    hypotheses, references = texts[:31], [list(pair) for pair in zip(texts[31:62], texts[62:], strict=True)]
    scorer = RougeScorer([name], use_stemmer=stemmer)
    best = [max(scorer.score(reference, text)[name].fmeasure for reference in segment)
            for text, segment in zip(hypotheses, references, strict=True)]  # fmt: skip
    assert rouge(name, hypotheses, references, stemmer) == pytest.approx(100 * sum(best) / len(best), abs=1e-9)


def test_lead_baseline_on_arxiv_titles() -> None:
    lines = shared_data("arxiv_cl_title/test.tsv").read_text("utf-8").removesuffix("\n").split("\n")
    abstracts, titles, _ = zip(*(line.split("\t") for line in lines), strict=True)
    hypotheses = [" ".join(abstract.split()[:12]) for abstract in abstracts]
    scores = [rouge(name, hypotheses, [[title] for title in titles], stemmer=True) for name in ROUGES[:3]]
    assert scores == pytest.approx([24.69, 10.49, 21.11], abs=0.005)  # published to two digits


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我爱北京。", ["我", "爱", "北", "京"]),
        ("GPT-4模型v2，２０２４年", ["gpt", "4", "模", "型", "v2", "２０２４", "年"]),
        ("ひらがなとカタカナ", list("ひらがなとカタカナ")),
        ("नमस्ते दुनिया!", ["नमस्ते", "दुनिया"]),
        ("क्\u200dष", ["क्ष"]),
        ("Größe École cafe\u0301", ["größe", "école", "caf\u00e9"]),
        ("Привет, мир", ["привет", "мир"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("snake_case\u2028next", ["snake", "case", "next"]),
        ("。、！ -- \t", []),
    ],
)
def test_words_of_other_scripts(text: str, words: list[str]) -> None:
    assert tokenize(text) == words


@pytest.mark.parametrize(
    ("name", "hypothesis", "reference", "score"),
    [
        ("rouge1", "我爱北京", "我爱上海", 50.0),  # 2 of 4 characters on both sides
        ("rouge2", "我爱北京", "我爱上海", 100 / 3),  # 1 of 3 pairs
        ("rougeL", "我也爱北京", "北京我爱", 400 / 9),  # longest common subsequence 2 of 5 and 4: 2PR/(P+R)
        ("rouge1", "नमस्ते भारत", "नमस्ते दुनिया", 50.0),
        ("rouge1", "", "दुनिया", 0.0),
    ],
)
def test_worked_examples(name: str, hypothesis: str, reference: str, score: float) -> None:
    assert rouge(name, [hypothesis], [[reference]]) == pytest.approx(score)


def test_lsum_takes_lines_as_sentences() -> None:
    hypothesis, reference = "c d\na b", "a b\nc d"  # every sentence is found, but in the other order
    assert rouge("rougeLsum", [hypothesis], [[reference]]) == pytest.approx(100.0)
    assert rouge("rougeL", [hypothesis], [[reference]]) == pytest.approx(50.0)


def test_precision_and_recall_are_reported() -> None:
    metric = make_metric("rouge1", stemmer=True)
    score = metric.score(total(metric.statistics(["a b c d"], [["a b"]])))
    assert score.details == "P = 50.00 R = 100.00"
    assert score.signature == "nrefs:1|case:lc|tok:unicode|stem:porter|version:0.1.2"


def test_sentences_within_a_line_are_compared_one_by_one() -> None:
    """By hand: the sentences of a reference in turn share 2 of 2 and 2 of 2 words with those of the other order."""
    hypotheses, references = ["c d<n>a b"], [["a b<n>c d"]]
    whole = make_metric("rougeL", sentence_separator="<n>")
    by_sentence = make_metric("rougeLsum", sentence_separator="<n>")
    found = {
        metric.name: metric.score(metric.statistics(hypotheses, references).sum(axis=0))
        for metric in (whole, by_sentence)
    }
    assert found["rougeL"].value == pytest.approx(50.0), "the separator is no word"
    assert found["rougeLsum"].value == pytest.approx(100.0)
    assert found["rougeLsum"].signature.endswith("|sentences:<n>")
    in_lines = make_metric("rougeLsum")
    statistics = in_lines.statistics(["c d\na b"], [["a b\nc d"]])
    assert (statistics == by_sentence.statistics(hypotheses, references)).all()
