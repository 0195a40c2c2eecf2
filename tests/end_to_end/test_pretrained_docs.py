"""The commands of docs/pretrained.md, in its order, on small models that are made on the spot."""

import re
import shlex
from pathlib import Path

import pytest

from seq2seq.apps.command import main
from tests.assembly.test_languages import model_of, pieces
from tests.end_to_end.test_pretrained import pretrained
from tests.extras import is_installed
from tests.tiny_run import distinct_texts

__all__ = ["pieces"]
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/pretrained.md").read_text(encoding="utf-8")
SHORT = ["--training.max_steps", "2", "--validation.every", "2", "--training.checkpoint_every", "2"]


def commands() -> list[str]:
    """Return the lines of the page's blocks of commands."""
    return [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.S) for line in block.splitlines() if line]


@pytest.mark.slow
def test_the_pages_commands_run_in_its_order(
    pieces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pretrained("marian", tmp_path / "opus")
    model_of("nllb", pieces, tmp_path / "nllb")
    texts = distinct_texts()
    for name, part in {"train": texts[:100], "dev": texts[100:110]}.items():
        (tmp_path / f"{name}.tsv").write_text("".join(f"{text}\t{text}\n" for text in part))
    (tmp_path / "in.txt").write_text("".join(f"{text}\n" for text in texts[110:113]))
    (tmp_path / "train.source").write_text("the fox\n")
    monkeypatch.chdir(tmp_path)
    found = commands()
    assert len(found) == 9
    for line in found:
        if "--lora" in line and not is_installed("peft"):
            continue
        line = line.replace("Helsinki-NLP/opus-mt-en-de", "opus").replace("facebook/nllb-200-distilled-600M", "nllb")
        line = line.replace("configs/finetune.yaml", str(ROOT / "configs/finetune.yaml"))
        command, _, output = line.partition(" > ")
        command, _, source = command.partition(" < ")
        words = shlex.split(command)[1:]
        words += ["--input", source] if source else []
        words += ["--output", output] if output else []
        words += [*SHORT, "--training.threads", "1"] if words[0] == "train" else []
        words += ["--processes", "1", "--max-length", "9"] if words[0] == "decode" else []
        assert main(words) == 0, line
        capfd.readouterr()
    assert (tmp_path / "folder/model.safetensors").is_file()
    assert (tmp_path / "extended/model.safetensors").is_file()
    assert (tmp_path / "out.txt").is_file()


def test_the_page_names_what_there_is() -> None:
    assert (ROOT / "configs/finetune.yaml").is_file()
    assert all(line.startswith("seq2seq ") for line in commands())
