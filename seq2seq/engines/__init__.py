"""Engines of other libraries: texts in, hypotheses out, without torch."""
