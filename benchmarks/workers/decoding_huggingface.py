"""transformers' `generate` over the same weights, for `decoding_speed.py`.

A pre-norm model with sinusoids becomes an `M2M100ForConditionalGeneration`, which is the same network in transformers'
own code; any other model of ours is decoded through its own `forward`, which knows transformers' caches, and models of
transformers are what they are.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForSeq2SeqLM, M2M100Config, M2M100ForConditionalGeneration, PreTrainedModel
from workers.protocol import serve

from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.decoding.running.in_process import pad_sources
from seq2seq.models.transformer import Seq2SeqTransformer
from seq2seq.models.transformer.options import MODEL_TYPE
from seq2seq.models.transformer.positions import sinusoids

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
NUM_POSITIONS = 1024


def as_m2m100(ours: Seq2SeqTransformer) -> M2M100ForConditionalGeneration:
    """Return transformers' own model with the same weights."""
    config = ours.config
    theirs = M2M100ForConditionalGeneration(
        M2M100Config(
            vocab_size=config.vocab_size,
            d_model=config.d_model,
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            encoder_attention_heads=config.num_heads,
            decoder_attention_heads=config.num_heads,
            encoder_ffn_dim=config.ffn_size,
            decoder_ffn_dim=config.ffn_size,
            activation_function="relu",
            scale_embedding=True,
            max_position_embeddings=NUM_POSITIONS,
            pad_token_id=config.pad_token_id,
            bos_token_id=config.bos_token_id,
            eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )
    )
    weights = {"model.shared.weight": ours.decoder.embeddings.tokens.weight, "lm_head.weight": ours.lm_head.weight}
    for side, stack in (("encoder", ours.encoder), ("decoder", ours.decoder)):
        weights[f"model.{side}.embed_tokens.weight"] = stack.embeddings.tokens.weight
        add(weights, f"model.{side}.layer_norm", stack.norm)
        for i, layer in enumerate(stack.layers):
            name = f"model.{side}.layers.{i}"
            add_parts(weights, f"{name}.self_attn", "qkv", layer.self_attention.queries_keys_values)
            add(weights, f"{name}.self_attn.out_proj", layer.self_attention.output)
            add(weights, f"{name}.self_attn_layer_norm", layer.self_attention_residual.norm)
            add(weights, f"{name}.fc1", layer.feed_forward.expand)
            add(weights, f"{name}.fc2", layer.feed_forward.contract)
            add(weights, f"{name}.final_layer_norm", layer.feed_forward_residual.norm)
            if side == "decoder":
                add_parts(weights, f"{name}.encoder_attn", "q", layer.cross_attention.queries)
                add_parts(weights, f"{name}.encoder_attn", "kv", layer.cross_attention.source_keys_values)
                add(weights, f"{name}.encoder_attn.out_proj", layer.cross_attention.output)
                add(weights, f"{name}.encoder_attn_layer_norm", layer.cross_attention_residual.norm)
    theirs.load_state_dict(weights, strict=True)
    for stack in (theirs.model.encoder, theirs.model.decoder):
        # Its first position is row pad + 1 of the table.
        table = torch.zeros_like(stack.embed_positions.weights)
        table[config.pad_token_id + 1 :] = sinusoids(len(table) - config.pad_token_id - 1, config.d_model)
        stack.embed_positions.weights = table
    return theirs


def add(weights: dict[str, torch.Tensor], name: str, module: torch.nn.Module) -> None:
    for part, tensor in module.named_parameters():
        weights[f"{name}.{part}"] = tensor


def add_parts(weights: dict[str, torch.Tensor], name: str, parts: str, linear: torch.nn.Linear) -> None:
    for part, weight, bias in zip(parts, linear.weight.chunk(len(parts)), linear.bias.chunk(len(parts)), strict=True):
        weights[f"{name}.{part}_proj.weight"], weights[f"{name}.{part}_proj.bias"] = weight, bias


def load(folder: str, dtype: torch.dtype) -> PreTrainedModel:
    if json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))["model_type"] != MODEL_TYPE:
        return AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=dtype)
    ours = Seq2SeqTransformer.from_pretrained(folder)
    config = ours.config
    is_m2m100 = (config.norm_position, config.norm, config.positions, config.activation, config.tie_embeddings)
    return as_m2m100(ours) if is_m2m100 == ("pre", "layer_norm", "sinusoidal", "relu", "all") else ours


def prepare(job: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], dict[str, Any]]]:
    """Return facts, and a function that decodes all sources once."""
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(job["threads"])
    dtype = PRECISIONS[job["precision"]]
    model = load(job["model"], dtype).to(job["device"], dtype).eval()
    sources, eos_id = job["sources"], model.config.eos_token_id
    size = job["batch_size"]
    if size:
        batches = [list(range(i, min(i + size, len(sources)))) for i in range(0, len(sources), size)]
    else:
        lengths = torch.tensor([len(source) for source in sources]).numpy()
        batches = length_sorted_batches(lengths, batch_tokens=job["batch_tokens"], beam_width=job["beam_width"])

    def run_round() -> dict[str, Any]:
        found: dict[int, list[int]] = {}
        started = time.perf_counter()
        for batch in batches:
            input_ids, mask = pad_sources([sources[i] for i in batch])
            with torch.inference_mode():
                output = model.generate(
                    input_ids=input_ids.to(job["device"]),
                    attention_mask=mask.to(job["device"]),
                    num_beams=job["beam_width"],
                    do_sample=False,
                    length_penalty=1.0,
                    early_stopping=job["early_stopping"] if job["beam_width"] > 1 else None,
                    min_new_tokens=job["min_length"] or None,
                    max_new_tokens=job["max_length"],
                    max_length=None,
                )
            for i, row in zip(batch, output[:, 1:].tolist(), strict=True):
                found[i] = row[: row.index(eos_id) + 1] if eos_id in row else row[: job["max_length"]]
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "hypotheses": [found[i] for i in range(len(sources))]}

    return {"transformers": transformers.__version__, "class": type(model).__name__}, run_round


if __name__ == "__main__":
    serve(prepare)
