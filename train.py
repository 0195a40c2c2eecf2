"""Train a model: `accelerate launch train.py configs/x.yaml`."""

import sys

from seq2seq.apps.command import main

if __name__ == "__main__":
    raise SystemExit(main(["train", *sys.argv[1:]]))
