"""The end of a run: its model exported, its curves drawn, and what to type next."""

import shlex
from pathlib import Path

from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.model_export import ModelExport, chosen_checkpoints
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, MODEL_FOLDER
from seq2seq.decoding.parts.options import OneSided
from seq2seq.training.averaging import average_weights
from seq2seq.training.checkpoint import TrainingState
from seq2seq.training.checkpoint_folder import step_of
from seq2seq.training.curves import plot_curves


def finish(config: RunConfig, folder: Path, export: ModelExport, state: TrainingState) -> int | None:
    """Export the model, draw the curves, and say where both are; return whose step's weights it has, if one's.

    Raises:
        ValueError: there are fewer checkpoints than are to be averaged.
    """
    checkpoints = chosen_checkpoints(folder / CHECKPOINTS_FOLDER, config.training.average_checkpoints, state)
    step = step_of(checkpoints[0]) if len(checkpoints) == 1 else None
    export.write(folder / MODEL_FOLDER, average_weights(checkpoints), step)
    steps = ", ".join(path.name for path in checkpoints)
    drawn = plot_curves(folder, state.best.step)
    print(f"Trained {state.step} steps in {state.seconds / 60:.1f} minutes; curves: {drawn or 'matplotlib is missing'}")
    print(f"Exported {steps} to {folder / MODEL_FOLDER}", flush=True)
    return step


def next_commands(config: RunConfig) -> list[str]:
    """Return the commands that decode a test set with a finished run, a source a line, and score the output."""
    is_paired = config.model.generation_order == "bidirectional" and not isinstance(config.decoding, OneSided)
    decode = ["seq2seq", "decode", "--model", config.run_directory, *(["--bidirectional"] if is_paired else [])]
    return [
        shlex.join([*decode, "--input", "test.source", "--output", "test.output"]),
        shlex.join(["seq2seq", "score", "--hypothesis", "test.output", "--reference", "test.target"]),
    ]
