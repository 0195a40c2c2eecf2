import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from accelerate import Accelerator

from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.run_directory import changes, config_of_run, enter_run_directory, occupied, of_moved_run
from seq2seq.config.writing import to_yaml
from seq2seq.training.checkpoint_folder import STATE


def configuration(folder: Path, *options: str) -> RunConfig:
    arguments = ["--run_directory", str(folder / "run"), "--data.train.path", "train.tsv", "--tokenizer.vocab_size=31"]
    return load_run_config([*arguments, *options])


def test_a_pipe_in_the_place_of_the_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.mkfifo(tmp_path / "run" / "config.yaml")  # which to write to would wait for a reader
    with pytest.raises(ValueError, match="config.yaml: a pipe or a device"):
        enter_run_directory(configuration(tmp_path))


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """Return the folder of a run that has a checkpoint."""
    (enter_run_directory(configuration(tmp_path)) / "checkpoints" / "step-00000007").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("option", "before", "now"),
    [
        ("model.d_model", "256", "128"),
        ("model.key_size", "None", "16"),
        ("data.batch_tokens", "4096", "2048"),
        ("data.train.path", "'train.tsv'", "'other.tsv'"),
        ("tokenizer.kind", "'byte_bpe'", "'words'"),
        ("optimizer.betas", r"\[0.9, 0.98\]", r"\[0.8, 0.98\]"),
        ("objective.cross_entropy.label_smoothing", "0.1", "0.2"),
        ("objective", "'cross_entropy'", "'raml'"),
        ("decoder_inputs", "'teacher_forcing'", "'random_replacement'"),
        ("gradient", "'backprop'", "'adversarial_training'"),
        ("training.precision", "'fp32'", "'bf16'"),
        ("training.seed", "1", "2"),
        ("training.gradient_accumulation", "1", "3"),
    ],
)
def test_a_run_that_has_begun_refuses_what_would_make_it_another(
    begun: Path, option: str, before: str, now: str
) -> None:
    changed = configuration(begun, f"--{option}", now.replace("\\", "").strip("'"))
    kept = (begun / "run" / "config.yaml").read_bytes()
    with pytest.raises(
        ValueError, match=rf"holds a run with `{option}` = {before}, but now it is {now}\. Give the new"
    ):
        enter_run_directory(changed)
    assert (begun / "run" / "config.yaml").read_bytes() == kept


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("training.max_steps", "23"),
        ("training.checkpoint_every", "11"),
        ("validation.metrics", "[chrf]"),
        ("decoding.beam.beam_width", "7"),
        ("decoding", "greedy"),
        ("data.num_workers", "2"),
    ],
)
def test_a_run_that_has_begun_takes_other_options(begun: Path, option: str, value: str) -> None:
    changed = configuration(begun, f"--{option}", value)
    assert changed != configuration(begun)
    folder = enter_run_directory(changed)
    assert load_run_config([str(folder / "config.yaml")]) == changed


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("data.train.path", "other.tsv"),
        ("data.validation.format", "csv"),
        ("data.validation.source_prefix", "of another version: "),
        ("data.train.target_column", "2"),
        ("data.batch_tokens", "2048"),
        ("training.gradient_accumulation", "3"),
    ],
)
def test_where_checkpoints_know_their_data_these_may_be_elsewhere(begun: Path, option: str, value: str) -> None:
    state = begun / "run" / "checkpoints" / "step-00000007" / STATE
    for entries in ({"step": 7}, {"step": 7, "data": {}}):
        state.write_text(json.dumps(entries))
        with pytest.raises(ValueError, match=f"holds a run with `{option}`"):
            enter_run_directory(configuration(begun, f"--{option}", value))
    state.write_text(json.dumps({"step": 7, "data": {"train": "7 pairs"}}))
    enter_run_directory(configuration(begun, f"--{option}", value))


@pytest.mark.parametrize("option", ["data.train.source_prefix", "data.train.tag_column", "data.max_source_tokens"])
def test_what_decides_which_run_it_is_stays_although_data_are_known(begun: Path, option: str) -> None:
    (begun / "run" / "checkpoints" / "step-00000007" / STATE).write_text(json.dumps({"data": {"train": "7 pairs"}}))
    with pytest.raises(ValueError, match=f"holds a run with `{option}`"):
        enter_run_directory(configuration(begun, f"--{option}", "17"))


def test_a_prepared_tokenizer_is_kept_for_the_same_options_only(tmp_path: Path) -> None:
    tokenizer = enter_run_directory(configuration(tmp_path)) / "tokenizer"
    for options, is_kept in (
        (["--model.d_model", "128"], True),
        (["--model.d_model", "128", "--tokenizer.lowercase", "true"], False),
        (["--tokenizer.lowercase", "true"], True),
        (["--tokenizer.lowercase", "true", "--data.train.header", "true"], False),
    ):
        tokenizer.mkdir(exist_ok=True)
        enter_run_directory(configuration(tmp_path, *options))
        assert tokenizer.exists() == is_kept, options


def test_changes_name_every_option_that_differs(tmp_path: Path) -> None:
    now = configuration(tmp_path, "--data.train.source_column", "2", "--training.seed", "3")
    assert changes(configuration(tmp_path), now) == {
        "data.train.source_column": ("source", "2"),
        "training.seed": (1, 3),
    }


def test_another_kind_is_one_change_that_is_named_first(tmp_path: Path) -> None:
    before = configuration(tmp_path, "--objective.raml.raml_temperature", "0.2")
    now = configuration(tmp_path, "--decoding", "greedy")
    found = changes(before, now)
    assert next(iter(found.items())) == ("objective", ("raml", "cross_entropy"))
    assert found["objective.raml.raml_temperature"] == (0.2, None)
    assert found["decoding"] == (None, "greedy")


def test_a_damaged_configuration_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("training: [")
    with pytest.raises(ValueError, match=r"run/config.yaml, line 1: not valid YAML"):
        enter_run_directory(configuration(tmp_path))


def enter_in_turn(index: int, config: RunConfig, barrier: Barrier) -> None:
    for _ in range(3):
        barrier.wait()
        enter_run_directory(config, is_main_process=index == 0)


def test_many_processes_enter_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, config = context.Barrier(7, timeout=300), configuration(tmp_path)
    enter_run_directory(config)
    processes = [context.Process(target=enter_in_turn, args=(index, config, barrier)) for index in range(7)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [0] * 7
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_others_than_the_main_process_write_nothing(tmp_path: Path) -> None:
    tokenizer = enter_run_directory(configuration(tmp_path)) / "tokenizer"
    tokenizer.mkdir()
    before = (tmp_path / "run" / "config.yaml").read_bytes()
    other = configuration(tmp_path, "--tokenizer.lowercase", "true")
    enter_run_directory(other, is_main_process=False)
    assert tokenizer.is_dir()
    assert (tmp_path / "run" / "config.yaml").read_bytes() == before


def test_a_run_directory_is_for_one_run_at_a_time(tmp_path: Path) -> None:
    accelerator = Accelerator(cpu=True)
    with occupied(tmp_path / "run", accelerator):
        command = [sys.executable, "-m", "seq2seq.apps.command", "prepare", "--run_directory", str(tmp_path / "run")]
        command += ["--data.train.path", "x.tsv", "--data.num_folds", "3"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 2
        assert "run is in use by process" in done.stderr
        assert done.stderr.count("\n") == 1
        with pytest.raises(ValueError, match="in use"), occupied(tmp_path / "run", accelerator):
            pass
    with occupied(tmp_path / "run", accelerator):
        pass
    assert list((tmp_path / "run").iterdir()) == []


def test_a_run_that_was_moved_is_known_by_where_it_lies(tmp_path: Path) -> None:
    own = [("train.path", "train"), ("validation.path", "validation")]
    options = [f"--data.{option}={tmp_path / 'run' / 'data' / part}.tsv" for option, part in own]
    folder = enter_run_directory(configuration(tmp_path, *options, "--data.train.header=true"))
    assert config_of_run(folder) == configuration(tmp_path, *options, "--data.train.header=true")
    (folder / "data").mkdir()
    (folder / "data" / "train.tsv").touch()
    moved = folder.rename(tmp_path / "moved")
    found = config_of_run(moved)
    assert (found.run_directory, found.data.train.path) == (str(moved), str(moved / "data" / "train.tsv"))
    assert found.data.validation.path == str(folder / "data" / "validation.tsv"), "which did not come along"
    enter_run_directory(found)
    assert config_of_run(moved) == found


def test_a_file_in_the_folder_of_another_run_is_refused_unless_the_folder_is_said(begun: Path) -> None:
    folder, config = begun / "run", configuration(begun)
    assert of_moved_run(config, folder / "config.yaml", is_told=False) == config
    moved = folder.rename(begun / "my run")
    with pytest.raises(ValueError, match=rf"my run, add `--run_directory '{moved}'`; to begin another"):
        of_moved_run(config, moved / "config.yaml", is_told=False)
    assert of_moved_run(config, moved / "config.yaml", is_told=True) == config, "which begins another"
    assert of_moved_run(config, moved / "other.yaml", is_told=False) == config
    (moved / "checkpoints" / "step-00000007").rmdir()
    assert of_moved_run(config, moved / "config.yaml", is_told=False) == config
    (moved / "fit.json").touch()
    with pytest.raises(ValueError, match="lies in the folder of a run, but says"):
        of_moved_run(config, moved / "config.yaml", is_told=False)


def test_a_moved_run_has_its_files_and_models_where_it_lies_when_that_is_said(begun: Path) -> None:
    folder = begun / "run"
    own = {"train.path": "train.tsv", "validation.path": "dev.tsv"}
    options = [f"--data.{option}={folder / file}" for option, file in own.items()]
    models = [f"--companions.fold_models=[{folder / 'fold-0'},elsewhere]", f"--tokenizer.from_run={folder / 'fold-0'}"]
    config = configuration(begun, *options, *models, "--companions.model=self", "--tokenizer.vocab_size=8000")
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "fold-0").mkdir()
    for file in own.values():
        (folder / file).touch()
    moved = folder.rename(begun / "moved")
    told = dataclasses.replace(config, run_directory=str(moved))
    found = of_moved_run(told, moved / "config.yaml", is_told=True)
    assert (found.data.train.path, found.data.validation.path) == (str(moved / "train.tsv"), str(moved / "dev.tsv"))
    assert found.companions.fold_models == (str(moved / "fold-0"), "elsewhere")
    assert found.tokenizer.from_run == str(moved / "fold-0")
    assert found == config_of_run(moved)


def test_a_plan_is_not_taken_for_other_pairs(tmp_path: Path) -> None:
    folder = enter_run_directory(configuration(tmp_path))
    (folder / "fit.json").write_text("{}")
    enter_run_directory(configuration(tmp_path, "--training.max_steps=5", "--data.batch_tokens=100"))
    kept = (folder / "config.yaml").read_bytes()
    with pytest.raises(ValueError, match=r"holds the plan of a `seq2seq fit` .* Give the new run another"):
        enter_run_directory(configuration(tmp_path, "--data.validation.path=other.tsv"))
    assert (folder / "config.yaml").read_bytes() == kept
