"""One file for each shape of request that is understood."""
