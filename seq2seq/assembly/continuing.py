"""What a run that goes on must find as it was: its pairs, by what they hold, and how they were dealt out.

Each checkpoint holds a record of its data. A run goes on with the same pairs, wherever their files are now; with others
it is refused, or by `training.accept_changed_data` goes on with the epoch begun anew. Another budget of a batch, other
accumulation and another number of processes are taken: the pairs that an epoch has left come in other batches, each
once. A line of the log says what changed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq.data.micro_batches import Position
from seq2seq.training.checkpoint import TrainingState
from seq2seq.training.validation import BestSoFar

Record = Mapping[str, str]
"""What the data of a run are; empty for a checkpoint that says nothing of them."""

TRAIN, VALIDATION = "train", "validation"
_NAMES = {TRAIN: "training pairs", VALIDATION: "validation pairs"}


def check_pairs(folder: Path, before: Record, now: Record, *, accepts_changes: bool) -> None:
    """Raise ValueError if a run has begun with other pairs than there are now, which it does not accept."""
    changed = [name for name in _NAMES if name in before and before[name] != now[name]]
    if changed and not accepts_changes:
        what = " and ".join(_NAMES[name] for name in changed)
        details = "; ".join(f"`data.{name}` held {before[name]}, now {now[name]}" for name in changed)
        raise ValueError(
            f"The {what} of {folder} have changed since its last checkpoint ({details}). Bring back those of before, "
            "give the new run another `run_directory`, or set `training.accept_changed_data: true` to go on with these."
        )


@dataclass(frozen=True)
class Continuation:
    """Fits the state of a checkpoint to the data of now; called once, when the state is loaded.

    Args:
        folder: of the run, for messages.
        record: what the data are now.
        epoch_again: from a position to the one at the beginning of its epoch.
    """

    folder: Path
    record: Record
    epoch_again: Callable[[Position], Position]
    accepts_changes: bool = False

    def __call__(self, state: TrainingState) -> dict[str, Any]:
        """Bring record and position of the state up to date; return what has changed, as before and now.

        Raises:
            ValueError: the pairs have changed, which is not accepted.
        """
        before, state.data = state.data, dict(self.record)
        check_pairs(self.folder, before, self.record, accepts_changes=self.accepts_changes)
        changed = {name: [before[name], now] for name, now in self.record.items() if before.get(name, now) != now}
        if TRAIN in changed and state.position is not None:
            state.position = self.epoch_again(state.position)
        if VALIDATION in changed:
            state.best = BestSoFar(last_step=state.best.last_step)  # values of other pairs do not compare
        return changed
