"""Starting a module on several processes of this machine."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SECONDS = 300
"""Half a minute is usual. A launch that hangs should fail, not hold everything up."""


def launch(num_processes: int, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Return the finished run of `python -m module arguments` on so many processes; fail with its errors if it failed.

    All addresses are loopback ones: by default the launcher and gloo ask for the machine's own name, and where no name
    server answers both wait for minutes.
    """
    launcher = ["torch.distributed.run", "--standalone", "--local-addr=127.0.0.1", f"--nproc_per_node={num_processes}"]
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "GLOO_SOCKET_IFNAME": loopback()},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def loopback() -> str:
    """Return the name of the loopback interface."""
    return "lo" if sys.platform == "linux" else "lo0"
