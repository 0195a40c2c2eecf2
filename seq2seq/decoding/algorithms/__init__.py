"""Searches, each its mathematics: from a model and sources to ranked hypotheses."""
