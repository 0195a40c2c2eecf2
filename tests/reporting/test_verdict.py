"""The verdict: that each sentence is there when it is true, and only then."""

from typing import Any

import pytest

from seq2seq.reporting.results import Answers, RunComparison
from seq2seq.reporting.slices import Slice
from seq2seq.reporting.verdict import answers
from tests.reporting.runs import baseline, course, data, difference, part, run, score, task


def verdict(facts: dict[str, Any] | None = None, kind: Any = "sentences", **changes: Any) -> Answers:
    return answers(run(**changes), task(kind), data(**(facts or {})))


def test_a_model_that_works() -> None:
    found = verdict()
    assert found.state == "works"
    assert found.does_it_work == (
        "It works: it has BLEU 30.0 (95 % interval 29.0 to 31.0) on 200 pairs. Answers that take no model are clearly "
        "worse; the best of these, the target of the training pair whose source is most like the given one, has 8.0.",
    )
    assert found.where_it_fails == ("No part of the pairs that was looked at is much worse than the rest.",)


@pytest.mark.parametrize(
    ("less", "p", "words"),
    [(0.4, 0.6, "not clearly better than"), (-3.0, 0.001, "does worse than"), (3.0, 0.06, "not clearly better than")],
)
def test_a_model_that_beats_no_stand_in_does_not_work(less: float, p: float, words: str) -> None:
    found = verdict(baselines=(baseline("copy", 1.0, 29.0), baseline("nearest", 30.0 - less, less, p)))
    assert found.state == "fails"
    assert found.does_it_work[0].startswith("It does not work yet")
    assert words in found.does_it_work[0]
    assert "whose source is most like the given one" in found.does_it_work[0]


def test_a_stand_in_that_is_not_the_best_may_be_the_one_that_is_not_beaten() -> None:
    baselines = (baseline("copy", 8.0, 22.0), baseline("nearest", 7.0, 23.0, p=0.2))
    assert "not clearly better than the target of the training pair" in verdict(baselines=baselines).does_it_work[0]


def test_a_model_that_is_better_and_still_of_no_use() -> None:
    found = verdict(scores=(score(4.0),), baselines=(baseline("nearest", 1.0, 3.0),))
    assert found.state == "weak"
    assert found.does_it_work[0].startswith("It has learnt something, but too little to be of use")


def test_empty_outputs_and_too_few_pairs() -> None:
    assert verdict(outputs=["", " "]).does_it_work[0] == "It does not work: all outputs are empty."
    one = verdict({"num_pairs": 1})
    assert one.state == "unknown"
    assert "a single pair to measure on is too little" in one.does_it_work[0]
    assert one.where_it_fails == ()


def test_what_has_to_be_known_of_the_score() -> None:
    found = verdict({"origin": "validation"}, num_seen=20, is_finished=False, last_step=500)
    assert found.does_it_work[1:] == (
        "The training has not reached its end (step 500 of 1,000); this is its best model so far.",
        "These pairs chose the checkpoint in training, so the scores are a little flattering.",
        "20 of the 200 sources (10 %) are in the training data too, so the scores say less of new text than they seem "
        "to.",
    )
    assert found.what_next[0].startswith("Let the training reach its end")


def test_the_weakest_part() -> None:
    parts = (part("5 to 9 words", 36.0, 29.0), part("15 to 27 words", 20.0, 33.0), part("few", 2.0, 33.0, num_pairs=5))
    assert verdict(slices=parts).where_it_fails[0] == (
        "It is weakest on sources of 15 to 27 words (100 of them): BLEU 20.0, against 33.0 on all others."
    )
    overlapping = (part("15 to 27 words", 31.5, 33.0),)
    assert verdict(slices=overlapping).where_it_fails[0].startswith("No part")


def test_serious_alarms_are_said() -> None:
    outputs = ["ein Haus"] * 150 + [""] * 50
    assert "50 of 200 outputs (25 %) are empty." in verdict(outputs=outputs).where_it_fails


def test_few_pairs() -> None:
    found = verdict({"num_training": 300})
    assert (
        found.what_next[0]
        == "It has 300 pairs to learn from, which is few for sentences: more pairs are what helps most."
    )
    assert "pretrained" in found.what_next[1]
    assert not any("pretrained" in text for text in verdict({"num_training": 300}, is_tuned=True).what_next)
    assert not any("pretrained" in text for text in verdict({"num_training": 300}, kind="words").what_next)


@pytest.mark.parametrize(
    ("trend", "words"),
    [("rising", "More time is likely to help"), ("flat", "More time alone will hardly help")]
    + [("unclear", "Whether more time would help is not clear"), ("unknown", "was measured too seldom")],
)
def test_more_time(trend: str, words: str) -> None:
    found = [text for text in verdict(course=course(20.0, 25.0, trend=trend)).what_next if words in text]
    assert len(found) == 1


def test_tuning_and_other_runs() -> None:
    tuned = verdict(baselines=(baseline("nearest", 8.0, 22.0), baseline("before", 20.0, 10.0)), is_tuned=True)
    assert "Tuning has helped: before it, the model had BLEU 20.0 (95 % interval 19.0 to 21.0)." in tuned.does_it_work
    taught = verdict(baselines=(baseline("nearest", 8.0, 22.0), baseline("before teaching", 20.0, 10.0)))
    assert (
        "Teaching has helped: before it, the model had BLEU 20.0 (95 % interval 19.0 to 21.0)." in taught.does_it_work
    )
    other = RunComparison("other", "mine", (difference(2.0),))
    assert answers(run(), task(), data(), [run(name="other")], [other]).does_it_work[2] == (
        "other is better than mine by 2.0 BLEU (95 % interval of the difference +1.0 to +3.0, p = 0.001), beyond "
        "chance."
    )
    same = RunComparison("other", "mine", (difference(0.3, 0.4),))
    assert (
        "neither is shown to be better" in answers(run(), task(), data(), [run(name="other")], [same]).does_it_work[2]
    )


@pytest.mark.parametrize("value", [2.0, -2.0])
def test_a_run_that_was_trained_on_the_pairs_is_not_simply_better(value: float) -> None:
    comparison = RunComparison("other", "mine", (difference(value),))
    found = answers(run(), task(), data(), [run(name="other", num_seen=180)], [comparison]).does_it_work
    assert found[2] == (
        "180 of the 200 sources (90 %) are in the training data of other too, so its scores say less of new text than "
        "they seem to."
    )
    assert found[3].endswith(
        "beyond chance. But the training data of other has 180 of these sources and that of mine 0, so this says "
        "little of which is better on new text."
    )


def test_a_run_whose_training_is_not_known_is_not_simply_better() -> None:
    comparison = RunComparison("other", "mine", (difference(2.0),))
    for first, second, name in [(None, 0, "mine"), (0, None, "other")]:
        others = [run(name="other", num_seen=second)]
        found = answers(run(num_seen=first), task(), data(), others, [comparison]).does_it_work[-1]
        assert f"beyond chance. But what {name} was trained on is not known" in found
    both = answers(run(num_seen=7), task(), data(), [run(name="other", num_seen=7)], [comparison]).does_it_work
    assert both[1].startswith("7 of the 200 sources (3.5 %) are in the training data of mine too")
    assert both[-1].endswith("beyond chance.")


def test_what_is_counted_in_a_part_of_training_is_not_said_of_all() -> None:
    part_of_it = {"num_training": 500_000, "num_looked_at": 200_000, "num_same_sides": 20_000, "share_unseen": 0.1}
    unseen = Slice("words", "some unseen", "with rare words", 100, score(10.0), score(30.0))
    found = verdict(part_of_it, num_seen=20, num_sampled=200_000, slices=(unseen,))
    assert found.does_it_work[1] == (
        "At least 20 of the 200 sources (10 %) are in the training data too, of which 200,000 pairs were looked at, so "
        "the scores say less of new text than they seem to."
    )
    said = " ".join(found.what_next)
    assert "are in none of the 200,000 training sources that were looked at" in said
    assert "10 % of the training pairs (200,000 of them were looked at) have the same text" in said
    whole = " ".join(verdict({**part_of_it, "num_training": 200_000}, slices=(unseen,)).what_next)
    assert "are in no training source" in whole
    assert "looked at" not in whole
