"""README.md and the pages of docs/ against the code and the disk: what they name is there, and can be typed."""

import re
import tomllib
from collections.abc import Iterator

import pytest
import yaml

from seq2seq.apps.command import VERBS
from seq2seq.apps.verb_parser import OF_CONFIGURATIONS, parser_of
from seq2seq.assembly.foreign_names import OF_DECODING, OF_THE_COMMAND, OF_TRAINING
from seq2seq.config.writing import dotted as dotted_values
from tests.documents import (
    PAGES,
    ROOT,
    all_flags,
    code_blocks,
    commands,
    dotted,
    flags,
    flags_of,
    of_the_toolkit,
    options,
    said,
    spans,
)

README = PAGES["README.md"]
DESIGN = PAGES["docs/design.md"]
NO_OPTIONS = ("json", "yaml", "py", "md", "jsonl", "safetensors", "step", "rows")
"""What follows a section's name and a dot in names of files and of entries of the log."""
OF_OTHER_TREES = ("docs/design.md",)
"""Pages that name files which are not there on purpose: worked examples."""
OF_OTHERS = {"--section.option", "--name.option", "--num-beams"}
"""What pages name that stands for others, or is another toolkit's."""

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


def tree_of_the_house() -> list[str]:
    trees = [block for block in code_blocks(DESIGN) if re.search(r"^\W*train\.py\s", block, flags=re.MULTILINE)]
    trees = [block for block in trees if "seq2seq/" in block]
    assert len(trees) == 1, "docs/design.md must hold one annotated tree, with train.py and seq2seq/ in it"
    return tree_paths(trees[0])


def test_tree_reader() -> None:
    tree = "a/        first\n  b.py  c.py   two files\n  d/  deeper.\n    e.py  file\nf.yaml  last\n"
    assert tree_paths(tree) == ["a/", "a/b.py", "a/c.py", "a/d/", "a/d/e.py", "f.yaml"]
    assert tree_paths("├── a/   first\n│   ├── b.py  one\n└── Makefile  last\n") == ["a/", "a/b.py", "Makefile"]


def test_everything_in_the_tree_exists() -> None:
    paths = tree_of_the_house()
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_package_is_in_the_tree() -> None:
    packages = {file.parent.relative_to(ROOT).as_posix() + "/" for file in (ROOT / "seq2seq").rglob("__init__.py")}
    assert packages - set(tree_of_the_house()) == set()


def test_the_readme_fits_on_a_screen_and_a_half() -> None:
    assert README.count("\n") <= 120


def test_extras_are_described() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = re.findall(r"^\| (`[^|]*`) \|", PAGES["docs/start.md"], flags=re.MULTILINE)
    described = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert extras.keys() - described == {"dev", "demo"}
    assert {name for name in extras.keys() - {"dev", "demo"} if f"`{name}`" not in README} == set()


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {
        (page, words[1])
        for page, text in PAGES.items()
        for words in said(text)
        if words[:1] == ["make"] and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1])
    }
    assert ("README.md", "test") in named
    assert {(page, target) for page, target in named if target not in targets} == set()


@pytest.mark.parametrize("folder", ["configs", "benchmarks", "tests", "seq2seq", "docs", "examples"])
def test_files_exist(folder: str) -> None:
    """Files are named from the root, or as modules behind `-m`."""
    pattern = rf"(?<![\w/.]){folder}/[\w/.-]+\.(?:yaml|py|md|json|jsonl|toml|png)\b"
    missing = {
        (page, name)
        for page, text in PAGES.items()
        for name in re.findall(pattern, text)
        if not (ROOT / name).exists() and page not in OF_OTHER_TREES
    }
    assert missing == set()


def test_pages_that_the_code_names_exist() -> None:
    files = [file for folder in ("seq2seq", "configs", "benchmarks", "examples") for file in (ROOT / folder).rglob("*")]
    texts = [file.read_text(encoding="utf-8") for file in files if file.suffix in (".py", ".yaml")]
    named = {name for text in texts for name in re.findall(r"\bdocs/[\w/]+\.(?:md|png)\b", text)}
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_modules_exist() -> None:
    named = {name for text in PAGES.values() for name in re.findall(r"-m ((?:tests|examples)\.[\w.]+)", text)}
    assert named
    files = [ROOT / name.replace(".", "/") for name in named]
    assert [file for file in files if not (file.with_suffix(".py").exists() or file.is_dir())] == []


@pytest.mark.parametrize("page", PAGES)
def test_linked_files_exist(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_be_typed(page: str) -> None:
    wrong = []
    for verb, *words in commands(PAGES[page]):
        if verb not in VERBS:
            wrong.append(verb)
            continue
        wrong += [f"{verb} {flag}" for flag in flags_of(words) if of_the_toolkit(flag) not in flags(verb)]
        wrong += [f"{verb} {said}" for said in unknown_choices(verb, words)]
    assert wrong == []


def unknown_choices(verb: str, words: list[str]) -> Iterator[str]:
    """Yield each flag whose value is none that it can have."""
    if verb in OF_CONFIGURATIONS:
        return
    choices = {name: action.choices for action in parser_of(verb).actions() for name in action.option_strings}
    for flag, value in zip(words, words[1:], strict=False):
        if (
            choices.get(flag)
            and value not in map(str, choices[flag] or ())
            and not re.fullmatch(r"[A-Z]+|…|-.*", value)
        ):
            yield f"{flag} {value}"


@pytest.mark.parametrize("page", PAGES)
def test_flags_that_stand_alone_exist(page: str) -> None:
    alone = [words for words in map(str.split, spans(PAGES[page])) if words and words[0].startswith("--")]
    named = {of_the_toolkit(flag) for words in alone for flag in flags_of(words)}
    known = all_flags() | OF_OTHERS
    if page.startswith("docs/results"):
        known |= {*re.findall(r"--[a-z-]+", "".join(file.read_text() for file in (ROOT / "benchmarks").rglob("*.py")))}
    assert named - known == set()


@pytest.mark.parametrize("page", PAGES)
def test_options_exist(page: str) -> None:
    named = {name for name in dotted(PAGES[page]) if name.rpartition(".")[2] not in NO_OPTIONS}
    assert named - options() == set()


def test_options_of_configurations_exist() -> None:
    blocks = [(page, yaml.safe_load(block)) for page, text in PAGES.items() for block in code_blocks(text, "yaml")]
    assert blocks
    for page, values in blocks:
        for name, value in dotted_values(values).items():
            rows = value if isinstance(value, list) else []
            within = [f"{name}.{key}" for row in rows if isinstance(row, dict) for key in row]
            assert {*map(of_the_toolkit, within or [name])} - options() == set(), page


def test_foreign_names_are_the_same_everywhere() -> None:
    """The tables of docs/coming_from.md and what a mistyped option is told agree where both know a name."""
    known = 0
    for row in re.findall(r"^\| `.*$", PAGES["docs/coming_from.md"], flags=re.MULTILINE):
        ours, *others = [re.findall(r"`([^`]+)`", cell) for cell in row.strip("|").split("|")]
        names = {name.split()[0].lstrip("-").replace("-", "_") for name in ours}
        table = OF_DECODING | OF_THE_COMMAND if ours[0].startswith("--") else OF_TRAINING
        for name in (name.replace("-", "_") for cell in others for name in cell):
            if name in table and table[name].option:
                known += 1
                assert table[name].option in names, f"{name} is {table[name].option}, not {ours}"
    assert known > 60
