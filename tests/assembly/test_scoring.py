"""`seq2seq.score`: the numbers of the metrics themselves, in whatever shape the texts come."""

import json
import re
from typing import Any

import pytest

import seq2seq
from seq2seq.assembly.scoring import compare, score_texts
from seq2seq.generation.output import NBest, TextHypothesis
from tests.metrics.texts import random_corpus

HYPOTHESES, BASELINE, REFERENCES = random_corpus(23, seed=2)


def hypothesis(text: str) -> TextHypothesis:
    return TextHypothesis(text, (), (), 0.0, 0.0, True)


def test_scores_are_those_of_the_metrics() -> None:
    scores = seq2seq.score(HYPOTHESES, REFERENCES)
    expected = score_texts(HYPOTHESES, REFERENCES, ["bleu", "chrf"])
    assert list(scores) == expected
    assert scores.values == {score.name: score.value for score in expected}
    assert scores.signatures["chrf"] == expected[1].signature
    assert scores["bleu"] == expected[0]
    assert (len(scores), scores.comparisons) == (2, ())
    with pytest.raises(KeyError, match="ter; there are bleu, chrf"):
        scores["ter"]


def test_a_baseline_brings_comparisons() -> None:
    scores = seq2seq.score(HYPOTHESES, REFERENCES, "chrf", baseline=BASELINE, num_samples=100, seed=3)
    expected = compare(HYPOTHESES, BASELINE, REFERENCES, ["chrf"], "bootstrap", 100, 3)
    assert list(scores.comparisons) == expected
    assert scores.values == {"chrf": expected[0].system.value}
    assert json.loads(scores.to_json())[0]["p_value"] == expected[0].p_value
    assert json.loads(scores.to_json())[0]["difference"] == expected[0].difference


def test_scores_print_as_a_table() -> None:
    lines = f"{seq2seq.score(HYPOTHESES, REFERENCES, ['bleu', 'ter'])}".splitlines()
    assert [line.split()[0] for line in lines] == ["metric", "bleu", "ter"]
    compared = seq2seq.score(HYPOTHESES, REFERENCES, ["bleu"], baseline=BASELINE, significance="none")
    assert repr(compared) == str(compared)
    assert str(compared).splitlines()[0].split()[:4] == ["metric", "score", "baseline", "delta"]


def test_hypotheses_come_as_a_generator_gives_them() -> None:
    wanted = seq2seq.score(["a b", "c"], ["a b", "c d"], ["exact_match"]).values
    lists = [[hypothesis("a b"), hypothesis("x")], [hypothesis("c")]]
    nbests = [NBest(number, "", tuple(found)) for number, found in enumerate(lists)]
    for given in (lists, nbests, [found[0] for found in lists], ("a b", "c")):
        assert seq2seq.score(given, ["a b", "c d"], ["exact_match"]).values == wanted == {"exact_match": 50.0}


def test_several_references_may_vary_in_number() -> None:
    assert seq2seq.score(["a", "b"], [["x", "a"], "b"], ["exact_match"]).values == {"exact_match": 100.0}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((["a"], ["a", "b"]), {}, "There are 1 hypotheses, but 2 `references`"),
        ((["a"], ["a"]), {"baseline": []}, "but 0 `baseline`; give one for each"),
        (([], []), {}, "`hypotheses` is empty"),
        (("a", ["a"]), {}, "`hypotheses` is a single text"),
        ((["a"], "a"), {}, "`references` is a single text"),
        ((["a", 7], ["a", "b"]), {}, "`hypotheses[1]` must be a text, or what a generator returns, but is 7"),
        ((["a", []], ["a", "b"]), {}, "`hypotheses[1]` must be a text"),
        ((["a"], [[]]), {}, "`references[0]` must be a text, or a list of some, but is []"),
        ((["a"], [[None]]), {}, "`references[0]` must be a text"),
        ((["a", "b"], ["a", float("nan")]), {}, "`references[1]` must be a text, or a list of some, but is nan"),
        ((["a"], ["a"], ["blue"]), {}, "did you mean 'bleu'"),
        ((["a"], ["a"], []), {}, "`metrics` is empty"),
        ((["a"], ["a"]), {"stemmer": True}, "`stemmer` is no option of bleu, chrf; they have tokenize"),
        ((["a"], ["a"]), {"seed": 0}, "`seed` is of a comparison with a `baseline`"),
        ((["a"], ["a"]), {"baseline": ["a"], "significance": "t-test"}, "`significance` must be one of bootstrap"),
        ((["a"], ["a"]), {"baseline": ["a"], "num_samples": 0}, "`num_samples` must be at least 1"),
        ((["a"], ["a"], ["word_movers_distance"]), {}, "`embeddings` of `seq2seq.score`"),
    ],
)
def test_what_cannot_be_scored_is_explained(arguments: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        seq2seq.score(*arguments, **options)
