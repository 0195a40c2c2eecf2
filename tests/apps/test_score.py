"""The score command from end to end: tables, JSON, n-best files, and what it says about wrong input."""

import gzip
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from seq2seq.apps.command import main
from seq2seq.apps.score import read_segments
from seq2seq.assembly.scoring import Scores, compare, score_texts
from seq2seq.metrics import make_metric
from tests.metrics.texts import paired, random_corpus, total

HYPOTHESIS, BASELINE, REFERENCES = random_corpus(41, seed=1)


def score(*arguments: object) -> int:
    return main(["score", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path) -> SimpleNamespace:
    def write(name: str, segments: list[str]) -> Path:
        path = tmp_path / name
        path.write_text("".join(f"{segment}\n" for segment in segments), encoding="utf-8", newline="")
        return path

    nbest = [json.dumps({"hypotheses": [{"text": text}, {"text": "worse"}]}) for text in HYPOTHESIS]
    return SimpleNamespace(
        folder=tmp_path,
        hypothesis=write("system.txt", HYPOTHESIS),
        baseline=write("baseline.txt", BASELINE),
        reference=write("reference.txt", [segment[0] for segment in REFERENCES]),
        nbest=write("system.jsonl", nbest),
        write=write,
    )


def test_the_table_shows_each_score_with_its_signature(files, capsys: pytest.CaptureFixture) -> None:
    assert score("--hypothesis", files.hypothesis, "--reference", files.reference) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["metric", "score", "signature", "details"]
    assert [line.split()[0] for line in lines] == ["bleu", "chrf", "ter", "rouge1", "rouge2", "rougeL"]
    bleu = make_metric("bleu")
    expected = bleu.score(total(bleu.statistics(HYPOTHESIS, REFERENCES)))
    assert lines[0].split()[:3] == ["bleu", f"{expected.value:.2f}", expected.signature]
    assert lines[0].endswith(expected.details)
    positions = {line.index("nrefs:") for line in lines}
    assert positions == {heading.index("signature")}


@pytest.mark.parametrize("significance", ["bootstrap", "randomization"])
def test_a_baseline_brings_difference_interval_and_p_value(files, capsys, significance: str) -> None:
    options = ["--metrics", "chrf", "ter", "--significance", significance, "--num-samples", 300, "--seed", 5]
    common = ["--reference", files.reference, "--hypothesis", files.hypothesis, "--baseline", files.baseline, *options]
    assert score(*common) == 0
    heading, chrf, ter, legend = capsys.readouterr().out.splitlines()
    assert heading.split("  ")[0] == "metric"
    assert "better **" in chrf
    assert "better *" in ter  # lower TER is better
    assert " -" in ter
    assert legend.startswith(f"{significance}:300|seed:5, two-sided: * p < 0.05")
    assert score(*common, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    expected = compare(HYPOTHESIS, BASELINE, REFERENCES, ["chrf", "ter"], significance, 300, 5)
    assert [row["p_value"] for row in rows] == [comparison.p_value for comparison in expected]
    assert [row["difference"] for row in rows] == [comparison.difference for comparison in expected]
    assert rows[0]["system"]["value"] == expected[0].system.value


def test_without_a_test_only_the_difference_is_shown(files, capsys) -> None:
    common = ["--hypothesis", files.hypothesis, "--baseline", files.baseline, "--reference", files.reference]
    assert score(*common, "--metrics", "bleu", "--significance", "none") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[1].split()[4:7] == ["-", "-", "better"]


def test_n_best_files_and_standard_input_score_like_plain_files(files, capsys, monkeypatch) -> None:
    outputs = []
    for name in (files.hypothesis, files.nbest, "-"):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(files.hypothesis.read_bytes())))
        assert score("--hypothesis", name, "--reference", files.reference, "--metrics", "bleu", "--json") == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1] == outputs[2]
    assert json.loads(outputs[0])[0]["value"] > 10


def test_several_references_and_options_reach_the_metrics(files, capsys) -> None:
    second = files.write("second.txt", HYPOTHESIS)
    arguments = ["--hypothesis", files.hypothesis, "--reference", files.reference, second]
    options = ["--metrics", "bleu", "rouge1", "exact_match", "--tokenize", "zh", "--lowercase", "--stemmer", "--json"]
    assert score(*arguments, *options) == 0
    bleu, rouge, exact = json.loads(capsys.readouterr().out)
    assert bleu["signature"].startswith("nrefs:2|case:lc|eff:no|tok:zh")
    assert "stem:porter" in rouge["signature"]
    assert exact["signature"] == "nrefs:2|case:lc"
    assert bleu["value"] == pytest.approx(100) == rouge["value"] == exact["value"]


def test_lines_end_at_line_feeds_only(files) -> None:
    odd = ["one\u2028line", "next\u0085line", "\u00a0", "", "form\x0cfeed", "carriage\rreturn"]
    assert read_segments(files.write("odd.txt", odd)) == odd
    windows = files.folder / "windows.txt"
    windows.write_bytes("\ufeffä\r\n\r\nb".encode())
    assert read_segments(windows) == ["ä", "", "b"]


def test_compression_is_known_by_content(files) -> None:
    compressed, nbest = files.folder / "compressed", files.folder / "nbest.jsonl.gz"
    compressed.write_bytes(gzip.compress(b"a\nb\n"))
    nbest.write_bytes(gzip.compress(b'{"hypotheses": [{"text": "a"}]}\n'))
    assert read_segments(compressed) == ["a", "b"]
    assert read_segments(nbest) == ["a"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("short.txt", b"a\nb\n", "reference.txt has 41 lines, but .*short.txt has 2; line n of"),
        ("empty.txt", b"", "empty.txt is empty"),
        ("latin.txt", "a\nb\ngrün\n".encode("latin-1"), "latin.txt:3: not valid UTF-8"),
        ("bom.txt", b"\xef\xbb\xbfa\nb\xff\n", "bom.txt:2: not valid UTF-8"),
        ("broken.jsonl", b'{"hypotheses": [{"text": "a"}]}\n{"hypo\n', "broken.jsonl:2: expected"),
        ("none.jsonl", b'{"hypotheses": []}\n', "none.jsonl:1: expected .* at least one entry"),
        ("list.jsonl", b"[1]\n", "list.jsonl:1: expected"),
        (
            "number.jsonl",
            b'{"hypotheses": [{"text": 7}]}\n',
            "number.jsonl:1: the first hypothesis's text is 7, not a string",
        ),
    ],
)
def test_wrong_files_are_explained(files, capsys, name: str, data: bytes, message: str) -> None:
    path = files.folder / name
    path.write_bytes(data)
    assert score("--hypothesis", files.hypothesis, "--reference", files.reference, "--baseline", path) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    message = message.replace("reference.txt", "system.txt")
    assert re.search(message, captured.err), captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metrics", "blue"], "did you mean 'bleu'"),
        (["--tokenize", "english"], "no tokenizer 'english'"),
        (["--hypothesis", "absent.txt"], "absent.txt"),
        (["--baseline", "-", "--hypothesis", "-"], "Standard input .* only once"),
        (["--baseline", "BASELINE", "--num-samples", "0"], "`--num-samples` must be at least 1"),
        (["--baseline", "BASELINE", "--seed", "-1"], "`--seed` must be 0 or more"),
        (["--significance", "none", "--baseline", "BASELINE", "--seed", "3"], "`seed` are of a test, which"),
        (["--embeddings", "absent"], "`embeddings` are for word_movers_distance and"),
        (["--metrics", "bleu", "--sentence-separator", "<n>"], "`sentence_separator` is no option of bleu"),
    ],
)
def test_wrong_options_are_explained(files, capsys, options: list[str], message: str) -> None:
    options = [str(files.baseline) if option == "BASELINE" else option for option in options]
    assert score("--hypothesis", files.hypothesis, "--reference", files.reference, *options) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("ids", "where"), [((0, 2, 1), "list.jsonl:2: its `id` is 2 behind 0"), ((0, 1, 1), "list.jsonl:3: its `id` is 1")]
)
def test_lists_that_are_not_in_order_are_refused(files, capsys, ids: tuple[int, ...], where: str) -> None:
    path = files.write("list.jsonl", [json.dumps({"id": i, "hypotheses": [{"text": "a"}]}) for i in ids])
    reference = files.write("three.txt", ["a", "a", "a"])
    assert score("--hypothesis", path, "--reference", reference) == 2
    assert where in capsys.readouterr().err


@pytest.mark.parametrize("ids", [(0, 1, 2), (5, 6, 7), ("a", "a", "b"), (None, None, None)])
def test_lists_in_order_and_those_without_numbers_are_scored(files, ids: tuple[object, ...]) -> None:
    path = files.write("list.jsonl", [json.dumps({"id": i, "hypotheses": [{"text": "a"}]}) for i in ids])
    assert read_segments(path) == ["a", "a", "a"]


def test_sentences_are_told_apart_by_what_stands_between_them(files, capsys) -> None:
    hypothesis, reference = files.write("h.txt", ["c d <n> a b"]), files.write("r.txt", ["a b <n> c d"])
    arguments = ["--hypothesis", hypothesis, "--reference", reference, "--metrics", "rougeL", "rougeLsum", "--json"]
    with pytest.warns(UserWarning, match="`rougeLsum` is the same as `rougeL`; give what stands between sentences"):
        assert score(*arguments) == 0
    assert len({row["value"] for row in json.loads(capsys.readouterr().out)}) == 1
    assert score(*arguments, "--sentence-separator", "<n>") == 0
    assert [row["value"] for row in json.loads(capsys.readouterr().out)] == pytest.approx([50.0, 100.0])


def test_texts_can_be_scored_without_files() -> None:
    scores = score_texts(HYPOTHESIS, REFERENCES, ["bleu", "rougeL"], stemmer=True)
    assert [item.name for item in scores] == ["bleu", "rougeL"]
    assert str(Scores(tuple(scores))).count("\n") == 2
    assert score_texts(["a b c d"], paired(["a b c d"]))[0].value == pytest.approx(100)


def test_transport_distances_need_a_models_embeddings(copy_task: Path, files, capsys) -> None:
    pytest.importorskip("ot", reason="transport distances need POT")
    same = files.write("same.txt", ["abc", "cab"])
    other = files.write("other.txt", ["abd", "cab"])
    names = ["word_movers_distance", "word_rotators_distance"]
    assert score("--hypothesis", same, "--reference", same, "--metrics", *names) == 2
    assert "--embeddings MODEL" in capsys.readouterr().err
    for hypothesis in (same, other):
        options = ["--metrics", *names, "--embeddings", copy_task / "run", "--json"]
        assert score("--hypothesis", hypothesis, "--reference", same, *options) == 0
        values = [row["value"] for row in json.loads(capsys.readouterr().out)]
        assert all(value == pytest.approx(0, abs=1e-6) if hypothesis == same else value > 0.01 for value in values)


def test_a_bleu_of_nothing_to_count_is_explained(files, capsys) -> None:
    short, long = files.write("short.txt", ["a b", "c"]), files.write("long.txt", ["a b c d", "e"])
    assert score("--hypothesis", short, "--reference", short, "--metrics", "bleu") == 0
    assert capsys.readouterr().err.startswith("BLEU is 0: it counts sequences of four words")
    assert score("--hypothesis", long, "--reference", long, "--metrics", "bleu") == 0
    assert capsys.readouterr().err == ""
