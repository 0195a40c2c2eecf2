"""Train a model from a configuration: `seq2seq train configs/x.yaml --training.max_steps 4000`."""

from seq2seq.assembly.configuration import load_run_config
from seq2seq.assembly.training import train_in_stages


def run(arguments: list[str]) -> int:
    train_in_stages(load_run_config(arguments, "seq2seq train", __doc__ or ""))
    return 0
