"""The site without a server in a real Chromium: it says what the model says in Python."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq.apps.export import PAGE_FILE
from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.generator import TextGenerator
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding.algorithms.beam import BeamSearch
from seq2seq.decoding.parts.constraints import SuppressedTokens
from seq2seq.export.onnx_export import export_onnx
from seq2seq.export.onnx_page import BROWSER, RUNTIME_FILES, Page, packages_of, write_page
from tests.export.sites import HTML, LOADED, Site, packages
from tests.export.untrained import MAX_LENGTH, SEARCH, TEXTS, random_model, tokenizer
from tests.export.web_packages import empty_packages

pytest.importorskip("onnx", reason="onnx is an optional package")
__all__ = ["packages", "tokenizer"]

SPOKEN = [text.strip() for text in TEXTS[:7]]
"""White space around a text stands around its output, too, and is not what the model is asked."""
GENERATED = "request => window.seq2seqEngine.generate(request)"


@pytest.fixture
def opened(browser: Any) -> Iterator[Any]:
    """Return what opens a folder as a site, whose server is gone once the model is loaded."""
    context, asked = browser.new_context(), []

    def opened(folder: Path) -> Any:
        site, page = Site(folder), context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(site.address)
        page.model = page.evaluate(LOADED)
        site.stop()
        assert asked
        assert all(address.startswith(site.address) for address in asked)
        return page

    yield opened
    context.close()


def exported(generator: TextGenerator, folder: Path, packages: Path | None, html: str = HTML, **options: Any) -> Path:
    model: Any = generator.model
    page = Page(html, packages)
    values = {"source_prefix": generator.source_prefix, "max_source_tokens": generator.max_source_tokens}
    export_onnx(folder, model, generator.tokenizer, generator.search, **values, **options, page=page)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {"beam_width": 3},
        {"beam_width": 1},
        {"beam_width": 4, "length_penalty": 0.6, "length_normalization": "gnmt", "min_length": 3},
        {"beam_width": 3, "no_repeat_ngram": 2, "max_length_ratio": 0.5, "early_stopping": True},
        {"beam_width": 2, "no_repeat_ngram": 1},
    ],
    ids=str,
)
def test_the_browser_finds_the_same_hypotheses(
    options: dict[str, Any], tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    search = BeamSearch(**{"max_length": MAX_LENGTH, **options})
    number = min(3, search.beam_width)
    generator = TextGenerator(random_model(tokenizer), tokenizer, search, "ab ")
    page = opened(exported(generator, tmp_path / "site", packages))
    assert page.model["search"]["beam_width"] == options["beam_width"]
    for text in SPOKEN:
        expected = generator(text, n_best=number)
        found = page.evaluate(GENERATED, {"text": text, "n_best": number})["hypotheses"]
        assert [hypothesis["text"] for hypothesis in found] == [hypothesis.text for hypothesis in expected]
        for one, other in zip(found, expected, strict=True):
            assert tuple(one["tokens"]) == other.tokens
            assert one["finished"] == other.finished
            assert one["token_log_probs"] == pytest.approx(other.token_log_probs, abs=1e-4)
            assert one["normalized_score"] == pytest.approx(other.normalized_score, abs=1e-4)


def test_weights_of_8_bits_and_one_vocabulary_run_in_the_browser(packages: Path, opened: Any, tmp_path: Path) -> None:
    shared = TextTokenizer.train(TEXTS, TEXTS, kind="characters", vocab_size=60)
    model = random_model(shared, tie_embeddings="all", positions="rotary")
    generator = TextGenerator(model, shared, SEARCH)
    page = opened(exported(generator, tmp_path / "site", packages, quantization="int8"))
    answers = [page.evaluate(GENERATED, {"text": text})["hypotheses"][0] for text in SPOKEN]
    expected = [generator(text)[0] for text in SPOKEN]
    assert sum(one["text"] == other.text for one, other in zip(answers, expected, strict=True)) >= 3


def test_tokens_that_are_never_said_are_not_said(
    tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    model, [often, _] = random_model(tokenizer), tokenizer.encode_targets(["o"])[0]
    rules = TargetRules((SuppressedTokens((often,)),))
    free, generator = (TextGenerator(model, tokenizer, SEARCH, rules=own) for own in (TargetRules(), rules))
    page = opened(exported(generator, tmp_path / "site", packages, rules=rules))
    answers = [page.evaluate(GENERATED, {"text": text})["hypotheses"][0]["text"] for text in SPOKEN]
    assert answers == [generator(text)[0].text for text in SPOKEN]
    assert answers != [free(text)[0].text for text in SPOKEN]


def test_attention_is_that_of_the_last_layer(
    tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    model = random_model(tokenizer)
    page = opened(exported(TextGenerator(model, tokenizer, SEARCH), tmp_path / "site", packages))
    found = page.evaluate("request => window.seq2seqEngine.explain(request)", {"text": "abc", "output": "zyx"})
    [source], [target] = tokenizer.encode_sources(["abc"]), tokenizer.encode_targets(["zyx"])
    assert found["source_tokens"] == tokenizer.source_tokens(source)
    assert found["target_tokens"] == tokenizer.target_tokens(target)
    given = torch.tensor([[tokenizer.decoder_start_id, *target[:-1]]])
    with torch.no_grad():
        output = model(torch.tensor([source]), decoder_input_ids=given, output_attentions=True)
    [expected] = output.cross_attentions[-1].mean(1)
    torch.testing.assert_close(torch.tensor(found["attention"]), expected, rtol=0, atol=1e-5)


def test_sentences_are_taken_one_by_one_and_said_as_they_grow(
    tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    generator = TextGenerator(random_model(tokenizer), tokenizer, BeamSearch(beam_width=1, max_length=5))
    page = opened(exported(generator, tmp_path / "site", packages))
    text = f"{TEXTS[0].strip()}. Ab {TEXTS[1].strip()}!\n\n  {TEXTS[2].strip()}\n"
    first, second, third = f"{TEXTS[0].strip()}.", f"Ab {TEXTS[1].strip()}!", TEXTS[2].strip()
    script = """async text => {
        const heard = [];
        return {...await window.seq2seqEngine.generate({text, onText: (part) => heard.push(part)}), heard};
    }"""
    answer = page.evaluate(script, text)
    [hypothesis] = answer["hypotheses"]
    parts = [generator(part)[0] for part in (first, second, third)]
    expected = "{} {}\n\n  {}\n".format(*(part.text for part in parts))
    assert hypothesis["text"] == expected
    assert hypothesis["tokens"] == [token for part in parts for token in part.tokens]
    weighted = sum(part.normalized_score * len(part.tokens) for part in parts)
    assert hypothesis["normalized_score"] == pytest.approx(weighted / len(hypothesis["tokens"]), abs=1e-4)
    assert all(expected.startswith(part) for part in answer["heard"])
    assert answer["heard"] == sorted(answer["heard"], key=len)
    assert "length_limit" in [alarm["name"] for alarm in answer["alarms"]]
    assert answer["segments"] == 4  # one of them the empty line


def test_a_request_that_is_given_up_ends(tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path) -> None:
    generator = TextGenerator(random_model(tokenizer), tokenizer, BeamSearch(beam_width=2, max_length=200))
    page = opened(exported(generator, tmp_path / "site", packages))
    script = """async text => {
        return window.seq2seqEngine.generate({text, signal: AbortSignal.abort()}).catch((error) => error.name);
    }"""
    assert page.evaluate(script, TEXTS[0]) == "AbortError"


@pytest.mark.parametrize("longest", [{"positions": 41}, {"max_source_tokens": 37}], ids=str)
def test_what_the_model_cannot_hold_is_said_and_never_cut_in_silence(
    longest: dict[str, int], tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    kinds = {"positions": "learned"} if "positions" in longest else {}
    [(_, number)] = longest.items()
    most = longest.get("max_source_tokens")
    generator = TextGenerator(random_model(tokenizer, **kinds), tokenizer, SEARCH, max_source_tokens=most)
    page = opened(exported(generator, tmp_path / "site", packages))
    assert page.model["max_source_tokens"] == number
    script = (
        "text => window.seq2seqEngine.generate({text, split: 'none'}).catch((error) => [error.reason, error.message])"
    )
    reason, message = page.evaluate(script, "ab" * 25)
    assert reason == "too_many_tokens"
    assert f"has 51 tokens, of which the model can read {number}" in message
    answer = page.evaluate(GENERATED, {"text": "ab" * 10 + ", " + "ba" * 10})
    assert answer["segments"] == 2
    assert "cut_within_sentence" in [alarm["name"] for alarm in answer["alarms"]]
    texts = [generator(part)[0].text for part in ("ab" * 10 + ",", "ba" * 10)]
    assert answer["hypotheses"][0]["text"] == " ".join(texts)


def test_the_page_of_the_server_runs_the_model(
    tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    generator = TextGenerator(random_model(tokenizer), tokenizer, SEARCH)
    page = opened(exported(generator, tmp_path / "site", packages, html=PAGE_FILE.read_text(encoding="utf-8")))
    page.locator("#source").fill(TEXTS[0])
    page.locator("#go").click()
    page.locator("#colophon", has_text="Asked of site").wait_for()
    assert page.locator("#output").inner_text().strip() == generator(TEXTS[0])[0].text.strip()


def test_the_page_goes_sentence_by_sentence_where_a_text_is_too_long(
    tokenizer: TextTokenizer, packages: Path, opened: Any, tmp_path: Path
) -> None:
    generator = TextGenerator(random_model(tokenizer), tokenizer, SEARCH, max_source_tokens=19)
    page = opened(exported(generator, tmp_path / "site", packages, html=PAGE_FILE.read_text(encoding="utf-8")))
    page.locator("#source").fill("Ab ba ab. Ba ab ba.")
    split = page.get_by_label("Sentence by sentence")
    assert split.is_checked()
    split.uncheck()
    page.locator("#go").click()
    remedy = page.get_by_role("button", name="Go sentence by sentence")
    remedy.wait_for()
    assert "has 20 tokens, of which the model can read 19" in page.locator("#problem").inner_text()
    remedy.click()
    page.locator("#colophon", has_text="sentence by sentence").wait_for()
    expected = " ".join(generator(text)[0].text for text in ("Ab ba ab.", "Ba ab ba."))
    assert page.locator("#output").inner_text().strip() == expected.strip()
    assert split.is_checked()


# ---- files, without a browser ----


def test_a_site_holds_what_it_needs_and_asks_nobody(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    packages = packages_of(empty_packages(tmp_path / "web"))
    generator = TextGenerator(random_model(tokenizer), tokenizer, SEARCH)
    folder = exported(generator, tmp_path / "site", packages)
    assert {path.name for path in folder.glob("*.js")} == {path.name for path in BROWSER.glob("*.js")}
    names = {path.name for path in (folder / "runtime").iterdir()}
    assert names == {*RUNTIME_FILES, "NOTICE.txt"}
    assert "onnxruntime-web 1.2.3: MIT" in (folder / "runtime" / "NOTICE.txt").read_text()
    assert '<script type="module" src="engine.js"></script>\n</head>' in (folder / "index.html").read_text()
    for script in folder.glob("*.js"):
        assert "http" not in script.read_text().replace("http.server", ""), script


def test_a_folder_without_the_packages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no onnxruntime-web/dist/.*; get it by `npm install"):
        packages_of(tmp_path)
    assert packages_of(None) is None
    assert packages_of(empty_packages(tmp_path)) == packages_of(tmp_path / "node_modules") == tmp_path / "node_modules"


def test_a_tokenizer_that_no_browser_reads_is_refused(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / "target_tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"`--page`: no browser reads this model's tokenizer"):
        write_page(tmp_path, Page(HTML))


def test_too_large_a_model_is_refused(tokenizer: TextTokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "encoder_model.onnx_data").touch()
    with pytest.raises(ValueError, match="no weights of more than 2 GB; try `--quantization int8`"):
        write_page(tmp_path, Page(HTML))
