import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.run_directory import config_of_run
from seq2seq.assembly.stages import stages
from seq2seq.assembly.teaching import MANIFEST, OUTPUTS, SOURCES, TARGETS, TAUGHT_FOLDER
from seq2seq.data.corpus_options import CorpusOptions, MixedCorpusOptions
from seq2seq.data.options import CompanionOptions, DataOptions, TeachingOptions
from seq2seq.decoding import BeamSearch
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.reporting import write_report
from seq2seq.training.options import OptimizerOptions, TrainingOptions, ValidationOptions
from seq2seq.training.tracking import LOG_NAME, read_log
from tests.tiny_run import NUM_TRAINING, write_copy_task

SELF = RunConfig(
    run_directory="runs/x",
    data=DataOptions(CorpusOptions(path="train.tsv"), CorpusOptions(path="validation.tsv")),
    teaching=TeachingOptions(model="self", right_model="self", steps=70, max_minutes=3.0),
    optimizer=OptimizerOptions(learning_rate=2e-3, warmup_steps=200),
    training=TrainingOptions(max_steps=300, max_minutes=10.0),
    validation=ValidationOptions(every=100),
    decoding=BeamSearch(beam_width=4),
)


def test_one_configuration_stands_for_teachers_and_the_taught() -> None:
    first, right, last = stages(SELF)
    assert [run.run_directory for run in (first, right, last)] == ["runs/x/teacher", "runs/x/right_teacher", "runs/x"]
    assert [run.training.max_steps for run in (first, right, last)] == [300, 70, 70]
    assert [run.training.max_minutes for run in (first, right, last)] == [10.0, 3.0, 3.0]
    assert [run.training.initialize_from for run in (first, right, last)] == [None, *[first.run_directory] * 2]
    assert [run.optimizer.learning_rate for run in (first, right, last)] == [2e-3, 1e-3, 1e-3]
    assert [run.model.generation_order for run in (first, right, last)] == ["l2r", "r2l", "l2r"]
    assert [run.validation.every for run in (first, right, last)] == [100, 35, 35]
    assert (last.teaching.model, last.teaching.right_model) == (first.run_directory, right.run_directory)
    assert first.teaching == right.teaching == TeachingOptions()
    assert first.data == right.data == last.data, "what is learned is said by the teaching alone"
    for stage in (first, right, last):
        assert stages(stage) == [stage]
        check_config(stage)


def test_a_run_teaches_itself_without_a_model_from_the_right() -> None:
    first, last = stages(replace(SELF, teaching=TeachingOptions(model="self", steps=70)))
    assert (last.teaching.model, last.teaching.right_model) == (first.run_directory, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"teaching": TeachingOptions(model="self")}, "give their steps as `teaching.steps`"),
        ({"model": TransformerOptions(generation_order="r2l")}, "`model.generation_order` is r2l; set it to l2r"),
    ],
)
def test_stages_that_cannot_be_taught(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stages(replace(SELF, **changes))


TRAIN = CorpusOptions(path="train.tsv")
VALIDATION = CorpusOptions(path="validation.tsv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": DataOptions((MixedCorpusOptions(path="a.tsv"),), VALIDATION)}, "`data.train` is a list of corpora"),
        ({"data": DataOptions(replace(TRAIN, streaming=True), VALIDATION)}, "`data.train` is a stream; leave it out"),
        ({"data": DataOptions(TRAIN, VALIDATION, num_folds=5)}, "`data.num_folds` would be left out"),
        (
            {"data": DataOptions(replace(TRAIN, target_language_column="2"), VALIDATION)},
            "rows of `data.train` say their own",
        ),
        (
            {
                "companions": CompanionOptions(model="runs/y"),
                "model": TransformerOptions(generation_order="bidirectional", interaction="tanh"),
            },
            "models without `companions`",
        ),
    ],
)
def test_pairs_whose_targets_no_teacher_can_write(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}.*|{message}"):
        check_config(replace(SELF, teaching=TeachingOptions(model="runs/y"), **changes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam_width": 3}, "`beam_width` belongs to `targets that a `model` generates`|`beam_width` belongs to"),
        ({"model": "runs/y", "steps": 3}, "`steps` belongs to `model: self`"),
        ({"model": "runs/y", "rescoring_weight": 0.5}, "`rescoring_weight` belongs to a `right_model`"),
        ({"model": "runs/y", "right_model": "self"}, "starts with the weights of `model: self`"),
        ({"model": "self", "steps": -1}, "`steps` must be 0 or more, but is -1"),
        ({"model": "self", "max_minutes": float("inf")}, "`max_minutes` must be 0 or more"),
        ({"model": "self", "learning_rate": 0.0}, "`learning_rate` must be positive"),
        ({"model": "self", "beam_width": 0}, "`beam_width` must be at least 1"),
        ({"model": "self", "right_model": "self", "rescoring_weight": 1.5}, "between 0 and 1, but is 1.5"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TeachingOptions(**options)


def test_a_run_learns_what_its_teachers_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole of it; the run can be moved in between, and goes on without generating anything twice."""
    teaching = {"model": "self", "right_model": "self", "steps": 60}
    assert main(["train", write_copy_task(tmp_path, teaching=teaching, training={"max_steps": 150})]) == 0
    run = tmp_path / "run"
    printed = capsys.readouterr().out
    assert f"targets of {NUM_TRAINING} of {NUM_TRAINING} sources" in printed
    taught = run / TAUGHT_FOLDER
    sources, targets = ((taught / name).read_text().splitlines() for name in (SOURCES, TARGETS))
    assert sources == [line.split("\t")[0] for line in (tmp_path / "train.tsv").read_text().splitlines()]
    assert len(targets) == NUM_TRAINING
    assert targets != sources, "teachers of few steps write other targets than the references"
    assert sum(a == b for a, b in zip(sources, targets, strict=True)) > NUM_TRAINING // 10, "and are of these sources"
    assert not (taught / OUTPUTS).exists()

    command = ["decode", "--model", str(run / "teacher"), "--right-model", str(run / "right_teacher")]
    options = ["--rescore", "both", "--rescoring-weight", "0.3", "--beam-width", "4", "--processes", "1"]
    files = ["--input", str(taught / SOURCES), "--output", str(tmp_path / "output")]
    assert main([*command, *options, *files]) == 0
    assert (tmp_path / "output").read_text().splitlines() == targets, "as the command for it writes them"

    assert max(entry["step"] for entry in read_log(run / LOG_NAME)) == 60
    texts = tmp_path / "test.txt"
    [found] = write_report([run], tmp_path / "report", files=(texts, texts), progress=False).runs
    assert (found.baselines[-1].name, found.is_tuned) == ("before teaching", False)
    assert found.cost.training_steps == 150 + 60 + 60
    moved = tmp_path / "elsewhere"
    shutil.move(run, moved)
    files = [moved / TAUGHT_FOLDER / name for name in (SOURCES, TARGETS)]
    before = [path.stat().st_mtime_ns for path in files]
    config = config_of_run(moved)
    assert config.teaching.model == config.training.initialize_from == str(moved / "teacher")
    command = ["train", str(moved / "config.yaml"), "--run_directory", str(moved), "--training.max_steps", "70"]
    assert main(command) == 0
    assert [path.stat().st_mtime_ns for path in files] == before
    assert max(entry["step"] for entry in read_log(moved / LOG_NAME)) == 70


def test_targets_of_another_teacher_are_refused(
    tmp_path: Path, copy_task: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_copy_task(tmp_path, teaching={"model": str(copy_task / "run")}, training={"max_steps": 5})
    assert main(["train", config]) == 0
    manifest = tmp_path / "run" / TAUGHT_FOLDER / MANIFEST
    facts = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(facts | {"model": "another"}))
    assert main(["train", config, "--training.max_steps", "9"]) != 0
    assert "taught targets" in (said := capsys.readouterr().err)
    assert "made with another model; delete that folder" in said


def test_a_source_without_an_output_keeps_its_reference(tmp_path: Path, copy_task: Path) -> None:
    """An empty source becomes an empty text. The teacher has another tokenizer than the run."""
    teaching, tokenizer = {"model": str(copy_task / "run")}, {"kind": "byte_bpe", "vocab_size": 280}
    config = write_copy_task(tmp_path, teaching=teaching, tokenizer=tokenizer, training={"max_steps": 5})
    train = tmp_path / "train.tsv"
    train.write_text("\tnothing to say\n" + train.read_text())
    assert main(["train", config]) == 0
    targets = (tmp_path / "run" / TAUGHT_FOLDER / TARGETS).read_text().splitlines()
    assert targets[0] == "nothing to say"
    assert sum(f"{target}\t{target}\n" in train.read_text() for target in targets) > NUM_TRAINING // 2
