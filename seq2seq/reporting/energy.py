"""The energy that processors use, where Linux lets a program read it (Intel's and AMD's RAPL counters).

It is that of whole processor packages, whatever runs on them; memory, graphics cards and power supply are not in it.
"""

from pathlib import Path

COUNTERS = Path("/sys/class/powercap")
MICROJOULES = 1e6


class Meter:
    """Counts from when it is made."""

    def __init__(self, counters: Path = COUNTERS) -> None:
        self._counters = counters
        self._before = self._read()

    def joules(self) -> float | None:
        """Return what was used since, None where the machine does not tell."""
        now = self._read()
        if not self._before or now.keys() != self._before.keys():
            return None
        total = 0
        for folder, (count, highest) in now.items():
            used = count - self._before[folder][0]
            total += used if used >= 0 else used + highest
        return total / MICROJOULES

    def _read(self) -> dict[str, tuple[int, int]]:
        """Return the count of each processor package, and where it begins anew; nothing where it may not be read."""
        found = {}
        try:
            for folder in sorted(self._counters.glob("*-rapl:*")):
                if folder.name.count(":") == 1:  # two are of a part of a package
                    count, highest = (int((folder / name).read_text()) for name in ("energy_uj", "max_energy_range_uj"))
                    found[folder.name] = count, highest
        except (OSError, ValueError):
            return {}
        return found
