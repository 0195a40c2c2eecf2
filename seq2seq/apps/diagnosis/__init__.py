"""How a diagnosis is shown: as a table on standard output and as a picture."""
