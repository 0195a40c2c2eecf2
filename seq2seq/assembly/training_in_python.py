"""`seq2seq.train`: a training as a function call, for scripts and notebooks.

Pairs and options enter, as they stand in YAML; a `TrainedRun` leaves. It is the run of the `train` verb: the same run
directory, the same messages, and the same call goes on with a run that was stopped. Unlike the verb it leaves the
process as it was: threads, random states, signals, environment, and what accelerate remembers.
"""

import gc
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.assembly.process import process_put_back
from seq2seq.assembly.python_configuration import resolved_config
from seq2seq.assembly.training import train_in_stages
from seq2seq.config.declaring import options_of
from seq2seq.training.accelerator import state_put_back
from seq2seq.training.options import ValidationOptions
from seq2seq.training.tracking import LOG_NAME, read_log


@dataclass(frozen=True)
class TrainedRun:
    """A run that has come to its end."""

    run_directory: Path
    """Holds the configuration, the log, checkpoints and, in `model`, the exported model."""
    steps: int
    """Optimizer steps of the whole run."""
    best_step: int | None
    """The step of the best validation."""
    scores: dict[str, float]
    """What that validation measured: `loss` and, if there are any, `validation.metrics`."""

    def generator(self, **options: Any) -> TextGenerator:
        """Return the trained model; options are those of `seq2seq.load`."""
        return load(self.run_directory, **options)


def train(
    train: Any = None,
    validation: Any = None,
    *,
    run_directory: str | Path | None = None,
    config: str | Path | Mapping[str, Any] | RunConfig | None = None,
    **options: Any,
) -> TrainedRun:
    """Train a model, or go on with a training that was stopped, and return what became of it.

        >>> import seq2seq
        >>> run = seq2seq.train([("ab", "ba"), ("abc", "cba")], run_directory="runs/x", training={"max_steps": 2})
        >>> print(run.generator()("ab")[0])

    The same call with the same pairs goes on where it stopped; with other pairs or options it is refused. Ctrl-C, or
    "interrupt" in a notebook, finishes the step, saves and raises KeyboardInterrupt; a second one raises at once.

    Args:
        train: the pairs to learn from: a list of pairs `(source, target)`; two lists `(sources, targets)`; a
            `datasets.Dataset`, a data frame or a dictionary with the columns `source` and `target` (others are named as
            in `data={"train": {"source_column": "en", "target_column": "de"}}`); the path of a table, or those of two
            files that go together. None = what `config` says.
        validation: in the same way, the pairs that choose the best checkpoint. None = what `config` says; if that says
            nothing, every twentieth of the training pairs is held out, and of very many pairs 1,000.
        run_directory: where everything goes; None = what `config` says.
        config: a configuration to begin with: a YAML file, or what would stand in it. None = the one that the package
            has for one's own pairs, as `seq2seq init` writes it.
        options: of the configuration, by section or by dotted name: `optimizer={"learning_rate": 1e-3}` or
            `**{"optimizer.learning_rate": 1e-3}`. They count more than `config`. Beside `validation` pairs, the section
            of this name goes by dotted names: `**{"validation.every": 100}`.

    Raises:
        ValueError: anything in the options or the data that must be changed; in one line.
        KeyboardInterrupt: the training was interrupted, and saved.
        FloatingPointError: loss or gradient is not finite.
    """
    if isinstance(validation, Mapping) and validation and validation.keys() <= options_of(ValidationOptions).keys():
        validation, options = None, options | {"validation": validation}
    resolved = resolved_config(train, validation, run_directory, config, options)
    with process_put_back(), state_put_back(), interrupted_by_exception():
        state = train_in_stages(resolved)
    gc.collect()  # a trainer and its parts know each other, and a program may go on for long
    folder = Path(resolved.run_directory)
    scores = [entry for entry in read_log(folder / LOG_NAME) if entry["kind"] == "validation"]
    best: dict[str, Any] = next((entry for entry in reversed(scores) if entry["step"] == state.best.step), {})
    values = {name: value for name, value in best.items() if isinstance(value, float | int) and name != "step"}
    return TrainedRun(folder, state.step, state.best.step, values)


@contextmanager
def interrupted_by_exception() -> Iterator[None]:
    """Let Ctrl-C end the block by KeyboardInterrupt, also where a command would end with its exit code.

    A training that was asked to stop leaves by SystemExit, which would end a notebook's kernel. Its second Ctrl-C goes
    to whom the first would have gone to without it, which here is an exception and not the end of the process.
    """

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if is_default:
            signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # no signals arrive outside the main thread
        is_default = False
    try:
        yield
    except SystemExit as stop:
        if stop.code != 128 + signal.SIGINT:
            raise
        raise KeyboardInterrupt("The training was interrupted and saved; the same call goes on with it.") from None
    finally:
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
