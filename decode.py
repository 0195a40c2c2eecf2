"""Generate text with a trained model: `python decode.py --model runs/x < source > output`."""

import sys

from seq2seq.apps.command import main

if __name__ == "__main__":
    raise SystemExit(main(["decode", *sys.argv[1:]]))
