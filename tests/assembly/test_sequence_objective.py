"""From a configuration to an objective: what is put together, and what is refused before any work."""

from pathlib import Path
from typing import Any, cast

import pytest

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.sequence_objective import SEQUENCE_OBJECTIVES, build_sequence_objective
from seq2seq.assembly.configuration import load_run_config
from seq2seq.objectives.minimum_risk import MinimumRisk
from seq2seq.objectives.ranking import Ranking
from seq2seq.objectives.sequences import WithLikelihood
from tests.fakes import CharTokenizer
from tests.tiny_run import write_copy_task


class BatchTokenizer(CharTokenizer):
    def decode_batch(self, sequences: list[list[int]]) -> list[str]:
        return [self.decode(ids) for ids in sequences]


def built(folder: Path, *options: str) -> Any:
    config = load_run_config([write_copy_task(folder), *options])
    return build_sequence_objective(config, cast(Any, BatchTokenizer()))


@pytest.mark.parametrize("order", ["l2r", "r2l"])
def test_minimum_risk_has_its_options_and_the_mix_has_the_rest(tmp_path: Path, order: str) -> None:
    objective = built(
        tmp_path,
        *("--objective.kind", "minimum_risk", "--objective.sharpness", "0.3", "--objective.label_smoothing", "0.2"),
        *("--candidates.cost", "chrf", "--candidates.num_candidates", "7", "--candidates.mle_weight", "0.4"),
        *("--candidates.add_reference", "true", "--model.generation_order", order),
    )
    assert isinstance(objective, WithLikelihood)
    assert (objective.mle_weight, objective.label_smoothing) == (0.4, 0.2)
    risk = objective.objective
    assert isinstance(risk, MinimumRisk)
    assert (risk.sharpness, risk.add_reference) == (0.3, True)
    assert (risk.candidates.num_candidates, risk.candidates.search) == (7, "sampling")
    assert (risk.cost.cost.name, risk.cost.from_right) == ("chrf", order == "r2l")
    assert list(risk.cost.decode([[4, 5, 2]])) == ["ab"]


def test_ranking_searches_diverse_beams_unless_told_otherwise(tmp_path: Path) -> None:
    objective = built(tmp_path, "--objective.kind", "ranking").objective
    assert isinstance(objective, Ranking)
    assert objective.candidates.search == "diverse_beam"
    beams = built(tmp_path, "--objective.kind", "ranking", "--candidates.search", "beam").objective
    assert beams.candidates.search == "beam"


@pytest.mark.parametrize("kind", SEQUENCE_OBJECTIVES)
@pytest.mark.parametrize("order", ["bidirectional", "interleaved"])
def test_models_that_generate_from_both_ends_are_refused(tmp_path: Path, kind: str, order: str) -> None:
    config = load_run_config([write_copy_task(tmp_path), "--objective.kind", kind, "--model.generation_order", order])
    with pytest.raises(ValueError, match=f"`objective.kind: {kind}` is for models that generate from one end.*{order}"):
        check_config(config)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--candidates.cost", "blue"], "There is no metric 'blue'; did you mean 'bleu'"),
        (["--candidates.search", "beam"], "`reinforce` is for `search: sampling`"),
        (["--candidates.num_candidates", "1"], "`num_candidates` of at least 2"),
        (["--candidates.mle_weight", "-1"], "`mle_weight` must be in"),
        (["--objective.kind", "minimum_risk", "--objective.sharpness", "0"], "`sharpness` must be above 0"),
    ],
)
def test_wrong_options_are_found_before_any_work(tmp_path: Path, options: list[str], message: str) -> None:
    config = load_run_config([write_copy_task(tmp_path), "--objective.kind", "reinforce", *options])
    with pytest.raises(ValueError, match=message):
        check_config(config)
