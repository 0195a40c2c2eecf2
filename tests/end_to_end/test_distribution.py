"""What is published: a wheel and a source distribution that hold the whole package, its configurations included."""

import io
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from seq2seq import __version__

ROOT = Path(__file__).resolve().parents[2]
NAME = "seq2seq-toolkit"

pytestmark = pytest.mark.slow


def built(source: Path, output: Path, kind: str) -> Path:
    """Return what setuptools makes of a tree, which is changed by it."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(output)!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    [made] = output.iterdir()
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source distribution, unpacked: what the wheel is made from."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools builds the package")
    tree = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the files of the tree are those that git knows")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    archive = built(tree, tmp_path_factory.mktemp("sdist"), "sdist")
    assert archive.name == f"seq2seq_toolkit-{__version__}.tar.gz"
    unpacked = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as files:
        files.extractall(unpacked, filter="data")
    [folder] = unpacked.iterdir()
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = built(source, tmp_path_factory.mktemp("wheel"), "wheel")
    assert made.name == f"seq2seq_toolkit-{__version__}-py3-none-any.whl"
    return made


def test_the_wheel_holds_the_package_and_every_configuration(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        held = {name for name in files.namelist() if name.startswith("seq2seq/")}
        meta = Parser().parse(io.StringIO(files.read(f"seq2seq_toolkit-{__version__}.dist-info/METADATA").decode()))
        for name in held:
            path = ROOT / (name if not name.startswith("seq2seq/configs/") else name.removeprefix("seq2seq/"))
            assert files.read(name) == path.read_bytes()
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "seq2seq").rglob("*.py")}
    configurations = {f"seq2seq/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    assert held == code | configurations | {"seq2seq/py.typed"}
    assert (meta["Name"], meta["Version"]) == (NAME, __version__)


def test_an_installed_package_trains_by_its_own_configurations(wheel: Path, tmp_path: Path) -> None:
    """As far as the resolved configuration; the folder is empty, and no tree is near."""
    with zipfile.ZipFile(wheel) as files:
        files.extractall(tmp_path / "site")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "pairs.tsv").write_text("a b\tb a\n" * 40)

    def seq2seq(*words: str) -> str:
        command = [sys.executable, "-m", "seq2seq", *words]
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
        done = subprocess.run(command, cwd=tmp_path / "work", env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    assert seq2seq("--version").startswith(f"seq2seq {__version__} ")
    assert "multi30k_en_de" in seq2seq("init")
    assert "seq2seq train titles.yaml" in seq2seq("init", "titles", "--train", "pairs.tsv")
    assert seq2seq("train", "titles.yaml", "--print-config").startswith("run_directory: runs/titles\n")
    assert seq2seq("train", "pairs.tsv", "--print-config").startswith("run_directory: runs/pairs\n")


def test_extras_that_name_the_package_itself_name_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == NAME
    assert list(project["scripts"]) == ["seq2seq"]
    own = [entry for entries in project["optional-dependencies"].values() for entry in entries if "seq2seq" in entry]
    assert own
    for entry in own:
        assert entry.startswith(f"{NAME}[")
        assert set(entry[len(NAME) + 1 : -1].split(",")) <= set(project["optional-dependencies"])
