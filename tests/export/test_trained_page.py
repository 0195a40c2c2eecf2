"""Trained models as sites in a real Chromium: the page says what `seq2seq decode` says, and it is right."""

from pathlib import Path
from typing import Any

import pytest

import seq2seq
from seq2seq.apps.command import main
from tests.browser import violations
from tests.export.sites import Site, packages
from tests.tiny_run import write_copy_task

pytest.importorskip("onnx", reason="onnx is an optional package")
__all__ = ["packages"]


def opened(run: Path, folder: Path, packages: Path, browser: Any, *options: str) -> Any:
    """Return the page of a run, whose server is gone once the model is loaded."""
    command = ["export", "--model", str(run), "--format", "onnx", "--output", str(folder), "--page"]
    assert main([*command, "--runtime", str(packages), *options]) == 0
    site, page = Site(folder), browser.new_page()
    page.goto(site.address)
    page.locator("#asked", has_text="hypotheses wide").wait_for()
    site.stop()
    return page


def asked(page: Any, text: str) -> str:
    """Return what the page shows for a text, the first that it is asked."""
    page.locator("#source").fill(text)
    page.locator("#go").click()
    page.locator("#facts", has_text="score").wait_for()
    return str(page.locator("#output").inner_text())


@pytest.mark.parametrize("quantization", ["float32", "int8"])
def test_a_page_does_what_its_model_has_learnt(
    quantization: str, copy_task: Path, packages: Path, browser: Any, tmp_path: Path
) -> None:
    run = copy_task / "run"
    page = opened(run, tmp_path / "site", packages, browser, "--quantization", quantization)
    lines = (copy_task / "test.txt").read_text().split("\n")[:20]
    found = asked(page, "\n".join(lines)).split("\n")
    assert sum(one == line for one, line in zip(found, lines, strict=True)) >= 18
    if quantization == "float32":
        generator = seq2seq.load(run)
        assert found == [generator(line)[0].text for line in lines]
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious(
    width: int, scheme: str, copy_task: Path, packages: Path, browser: Any, tmp_path: Path
) -> None:
    page = opened(copy_task / "run", tmp_path / "site", packages, browser)
    page.set_viewport_size({"width": width, "height": 700})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    found = [*violations(page)]
    page.check("#confidence")
    asked(page, (copy_task / "test.txt").read_text().split("\n")[0])
    page.click("#about summary")
    page.locator("#output span").first.click()
    page.locator("#inspector", has_text="looked at").wait_for()
    assert found + violations(page) == []
    page.close()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sentencepiece", "sentencepiece_bpe"])
def test_so_does_one_whose_tokenizer_is_a_model_of_sentencepiece(
    kind: str, packages: Path, browser: Any, tmp_path: Path
) -> None:
    pytest.importorskip("sentencepiece", reason="sentencepiece is an optional package")
    tokenizer = {"kind": kind, "vocab_size": 290}
    assert main(["train", write_copy_task(tmp_path, tokenizer=tokenizer, training={"max_steps": 600})]) == 0
    page = opened(tmp_path / "run", tmp_path / "site", packages, browser)
    lines = (tmp_path / "test.txt").read_text().split("\n")[:20]
    generator = seq2seq.load(tmp_path / "run")
    expected = [generator(line)[0].text for line in lines]
    assert asked(page, "\n".join(lines)).split("\n") == expected
    assert sum(one == line for one, line in zip(expected, lines, strict=True)) >= 15
    page.close()
