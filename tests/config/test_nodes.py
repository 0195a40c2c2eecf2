from pathlib import Path

import pytest

from seq2seq.config.nodes import Node, parse_yaml, read_yaml


def test_texts_know_their_lines_and_mean_nothing_yet() -> None:
    tree = parse_yaml("a: {b: 1e-3, c: [x, 2]}\n\nd:\n  e: '~'\n  f: ~\n", "x.yaml")
    a, d = tree.entries["a"], tree.entries["d"]
    assert a.entries["b"] == Node("1e-3", "x.yaml, line 1")
    assert a.entries["c"].value == [Node("x", "x.yaml, line 1"), Node("2", "x.yaml, line 1")]
    assert d.entries == {"e": Node("~", "x.yaml, line 4"), "f": Node(None, "x.yaml, line 5")}


def test_a_section_whose_lines_are_commented_out_is_empty() -> None:
    assert parse_yaml("a:\n#  b: 1\n", "x").entries["a"].entries == {}
    assert parse_yaml("# nothing\n", "x").entries == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"x\.yaml, line 3: `a` stands twice, here and in .*x\.yaml, line 1"),
        ("a:\n  b: 1\na:\n  c: 2\n", r"line 3: `a` stands twice"),
        ("a: &x 1\nb: *x\n", "line 1: anchors and aliases"),
        ("a: !!python/object:os.system ls\n", "line 1: the tag .* has no meaning"),
        ("a: [1, 2\n", r"line 2: not valid YAML"),
        ("a: b: c\n", "line 1: not valid YAML"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document"),
        ("a: 1\n[x]: 2\n", "line 2"),
        ("[" * 5000, "nested deeper"),
        ("{a: " * 200_000, "nested deeper"),
        ("\ta: 1\n", "not valid YAML"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_yaml(tmp_path / "x.yaml")
    assert "\n" not in str(error.value)


def test_a_list_is_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("- a\n")
    with pytest.raises(ValueError, match="consists of sections"):
        read_yaml(tmp_path / "x.yaml")


def test_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "mark.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "mark.yaml").entries["a"].value == "1"
    (tmp_path / "latin.yaml").write_bytes("a: ü\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
