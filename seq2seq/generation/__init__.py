"""Lines, batches and hypotheses of any engine: texts in, n-best lists out, in order; nothing here imports torch."""
