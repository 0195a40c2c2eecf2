"""From pairs to a plan: what they are in numbers, a recipe from a table of what was measured, what the machine can do.

`features` measures texts, `recipes` reads the table beside it, `probe` times the machine, `pairs` cuts and writes the
parts, `times` shares out the time and `sharing` the steps, and `plan` puts all together into a configuration that
`train` runs like any other.
"""
