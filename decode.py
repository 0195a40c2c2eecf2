"""Generate text with a trained model: `python decode.py --model runs/x < source > output`. The same as `seq2seq decode`."""

import sys

from seq2seq.apps.command import main

if __name__ == "__main__":
    raise SystemExit(main(["decode", *sys.argv[1:]]))
