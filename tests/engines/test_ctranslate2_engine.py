"""The engine of exports says what ours says, in the same formats, without torch; what it cannot do it says."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from seq2seq.apps.command import main
from seq2seq.assembly.generator import TextGenerator
from seq2seq.decoding import BeamSearch
from seq2seq.engines.ctranslate2_engine import CTranslate2Engine, CTranslate2Search, is_export, saved_search
from seq2seq.export.ctranslate2_export import export_ctranslate2
from seq2seq.export.ctranslate2_parity import comparable_search
from seq2seq.generation.output import read_nbest
from tests.export.untrained import MAX_LENGTH, TEXTS, random_model, tokenizer

pytest.importorskip("ctranslate2", reason="ctranslate2 is an optional package")

__all__ = ["tokenizer"]

LINES = [*TEXTS, "", " \t", TEXTS[0]]


@pytest.fixture
def generator(tokenizer: Any) -> TextGenerator:
    found = TextGenerator(random_model(tokenizer), tokenizer, BeamSearch(max_length=MAX_LENGTH, beam_width=3))
    found.search = comparable_search(found.search)
    return found


@pytest.fixture
def folder(generator: TextGenerator, tmp_path: Path) -> Path:
    export_ctranslate2(tmp_path / "served", generator.model, generator.tokenizer, generator.search)  # type: ignore[arg-type]
    return tmp_path / "served"


@pytest.mark.parametrize("options", [{}, {"n_best": 3}, {"beam_width": 1}, {"method": "greedy"}], ids=str)
@pytest.mark.parametrize("num_workers", [1, 3])
def test_texts_tokens_and_scores_are_ours(
    options: dict[str, Any], num_workers: int, generator: TextGenerator, folder: Path
) -> None:
    engine = CTranslate2Engine(folder, "cpu", num_workers=num_workers)
    found, expected = engine(LINES, **options), generator(LINES, **options)
    for theirs, ours in zip(found, expected, strict=True):
        assert [(h.text, h.tokens, h.finished) for h in theirs] == [(h.text, h.tokens, h.finished) for h in ours]
        for one, other in zip(theirs, ours, strict=True):
            assert one.token_log_probs == pytest.approx(other.token_log_probs, abs=2e-5)
            assert one.score == pytest.approx(other.score, abs=1e-4)
            assert one.normalized_score == pytest.approx(other.normalized_score, abs=2e-5)


def test_without_scores_of_tokens_the_ranks_are_the_same(folder: Path) -> None:
    engine = CTranslate2Engine(folder, "cpu")
    plain = list(engine.stream(LINES, searcher=engine.searcher(token_scores=False, n_best=2)))
    for quick, whole in zip(plain, engine(LINES, n_best=2), strict=True):
        for one, other in zip(quick.hypotheses, whole, strict=True):
            assert (one.text, one.tokens) == (other.text, other.tokens)
            assert one.normalized_score == pytest.approx(other.normalized_score, abs=2e-5)
            assert one.score == pytest.approx(other.score, abs=1e-4)


def test_hypotheses_begin_with_their_prefixes(generator: TextGenerator, folder: Path) -> None:
    prefixes = [text[:2] for text in TEXTS]
    theirs = list(CTranslate2Engine(folder, "cpu").stream(TEXTS, prefixes, beam_width=1))
    ours = list(generator.stream(TEXTS, prefixes, beam_width=1))
    assert [nbest.text for nbest in theirs] == [nbest.text for nbest in ours]
    for one, other in zip(theirs, ours, strict=True):
        assert one.hypotheses[0].score == pytest.approx(other.hypotheses[0].score, abs=1e-4)


@pytest.mark.parametrize(("options", "expected"), [({}, 4096), ({"precision": "int8"}, 1024), ({"batch_tokens": 7}, 7)])
def test_a_batch_is_as_large_as_suits_the_type_that_it_computes_in(
    options: dict[str, Any], expected: int, folder: Path
) -> None:
    assert CTranslate2Engine(folder, "cpu", **options).batch_tokens == expected


def test_a_source_longer_than_its_table_is_cut_and_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    [found] = CTranslate2Engine(folder, "cpu")("a b " * 2000)
    assert found.error is None
    assert "of which the model takes 1024" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "sampling"}, "CTranslate2 has no `method: sampling` here; decode with the run"),
        ({"generation_order": "bidirectional"}, "no search option `generation_order`"),
        ({"rescore": "both"}, "no search option `rescore` here; decode with the run"),
        ({"beam_widht": 3}, "did you mean `beam_width`"),
        ({"beam_width": 0}, "`beam_width` must be at least 1, but is 0"),
        ({"beam_width": 2, "n_best": 3}, "`beam_width` must be at least `n_best` \\(3\\), but is 2"),
        ({"beam_width": True}, "`beam_width` must be a number"),
        ({"length_penalty": math.nan}, "length_penalty"),
    ],
)
def test_what_it_cannot_do_is_said(options: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(ValueError, match=message):
        CTranslate2Engine(folder, "cpu").searcher(**options)


def test_what_ctranslate2_cannot_open_is_named(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "model.bin").write_bytes((folder / "model.bin").read_bytes()[:5000])
    with pytest.raises(ValueError, match=f"{folder}: CTranslate2 cannot open it: .* Export the run anew"):
        CTranslate2Engine(folder, "cpu")("abc")
    for words in (["decode", "--model", str(folder), "--input", str(folder / "config.json")], ["serve", str(folder)]):
        assert main(words) == 2
        assert f"error: {folder}: CTranslate2 cannot open it" in capfd.readouterr().err


@pytest.mark.parametrize(
    "said",
    [
        {"max_source_tokens": "x"},
        {"source_prefix": 5},
        {"target_language": ["de"]},
        {"target_start": [999]},
        {"search": {"beam": {"beam_width": "5"}}},
        {"search": {"beam": {"length_penalty": None}}},
    ],
    ids=str,
)
def test_a_damaged_file_of_options_is_named(said: dict[str, Any], folder: Path) -> None:
    path = folder / "decoding.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | said))
    with pytest.raises(ValueError, match=f"{path}: `(beam_width|length_penalty|{next(iter(said))})` .* export the run"):
        CTranslate2Engine(folder, "cpu")


def test_a_vocabulary_of_another_tokenizer_is_named(folder: Path) -> None:
    path = folder / "target_vocabulary.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-3]))
    with pytest.raises(ValueError, match="the vocabulary beside it has 22 tokens, and its tokenizer 25"):
        CTranslate2Engine(folder, "cpu")


def test_languages_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="knows no languages"):
        CTranslate2Engine(folder, "cpu").speaking("de", None)


@pytest.mark.parametrize(
    ("saved", "lacking", "search"),
    [
        (None, [], CTranslate2Search()),
        ({"beam": {"beam_width": 3, "length_penalty": 0.6}}, [], CTranslate2Search(beam_width=3, length_penalty=0.6)),
        ({"greedy": {"max_length": 7}}, [], CTranslate2Search(beam_width=1, max_length=7)),
        ({"beam": {"max_length_ratio": 2.0}}, ["max_length_ratio"], CTranslate2Search()),
        ({"minimum_bayes_risk": {"metric": "chrf"}}, ["minimum_bayes_risk"], CTranslate2Search()),
        ({"diverse_beam": {"beam_width": 4, "num_groups": 2}}, ["diverse_beam"], CTranslate2Search(beam_width=4)),
    ],
)
def test_the_saved_search_a_folder(saved: Any, lacking: list[str], search: CTranslate2Search) -> None:
    assert saved_search(saved) == (lacking, search)


def test_a_folder_of_somebody_else_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.bin").write_bytes((folder / "model.bin").read_bytes())
    assert is_export(folder)
    assert not is_export(tmp_path)
    with pytest.raises(ValueError, match="without `tokenizer`"):
        CTranslate2Engine(tmp_path / "other", "cpu")


def test_the_command_imports_neither_torch_nor_transformers(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    code = (
        "import sys; from seq2seq.apps.command import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'transformers', 'datasets', 'accelerate', 'pyarrow'} & set(sys.modules);"
        "print(sorted(heavy), code, file=sys.stderr)"
    )
    words = ["decode", "--model", str(folder), "--input", str(tmp_path / "in.txt"), "--output", str(tmp_path / "o.txt")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.stderr == "[] 0\n"
    texts = [hypotheses[0].text for hypotheses in CTranslate2Engine(folder, "cpu")(LINES)]
    assert (tmp_path / "o.txt").read_text(encoding="utf-8").split("\n") == [*texts, ""]


def test_from_python_without_torch(folder: Path, generator: TextGenerator) -> None:
    code = (
        "import sys, seq2seq; engine = seq2seq.CTranslate2Engine(sys.argv[1], 'cpu'); "
        "print(engine(sys.argv[2])[0]); assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), TEXTS[0]], capture_output=True, text=True, check=True
    )
    assert done.stdout == generator(TEXTS[0])[0].text + "\n"


def test_the_command_writes_the_formats_and_scores_of_any_decode(
    generator: TextGenerator, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    words = ["decode", "--model", str(folder), "--input", str(tmp_path / "in.txt"), "--n-best", "3"]
    words += ["--reference", str(tmp_path / "in.txt"), "--metrics", "chrf", "--output", str(tmp_path / "n.jsonl")]
    assert main(words) == 0
    assert "chrf" in capsys.readouterr().out.lower()
    for nbest, expected in zip(read_nbest(tmp_path / "n.jsonl"), generator(TEXTS, n_best=3), strict=True):
        assert [h.tokens for h in nbest.hypotheses] == [h.tokens for h in expected]
        assert nbest.hypotheses[0].token_log_probs == pytest.approx(expected[0].token_log_probs, abs=2e-5)
    assert list(json.loads((tmp_path / "n.jsonl").read_text().splitlines()[0])) == ["id", "source", "hypotheses"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--bidirectional"], "`--bidirectional` is nothing that CTranslate2 can do here; decode with the run"),
        (["--rescore", "both"], "`--rescore` is nothing that CTranslate2 can do here"),
        (["--beam-widht", "3"], "there is no option `--beam-widht` (did you mean `--beam-width`?)"),
        (["--source-language", "de"], "knows no languages"),
    ],
)
def test_other_options_of_the_command_are_said_to_be_elsewhere(
    option: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["decode", "--model", str(folder), *option]) == 2
    assert message in capsys.readouterr().err
