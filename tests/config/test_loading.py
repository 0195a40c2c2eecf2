from pathlib import Path

import pytest

from seq2seq.config.documentation import option_documentation
from seq2seq.config.loading import load_run_config, option_names, save_run_config
from seq2seq.config.schema import CorpusConfig, DecodingConfig, RunConfig


@pytest.fixture
def config_file(tmp_path: Path) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(
        "run_directory: runs/x\ntraining: {max_steps: 7}\noptimizer: {betas: [0.9, 0.99]}\n"
        "data: {train: {path: a.tsv}}\nvalidation: {metrics: [bleu]}\n"
    )
    return str(path)


def test_file_then_overrides_then_defaults(config_file: str) -> None:
    config = load_run_config([config_file, "--training.precision", "bf16", "--data.train.header=true"])
    assert config.training.max_steps == 7
    assert config.training.precision == "bf16"
    assert config.optimizer.betas == (0.9, 0.99)
    assert config.data.train == CorpusConfig(path="a.tsv", header=True)
    assert config.decoding == DecodingConfig()


@pytest.mark.parametrize("arguments", [["--init-from", "runs/y"], ["--init-from=runs/y"]])
def test_the_short_name_of_where_to_start(config_file: str, arguments: list[str]) -> None:
    assert load_run_config([config_file, *arguments]).training.initialize_from == "runs/y"


def test_override_beats_the_file(config_file: str) -> None:
    assert load_run_config([config_file, "--training.max_steps", "11"]).training.max_steps == 11


def test_resolved_configuration_reads_back_equal(config_file: str, tmp_path: Path) -> None:
    config = load_run_config(
        [config_file, "--validation.metrics", "[chrf, bleu]", "--tokenizer.special_tokens=['<é>']"]
    )
    save_run_config(config, tmp_path / "config.yaml")
    assert load_run_config([str(tmp_path / "config.yaml")]) == config
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "run.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.max_step", "4"], r"no option `training\.max_step`\. Did you mean `training\.max_steps`\?"),
        (["--max_steps", "4"], r"Did you mean `training\.max_steps`"),
        (["--label_smoothing=0"], r"Did you mean `objective\.label_smoothing`"),
        (["--training.max_steps", "4.5"], r"`training\.max_steps`: Expected a int\. Got value: 4\.5"),
        (["--training.precision", "bf17"], r"`training\.precision`.*'bf16'.*Got value: bf17"),
        (["--validation.metrics", "bleu"], r"A list is written `\[first, second\]`"),
        (["stray"], "stray"),
    ],
)
def test_mistakes_name_the_option_and_the_cure(config_file: str, arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_run_config([config_file, *arguments])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("run_directory: x\ntraining: {max_step: 4}\n", r"Did you mean `training\.max_steps`"),
        ("run_directory: x\ntrainin: {max_steps: 4}\n", r"Did you mean `train"),
        ("run_directory: x\ntraining: [\n", "parsing"),
        ("training: {max_steps: 4}\n", "run_directory"),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_run_config([str(tmp_path / "bad.yaml")])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.yaml"):
        load_run_config([str(tmp_path / "nowhere.yaml")])


def test_print_config_prints_what_would_run(config_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        load_run_config([config_file, "--training.max_steps", "13", "--print-config"])
    assert leaving.value.code == 0
    printed = capsys.readouterr().out
    assert "max_steps: 13" in printed
    assert "label_smoothing: 0.1" in printed


def test_help_lists_every_option_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_run_config(["--help"])
    printed = capsys.readouterr().out
    missing = [name for name in option_names() if f"--{name}" not in printed]
    assert missing == []
    assert "Optimizer steps" in printed


def test_every_option_is_documented() -> None:
    def sections(section: type) -> list[type]:
        nested = [
            field for field in section.__dataclass_fields__.values() if hasattr(field.type, "__dataclass_fields__")
        ]
        return [section, *(part for field in nested for part in sections(field.type))]

    for section in sections(RunConfig):
        documented = option_documentation(section)
        for name in section.__dataclass_fields__:
            if not hasattr(section.__dataclass_fields__[name].type, "__dataclass_fields__"):
                assert len(documented.get(name, "")) > 10, f"{section.__name__}.{name} has no help text"
