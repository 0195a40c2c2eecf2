"""Train a model from a configuration: `seq2seq train configs/x.yaml --training.max_steps 4000`."""

from seq2seq.build.stages import stages
from seq2seq.build.training import train
from seq2seq.config.loading import load_run_config


def run(arguments: list[str]) -> int:
    for stage in stages(load_run_config(arguments)):
        train(stage)
    return 0
