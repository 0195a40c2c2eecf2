"""Importing this makes transformers' Auto classes know the folders of `Seq2SeqTransformer`."""

from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForSeq2SeqLM

from seq2seq.models.transformer.configuration import Seq2SeqTransformerConfig
from seq2seq.models.transformer.modeling import Seq2SeqTransformer
from seq2seq.models.transformer.options import EARLIER_MODEL_TYPE

AutoConfig.register(Seq2SeqTransformerConfig.model_type, Seq2SeqTransformerConfig)
CONFIG_MAPPING.register(EARLIER_MODEL_TYPE, Seq2SeqTransformerConfig)
AutoModelForSeq2SeqLM.register(Seq2SeqTransformerConfig, Seq2SeqTransformer)

__all__ = ["Seq2SeqTransformer", "Seq2SeqTransformerConfig"]
