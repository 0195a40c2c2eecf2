"""The server, but every batch is searched to its end before others are: what joining is compared with.

python benchmarks/workers/serving_to_the_end.py serve m=RUN --port PORT
"""

import sys

from seq2seq.apps.command import main
from seq2seq.serving import searching

if __name__ == "__main__":
    searching.OLDEST_JOINED = 0
    sys.exit(main())
