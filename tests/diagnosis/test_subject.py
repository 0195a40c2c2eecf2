import pytest
import torch

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.generator import TextGenerator
from seq2seq.assembly.search import beam_search_like
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.constraints import SuppressedTokens
from seq2seq.diagnosis.subject import Subject
from tests.diagnosis.subjects import END, TOKENIZER, VOCAB_SIZE, A, B, C, D, F, G, generator_of, subject_of
from tests.fakes import PrefixModel, RandomModel


class FromTheRight(PrefixModel):
    """Says `dcba`, and its end, whatever the source."""

    generation_order = "r2l"

    def __init__(self) -> None:
        row = [D, C, B, A, END]
        super().__init__(lambda s, p: torch.eye(VOCAB_SIZE)[row[len(p)]] * 9, VOCAB_SIZE, END)

    def from_side(self, side: int) -> "FromTheRight":
        assert side == 1
        return self


def test_a_model_from_the_right_is_followed_from_the_right() -> None:
    subject = subject_of(FromTheRight(), ["a", "bb"], ["abcd", "abc"])
    assert subject.references == [[D, C, B, A, END], [C, B, A, END]]
    [found, _] = subject.greedy()
    assert found.tokens == (D, C, B, A, END)
    assert subject.text(found.tokens) == "abcd"
    assert subject.forced([0], [subject.references[0]]).is_best.all()
    # What follows a prefix from the right stands before it in the text.
    [found] = subject.greedy([1], [[D, C]])
    assert subject.text(found.tokens[2:]) == "ab"


def test_hypotheses_come_in_the_order_of_the_rows() -> None:
    sources = ["a", "bcd", "cc", "dabb", "fg"]
    subject = subject_of(RandomModel(VOCAB_SIZE), sources, sources, batch_tokens=7)
    alone = [subject.greedy([row])[0].tokens for row in range(5)]
    assert [h.tokens for h in subject.greedy()] == alone
    assert [h.tokens for h in subject.greedy([3, 1])] == [alone[3], alone[1]]
    assert len(set(alone)) > 1


def test_what_is_diagnosed_is_what_the_generator_says() -> None:
    rules = TargetRules((SuppressedTokens((A, B)),), start=(G,), other_ends=(F,))
    generator = TextGenerator(RandomModel(VOCAB_SIZE), TOKENIZER, BeamSearch(max_length=9), rules=rules)
    sources = [first + second for first in "abcdefg" for second in "abc"]
    subject = Subject.create(generator, sources, sources)
    for found, options in (
        (subject.greedy(), {"method": "greedy"}),
        (subject.found(beam_search_like(subject.decoding, 3)), {"beam_width": 3}),
    ):
        assert [h.tokens for h in found] == [best.token_ids for best, *_ in generator(sources, **options)]
        assert all(h.tokens[0] == G and not {A, B} & set(h.tokens) for h in found)
        assert [subject.is_finished(h.tokens) for h in found] == [h.finished for h in found]
        assert any(h.tokens[-1] == F for h in found)


def test_generation_by_turns_is_refused() -> None:
    model = RandomModel(VOCAB_SIZE)
    model.generation_order = "interleaved"
    with pytest.raises(ValueError, match="no prefix to diagnose"):
        subject_of(model, ["a"], ["a"])


def test_what_is_too_long_is_cut_or_named(caplog: pytest.LogCaptureFixture) -> None:
    model = RandomModel(VOCAB_SIZE)
    model.max_source_tokens, model.max_target_tokens = 4, 5
    assert subject_of(model, ["abcdefg", "abc"], ["abcd", "a"]).sources == [[A, B, C, END], [A, B, C, END]]
    assert "Line 1 has 8 tokens, of which the model takes 4" in caplog.text
    with pytest.raises(ValueError, match="Reference 2 has 6 tokens, of which the model takes 5"):
        subject_of(model, ["a", "a"], ["abcd", "abcde"])
    with pytest.raises(ValueError, match="Reference 9 has 6 tokens"):
        Subject.create(generator_of(model), ["a", "a"], ["abcd", "abcde"], [3, 9])


def test_a_search_that_fails_is_no_diagnosis() -> None:
    model = RandomModel(VOCAB_SIZE)
    logits = model.logits
    model.logits = lambda source, prefix: logits(source, prefix) * (float("nan") if source[0] == B else 1)
    with pytest.raises(ValueError, match=r"source of pair 2 failed: .*not finite"):
        subject_of(model, ["a", "b", "c"], ["a", "b", "c"]).greedy()
