"""A search over lines, files and processes: texts in, n-best lists out, in order."""
