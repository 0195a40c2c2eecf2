import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.companion_texts import Texts, check_origin
from seq2seq.assembly.companions import Found, leaks, of_training, of_validation
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.model import initialize_from
from seq2seq.assembly.stages import stages
from seq2seq.data import corpus as corpus_module
from seq2seq.data.companions import refreshed_rows
from seq2seq.data.corpus import Dataset
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.options import CompanionOptions, DataOptions
from seq2seq.data.sequences import Sequences
from seq2seq.decoding import BeamSearch
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.training.options import OptimizerOptions, TrainingOptions
from tests.models.tiny import tiny_model

FACTS = {"model": "a", "tokenizer": "b", "sources": {"bytes": 1}, "search": {"l2r": "c"}}
SELF = RunConfig(
    run_directory="runs/x",
    data=DataOptions(CorpusOptions(path="train.tsv"), CorpusOptions(path="validation.tsv")),
    model=TransformerOptions(generation_order="bidirectional", interaction="tanh"),
    companions=CompanionOptions(model="self", first_steps=70),
    optimizer=OptimizerOptions(warmup_steps=7),
    training=TrainingOptions(max_steps=30),
    decoding=BeamSearch(beam_width=4),
)


@pytest.mark.parametrize("changed", list(FACTS))
def test_companions_of_something_else_are_refused(changed: str, tmp_path: Path) -> None:
    manifest = tmp_path / "train.json"
    check_origin(manifest, FACTS)
    manifest.write_text(json.dumps(FACTS))
    check_origin(manifest, FACTS)
    with pytest.raises(ValueError, match=f"made with another {changed}; delete that folder"):
        check_origin(manifest, {**FACTS, changed: "other"})


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


def test_folds_that_begin_with_weights_that_know_their_pairs_are_refused() -> None:
    companions, training = replace(SELF.companions, folds=2), replace(SELF.training, initialize_from="runs/left")
    assert [stage.training.initialize_from for stage in stages(replace(SELF, training=training))][0] == "runs/left"
    with pytest.raises(ValueError, match="runs/left.*know by heart.*fold_models"):
        stages(replace(SELF, companions=companions, training=training))


@pytest.mark.parametrize("folds", [0, 2])
def test_each_refresh_begins_a_part_of_the_steps(folds: int) -> None:
    """31 steps in three parts; each starts from the part before, which makes the newest companions."""
    companions = replace(SELF.companions, refreshes=2, folds=folds)
    configs = stages(replace(SELF, companions=companions, training=TrainingOptions(max_steps=31)))
    first, parts = configs[0], configs[1 + folds :]
    runs = ["runs/x/part_0", "runs/x/part_1", "runs/x"]
    assert [part.run_directory for part in parts] == runs
    assert [part.training.max_steps for part in parts] == [10, 10, 11]
    assert [part.training.initialize_from for part in parts] == [first.run_directory, *runs[:2]]
    assert [part.companions.refreshed_by for part in parts] == [
        (),
        ("runs/x/part_0",),
        ("runs/x/part_0", "runs/x/part_1"),
    ]
    assert {part.companions.model for part in parts} == {first.run_directory}
    assert {part.companions.folder for part in parts} == {"runs/x/companions"}
    assert {len(part.companions.fold_models) for part in parts} == {folds}
    for stage in configs:
        assert stages(stage) == [stage]
        check_config(stage)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"refreshes": -1}, "`refreshes` must be 0 or more, but is -1"),
        ({"refreshes": 30}, r"below `training.max_steps` \(30\), but is 30"),
        ({"refreshed_share": 0.0}, "`refreshed_share` must be above 0"),
        ({"refreshed_share": 1.1}, "at most 1, but is 1.1"),
    ],
)
def test_refreshes_that_cannot_be_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stages(replace(SELF, companions=replace(SELF.companions, **options)))


def test_refreshes_without_a_first_stage_are_refused() -> None:
    with pytest.raises(ValueError, match="`refreshes` belongs to `model: self` and would do nothing here"):
        CompanionOptions(model="runs/y", refreshes=1)


class Letters:
    """Stands for a tokenizer: a token is the code of a character."""

    def encode_targets(self, texts: list[str]) -> list[list[int]]:
        return [[*map(ord, text), 0] for text in texts]


def corpus_of(sources: list[str], targets: list[str]) -> Dataset:
    return Dataset.from_dict({"source": sources, "target": targets})


def texts_of(ids: Sequences) -> list[str]:
    return ["".join(map(chr, row[:-1])) for row in ids.tolist()]


class Named:
    """Stands for `CompanionTexts`: a text says which model made it of what; also remembers what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int, bool]] = []

    def of(self, name: str, sources: Iterator[str], model: str, *, in_pairs: bool = False) -> Texts:
        found = list(sources)
        self.asked.append((name, len(found), in_pairs))
        return iter([(f"{model} l2r {source}", f"{model} r2l {source}") for source in found])


@pytest.mark.parametrize("block_rows", [3, 10_000])
@pytest.mark.parametrize("fold_models", [(), ("a", "b", "c")])
def test_a_refresh_replaces_a_share_of_the_companions(
    fold_models: tuple[str, ...], block_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 11 pairs, 4 are a share of 0.4: 3 of the first are left when the third refresh begins anew with them."""
    monkeypatch.setattr(corpus_module, "TEXT_BLOCK_ROWS", block_rows)
    sources, named = [f"s{row}" for row in range(11)], Named()
    targets = ["z l2r s" + source[1:] if source in ("s2", "s3") else "other" for source in sources]
    config = CompanionOptions(model="m", fold_models=fold_models, refreshed_share=0.4, refreshed_by=("x", "y", "z"))
    found = of_training(named, config, corpus_of(sources, targets), Letters(), seed=1, num_shown=2)  # type: ignore[arg-type]
    from_left, from_right = map(texts_of, found.ids)
    makers = [text.split()[0] for text in from_left]
    assert makers == [text.split()[0] for text in from_right]
    assert Counter(makers) == {"x": 3, "y": 4, "z": 4}
    newest = [row for row, maker in enumerate(makers) if maker == "z"]
    assert newest == refreshed_rows(11, 2, 0.4, 1).tolist()
    assert [text.split()[1:] for text in from_left] == [["l2r", source] for source in sources]
    assert [text.split()[1:] for text in from_right] == [["r2l", source] for source in sources]
    assert found.shown == [(from_left[row], from_right[row], targets[row]) for row in newest[:2]]
    assert found.is_identical.tolist() == [
        [a == b for a, b in zip(texts, targets, strict=True)] for texts in (from_left, from_right)
    ]
    assert named.asked[-3:] == [(f"train-refreshed-{refresh}", 4, True) for refresh in range(3)]
    first = (
        [("train-0", 4, False), ("train-1", 4, False), ("train-2", 3, False)] if fold_models else [("train", 11, False)]
    )
    assert named.asked[:-3] == first
    validation = of_validation(named, config, corpus_of(["v"], ["w"]), Letters())  # type: ignore[arg-type]
    assert (texts_of(validation.ids[1]), validation.shown) == (["z r2l v"], [("z l2r v", "z r2l v", "w")])
    assert named.asked[-1] == ("validation-refreshed-2", 1, True)


def test_what_leaks_is_compared_with_the_newest_companions() -> None:
    """Those of row 2 are the reference, of validation pairs none is: a gap of 100. `identical` counts all rows."""
    nothing, target, wrong = (Sequences.of([]), Sequences.of([])), "i j k l", "x x x x"
    is_identical = numpy.array([[False, False, True], [True, False, True]])
    train = Found(nothing, is_identical, [(target, target, target)])
    found = leaks(train, Found(nothing, is_identical[:, :1], [(wrong, wrong, "m n o p")]))
    assert found["identical"] == pytest.approx(1 / 2)
    assert found["bleu_gap"] == pytest.approx(100)
    empty = Found(nothing, is_identical[:, :0], [(wrong, wrong, "m n o p")])
    assert leaks(empty, empty) == {"identical": 0, "bleu_gap": 0}


def test_a_first_stage_needs_steps() -> None:
    with pytest.raises(ValueError, match="first_steps"):
        stages(replace(SELF, companions=CompanionOptions(model="self")))


def test_combinations_that_leak_or_waste_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be trained on references alone"):
        check_config(replace(SELF, companions=CompanionOptions()))
    with pytest.raises(ValueError, match="set `model.interaction`"):
        check_config(replace(SELF, model=TransformerOptions(generation_order="bidirectional")))
    check_config(
        replace(
            SELF,
            companions=CompanionOptions(),
            model=TransformerOptions(generation_order="bidirectional", interaction="tanh", interaction_weight=0.0),
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
    with pytest.raises(ValueError, match=r"has `decoder_layers: 2`, but this run `decoder_layers: 3`"):
        initialize_from(tiny_model(decoder_layers=3).float(), tmp_path)
