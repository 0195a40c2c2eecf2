"""Which of the processes that a launcher has started on a machine says what all of them find."""

import os
import sys

from seq2seq.want import wanting


def is_said_by_another(error: Exception) -> bool:
    """Return whether the first process of this machine says this of an error, so that this one can be silent.

    It does while each looks at the same options and files, before they meet; later each is silent of another that has
    gone, since the first one says so.
    """
    if os.environ.get("LOCAL_RANK", "0") in ("", "0") or os.environ.get("WORLD_SIZE", "1") in ("", "0", "1"):
        return False
    if wanting(error) == "peers":
        return True
    distributed = sys.modules.get("torch.distributed")
    have_met = distributed is not None and distributed.is_available() and distributed.is_initialized()
    return not have_met and wanting(error) is None and isinstance(error, ValueError | OSError)
