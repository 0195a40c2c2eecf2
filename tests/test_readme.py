"""README.md against the disk: its annotated tree, the `make` targets it names, the commands and files it shows."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from seq2seq.apps import command

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

TREE_NAME = re.compile(r"[\w.-]*/|[\w-]*\.[\w.-]+|Makefile|LICENSE")


def tree_paths(block: str) -> list[str]:
    """Return the paths of an annotated tree.

    A line is an indentation (spaces, or the bars of `tree`), one or more names, and what they are for; a name ending
    in `/` is the folder of the deeper lines below it.
    """
    folders: list[tuple[int, str]] = []
    paths = []
    for line in block.splitlines():
        text = re.sub(r"[│├└─|`]", " ", line)
        depth = len(text) - len(text.lstrip())
        folders = [(at, name) for at, name in folders if at < depth]
        for name in text.split():
            if not TREE_NAME.fullmatch(name):
                break
            paths.append("".join(folder for _, folder in folders) + name)
            if name.endswith("/"):
                folders.append((depth, name))
    return paths


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```[^\n]*\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def readme_tree() -> list[str]:
    trees = [block for block in code_blocks(README) if re.search(r"^\W*train\.py\s", block, flags=re.MULTILINE)]
    trees = [block for block in trees if "seq2seq/" in block]
    assert len(trees) == 1, "README.md must hold one annotated tree, with train.py and seq2seq/ in it"
    return tree_paths(trees[0])


def commands(text: str) -> list[list[str]]:
    """Return the command lines of all code blocks in words, continued lines joined and comments dropped."""
    lines = "\n".join(code_blocks(text)).replace("\\\n", " ").splitlines()
    words = [shlex.split(line, comments=True) for line in lines if re.match(r"(python|seq2seq|make) ", line)]
    doors = {"train.py": "train", "decode.py": "decode"}
    return [["seq2seq", doors[word[1]], *word[2:]] if word[1] in doors else word for word in words]


def test_tree_reader() -> None:
    tree = "a/        first\n  b.py  c.py   two files\n  d/  deeper.\n    e.py  file\nf.yaml  last\n"
    assert tree_paths(tree) == ["a/", "a/b.py", "a/c.py", "a/d/", "a/d/e.py", "f.yaml"]
    assert tree_paths("├── a/   first\n│   ├── b.py  one\n└── Makefile  last\n") == ["a/", "a/b.py", "Makefile"]


def test_everything_in_the_tree_exists() -> None:
    paths = readme_tree()
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_package_is_in_the_tree() -> None:
    packages = {file.parent.relative_to(ROOT).as_posix() + "/" for file in (ROOT / "seq2seq").rglob("__init__.py")}
    assert packages - set(readme_tree()) == set()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+(?:-[a-z]+)*)", "\n".join(re.findall(r"`[^`\n]+`", README))))
    named |= {words[1] for words in commands(README) if words[0] == "make"}
    assert "test" in named
    assert named - targets == set()


def test_configurations_exist() -> None:
    named = set(re.findall(r"\bconfigs/[\w/.-]+\.yaml\b", README))
    assert named
    assert {path for path in named if not (ROOT / path).exists()} == set()


def test_linked_files_exist() -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", README) if "://" not in link]
    assert [link for link in links if link and not (ROOT / link).exists()] == []


@pytest.mark.parametrize("words", [words for words in commands(README) if words[0] == "seq2seq"], ids=" ".join)
def test_options_of_commands_exist(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert words[1] in command.VERBS
    with contextlib.suppress(SystemExit):
        command.main([words[1], "--help"])
    described = set(re.findall(r"--[\w.-]+", capsys.readouterr().out))
    assert described, f"seq2seq {words[1]} --help described nothing"
    assert [word for word in words[2:] if word.startswith("--") and word.split("=")[0] not in described] == []
