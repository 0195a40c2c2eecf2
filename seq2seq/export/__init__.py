"""Trained models for other libraries, and several models as one."""
