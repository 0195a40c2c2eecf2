"""Tasks to try the toolkit on, made on the spot."""
