"""The loop of all searches: there is one, results come as they are done, and others may watch."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq.decoding import BeamSearch, DiverseBeamSearch, Greedy, Sampling
from seq2seq.decoding.algorithms.driver import Algorithm, Sources, running
from seq2seq.decoding.algorithms.interleaved import InterleavedBeamSearch
from seq2seq.decoding.algorithms.joint import BestPair, JointBeamSearch
from seq2seq.decoding.algorithms.synchronous import SynchronousBeamSearch
from tests.decoding.algorithms.both_ends import BOTH, EOS, model_of, sources
from tests.fakes import RandomModel

PACKAGE = Path(__file__).resolve().parents[3] / "seq2seq"

INPUT_IDS = torch.tensor(
    [[3, 4, 5, 2], [4, 2, 0, 0], [5, 6, 2, 0], [6, 2, 0, 0], [3, 3, 2, 0], [5, 2, 0, 0], [6, 6, 6, 2]]
)
MASK = INPUT_IDS != 0

ONE_END: list[Any] = [Greedy(), BeamSearch(n_best=3), DiverseBeamSearch(n_best=3), Sampling(n_best=3), Sampling(29)]
BOTH_ENDS: list[tuple[dict[str, Any], Any]] = [
    (BOTH, SynchronousBeamSearch(max_length=11, n_best=4)),
    (BOTH, SynchronousBeamSearch(max_length=11, n_best=4, pairing="companion")),
    (BOTH, JointBeamSearch(max_length=11, n_best=4)),
    (BOTH, BestPair(JointBeamSearch(max_length=11))),
    ({"generation_order": "interleaved"}, InterleavedBeamSearch(max_length=11, n_best=4)),
]


def steps_in_loops(tree: ast.Module) -> list[int]:
    """Return the lines that call a `step` of anything within a loop."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While | ast.ListComp | ast.GeneratorExp)]
    calls = {
        node
        for loop in loops
        for node in ast.walk(loop)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "step"
    }
    return [node.lineno for node in calls]


def test_there_is_one_search_loop() -> None:
    assert steps_in_loops(ast.parse("while True:\n    if x:\n        y, s = model.step(s, y)\nmodel.step(s, y)")) == [3]
    files = sorted((PACKAGE / "decoding").rglob("*.py"))
    found = [file.name for file in files for _ in steps_in_loops(ast.parse(file.read_text(encoding="utf-8")))]
    assert found == ["driver.py"]


@pytest.mark.parametrize("search", ONE_END)
def test_results_come_as_sentences_are_done(search: Algorithm[Any]) -> None:
    model = RandomModel(vocab_size=11)
    found, num_steps = [], []
    for position, hypotheses in running(search, model, Sources(INPUT_IDS, MASK)):
        found.append((position, hypotheses))
        num_steps.append(model.num_rows_stepped)
    assert sorted(position for position, _ in found) == list(range(7))
    assert len(set(num_steps)) > 2, "not all at the end"
    assert num_steps == sorted(num_steps)
    expected = search.search(model, INPUT_IDS, MASK)
    assert [hypotheses for _, hypotheses in sorted(found, key=lambda result: result[0])] == expected


def test_a_search_that_nobody_waits_for_any_more_steps_no_further() -> None:
    model = RandomModel(vocab_size=11)
    next(iter(running(BeamSearch(), model, Sources(INPUT_IDS, MASK))))
    stepped = model.num_rows_stepped
    list(running(BeamSearch(), model, Sources(INPUT_IDS, MASK)))
    assert stepped < model.num_rows_stepped - stepped


@pytest.mark.parametrize(("options", "search"), BOTH_ENDS)
def test_a_failure_from_both_ends_is_that_of_its_sentence(options: dict[str, Any], search: Any) -> None:
    """Sources with token 5 are not a number for the encoder; all others are found as without them."""
    model = model_of(3, **options)
    input_ids, mask = sources(5)
    vectors = model.encoder.embeddings.tokens.weight
    with torch.no_grad():
        vectors[5] = vectors[4]
        expected = search.search(model, input_ids, mask)
        vectors[5] = torch.nan
    has_failed = [bool(((ids == 5) & real).any()) for ids, real in zip(input_ids, mask, strict=True)]
    assert 0 < sum(has_failed) < 5
    for failed, found, others in zip(has_failed, search.search(model, input_ids, mask), expected, strict=True):
        if failed:
            assert [(h.tokens, h.error is None) for h in found] == [((), False)]
            assert "not finite" in str(found[0].error)
        else:
            assert [h.tokens for h in found] == [h.tokens for h in others]
            assert all(h.error is None for h in found)


def test_what_cannot_be_said_is_a_failure_that_says_so() -> None:
    def nothing(step: int, token_ids: Tensor, log_probs: Tensor) -> Tensor:
        return log_probs.fill_(-torch.inf)

    model = RandomModel(vocab_size=11)
    model.logits = lambda source, prefix: torch.zeros(11).index_fill(0, torch.tensor([EOS]), -torch.inf)
    [[failed]] = BeamSearch(constraints=(nothing,)).search(model, INPUT_IDS[:1], MASK[:1])
    assert "probability of 0" in str(failed.error)


class Watcher:
    """Keeps the tokens of the first sentence's hypotheses by what it sees."""

    def __init__(self) -> None:
        self.rows: list[list[int]] = []
        self.fed_tokens = 0

    def fed(self, token_ids: Tensor, model_state: Any) -> None:
        tokens = token_ids[0].tolist()
        self.rows = [[*row, token] for row, token in zip(self.rows, tokens, strict=True)] if self.rows else [[1]]
        self.fed_tokens += len(tokens)

    def chosen(self, parents: Tensor, model_state: Any) -> None:
        self.rows = [self.rows[i] for i in parents[0].tolist()]


def test_an_observer_sees_what_the_model_is_fed() -> None:
    model, watcher = RandomModel(vocab_size=11), Watcher()
    search = BeamSearch(beam_width=3, n_best=3, max_length=7, min_length=7 - 1)
    [(_, found)] = running(search, model, Sources(INPUT_IDS[:1], MASK[:1]), watcher)
    assert watcher.fed_tokens == model.num_rows_stepped
    assert all(row[0] == 1 for row in watcher.rows)
    assert {tuple(row[1:]) for row in watcher.rows} >= {h.tokens[:-1] for h in found if len(h.tokens) == 7}
