"""The rules of docs/design.md, read from the sources: layers, owners of third parties, sizes, names, safety.

Each rule is a function from a parsed file to its violations, and is tried on a small bad example before the package.
"""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYERS = (
    *("data", "models", "decoding", "objectives", "gradients", "training"),
    *("assembly", "diagnosis", "export", "apps"),
)
"""From the bottom up; each may import itself and what stands before it."""
LEAVES = {"files", "lines", "locks", "kernels"}
"""Files at the root of the package that any other may import, and that import each other alone."""
EXPERIMENTAL = "experimental"
"""Stands beside the gradients; nothing imports it, but configurations look into it by its name."""
METRICS_READERS = {"metrics", "objectives", "gradients", EXPERIMENTAL, *LAYERS[LAYERS.index("training") :]}
DECLARING = "config.declaring"
"""How a component says what its options are, for all; the rest of `config` is for who reads a configuration."""
CONFIG_READERS = {"config", *LAYERS[LAYERS.index("assembly") :]}

OWNERS = {
    "datasets": ("data/corpus.py",),
    "sacrebleu": ("metrics/sacre.py",),
    "rouge_score": ("metrics/rouge.py",),
    "ot": ("metrics/transport.py",),
    "docstring_parser": ("config/declaring.py",),
    "yaml": ("config/",),
    "zstandard": ("lines.py",),
    "transformers": (
        "models/pretrained.py",
        "models/loading.py",
        "models/transformer/configuration.py",
        "models/transformer/modeling.py",
        "models/transformer/registration.py",
        "data/huggingface_tokenizer.py",
        "decoding/parts/constraints.py",
        "assembly/training.py",
        "assembly/model_export.py",
    ),
    "accelerate": ("training/", "assembly/", "apps/"),
    "matplotlib": ("training/", "diagnosis/"),
    "tensorboard": ("training/",),
    "pyarrow": ("data/",),
    "sentencepiece": ("data/",),
    "ctranslate2": ("export/",),
    "babel": (),
    "num2words": (),
}
"""The files that may import a third party."""
PRIVATE = {
    "metrics/sacre.py": {
        *("_preprocess_segment", "_extract_reference_info", "_compute_segment_statistics"),
        *("_compute_score_from_stats", "_SIGNATURE_TYPE", "_verbose"),
    },
    "models/transformer/kernels.py": {
        *("torch.ops", "_reorder_linear_weight", "_linear_pointwise"),
        "_is_vnni_supported",
    },
    "models/transformer/initialization.py": {"_is_hf_initialized"},
    "gradients/transforms.py": {"_foreach_mul_"},
    "training/ema.py": {"_foreach_lerp_"},
}
"""What is not public of other libraries, and the file that may use it: each has a fallback or a check there."""
DISTRIBUTIONS = {"yaml": "PyYAML", "ot": "POT"}
"""Packages whose name is not that of what is installed."""
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
FORBIDDEN_CALLS = {"torch.load", "torch.save", "numpy.load", "os.system", "eval", "exec"}
OWN_LOADERS = {"cls", "TextTokenizer"}
"""Classes whose `from_pretrained` is ours; any other's may ask on standard input whether code may be run."""
FORBIDDEN_ARGUMENTS = {"trust_remote_code", "shell", "allow_pickle"}
RENAMER, LINE_READER = "files.py", "lines.py"
RENAMING_CALLS = {
    *("os.replace", "os.rename", "os.renames", "os.link", "shutil.move"),
    *("tempfile.mkstemp", "tempfile.NamedTemporaryFile", "mkstemp", "NamedTemporaryFile"),
}
"""What a file that is written by hand is renamed by, or a temporary file made by."""
DRAWERS = {"utils", "util", "helpers", "helper", "common", "misc"}
PASSED_OVER = {"build", "dist", "venv", "env", "node_modules"}
"""Names of folders that pytest and other tools take for something made, and do not look into."""
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80


@dataclass(frozen=True)
class Source:
    """A file of the package; `path` is relative to it, as in `data/batch.py`."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def package(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    def imports(self) -> Iterator[str]:
        """Yield every imported module by its full name, wherever in the file; `from a import b` yields `a.b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                folders = ["seq2seq", *self.path.split("/")[:-1]]
                base = folders[: len(folders) - node.level + 1] if node.level else []
                yield from (".".join([*base, *filter(None, [node.module]), alias.name]) for alias in node.names)


def layer_violations(source: Source) -> Iterator[str]:
    """Name each import of our own that goes against the arrows of docs/design.md."""
    if source.path == "__init__.py":
        return  # the door of the package; nothing inside imports through it
    for name in source.imports():
        ours, _, inner = name.partition(".")
        if ours == "seq2seq" and not may_import(source.package, inner):
            yield f"{source.path} imports {name}"


def may_import(package: str, name: str) -> bool:
    """Return whether a part of the package may import what has this name inside of it, such as `data.batch.Batch`."""
    imported = name.split(".")[0]
    if imported in LEAVES:
        return True
    if package in LEAVES:
        return False
    if f"{name}.".startswith(f"{DECLARING}."):
        return True
    if imported == "metrics":
        return package in METRICS_READERS
    if imported == "config":
        return package in CONFIG_READERS
    if imported == EXPERIMENTAL:
        return package == EXPERIMENTAL
    layer = "gradients" if package == EXPERIMENTAL else package
    if layer in LAYERS and imported in LAYERS:
        return LAYERS.index(imported) <= LAYERS.index(layer)
    return package == "apps"  # what is left is the package itself, as in `from seq2seq import load`


def owner_violations(source: Source) -> Iterator[str]:
    for name in source.imports():
        owners = OWNERS.get(name.split(".")[0])
        if owners is not None and not source.path.startswith(owners):
            yield f"{source.path} imports {name}, which belongs to {' and '.join(owners) or 'examples'}"


def private_names(source: Source) -> Iterator[str]:
    """Yield the names that begin with an underscore and are of no file of ours: attributes, imports, `getattr`.

    Our own are those that the file itself defines or sets on `self`; `torch.ops` as a whole is not public.
    """
    own = {"_replace", "_fields", "_asdict"}  # named tuples have these in place of methods
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.id if isinstance(node, ast.Name) else node.attr)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute):
            names = ["torch.ops"] if ast.unparse(node) == "torch.ops" else [node.attr]
        elif isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("seq2seq") and not node.level:
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
            names = [str(argument.value) for argument in node.args[1:2] if isinstance(argument, ast.Constant)]
        else:
            continue
        is_private = {name: name.startswith("_") and not name.startswith("__") for name in names}
        yield from (name for name in names if name == "torch.ops" or (is_private[name] and name not in own))


def private_violations(source: Source) -> Iterator[str]:
    for name in sorted(set(private_names(source)) - PRIVATE.get(source.path, set())):
        yield f"{source.path} uses {name}, which another library may change without notice"


def size_violations(source: Source) -> Iterator[str]:
    lines = len(source.text.splitlines())
    if lines > MAX_FILE_LINES:
        yield f"{source.path} has {lines} lines"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{source.path}: {node.name} has {lines} lines"


def name_violations(source: Source) -> Iterator[str]:
    if DRAWERS & set(source.path.removesuffix(".py").split("/")):
        yield f"{source.path} says nothing about what is in it"
    if PASSED_OVER & set(source.path.split("/")[:-1]):
        yield f"{source.path} is in a folder that tools pass over"


def safety_violations(source: Source) -> Iterator[str]:
    """Name whatever could run code found in a file or on the Hub."""
    for name in source.imports():
        if name.split(".")[0] in FORBIDDEN_IMPORTS or name in FORBIDDEN_CALLS:
            yield f"{source.path} imports {name}"
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) in FORBIDDEN_CALLS:
            yield f"{source.path}:{node.lineno} calls {ast.unparse(node.func)}"
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "from_pretrained":
            is_said = any(keyword.arg == "trust_remote_code" for keyword in node.keywords)
            if not is_said and ast.unparse(function.value) not in OWN_LOADERS:
                yield f"{source.path}:{node.lineno} does not pass trust_remote_code=False"
        for keyword in node.keywords:
            allowed = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg in FORBIDDEN_ARGUMENTS and not allowed:
                yield f"{source.path}:{node.lineno} passes {keyword.arg}"


def rename_violations(source: Source) -> Iterator[str]:
    """Name each place but `files.py` that renames, as who writes a file by hand does at the end."""
    if source.path != RENAMER:
        yield from (f"{source.path}:{line} renames; use `seq2seq.files`" for line in renames(source))


def line_violations(source: Source) -> Iterator[str]:
    """Name each place but `lines.py` that reads lines, as far as it can be seen."""
    if source.path != LINE_READER:
        yield from (f"{source.path}:{line} reads lines; use `seq2seq.lines`" for line in reads_of_lines(source))


def renames(source: Source) -> Iterator[int]:
    """Yield the line of each call that renames; a `replace` of one argument is a path's, that of a text has two."""
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        is_method = isinstance(node.func, ast.Attribute) and len(node.args) == 1 and not node.keywords
        if name in RENAMING_CALLS or (is_method and name.rsplit(".", 1)[-1] in {"rename", "replace"}):
            yield node.lineno


def reads_of_lines(source: Source) -> Iterator[int]:
    """Yield the line of each call that splits what was read into lines, and of each loop over an opened file."""
    opened = {
        item.optional_vars.id
        for node in ast.walk(source.tree)
        if isinstance(node, ast.With)
        for item in node.items
        if isinstance(item.optional_vars, ast.Name) and re.search(r"\bopen\(", ast.unparse(item.context_expr))
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_split = node.func.attr == "split" and [ast.unparse(part) for part in node.args] == [repr("\n")]
            if node.func.attr in {"readline", "readlines", "splitlines"} or is_split:
                yield node.lineno
        if isinstance(node, ast.For | ast.comprehension):
            names = {part.id for part in ast.walk(node.iter) if isinstance(part, ast.Name)}
            if names & opened or "stdin" in ast.unparse(node.iter):
                yield node.iter.lineno


def documentation_violations(source: Source) -> Iterator[str]:
    if source.text.strip() and ast.get_docstring(source.tree) is None:
        yield f"{source.path} has no docstring that says what enters and what leaves"


RULES = (
    layer_violations,
    owner_violations,
    private_violations,
    size_violations,
    name_violations,
    safety_violations,
    rename_violations,
    line_violations,
    documentation_violations,
)

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
        (safety_violations, "data/batch.py", "AutoModel.from_pretrained(name, trust_remote_code=True)"),
        (safety_violations, "data/batch.py", "AutoModel.from_pretrained(name, trust_remote_code=anything)"),
        (safety_violations, "data/batch.py", "AutoModel.from_pretrained(name)"),
        (safety_violations, "data/batch.py", "subprocess.run(command, shell=True)"),
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


def test_every_test_file_is_collected() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-m", "", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    collected = {line.split("::")[0] for line in done.stdout.splitlines() if "::" in line}
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests").rglob("test_*.py")}
    assert files - collected == set()


def test_every_folder_is_a_package() -> None:
    folders = {file.parent for top in ("seq2seq", "tests") for file in (ROOT / top).rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").exists()] == []
