"""What tests say that need a package of an extra: they skip with a reason where it is missing.

A whole file says `pytest.importorskip`; a single test or parameter is marked by `needs`.
"""

from importlib.util import find_spec

import pytest


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


def needs(package: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not is_installed(package), reason=f"{package} is an optional package")
