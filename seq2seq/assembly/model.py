"""From a configuration to its model, with fresh weights or those of another."""

from dataclasses import asdict
from pathlib import Path

from seq2seq.config.schema import RunConfig
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.inference import load_weights, wrong_weights


def build_model_config(config: RunConfig, tokenizer: TextTokenizer) -> Seq2SeqTransformerConfig:
    """Return the model's own configuration: the section, with what the tokenizer decides."""
    return Seq2SeqTransformerConfig(
        **asdict(config.model),
        vocab_size=tokenizer.target_vocab_size,
        source_vocab_size=tokenizer.source_vocab_size,
        pad_token_id=tokenizer.pad_id,
        bos_token_id=tokenizer.bos_id,
        eos_token_id=tokenizer.eos_id,
        decoder_start_token_id=tokenizer.decoder_start_id,
    )


def initialize_from(model: Seq2SeqTransformer, folder: Path) -> None:
    """Give the model the weights of another; what marks sides or gates an interaction may start afresh.

    Raises:
        ValueError: the other has weights of other names or shapes; names some.
    """
    weights = load_weights(folder, model.options.tie_embeddings)
    expected = model.state_dict()
    new = [name for name in expected if ".sides." in name or ".interaction." in name]
    absent = [name for name in expected if name not in weights and name not in new]
    wrong = [name for name in weights if name not in expected or weights[name].shape != expected[name].shape]
    if wrong or absent:
        raise wrong_weights(folder, [*wrong, *absent])
    model.load_state_dict(weights, strict=False)
