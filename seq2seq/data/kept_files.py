"""Files that are kept to be read again, and the records by which it is seen that they still hold what was written.

A cache outlives power cuts and full disks. What it holds can be made anew, so a damaged file is removed, and no error.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

from seq2seq.files import fingerprint, is_special, read_object, written

_PROBLEMS = "problems"


def is_whole(file: Path) -> bool:
    """Return whether a kept file holds what was written; one that does not is removed, with a warning."""
    record = _record_of(file)
    if is_special(file) or is_special(record):  # nothing that was written here
        _remove(file, record)
        return False
    if not file.is_file():
        return False
    try:
        found = read_object(record)
    except (OSError, ValueError):  # the record is written last
        return False
    if {**found, **fingerprint(file)} == found and _PROBLEMS in found:
        return True
    warnings.warn(f"{file} is damaged; it is removed and written anew.", stacklevel=1)
    _remove(file, record)
    return False


def keep_record(file: Path, problems: Sequence[str] = ()) -> None:
    """Write beside a file, when it is whole, what it holds, and what was to be warned of when that was made."""
    with written(_record_of(file)) as record:
        json.dump({**fingerprint(file), _PROBLEMS: list(problems)}, record)


def recorded_problems(file: Path) -> list[str]:
    """Return what was to be warned of when a file was made."""
    record = _record_of(file)
    problems = read_object(record).get(_PROBLEMS) if record.is_file() else None
    return list(map(str, problems)) if isinstance(problems, list) else []


def remove_unless_whole(file: Path) -> None:
    """Remove a kept file that is not known to be whole, so that nobody reads it."""
    if not is_whole(file):
        _remove(file)


def _record_of(file: Path) -> Path:
    return file.with_suffix(".json")


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)
