"""The rules of docs/design.md, each a function from a parsed file to its violations.

What they allow stands first: layers, owners of third parties, private names of other libraries, sizes. They are tried
and applied by `test_architecture`.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LAYERS = (
    *("data", "generation", "engines", "models", "decoding", "objectives", "gradients", "training"),
    *("assembly", "diagnosis", "reporting", "fitting", "export", "serving", "apps"),
)
"""From the bottom up; each may import itself and what stands before it."""
LEAVES = {"files", "lines", "locks", "own_pieces", "processes", "want"}
"""Files at the root of the package that any other may import, and that import each other alone."""
DOORS = {"__init__.py", "__main__.py"}
"""The package as it is imported, and as it is run."""
VERSION = "__version__"
"""Of the package; any part may tell it."""
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
        "models/shared_source_attention.py",
        "models/loading.py",
        "models/foreign_sizes.py",
        "models/transformer/configuration.py",
        "models/transformer/modeling.py",
        "models/transformer/registration.py",
        "data/huggingface_tokenizer.py",
        "decoding/parts/constraints.py",
        "assembly/generation_config.py",
        "assembly/model_export.py",
    ),
    "accelerate": ("training/", "assembly/", "apps/"),
    "matplotlib": ("training/", "diagnosis/"),
    "tensorboard": ("training/",),
    "wandb": ("training/trackers.py",),
    "mlflow": ("training/trackers.py",),
    "trackio": ("training/trackers.py",),
    "pyarrow": ("data/",),
    "sentencepiece": ("data/",),
    "ctranslate2": ("engines/", "export/"),
    "onnx": ("export/onnx_nodes.py",),
    "onnxruntime": ("export/onnx_parity.py",),
    "peft": ("models/transformer/adapter_layers.py",),
    "starlette": ("serving/",),
    "uvicorn": ("serving/",),
    "httptools": ("serving/",),
    "prometheus_client": ("serving/",),
    "sentencex": ("serving/",),
    "babel": (),
    "num2words": (),
}
"""The files that may import a third party."""
PRIVATE = {
    "apps/verb_parser.py": {"_actions"},
    "serving/searching_processes.py": {"_exit"},
    "metrics/sacre.py": {
        *("_preprocess_segment", "_extract_reference_info", "_compute_segment_statistics"),
        *("_compute_score_from_stats", "_SIGNATURE_TYPE", "_verbose"),
    },
    "models/transformer/kernels.py": {
        *("torch.ops", "_reorder_linear_weight", "_linear_pointwise", "_make_per_channel_quantized_tensor"),
        "_is_vnni_supported",
    },
    "models/transformer/adapter_layers.py": {"_register_custom_module"},
    "models/transformer/initialization.py": {"_is_hf_initialized"},
    "serving/connection.py": {"_unset_keepalive_if_required"},
    "apps/memory_limit.py": {"_ZSt13set_terminatePFvvE"},
    "gradients/transforms.py": {"_foreach_mul_"},
    "training/ema.py": {"_foreach_lerp_"},
    "training/accelerator.py": {"_shared_state"},
}
"""What is not public of other libraries, and the file that may use it: each has a fallback or a check there."""
DISTRIBUTIONS = {"yaml": "PyYAML", "ot": "POT", "mlflow": "mlflow-skinny"}
"""Packages whose name is not that of what is installed."""
FORBIDDEN_IMPORTS = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"),
    *("subprocess", "runpy", "pty", "code", "imp"),
}
FORBIDDEN_CALLS = {
    *("torch.load", "torch.save", "torch.jit.load", "torch.hub.load", "torch.export.load", "numpy.load"),
    *("pandas.read_pickle", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.full_load_all"),
    *("yaml.unsafe_load", "yaml.unsafe_load_all", "os.system", "os.popen", "os.startfile"),
    *("eval", "exec", "compile", "__import__", "input", "breakpoint"),
}
"""What runs code that it reads, or asks on standard input, which is text to be translated."""
STARTERS = ("os.exec", "os.spawn", "os.posix_spawn")
"""What the names of calls begin with that start other programs."""
OWN_LOADERS = {"cls", "TextTokenizer"}
"""Classes whose `from_pretrained` is ours; any other's may ask on standard input whether code may be run."""
SAFE_ARGUMENTS = {
    "from_pretrained": {"trust_remote_code": "False", "local_files_only": None},
    "from_config": {"trust_remote_code": "False"},
    "yaml.parse": {"Loader": "yaml.SafeLoader"},
    "yaml.compose": {"Loader": "yaml.SafeLoader"},
    "yaml.scan": {"Loader": "yaml.SafeLoader"},
}
"""Arguments without which a call may run code, read pickles or ask the network, and their values; None: any, but said.
A name without a dot is a method's, whosever it is."""
OF_MODELS = {"use_safetensors": "True"}
"""What `from_pretrained` of a model needs besides."""
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

    @cached_property
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
    if source.path in DOORS:
        return  # nothing inside imports through them
    for name in source.imports():
        ours, _, inner = name.partition(".")
        if ours == "seq2seq" and not may_import(source.package, inner):
            yield f"{source.path} imports {name}"


def may_import(package: str, name: str) -> bool:
    """Return whether a part of the package may import what has this name inside of it, such as `data.batch.Batch`."""
    imported = name.split(".")[0]
    if imported in LEAVES or name == VERSION:
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
    """Name whatever could run code found in a file or on the Hub, or ask for leave to."""
    for name in source.imports():
        if name.split(".")[0] in FORBIDDEN_IMPORTS or name.removeprefix("builtins.") in FORBIDDEN_CALLS:
            yield f"{source.path} imports {name}"
    names = {alias.asname or alias.name: name for alias, name in _imported_names(source)}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        first, dot, rest = ast.unparse(node.func).partition(".")
        name = f"{names.get(first, first)}{dot}{rest}".removeprefix("builtins.")
        if name in FORBIDDEN_CALLS or name.startswith(STARTERS):
            yield f"{source.path}:{node.lineno} calls {name}"
        yield from (f"{source.path}:{node.lineno} {problem}" for problem in _unsafe_arguments(name, node))


def _imported_names(source: Source) -> Iterator[tuple[ast.alias, str]]:
    """Yield what is imported under a name of its own, with its full name."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((alias, alias.name) for alias in node.names if alias.asname)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from ((alias, f"{node.module}.{alias.name}") for alias in node.names)


def _unsafe_arguments(name: str, call: ast.Call) -> Iterator[str]:
    """Say which arguments of a call are missing, or have a value that is not safe."""
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    owner, _, method = name.rpartition(".")
    wanted = SAFE_ARGUMENTS.get(name) or SAFE_ARGUMENTS.get(method, {})
    if method == "from_pretrained":
        loader = owner.rpartition(".")[2]
        wanted = {} if loader in OWN_LOADERS else wanted | OF_MODELS if "Model" in loader else wanted
    for argument, value in wanted.items():
        if argument not in given or (value is not None and given[argument] != value):
            yield f"does not pass {argument}" + (f"={value}" if value else "")
    for argument in FORBIDDEN_ARGUMENTS & (set(given) - set(wanted)):
        if given[argument] != "False":
            yield f"passes {argument}"


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
