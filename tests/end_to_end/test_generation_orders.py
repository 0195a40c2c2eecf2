"""Training and decoding in every generation order, by the commands."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from tests.tiny_run import NUM_TEST, write_copy_task

BIDIRECTIONAL: dict[str, Any] = {
    "model": {"generation_order": "bidirectional"},
    "decoding": {"beam": {"beam_width": 4}},
    "training": {"max_steps": 500},
}
INTERACTION: dict[str, Any] = {
    "model": {"generation_order": "bidirectional", "interaction": "tanh"},
    "companions": {"model": "self", "first_steps": 400},
    "decoding": {"beam": {"beam_width": 4}},
    "training": {"max_steps": 100, "checkpoint_every": 50},
}


def decoded(folder: Path, *options: str) -> list[str]:
    """Return what the command makes of the test lines."""
    output = folder / "output.txt"
    command = ["decode", "--model", str(folder / "run"), "--input", str(folder / "test.txt"), "--output", str(output)]
    assert main([*command, "--processes", "1", *options]) == 0
    return output.read_text().splitlines()


def num_right(folder: Path, *options: str) -> int:
    expected = (folder / "test.txt").read_text().splitlines()
    return sum(a == b for a, b in zip(decoded(folder, *options), expected, strict=True))


@pytest.mark.parametrize("order", ["r2l", "interleaved"])
def test_one_order_learns_to_copy(order: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the right even a copy is hard to learn from 400 pairs: where a source ends is not where it begins."""
    sections = {"model": {"generation_order": order, "dropout": 0.1}, "training": {"max_steps": 600}}
    assert main(["train", write_copy_task(tmp_path, **sections)]) == 0
    assert num_right(tmp_path) >= NUM_TEST // 2
    arguments = ["decode", "--model", str(tmp_path / "run"), "--input", str(tmp_path / "test.txt"), "--output", "x"]
    assert main([*arguments, "--bidirectional"]) != 0
    assert f"order `{order}`" in capsys.readouterr().err


def test_one_model_knows_both_directions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", write_copy_task(tmp_path, **BIDIRECTIONAL)]) == 0
    for options in ([], ["--generation-order", "l2r"], ["--generation-order", "r2l"], ["--pairing", "joint"]):
        assert num_right(tmp_path, *options) >= NUM_TEST // 6, options
    decoded(tmp_path, "--format", "jsonl", "--n-best", "2")
    records = [json.loads(line) for line in (tmp_path / "output.txt").read_text().splitlines()]
    assert {h["direction"] for record in records for h in record["hypotheses"]} == {"l2r", "r2l"}
    assert_that_a_weight_is_tuned(tmp_path, capsys)


def assert_that_a_weight_is_tuned(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed curve is that of decoding with each weight, and the output that of the best."""
    capsys.readouterr()
    tuning = ["--tune-rescoring-weight", "chrf", "--reference", str(folder / "test.txt"), "--metrics", "chrf"]
    best_texts = decoded(folder, "--rescore", "both", *tuning)
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    curve = {row[0]: row[1] for row in table[1:12]}
    [best] = [row[0] for row in table[1:12] if row[-1] == "best"]
    assert float(curve[best]) == max(map(float, curve.values()))
    assert decoded(folder, "--rescore", "both", "--rescoring-weight", best, *tuning[2:]) == best_texts
    assert f"chrf    {curve[best]}" in capsys.readouterr().out


def test_interaction_is_learnt_on_companions_that_the_run_makes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_copy_task(tmp_path, **INTERACTION)
    assert main(["train", config]) == 0
    printed = capsys.readouterr().out
    assert "of the companions are the reference" in printed
    assert "by quarters of the targets" in printed
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    [leaks] = [record for record in log if record["kind"] == "companions"]
    [positions] = [record for record in log if record["kind"] == "positions"]
    assert 0 < leaks["identical"] <= 1
    assert all(0 < positions[f"nll_{quarter}"] < 5 for quarter in range(1, 5))
    companions = tmp_path / "run" / "companions"
    sources = (companions / "train.source").read_text().splitlines()
    num_far_longer = 0
    for direction in ("l2r", "r2l"):
        texts = (companions / f"train.{direction}").read_text().splitlines()
        assert sum(a == b for a, b in zip(sources, texts, strict=True)) > len(sources) // 2
        num_far_longer += sum(len(b) + 1 > 1.5 * (len(a) + 1) + 5 for a, b in zip(sources, texts, strict=True))
    assert leaks["run_away"] == pytest.approx(num_far_longer / (2 * len(sources)))
    for options in (["--bidirectional"], ["--generation-order", "l2r"], ["--generation-order", "r2l"]):
        assert num_right(tmp_path, *options) >= NUM_TEST // 6, options
    # The same command again finds everything done, and the same companions.
    before = (companions / "train.json").stat().st_mtime_ns, (companions / "train.l2r").read_bytes()
    assert main(["train", config]) == 0
    assert (companions / "train.l2r").read_bytes() == before[1]


def test_references_never_see_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_copy_task(tmp_path, **{**INTERACTION, "companions": {}})
    assert main(["train", config]) != 0
    assert "cannot be trained on references alone" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_model_of_one_direction_says_what_trains_one_of_both(copy_task: Path) -> None:
    command = [sys.executable, "-m", "seq2seq.apps.command", "decode", "--model", str(copy_task / "run")]
    done = subprocess.run([*command, "--bidirectional"], input="abc\n", capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "configs/multi30k_en_de_bidirectional.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_traced_search_is_the_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", write_copy_task(tmp_path, **{**INTERACTION, "training": {"max_steps": 50}})]) == 0
    lines = (tmp_path / "test.txt").read_text().splitlines()[:1]
    (tmp_path / "test.txt").write_text(f"{lines[0]}\n")
    [expected] = decoded(tmp_path, "--bidirectional")
    capsys.readouterr()
    page = tmp_path / "trace.html"
    command = ["decode", "--model", str(tmp_path / "run"), "--input", str(tmp_path / "test.txt"), "--trace", str(page)]
    assert main(command) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    text = page.read_text()
    assert expected in text
    assert "attends to in the other" in text
    assert text.count("<table") == text.count("</table>") == 4


@pytest.mark.slow
def test_companions_of_folds_come_from_models_that_have_not_seen_them(tmp_path: Path) -> None:
    sections = {**INTERACTION, "companions": {"model": "self", "first_steps": 60, "folds": 2}}
    assert main(["train", write_copy_task(tmp_path, **{**sections, "training": {"max_steps": 40}})]) == 0
    companions = tmp_path / "run" / "companions"
    sources = [line.split("\t")[0] for line in (tmp_path / "train.tsv").read_text().splitlines()]
    manifests = []
    for fold in range(2):
        assert (companions / f"train-{fold}.source").read_text().splitlines() == sources[fold::2]
        manifests.append(json.loads((companions / f"train-{fold}.json").read_text()))
    assert manifests[0]["model"] != manifests[1]["model"]
    assert manifests[0]["tokenizer"] == manifests[1]["tokenizer"]


@pytest.mark.slow
def test_a_refresh_generates_a_share_of_the_companions_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sections = {**INTERACTION, "companions": {"model": "self", "first_steps": 60, "refreshes": 1}}
    config = write_copy_task(tmp_path, **{**sections, "training": {"max_steps": 80, "checkpoint_every": 20}})
    assert main(["train", config]) == 0
    assert capsys.readouterr().out.count("of the companions are the reference") == 2
    companions = tmp_path / "run" / "companions"
    assert not (tmp_path / "run" / "part_0" / "companions").exists()
    refreshed = (companions / "train-refreshed-0.source").read_text().splitlines()
    everything = (companions / "train.source").read_text().splitlines()
    assert len(refreshed) == len(everything) // 5
    assert set(refreshed) < set(everything)
    pairs = [json.loads(line) for line in (companions / "train-refreshed-0.pairs").read_text().splitlines()]
    assert [pair["source"] for pair in pairs] == refreshed
    assert {tuple(h["direction"] for h in pair["hypotheses"]) for pair in pairs} == {("l2r", "r2l")}
    manifests = [json.loads((companions / f"{name}.json").read_text()) for name in ("train", "train-refreshed-0")]
    assert manifests[0]["model"] != manifests[1]["model"]
    logs = [tmp_path / "run" / "part_0" / "log.jsonl", tmp_path / "run" / "log.jsonl"]
    for log in logs:
        records = [json.loads(line) for line in log.read_text().splitlines()]
        assert [record["kind"] for record in records].count("companions") == 1
    before = (companions / "train-refreshed-0.pairs").stat().st_mtime_ns
    assert main(["train", config]) == 0
    assert (companions / "train-refreshed-0.pairs").stat().st_mtime_ns == before
