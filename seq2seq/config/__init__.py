"""Configurations: any frozen dataclass, read from YAML and the command line, and written back.

Knows no component. `declaring` is what components use to say what their options are; the rest is for `assembly` and
the command line.
"""
