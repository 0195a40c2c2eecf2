"""The search of the page's engine finds what ours finds, on models that are tables of every prefix."""

import itertools
from typing import Any

import pytest
import torch

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.constraints import (
    ForcedEnd,
    Renormalized,
    SuppressedTokens,
    forbidden_sequences,
    repetition_penalty,
)
from seq2seq.export.onnx_rules import written_rules
from tests.export.javascript import evaluated
from tests.fakes import RandomModel

VOCABULARY, LONGEST, SEEDS = 6, 5, range(12)
SEARCH = """({beamSearch}, [tables, options, special, size]) => Promise.all(tables.map((table) => {
    const graphs = {
        start: async () => ({prefixes: [[]]}),
        step: async ({prefixes, begun}, tokens) => {
            const longer = begun ? prefixes.map((prefix, row) => [...prefix, tokens[row]]) : prefixes;
            const logits = Float32Array.from(longer.flatMap((prefix) => table[prefix.join()]));
            return {logits, state: {prefixes: longer, begun: true}};
        },
        reorder: ({prefixes}, rows) => ({prefixes: rows.map((row) => prefixes[row]), begun: true}),
    };
    return beamSearch(graphs, [3, 2], options, special);
}))"""
RULES: list[TargetRules] = [
    TargetRules(),
    TargetRules(other_ends=(3, 4)),
    TargetRules((SuppressedTokens((4,)), SuppressedTokens((3, 5), at_step=0)), other_ends=(3,)),
    TargetRules((repetition_penalty(2.5, 1), ForcedEnd(2))),
    TargetRules((forbidden_sequences([[3, 4], [4, 5, 3], [1, 5], [5, 2]], 1), Renormalized())),
    TargetRules((SuppressedTokens((0, 1, 2, 3, 4, 5), at_step=1), Renormalized())),
    TargetRules((SuppressedTokens((4,), at_step=1),), start=(5,)),
]


def table(model: RandomModel) -> dict[str, list[float]]:
    """Return the logits behind each prefix that a search can come to."""
    prefixes = [prefix for length in range(LONGEST) for prefix in itertools.product(range(VOCABULARY), repeat=length)]
    return {",".join(map(str, prefix)): model._random_logits((3, 2), prefix).tolist() for prefix in prefixes}


@pytest.mark.parametrize("rules", RULES, ids=range(len(RULES)))
@pytest.mark.parametrize(
    "options",
    [
        {"beam_width": 1},
        {"beam_width": 3, "length_penalty": 0.6, "length_normalization": "gnmt", "min_length": 2},
        {"beam_width": 4, "no_repeat_ngram": 2, "early_stopping": True},
        {"beam_width": 2, "no_repeat_ngram": 1, "length_penalty": 0.0},
    ],
    ids=str,
)
def test_hypotheses_are_those_of_our_search(options: dict[str, Any], rules: TargetRules) -> None:
    models = [RandomModel(VOCABULARY, seed=seed) for seed in SEEDS]
    search = rules.applied(BeamSearch(**options, n_best=options["beam_width"], max_length=LONGEST))
    source, prefixes = torch.tensor([[3, 2]]), [rules.start] if rules.start else None
    expected = [search.search(model, source, source > 0, prefixes)[0] for model in models]
    special = {
        "start": 1,
        "ends": [2, *rules.other_ends],
        "forced": list(rules.start),
        "rules": written_rules(rules.constraints),
    }
    given = [[table(model) for model in models], options | {"max_length": LONGEST}, special]
    for theirs, ours in zip(expected, evaluated("search.js", SEARCH, given), strict=True):
        assert [tuple(one["tokens"]) for one in ours] == [one.tokens for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert one["finished"] == other.finished
            assert one["normalized_score"] == pytest.approx(other.normalized_score, abs=1e-5)
            assert one["token_log_probs"] == pytest.approx(other.token_log_probs, abs=1e-5)


def test_rules_change_what_is_found() -> None:
    source = torch.tensor([[3, 2]])
    found = set()
    for rules in RULES:
        search, prefixes = rules.applied(BeamSearch(max_length=LONGEST)), [rules.start] if rules.start else None
        models = [RandomModel(VOCABULARY, seed=seed) for seed in SEEDS]
        found.add(str([search.search(model, source, source > 0, prefixes)[0][0].tokens for model in models]))
    assert len(found) == len(RULES)
