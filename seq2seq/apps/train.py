"""Train a model, by a configuration or with nothing but a table of pairs.

    seq2seq train pairs.tsv
    seq2seq train translation.yaml --training.max_steps 4000

The same command once more goes on with a run that was stopped.
"""

from seq2seq.assembly.own_pairs import command_config
from seq2seq.assembly.training import train_in_stages
from seq2seq.training.accelerator import leave_processes


def run(arguments: list[str]) -> int:
    train_in_stages(command_config(arguments, "seq2seq train", __doc__ or ""))
    leave_processes()
    return 0
