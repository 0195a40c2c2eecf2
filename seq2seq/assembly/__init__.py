"""The composition roots: `training` turns a configuration into a trainer, `generator` a folder into a text generator.

Nothing else reads the configuration below the command line; components get plain arguments from here.
"""
