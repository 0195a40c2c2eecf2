"""The encoder-decoders of transformers whose weights our network takes and gives back, by one table per family.

A configuration of a family and its tensors enter; options of `TransformerOptions` and tensors by our names leave, and
the same way back, bit by bit. `bart` and `t5` hold what is said of each family, `tables` what is done with it, and
`folders` reads and writes model folders.
"""
