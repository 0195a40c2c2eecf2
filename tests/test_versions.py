from datetime import date
from pathlib import Path

import pytest

from tests.versions import PYPROJECT, lowest, main, requirements, row

RESULT = """<testsuites><testsuite name="pytest" tests="1204" skipped="3" failures="1" errors="2" time="90.5">
</testsuite></testsuites>"""


def test_the_lowest_version_of_each_requirement() -> None:
    wanted = [
        "torch>=2.6,<2.15",
        "PyYAML >= 6.0.1",
        "types-PyYAML",
        "a-b[c,d]>=1; python_version < '3.13'",
        "e<2,>=1.1",
    ]
    assert list(lowest(iter(wanted))) == ["torch==2.6", "PyYAML==6.0.1", "a-b==1", "e==1.1"]


def test_an_extra_that_names_others_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        '[project]\nname = "x"\ndependencies = ["a>=1"]\noptional-dependencies = {b = ["c>=2"], d = ["x[b]", "e>=3"]}\n'
    )
    assert list(requirements(tmp_path / "p.toml")) == ["a>=1", "c>=2", "e>=3"]


def test_whatever_the_project_asks_for_has_a_lower_bound() -> None:
    names = [pin.split("==")[0] for pin in lowest(requirements(PYPROJECT))]
    assert len(names) == len(list(requirements(PYPROJECT))) > 20


def test_a_row_says_what_ran(tmp_path: Path) -> None:
    (tmp_path / "result.xml").write_text(RESULT)
    cells = row(tmp_path / "result.xml", date(2026, 11, 28)).strip("| ").split(" | ")
    assert cells[0] == "2026-11-28"
    assert cells[2].startswith("torch 2.")
    assert cells[3:] == ["1,198 passed, 3 skipped, 3 failed", "2 min"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lowest"]) == 0
    assert "\nnumpy==2" in capsys.readouterr().out
    assert main(["nothing"]) == 2
