"""What other toolkits call our options: so that who writes `num_beams` is told of `beam_width`.

The name of an option that there is not enters, a sentence leaves that says what to write, or nothing.
"""

import re
from typing import NamedTuple


class Ours(NamedTuple):
    """What to write in place of a foreign option."""

    option: str = ""
    """Our option; empty where there is none like it."""
    value: str = ""
    """The value that does the same, where the foreign option is a switch."""
    note: str = ""


SAMPLING = Ours("method", "sampling")
BUDGET = Ours("batch_tokens", note="a budget of tokens, not of sentences")
GROUPS = Ours("num_groups", note="of the method diverse_beam")
SPLIT = Ours(note="decoded text is not in subwords")
SCORED = Ours(note="each hypothesis has its scores")

OF_DECODING: dict[str, Ours] = {
    **dict.fromkeys(("num_beams", "beam", "beams", "beam_size", "width"), Ours("beam_width")),
    **dict.fromkeys(("num_return_sequences", "nbest", "nbest_size", "num_hypotheses"), Ours("n_best")),
    **dict.fromkeys(
        ("max_new_tokens", "max_decoding_length", "max_len_b", "max_len", "max_output_length", "max_target_length"),
        Ours("max_length", note="end of sentence counts"),
    ),
    **dict.fromkeys(("min_new_tokens", "min_decoding_length", "min_len"), Ours("min_length")),
    **dict.fromkeys(("max_len_a", "max_length_factor"), Ours("max_length_ratio")),
    **dict.fromkeys(("do_sample", "sampling", "sample", "random_sampling"), SAMPLING),
    **dict.fromkeys(("sampling_topk", "random_sampling_topk", "topk"), Ours("top_k")),
    **dict.fromkeys(("sampling_topp", "random_sampling_topp", "topp"), Ours("top_p")),
    **dict.fromkeys(("sampling_temperature", "random_sampling_temp"), Ours("temperature")),
    **dict.fromkeys(("lenpen", "alpha", "length_penalty_alpha", "normalize"), Ours("length_penalty")),
    **dict.fromkeys(("no_repeat_ngram_size", "block_ngram_repeat"), Ours("no_repeat_ngram")),
    **dict.fromkeys(("num_beam_groups", "diverse_beam_groups"), GROUPS),
    "diverse_beam_strength": Ours("diversity_penalty"),
    **dict.fromkeys(("epsilon_cutoff", "eta_cutoff"), Ours("epsilon")),
    **dict.fromkeys(("batch_size", "max_batch_size", "mini_batch", "per_device_eval_batch_size"), BUDGET),
    "max_tokens": Ours("batch_tokens", note="the budget of a batch; outputs are limited by `max_length`"),
    **dict.fromkeys(("dtype", "torch_dtype", "compute_type"), Ours("precision", note="fp32, bf16, fp16, int8 or auto")),
    **dict.fromkeys(("max_input_length", "max_source_length"), Ours("max_source_tokens")),
    **dict.fromkeys(("target_prefix", "prefix_size", "forced_bos_token_id"), Ours("prefixes")),
    **dict.fromkeys(("repetition_penalty", "frequency_penalty", "presence_penalty"), Ours(
        note="`no_repeat_ngram` forbids what repeats"
    )),
    **dict.fromkeys(("penalty_alpha", "typical_p"), Ours(note="sampling has `top_k`, `top_p`, `min_p` and `epsilon`")),
    **dict.fromkeys(("use_cache", "cache_implementation"), Ours(note="searches always use their cache")),
    **dict.fromkeys(("output_scores", "return_dict_in_generate", "return_scores"), SCORED),
    **dict.fromkeys(("remove_bpe", "post_process", "skip_special_tokens"), SPLIT),
    **dict.fromkeys(("unkpen", "disable_unk", "replace_unk"), Ours(note="byte_bpe has no unknown tokens")),
}  # fmt: skip
"""Options of searches, and of `load` and `decode`."""

OF_THE_COMMAND: dict[str, Ours] = {
    **dict.fromkeys(("src", "source", "input_file"), Ours("input")),
    **dict.fromkeys(("results_path", "output_file"), Ours("output")),
    **dict.fromkeys(("models", "model_path", "model_name_or_path"), Ours("model")),
    **dict.fromkeys(("tgt", "references", "ref"), Ours("reference")),
    **dict.fromkeys(("inter_threads", "num_workers"), Ours("processes")),
    **dict.fromkeys(("intra_threads", "cpu_threads", "num_threads"), Ours("threads")),
    **dict.fromkeys(("gpu", "devices", "gpuid"), Ours("device")),
    **dict.fromkeys(("int8", "bf16", "fp16", "fp32"), Ours("precision")),
}
"""Further ones of `decode`."""

OF_TRAINING: dict[str, Ours] = {
    **dict.fromkeys(("output_dir", "save_dir", "save_model"), Ours("run_directory")),
    **dict.fromkeys(("num_train_epochs", "num_epochs", "epochs", "max_epoch"), Ours("training.max_epochs")),
    **dict.fromkeys(("max_update", "train_steps", "max_updates"), Ours("training.max_steps")),
    **dict.fromkeys(
        ("per_device_train_batch_size", "train_batch_size", "batch_size", "max_tokens"),
        Ours("data.batch_tokens", note="a budget of tokens, not of pairs"),
    ),
    **dict.fromkeys(
        ("gradient_accumulation_steps", "update_freq", "accum_count"), Ours("training.gradient_accumulation")
    ),
    **dict.fromkeys(("lr", "max_lr"), Ours("optimizer.learning_rate")),
    **dict.fromkeys(("warmup_updates", "warmup_ratio", "lr_warmup"), Ours("optimizer.warmup_steps")),
    **dict.fromkeys(("lr_scheduler", "lr_scheduler_type", "decay_method"), Ours("optimizer.schedule")),
    **dict.fromkeys(("max_grad_norm", "gradient_clip_val"), Ours("optimizer.clip_norm")),
    **dict.fromkeys(("adam_betas", "adam_beta1", "adam_beta2"), Ours("optimizer.betas")),
    **dict.fromkeys(("adam_epsilon", "adam_eps"), Ours("optimizer.epsilon")),
    **dict.fromkeys(("optim", "optimizer_type"), Ours("optimizer.name")),
    "criterion": Ours("objective"),
    **dict.fromkeys(
        ("gradient_checkpointing", "checkpoint_activations"), Ours("training.activation_checkpointing", "true")
    ),
    "label_smoothing_factor": Ours("objective.cross_entropy.label_smoothing"),
    **dict.fromkeys(("fp16", "bf16", "mixed_precision"), Ours("training.precision")),
    **dict.fromkeys(("save_steps", "save_interval_updates"), Ours("training.checkpoint_every")),
    **dict.fromkeys(("save_total_limit", "keep_last_epochs", "keep_checkpoint"), Ours("training.keep_checkpoints")),
    **dict.fromkeys(("eval_steps", "validate_interval_updates", "valid_steps"), Ours("validation.every")),
    **dict.fromkeys(("logging_steps", "log_interval", "report_every"), Ours("training.log_every")),
    "early_stopping_patience": Ours("validation.patience"),
    **dict.fromkeys(("metric_for_best_model", "best_checkpoint_metric"), Ours("validation.select_by")),
    **dict.fromkeys(("predict_with_generate", "eval_bleu"), Ours("validation.metrics")),
    "resume_from_checkpoint": Ours(note="the same training, begun again, goes on"),
    **dict.fromkeys(("hidden_size", "encoder_embed_dim", "rnn_size", "dim"), Ours("model.d_model")),
    **dict.fromkeys(("intermediate_size", "encoder_ffn_embed_dim", "transformer_ff"), Ours("model.ffn_size")),
    **dict.fromkeys(("num_attention_heads", "encoder_attention_heads", "heads"), Ours("model.num_heads")),
    **dict.fromkeys(("num_layers", "layers"), Ours("model.encoder_layers", note="and `model.decoder_layers`")),
    **dict.fromkeys(("share_all_embeddings", "share_embeddings"), Ours("model.tie_embeddings")),
    "max_source_length": Ours("data.max_source_tokens"),
    "max_target_length": Ours("data.max_target_tokens"),
}
"""Options of a run's configuration."""


def ours_instead(name: str, table: dict[str, Ours], *, of_command: bool = False) -> str | None:
    """Return a sentence on what to write for an option of another toolkit; None for one that is not known.

    Args:
        of_command: say it as options of a command line.
    """
    found = table.get(name.replace("-", "_"))
    if found is None:
        return None
    if not found.option:
        return f"`{name}` is of other toolkits and has nothing like it here: {found.note}."
    written = f'{found.option}="{found.value}"' if found.value else found.option
    if of_command:
        written = f"--{found.option.replace('_', '-')} {found.value}".rstrip()
    return f"`{name}` of other toolkits is `{written}` here{f' ({found.note})' if found.note else ''}."


def instead_of_words(words: str) -> str | None:
    """Return such a sentence for the first of the words of a command line that is another toolkit's option."""
    for name in re.findall(r"--([\w-]+)", words):
        if found := ours_instead(name, OF_DECODING | OF_THE_COMMAND, of_command=True):
            return found.replace(f"`{name}`", f"`--{name}`", 1)
    return None
