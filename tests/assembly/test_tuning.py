"""A tuned copy is a run of its own, made once; the run that it is from stays as it is."""

import json
from hashlib import file_digest
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly import tuning as build_tuning
from seq2seq.assembly.configuration import RunConfig, load_run_config
from seq2seq.assembly.corpora import open_training, open_validation
from seq2seq.assembly.run_directory import enter_run_directory
from seq2seq.assembly.tuning import HELD_OUT, Tuning, greedy_score, tune
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.processes import OneProcess
from seq2seq.training.tracking import read_log
from tests.tiny_run import NUM_TEST, write_copy_task


def checksums(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            found[str(path)] = file_digest(file, "sha256").hexdigest()
    return found


def options(copy_task: Path, output: Path) -> list[str]:
    test = str(copy_task / "test.txt")
    files = ["--tune-source", test, "--tune-reference", test, "--tune-output", str(output)]
    return ["--model", str(copy_task / "run"), "--input", test, "--tune-metric", "chrf", "--tune-steps", "3", *files]


def test_decode_tunes_a_copy_once_and_decodes_with_it(
    copy_task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, output = checksums(copy_task / "run"), tmp_path / "tuned"
    command = ["decode", *options(copy_task, output)]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == NUM_TEST, "nothing but what is decoded"
    found = json.loads((output / "tuning.json").read_text())
    shown = f", held out, {found['before']:.2f} before and {found['after']:.2f} after 3 steps"
    assert f"greedy chrf on one pair in 5 of {copy_task / 'test.txt'}" in printed.err
    assert shown in printed.err
    assert found["after"] > 60
    assert found["is_better"] == (found["after"] > found["before"])
    assert checksums(copy_task / "run") == before

    log = read_log(output / "log.jsonl")
    train = [entry for entry in log if entry["kind"] == "train"]
    assert [entry["step"] for entry in train] == [1, 2, 3]
    assert all(0 <= entry["cost_min"] <= entry["cost_mean"] <= entry["cost_max"] <= 1 for entry in train)
    weights = [next((folder / "model").glob("*.safetensors")) for folder in (output, copy_task / "run")]
    assert (weights[0].read_bytes() != weights[1].read_bytes()) == found["is_better"]

    monkeypatch.setattr(build_tuning, "train_stage", lambda config: pytest.fail("it was finished"))
    assert main(command) == 0
    again = capsys.readouterr()
    assert again.out == printed.out
    assert shown in again.err


@pytest.mark.parametrize(
    ("metric", "scores", "stays"),
    [
        ("chrf", (80.0, 80.0), True),
        ("chrf", (80.0, 79.0), True),
        ("chrf", (80.0, 81.0), False),
        ("character_error_rate", (80.0, 81.0), True),
        ("character_error_rate", (80.0, 79.0), False),
    ],
)
def test_a_model_that_is_no_better_on_held_out_pairs_is_not_kept(
    metric: str,
    scores: tuple[float, float],
    stays: bool,
    copy_task: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    test, said, given = str(copy_task / "test.txt"), [], iter(scores)
    monkeypatch.setattr(build_tuning, "greedy_score", lambda tuning, folder: next(given))
    output = tmp_path / "tuned"
    tune(Tuning(copy_task / "run", metric, test, test, 1, output, 1), OneProcess("cpu"), said.append)
    weights = [(folder / "model" / "model.safetensors").read_bytes() for folder in (output, copy_task / "run")]
    assert (weights[0] == weights[1]) == stays
    assert said[-1].endswith("the model stays as it was") == stays


def test_every_fifth_pair_is_held_out(copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the references every fifth is as it should be and all others are wrong: the score is that of a copy."""
    lines = (copy_task / "test.txt").read_text().splitlines()
    (tmp_path / "reference.txt").write_text("\n".join(x if i % 5 == 0 else "?" for i, x in enumerate(lines)) + "\n")
    seen: list[tuple[list[str], list[str]]] = []

    def train(config: RunConfig) -> None:
        seen.append((list(open_training(config.data)["target"]), list(open_validation(config.data)["target"])))
        raise KeyboardInterrupt

    monkeypatch.setattr(build_tuning, "train_stage", train)
    run, files = copy_task / "run", (str(copy_task / "test.txt"), str(tmp_path / "reference.txt"))
    tuning = Tuning(run, "chrf", *files, 1, tmp_path / "tuned", 1)
    with pytest.raises(KeyboardInterrupt):
        tune(tuning, OneProcess("cpu"))
    [(learned, validated)] = seen
    assert set(learned) == {"?"}
    assert validated == lines[::5]
    assert greedy_score(tuning, run) > 60


def test_another_tuning_in_the_same_place_is_refused(copy_task: Path, tmp_path: Path) -> None:
    test = str(copy_task / "test.txt")
    first = Tuning(copy_task / "run", "chrf", test, test, 1, tmp_path / "tuned", 1)
    assert tune(first, OneProcess("cpu"), lambda text: None)
    other = Tuning(copy_task / "run", "character_error_rate", test, test, 1, tmp_path / "tuned", 1)
    with pytest.raises(ValueError, match="holds a run with `gradient.parameter_search.cost` = 'chrf', but now it is"):
        tune(other, OneProcess("cpu"), lambda text: None)


def test_more_steps_go_on_with_a_finished_tuning(copy_task: Path, tmp_path: Path) -> None:
    test, said = str(copy_task / "test.txt"), []
    for steps in (1, 2):
        tuning = Tuning(copy_task / "run", "chrf", test, test, steps, tmp_path / "tuned", 1)
        assert tune(tuning, OneProcess("cpu"), said.append)
    assert "after 2 steps" in said[-1]
    steps = [entry["step"] for entry in read_log(tmp_path / "tuned" / "log.jsonl") if entry["kind"] == "train"]
    assert steps == [1, 2]


def test_the_tuned_run_stands_beside_the_run_and_is_like_it(copy_task: Path) -> None:
    tuning = Tuning(copy_task / "run", "bleu", "dev.en", "dev.de")
    assert tuning.folder == copy_task / "run-tuned-bleu"
    config, original = tuning.config(), load_run_config([str(copy_task / "run" / "config.yaml")])
    assert (config.model, config.decoding) == (original.model, original.decoding)
    assert config.training.initialize_from == str(copy_task / "run")
    assert config.data.batch_tokens == original.data.batch_tokens
    assert (config.data.train.source, config.data.train.target) == ("dev.en", "dev.de")


def test_a_run_that_read_a_stream_or_left_out_a_fold_can_be_tuned(copy_task: Path, tmp_path: Path) -> None:
    """What says how it read its pairs says nothing of those that it is tuned on."""
    for name, options in (("stream", {"train": {"streaming": True}, "pool_rows": 7}), ("fold", {"num_folds": 7})):
        written = write_copy_task(tmp_path / name, data=options)
        original = load_run_config([written])
        enter_run_directory(original)
        config = Tuning(Path(original.run_directory), "bleu", "dev.en", "dev.de").config()
        assert config.data.train == CorpusOptions(source="dev.en", target="dev.de")
        assert (config.data.num_folds, config.data.left_out_fold) == (HELD_OUT, 0)
        assert config.data.batch_tokens == original.data.batch_tokens


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "a", "--tune-metric", "bleu"], "Tuning needs `--tune-metric`, `--tune-source` and"),
        (["--model", "a", "--tune-source", "dev.en"], "Tuning needs `--tune-metric`, `--tune-source` and"),
        (["--model", "a", "b", "--tune-metric", "bleu", *["--tune-source", "x"], *["--tune-reference", "y"]], "single"),
        (["--model", "a", "--tune-metric", "bleu", "--tune-source", "x", "--tune-reference", "y"], "a has no config.y"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["decode", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_files_that_are_not_aligned(copy_task: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("abc\n")
    test, short = str(copy_task / "test.txt"), str(tmp_path / "short.txt")
    tuning = Tuning(copy_task / "run", "chrf", test, short, 1, tmp_path / "tuned", 1)
    with pytest.raises(ValueError, match=r"test.txt has 53 lines, but .*short.txt has 1; line n of one file"):
        tune(tuning, OneProcess("cpu"))
