"""Costs by name: metrics as they are, and distances between the word vectors of the model that is started from."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.checks import check_config
from seq2seq.assembly.cost import build_cost
from seq2seq.assembly.configuration import load_run_config
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.metrics.transport import word_rotators_distance
from seq2seq.models.transformer.inference import load_weights
from tests.tiny_run import write_copy_task

WRD = "word_rotators_distance"


def test_a_metric_is_its_own_cost(tmp_path: Path) -> None:
    config = load_run_config([write_copy_task(tmp_path)])
    found = build_cost("chrf", config, cast(Any, None), pooled=True)
    assert (found.name, found.pooled, found.unit) == ("chrf", True, 100)


def test_words_are_as_far_apart_as_their_vectors_in_the_model_to_start_from(copy_task: Path, tmp_path: Path) -> None:
    pytest.importorskip("ot")
    run = copy_task / "run"
    config = load_run_config([write_copy_task(tmp_path), "--init-from", str(run)])
    tokenizer = TextTokenizer.load(run / "model")
    cost = build_cost(WRD, config, tokenizer, pooled=False)
    same, other, longer = cost.per_segment(["ab", "ab", "abab"], ["ab", "cd", "cd"])
    ab, cd = (tokenizer.encode_targets([text])[0][:-1] for text in ("ab", "cd"))
    embeddings = load_weights(run / "model", "all")["decoder.embeddings.tokens.weight"].numpy()
    assert same == pytest.approx(0, abs=1e-12)
    assert other == pytest.approx(word_rotators_distance(ab, cd, embeddings))
    assert longer == pytest.approx(other)
    assert 0 < other <= 2


SEARCHED = ("--gradient.kind", "parameter_search", "--parameter_search.cost", WRD)
SAMPLED = ("--objective.kind", "minimum_risk", "--candidates.cost", WRD)


@pytest.mark.parametrize(("options", "logged"), [(SEARCHED, "cost_mean"), (SAMPLED, "sampled_cost")])
def test_a_distance_is_trained_for(copy_task: Path, tmp_path: Path, options: tuple[str, ...], logged: str) -> None:
    pytest.importorskip("ot")
    config = write_copy_task(tmp_path)
    started = ("--init-from", str(copy_task / "run"), "--training.max_steps", "2", "--training.log_every", "1")
    assert main(["train", config, *options, *started]) == 0
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    costs = [line[logged] for line in lines if line["kind"] == "train"]
    assert len(costs) == 2
    assert all(0 < cost < 0.5 for cost in costs)


@pytest.mark.parametrize("options", [SEARCHED, SAMPLED])
def test_without_a_trained_model_there_are_no_vectors(tmp_path: Path, options: tuple[str, ...]) -> None:
    config = load_run_config([write_copy_task(tmp_path), *options])
    with pytest.raises(ValueError, match=r"cost: word_rotators_distance.*training\.initialize_from"):
        check_config(config)
