"""The rules of docs/design.md, read from the sources: layers, owners of third parties, sizes, names, safety.

Each rule (`architecture_rules`) is tried on small bad and good examples before the package.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from tests.architecture_rules import (
    DISTRIBUTIONS,
    LINE_READER,
    MAX_FILE_LINES,
    MAX_FUNCTION_LINES,
    PRIVATE,
    RENAMER,
    ROOT,
    RULES,
    Source,
    documentation_violations,
    layer_violations,
    line_violations,
    name_violations,
    owner_violations,
    private_names,
    private_violations,
    reads_of_lines,
    rename_violations,
    renames,
    safety_violations,
    size_violations,
)
from tests.conftest import COLLECTED

LOCAL = "local_files_only=True, use_safetensors=True"
SAFE = "trust_remote_code=False, local_files_only=True"
LONG_FUNCTION = '"""."""\ndef long():\n' + "    pass\n" * MAX_FUNCTION_LINES


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        (layer_violations, "data/batch.py", "from seq2seq.models.interface import Seq2Seq"),
        (layer_violations, "data/batch.py", "from seq2seq import models"),
        (layer_violations, "data/batch.py", "from ..models import interface"),
        (layer_violations, "models/a/b.py", "from ...decoding import algorithms"),
        (layer_violations, "models/interface.py", "def late():\n    import seq2seq.training.trainer"),
        (layer_violations, "metrics/base.py", "import seq2seq.data.batch"),
        (layer_violations, "decoding/algorithms/beam.py", "from seq2seq.metrics.base import Score"),
        (layer_violations, "config/parsing.py", "from seq2seq.data import batch"),
        (layer_violations, "config/declaring.py", "from seq2seq import experimental"),
        (layer_violations, "training/trainer.py", "from seq2seq.config.parsing import Parser"),
        (layer_violations, "training/trainer.py", "from seq2seq.config import writing"),
        (layer_violations, "training/trainer.py", "import seq2seq.config"),
        (layer_violations, "training/trainer.py", "from seq2seq.assembly.configuration import RunConfig"),
        (layer_violations, "lines.py", "from seq2seq.config.declaring import part"),
        (layer_violations, "assembly/checks.py", "from seq2seq.experimental.word_oracle import WordOracle"),
        (layer_violations, "apps/train.py", "from seq2seq import experimental"),
        (layer_violations, "experimental/word_oracle.py", "from seq2seq.training.trainer import Trainer"),
        (layer_violations, "experimental/word_oracle.py", "from seq2seq.config.nodes import Node"),
        (layer_violations, "assembly/model.py", "from seq2seq.apps import command"),
        (layer_violations, "training/trainer.py", "from seq2seq import load"),
        (layer_violations, "files.py", "from seq2seq.data.batch import Batch"),
        (owner_violations, "training/trainer.py", "import datasets"),
        (owner_violations, "metrics/rouge.py", "from sacrebleu.metrics import BLEU"),
        (owner_violations, "training/options.py", "from docstring_parser import parse"),
        (private_violations, "data/corpus.py", "key = dataset._fingerprint"),
        (private_violations, "metrics/rouge.py", "self.scorer._score()"),
        (private_violations, "training/trainer.py", "from torch.utils._foreach_utils import tensors"),
        (private_violations, "training/trainer.py", "from torch.utils import _foreach"),
        (private_violations, "training/trainer.py", "import torch\ntorch.ops.onednn.qlinear_prepack(levels, None)"),
        (private_violations, "training/trainer.py", "getattr(torch, '_foreach_mul_', None)"),
        (size_violations, "data/batch.py", "pass\n" * (MAX_FILE_LINES + 1)),
        (size_violations, "data/batch.py", LONG_FUNCTION),
        (name_violations, "data/utils.py", ""),
        (name_violations, "common/batch.py", ""),
        (name_violations, "models/build/batch.py", ""),
        (safety_violations, "data/batch.py", "import pickle"),
        (safety_violations, "data/batch.py", "from torch import load"),
        (safety_violations, "data/batch.py", "weights = torch.load(path)"),
        (safety_violations, "data/batch.py", "from torch import load as read"),
        (safety_violations, "data/batch.py", "import numpy as np\nnp.load(path, allow_pickle=False)"),
        (safety_violations, "data/batch.py", "import torch as t\nt.jit.load(path)"),
        (safety_violations, "data/batch.py", f"AutoModel.from_pretrained(n, trust_remote_code=True, {LOCAL})"),
        (safety_violations, "data/batch.py", f"AutoModel.from_pretrained(n, trust_remote_code=anything, {LOCAL})"),
        (safety_violations, "data/batch.py", f"AutoModel.from_pretrained(n, {LOCAL})"),
        (
            safety_violations,
            "data/batch.py",
            "AutoModel.from_pretrained(n, local_files_only=True, trust_remote_code=False)",
        ),
        (safety_violations, "data/batch.py", "AutoTokenizer.from_pretrained(n, trust_remote_code=False)"),
        (
            safety_violations,
            "data/batch.py",
            "T5Model.from_pretrained(n, **{SAFE}, use_safetensors=False)".replace("**{SAFE}", SAFE),
        ),
        (safety_violations, "data/batch.py", "AutoModel.from_config(config)"),
        (safety_violations, "data/batch.py", "datasets.load_dataset(name, trust_remote_code=True)"),
        (safety_violations, "data/batch.py", "yaml.load(text, Loader=yaml.SafeLoader)"),
        (safety_violations, "data/batch.py", "yaml.parse(text)"),
        (safety_violations, "data/batch.py", "from yaml import parse\nparse(text, Loader=yaml.Loader)"),
        (safety_violations, "data/batch.py", "import subprocess"),
        (safety_violations, "data/batch.py", "from os import execv\nexecv(path, [])"),
        (safety_violations, "data/batch.py", "run(command, shell=True)"),
        (safety_violations, "data/batch.py", "answer = input('Run it? ')"),
        (safety_violations, "data/batch.py", "eval(text)"),
        (safety_violations, "data/batch.py", "from builtins import exec"),
        (rename_violations, "data/batch.py", "os.replace(temporary, path)"),
        (rename_violations, "data/batch.py", "temporary.replace(path)"),
        (rename_violations, "data/batch.py", "temporary.rename(path)"),
        (line_violations, "data/batch.py", "with path.open() as file:\n    lines = [line for line in file]"),
        (line_violations, "data/batch.py", "with open(path) as file:\n    for n, x in enumerate(file):\n        pass"),
        (line_violations, "data/batch.py", "path.read_text().splitlines()"),
        (line_violations, "data/batch.py", "path.read_text().split('\\n')"),
        (line_violations, "data/batch.py", "for line in sys.stdin.buffer:\n    pass"),
        (documentation_violations, "data/batch.py", "x = 1"),
    ],
)
def test_rule_notices_a_violation(rule: Callable[[Source], Iterator[str]], path: str, text: str) -> None:
    assert len(list(rule(Source(path, text)))) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/interface.py", "from seq2seq.data.batch import Batch"),
        ("models/transformer/modeling.py", "from . import attention"),
        ("training/validation.py", "from seq2seq.metrics.base import Score"),
        ("apps/train.py", "from seq2seq import load"),
        ("metrics/base.py", "from seq2seq.files import written"),
        ("assembly/model_card.py", "from seq2seq import __version__"),
        ("lines.py", "from seq2seq.files import is_special"),
        ("data/options.py", "from seq2seq.config.declaring import part"),
        ("metrics/base.py", "from seq2seq.config import declaring"),
        ("config/parsing.py", "from seq2seq.config.nodes import Node"),
        ("apps/train.py", "from seq2seq.assembly.configuration import RunConfig"),
        (
            "assembly/training.py",
            "from seq2seq.config.writing import plain\nfrom seq2seq.training.trainer import Trainer",
        ),
        (
            "experimental/word_oracle.py",
            "from seq2seq.experimental import bag_of_words\nfrom seq2seq.gradients.base import Backprop",
        ),
        ("data/corpus.py", "import datasets\ndatasets.load_dataset(name, trust_remote_code=False)"),
        ("assembly/data.py", "tokenizer = TextTokenizer.from_pretrained(path)"),
        (
            "models/loading.py",
            f"AutoConfig.from_pretrained(n, {SAFE})\nAutoModel.from_pretrained(n, {SAFE}, use_safetensors=True)",
        ),
        ("config/nodes.py", "import yaml\nyaml.parse(text, Loader=yaml.SafeLoader)\nyaml.safe_load(text)"),
        ("files.py", "os.replace(temporary, path)"),
        ("data/batch.py", "text = text.replace(old, new)\noptions = dataclasses.replace(options, width=5)"),
        (
            "data/batch.py",
            "with path.open('rb') as file:\n    digest = file_digest(file, 'sha256')\nwords = line.split()",
        ),
        (
            "data/batch.py",
            "def _own(self):\n    self._kept = 1\n    return other._kept, other._replace(), self.__dict__",
        ),
        ("data/loader.py", "def short():\n" + "    pass\n" * (MAX_FUNCTION_LINES - 1)),
    ],
)
def test_rules_let_good_files_pass(path: str, text: str) -> None:
    source = Source(path, f'"""What this is."""\n{text}')
    assert [violation for rule in RULES for violation in rule(source)] == []


@pytest.mark.parametrize("rule", RULES)
def test_package_follows_rule(rule: Callable[[Source], Iterator[str]]) -> None:
    sources = package_sources()
    assert len(sources) > 20, f"no package at {ROOT}"
    assert [violation for source in sources for violation in rule(source)] == []


def test_one_file_renames_and_one_reads_lines() -> None:
    assert [source.path for source in package_sources() if any(renames(source))] == [RENAMER]
    assert [source.path for source in package_sources() if any(reads_of_lines(source))] == [LINE_READER]


@cache
def package_sources() -> list[Source]:
    package = ROOT / "seq2seq"
    return [
        Source(file.relative_to(package).as_posix(), file.read_text(encoding="utf-8"))
        for file in sorted(package.rglob("*.py"))
    ]


OF_EVERY_VERB = {"add_arguments", "run"}
"""What each file of `apps` has."""


def test_a_name_is_that_of_one_thing() -> None:
    places: dict[str, set[str]] = {}
    for source in package_sources():
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places.setdefault(node.name, set()).add(source.path)
    twice = {name: files for name, files in places.items() if len(files) > 1}
    assert {name: files for name, files in twice.items() if name not in OF_EVERY_VERB} == {}


def test_private_names_are_still_used_where_they_may_be() -> None:
    sources = {source.path: source for source in package_sources()}
    unused = {path: names - set(private_names(sources[path])) for path, names in PRIVATE.items()}
    assert {path: names for path, names in unused.items() if names} == {}


def declared_distributions() -> dict[str, str]:
    """Return what `pyproject.toml` asks for, extras included: names in small letters, and their versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    found = [re.fullmatch(r"([\w-]+)(\[.*\])?(.*)", entry) for entry in wanted]
    return {match[1].lower(): match[3] for match in found if match is not None}


def test_whatever_is_imported_is_declared() -> None:
    declared = declared_distributions()
    ours = sys.stdlib_module_names | {"seq2seq", "compression"}  # the latter is of Python itself since 3.14
    imported = {name.split(".")[0] for source in package_sources() for name in source.imports()} - ours
    assert "torch" in imported
    names = {name: DISTRIBUTIONS.get(name, name).replace("_", "-").lower() for name in imported}
    assert [name for name, distribution in names.items() if distribution not in declared] == []


@pytest.mark.parametrize("distribution", ["torch", "transformers", "sacrebleu", "datasets"])
def test_where_private_names_are_used_the_newest_version_is_named(distribution: str) -> None:
    assert re.search(r"<\d+\.\d+", declared_distributions()[distribution])


def test_every_test_file_is_collected(pytestconfig: pytest.Config) -> None:
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")}
    asked = [Path(name.split("::")[0]).resolve() for name in pytestconfig.args]
    if ROOT / "tests" not in asked and ROOT not in asked:
        pytest.skip("only a run of all tests knows which of them are collected")
    assert files - pytestconfig.stash[COLLECTED] == set()


def test_every_folder_is_a_package() -> None:
    folders = {file.parent for top in ("seq2seq", "tests") for file in (ROOT / top).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
