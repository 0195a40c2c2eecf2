import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seq2seq.build.checks import check_config
from seq2seq.build.companion_texts import check_companions
from seq2seq.build.model import initialize_from
from seq2seq.build.stages import stages
from seq2seq.config.schema import CompanionsConfig, DecodingConfig, ModelConfig, RunConfig, TrainingConfig
from tests.models.tiny import tiny_model

FACTS = {"model": "a", "tokenizer": "b", "sources": {"bytes": 1}, "search": {"l2r": "c"}}
SELF = RunConfig(
    run_directory="runs/x",
    model=ModelConfig(generation_order="bidirectional", interaction="tanh"),
    companions=CompanionsConfig(model="self", first_steps=70),
    training=TrainingConfig(max_steps=30),
    decoding=DecodingConfig(beam_width=4),
)


@pytest.mark.parametrize("changed", list(FACTS))
def test_companions_of_something_else_are_refused(changed: str, tmp_path: Path) -> None:
    manifest = tmp_path / "train.json"
    check_companions(manifest, FACTS)
    manifest.write_text(json.dumps(FACTS))
    check_companions(manifest, FACTS)
    with pytest.raises(ValueError, match=f"made with another {changed}; delete that folder"):
        check_companions(manifest, {**FACTS, changed: "other"})


def test_one_configuration_stands_for_two_stages() -> None:
    first, second = stages(SELF)
    assert first.run_directory == second.companions.model == second.training.initialize_from == "runs/x/first_stage"
    assert (first.model.interaction, first.training.max_steps, first.companions.model) == ("none", 70, None)
    assert (second.model.interaction, second.training.max_steps, second.run_directory) == ("tanh", 30, "runs/x")
    for stage in (first, second):
        assert stages(stage) == [stage]
        check_config(stage)


def test_each_fold_has_a_model_that_has_not_seen_it() -> None:
    configs = stages(replace(SELF, companions=replace(SELF.companions, folds=3)))
    first, *folds, last = configs
    assert [(fold.data.num_folds, fold.data.left_out_fold) for fold in folds] == [(3, 0), (3, 1), (3, 2)]
    assert last.companions.fold_models == tuple(fold.run_directory for fold in folds)
    assert len({config.run_directory for config in configs}) == 5
    assert {fold.tokenizer.from_run for fold in folds} == {first.run_directory}
    for stage in configs:
        check_config(stage)
    with pytest.raises(ValueError, match="2 or more"):
        stages(replace(SELF, companions=replace(SELF.companions, folds=1)))


def test_a_first_stage_needs_steps() -> None:
    with pytest.raises(ValueError, match="first_steps"):
        stages(replace(SELF, companions=CompanionsConfig(model="self")))


def test_combinations_that_leak_or_waste_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be trained on references alone"):
        check_config(replace(SELF, companions=CompanionsConfig()))
    with pytest.raises(ValueError, match="set `model.interaction`"):
        check_config(replace(SELF, model=ModelConfig(generation_order="bidirectional")))
    check_config(
        replace(
            SELF,
            companions=CompanionsConfig(),
            model=ModelConfig(generation_order="bidirectional", interaction="tanh", interaction_weight=0.0),
        )
    )


def test_a_model_of_one_direction_begins_one_of_both(tmp_path: Path) -> None:
    one = tiny_model().float()
    one.save_pretrained(tmp_path)
    both = tiny_model(generation_order="bidirectional", interaction="gate").float()
    initialize_from(both, tmp_path)
    weights = both.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in one.state_dict().items())
    with torch.no_grad():
        source, targets = torch.tensor([[5, 6, 2]]), torch.tensor([[1, 7, 8]])
        assert both.decoder.embeddings.sides.weight.abs().max() == 0
        torch.testing.assert_close(
            both(source, decoder_input_ids=targets, sides=torch.ones(1, dtype=torch.long)).logits,
            one(source, decoder_input_ids=targets).logits,
        )
    with pytest.raises(ValueError, match="absent or misshapen"):
        initialize_from(tiny_model(decoder_layers=3).float(), tmp_path)
