"""What `test_two_processes` runs on each of two processes: a decode with small parts, then a training.

Arguments: those of the decode, `--`, those of the training. Decoding comes first, since training ends by taking the
process group down.
"""

import sys
from functools import partial

from seq2seq.apps import decoding_texts
from seq2seq.apps.command import main
from seq2seq.assembly import finishing
from seq2seq.generation.files import decode_file

POOL_LINES = 7

if __name__ == "__main__":
    border = sys.argv.index("--")
    decoding_texts.decode_file = partial(decode_file, pool_lines=POOL_LINES)
    finishing.plot_curves = lambda *arguments: None
    if code := main(["decode", *sys.argv[1:border]]):
        raise SystemExit(code)
    raise SystemExit(main(["train", *sys.argv[border + 1 :]]))
