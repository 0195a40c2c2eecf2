"""Damage of models that forget their prefix at once, after a token, or never."""

import numpy
import pytest
import torch
from torch import Tensor

from seq2seq.diagnosis.damage import PLACES, Damage, damages, random_tokens
from seq2seq.metrics import make_metric
from tests.diagnosis.subjects import END, TOKENIZER, VOCAB_SIZE, subject_of
from tests.fakes import Prefix, PrefixModel, RandomModel

REFERENCES = ["abcdefg", "gfe", "a", "bbadcabb", "fgfgfgfgfgfg"]
METRICS = {name: make_metric(name) for name in ("chrf", "ter")}
RANDOM = RandomModel(VOCAB_SIZE, seed=3)


def of_position(source: Prefix, prefix: Prefix) -> Tensor:
    return RANDOM.logits(source, (len(prefix),))


def of_last_token(source: Prefix, prefix: Prefix) -> Tensor:
    return RANDOM.logits(source, prefix[-1:])


def found(logits, references=REFERENCES, seed: int = 1) -> list[Damage]:
    subject = subject_of(PrefixModel(logits, VOCAB_SIZE, END), references, references)
    return damages(subject, subject.forced(range(len(subject)), subject.references), METRICS, seed)


def test_a_model_that_ignores_its_prefix_suffers_nothing() -> None:
    all_damages = found(of_position)
    assert [(d.replacement, d.place) for d in all_damages] == [(r, p) for r in ("likely", "random") for p in PLACES]
    for damage in all_damages:
        assert damage.following == [0] * len(damage.following)
        assert (damage.rest, damage.total) == (0, 0)
        assert {c.loss for c in damage.continuations.values()} == {0}


def test_damage_to_a_model_of_the_last_token_dies_out_after_one() -> None:
    for damage in found(of_last_token):
        assert abs(damage.following[0]) > 0.01
        assert damage.following[1:] == [0] * (len(damage.following) - 1)
        assert damage.rest == 0
        assert damage.total == pytest.approx(damage.following[0]), "each reference has a token after it"


def test_a_model_of_the_whole_prefix_never_recovers() -> None:
    for damage in found(RANDOM.logits):
        assert all(abs(rise) > 1e-3 for rise in damage.following)
    assert found(RANDOM.logits)[0].rest != 0


def test_the_rise_by_hand() -> None:
    # Behind an a the model says b with 1/2, behind anything else with 1/8; the end is as likely as b after a.
    ids = TOKENIZER.ids

    def logits(source: Prefix, prefix: Prefix) -> Tensor:
        if prefix[-1:] != (ids["a"],):
            return torch.full((VOCAB_SIZE,), 1 / VOCAB_SIZE).log()
        probabilities = torch.full((VOCAB_SIZE,), 0.5 / (VOCAB_SIZE - 1))
        probabilities[ids["b"]] = 0.5
        return probabilities.log()

    damage = found(logits, ["abb"])[0]  # places 0.25, 0.5 and 0.75 of three words: the 1st, 2nd and 3rd
    assert damage.following == pytest.approx([numpy.log(VOCAB_SIZE / 2), 0, 0], abs=1e-6)
    assert damage.num_following == [1, 1, 1]
    assert damage.num_references == 1


def test_the_likely_token_is_the_models_own_mistake() -> None:
    subject = subject_of(RANDOM, REFERENCES, REFERENCES)
    gold = subject.forced(range(len(subject)), subject.references)
    for i, other in enumerate(gold.likeliest_others):
        tokens = subject.references[gold.rows[i]]
        position = int(gold.positions[i])
        logits = RANDOM.logits(tuple(subject.sources[gold.rows[i]]), tuple(tokens[:position]))
        allowed = [t for t in range(3, VOCAB_SIZE) if t != tokens[position]]
        assert other == max(allowed, key=logits.tolist().__getitem__)


def test_random_tokens_are_all_other_words_alike() -> None:
    subject = subject_of(RANDOM, ["abc"], ["abc" * 1000])
    tokens = numpy.array(subject.references[0])
    drawn = random_tokens(subject, seed=1)
    assert (drawn != tokens).all()
    assert set(drawn.tolist()) == set(range(3, VOCAB_SIZE)), "no padding, start or end"
    counts = numpy.bincount(drawn[tokens == TOKENIZER.ids["b"]], minlength=VOCAB_SIZE)
    assert counts[TOKENIZER.ids["b"]] == 0
    # 1000 draws of 7 words: 143 each, with a standard deviation of 11.
    assert all(100 < count < 186 for word, count in enumerate(counts) if word > 2 and word != TOKENIZER.ids["b"])
    assert random_tokens(subject, seed=1).tolist() == drawn.tolist()
    assert random_tokens(subject, seed=2).tolist() != drawn.tolist()


def test_a_wrong_word_changes_the_continuation() -> None:
    # The model goes on in the alphabet from whatever it last saw, and ends after g.
    def logits(source: Prefix, prefix: Prefix) -> Tensor:
        following = END if prefix[-1:] == (VOCAB_SIZE - 1,) else (prefix[-1] + 1 if prefix else 4)
        return 20 * torch.eye(VOCAB_SIZE)[following]

    damage = next(d for d in found(logits, ["abcdefg"]) if d.replacement == "likely" and d.place == 0.5)
    assert damage.continuations["chrf"].right == 100
    assert damage.continuations["chrf"].loss == pytest.approx(100 - damage.continuations["chrf"].wrong)
    assert damage.continuations["chrf"].loss > 0
    assert damage.continuations["ter"].right == 0
    assert damage.continuations["ter"].loss == damage.continuations["ter"].wrong > 0, "more is worse"


def test_references_of_a_word_have_no_continuation() -> None:
    assert [damage.continuations for damage in found(of_position, ["a", "b"])] == [{}] * 6
    assert found(of_position, [""]) == []
