"""The card of a model: what the run knows, nothing of the machine, and code that runs."""

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard as HubCard

import seq2seq
from seq2seq.apps.command import main
from seq2seq.assembly.configuration import read_run_config
from seq2seq.assembly.model_card import corpus_name, languages_of, signature_of, write_card
from seq2seq.data.corpus_options import CorpusOptions
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.training.tracking import read_log
from tests.tiny_run import NUM_TRAINING, write_copy_task


def card_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def python_of(card: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", card, flags=re.DOTALL | re.MULTILINE)


def test_it_tells_sizes_data_options_and_scores(copy_task: Path) -> None:
    folder = copy_task / "run" / "model"
    card = card_of(folder)
    validations = [entry for entry in read_log(copy_task / "run" / "log.jsonl") if entry["kind"] == "validation"]
    best = max(validations, key=lambda entry: (entry["exact_match"], -entry["loss"]))
    model = Seq2SeqTransformer.from_pretrained(folder)
    assert f"| parameters | {sum(weight.numel() for weight in model.parameters()):,} |" in card
    assert f"- Trained on `train.tsv`: {NUM_TRAINING} of {NUM_TRAINING} pairs." in card
    assert "- Validated on `validation.tsv`." in card
    assert f"The weights are those of step {best['step']}." in card
    assert f"| exact_match | {best['exact_match']:.2f} | `nrefs:1\\|case:mixed` |" in card
    assert "\ndecoding: beam\ndecoding.beam.max_length: 13\ndecoding.beam.beam_width: 3\n```\n" in card
    assert "\nmodel.d_model: 32\n" in card
    assert "\ndata.train.path: train.tsv\n" in card
    assert "batch_size" not in card


def test_nothing_of_the_machine_is_in_it(copy_task: Path, tmp_path: Path) -> None:
    assert str(copy_task) not in card_of(copy_task / "run" / "model")
    config = write_copy_task(tmp_path, training={"max_steps": 2, "initialize_from": str(copy_task / "run")})
    assert main(["train", config]) == 0
    card = card_of(tmp_path / "run" / "model")
    assert "training.initialize_from: run" in card
    assert not re.search(r"(/tmp|/home|/root|\\\\)", card)
    assert str(tmp_path.parent) not in card


def test_hubs_read_its_front_matter(copy_task: Path) -> None:
    data = HubCard(card_of(copy_task / "run" / "model")).data
    assert data.library_name == "seq2seq-toolkit"
    assert data.language is None
    [result] = data.eval_results
    assert (result.metric_type, result.dataset_name) == ("exact_match", "validation.tsv")
    assert result.metric_name == signature_of("exact_match")


@pytest.mark.parametrize("shared", [True, False])
def test_its_code_runs(shared: bool, copy_task: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy_task / "run" / "model"
    if not shared:
        options = {"shared": False}
        config = write_copy_task(
            tmp_path, tokenizer=options, model={"tie_embeddings": "none"}, training={"max_steps": 2}
        )
        assert main(["train", config]) == 0
        folder = tmp_path / "run" / "model"
    monkeypatch.chdir(folder)
    blocks = python_of(card_of(folder))
    printed = []
    for block in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(block, "card", "exec"), {})
        printed.append(output.getvalue())
    assert len(printed) == 2
    assert printed[0] == f"{seq2seq.load(folder)('a text')[0]}\n"


def test_without_this_package_transformers_names_it(copy_task: Path) -> None:
    script = (
        "import sys\nfrom transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n"
        "print(AutoTokenizer.from_pretrained('.')('abc')['input_ids'])\n"
        "assert not any(name.startswith('seq2seq') for name in sys.modules)\n"
        "AutoModelForSeq2SeqLM.from_pretrained('.')\n"
    )
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, cwd=copy_task / "run" / "model", capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == str(TextTokenizer.load(copy_task / "run" / "model").encode_sources(["abc"])[0])
    assert done.returncode == 1
    assert "has model type `seq2seq-toolkit`" in done.stderr


def test_models_of_earlier_versions_load(copy_task: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForSeq2SeqLM

    for file in (copy_task / "run" / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text()
    assert '"seq2seq-toolkit"' in config
    (tmp_path / "config.json").write_text(config.replace('"seq2seq-toolkit"', '"seq2seq_transformer"'))
    expected = seq2seq.load(copy_task / "run")("abc")[0].text
    assert seq2seq.load(tmp_path)("abc")[0].text == expected
    assert seq2seq.load(tmp_path, trainable=True)("abc")[0].text == expected
    assert isinstance(AutoModelForSeq2SeqLM.from_pretrained(tmp_path), Seq2SeqTransformer)


def test_the_card_of_a_mean_claims_no_scores(copy_task: Path, tmp_path: Path) -> None:
    run = str(copy_task / "run")
    assert main(["average", "--model", run, run, "--output", str(tmp_path / "mean")]) == 0
    card = card_of(tmp_path / "mean")
    assert "the mean of those of `run`, `run`" in card
    assert "exact_match" not in card
    assert len(python_of(card)) == 2
    assert HubCard(card).data.library_name == "seq2seq-toolkit"


def test_a_card_changes_no_fingerprint(copy_task: Path, tmp_path: Path) -> None:
    for file in (copy_task / "run" / "model").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "README.md").write_text("mine")
    assert seq2seq.load(tmp_path).fingerprint == seq2seq.load(copy_task / "run" / "model").fingerprint


@pytest.mark.parametrize(
    ("options", "name", "languages"),
    [
        ({"path": "/data/x/pairs.tsv"}, "`pairs.tsv`", ()),
        ({"path": "data/pairs.tsv"}, "`pairs.tsv`", ()),
        ({"path": "owner/set", "name": "de-en"}, "`owner/set` `de-en`", ()),
        ({"path": "C:\\x\\pairs.csv", "source_column": "en", "target_column": "de"}, "`pairs.csv`", ("en", "de")),
        ({"path": "a.jsonl", "source_column": "translation.no", "target_column": "x.fi"}, "`a.jsonl`", ("no", "fi")),
        ({"path": "a.jsonl", "source_column": "en", "target_column": "summary"}, "`a.jsonl`", ()),
        ({"source": "/d/train.en", "target": "/d/train.de.gz"}, "`train.en` and `train.de.gz`", ("en", "de")),
        ({"source": "a.source", "target": "a.target"}, "`a.source` and `a.target`", ()),
    ],
)
def test_names_of_corpora_and_languages(options: dict[str, Any], name: str, languages: tuple[str, ...]) -> None:
    corpus = CorpusOptions(**options)
    assert corpus_name(corpus) == name
    assert languages_of(corpus) == languages


def test_before_the_first_validation_there_are_no_scores(copy_task: Path, tmp_path: Path) -> None:
    model = Seq2SeqTransformer.from_pretrained(copy_task / "run" / "model")
    tokenizer = TextTokenizer.load(copy_task / "run" / "model")
    config = read_run_config(copy_task / "run" / "config.yaml")
    write_card(tmp_path, tmp_path / "absent", config, model, tokenizer, None)
    card = card_of(tmp_path)
    assert "\nmetrics:" not in card
    assert "The weights are the mean of several steps'." in card
