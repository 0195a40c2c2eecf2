"""Encoder-decoder text generation: train, decode and score.

`load(folder)` gives a trained model as one object. Importing this package makes `Seq2SeqTransformer` known to
`AutoConfig`, `AutoModel` and `AutoModelForSeq2SeqLM` of transformers.
"""

from seq2seq.build.generator import TextGenerator, load
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig

__version__ = "0.1.0"
__all__ = ["Seq2SeqTransformer", "Seq2SeqTransformerConfig", "TextGenerator", "load"]
