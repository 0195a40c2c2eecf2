"""Where a search runs: in this process, in several, or watched."""
