"""Importing this makes transformers' Auto classes know the folders of `Seq2SeqTransformer`."""

from transformers import AutoConfig, AutoModelForSeq2SeqLM

from seq2seq.models.transformer.configuration import Seq2SeqTransformerConfig
from seq2seq.models.transformer.modeling import Seq2SeqTransformer

AutoConfig.register(Seq2SeqTransformerConfig.model_type, Seq2SeqTransformerConfig)
AutoModelForSeq2SeqLM.register(Seq2SeqTransformerConfig, Seq2SeqTransformer)

__all__ = ["Seq2SeqTransformer", "Seq2SeqTransformerConfig"]
