"""Configurations that come with the package: all are found, adapted to one's own data, and read back as meant."""

import shutil
from pathlib import Path

import pytest

from seq2seq.assembly.checks import check_config
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.config import shipped as shipping
from seq2seq.config.shipped import TASKS, adapted, shipped, shipped_file, summary

every_one = pytest.mark.parametrize("name", shipped())


def read(text: str, tmp_path: Path) -> RunConfig:
    (tmp_path / "adapted.yaml").write_text(text, encoding="utf-8")
    config = load_run_config([str(tmp_path / "adapted.yaml")])
    check_config(config)
    return config


def test_tasks_come_first_and_every_file_is_there() -> None:
    names = list(shipped())
    assert names[: len(TASKS)] == ["translation", "spelling", "phonemes", "titles", "finetune"]
    assert {"tsv", "demo", "multi30k_en_de"} <= set(names)
    assert all(path.is_file() for path in shipped().values())


@every_one
def test_each_says_what_it_is_for(name: str) -> None:
    assert 20 < len(summary(shipped_file(name))) < 120


@every_one
@pytest.mark.parametrize("path", ["pairs.tsv", "../a b/päärs, {1}: #2.tsv", "null", "data/true.tsv", 'x"\\y.tsv'])
def test_each_takes_a_table_of_any_name(name: str, path: str, tmp_path: Path) -> None:
    config = read(adapted(shipped_file(name), f"runs/{path}", [path]), tmp_path)
    before = load_run_config([str(shipped_file(name))])
    assert (config.run_directory, config.data.train.path) == (f"runs/{path}", path)
    assert (config.data.num_folds, config.data.validation.is_named) == (20, False)
    assert config.model == before.model
    assert (config.tokenizer, config.optimizer, config.training) == (
        before.tokenizer,
        before.optimizer,
        before.training,
    )


@every_one
def test_each_takes_two_files_and_pairs_to_validate_on(name: str, tmp_path: Path) -> None:
    config = read(adapted(shipped_file(name), None, ["a.en", "a.de"], ["dev.csv"]), tmp_path)
    assert config.run_directory == load_run_config([str(shipped_file(name))]).run_directory
    assert (config.data.train.source, config.data.train.target) == ("a.en", "a.de")
    assert (config.data.validation.path, config.data.num_folds) == ("dev.csv", 0)


@every_one
def test_without_data_each_stays_as_it_is(name: str) -> None:
    assert adapted(shipped_file(name), None) == shipped_file(name).read_text(encoding="utf-8")


def test_an_installed_package_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "seq2seq"
    shutil.copytree(shipped_file("tsv").parent, package / "configs")
    monkeypatch.setattr(shipping, "PACKAGE", package)
    assert shipped_file("tsv") == package / "configs" / "tsv.yaml"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValueError, match="no configuration 'tranlation'.*Did you mean `translation`"):
        shipped_file("tranlation")
