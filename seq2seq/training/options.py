"""The options of a training: what is done to gradients and weights, the loop, and how a checkpoint is judged."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from seq2seq.config.declaring import MOST_PROCESSES, Place, refuse_unused
from seq2seq.training.freezing import check_groups
from seq2seq.training.optimizer import OptimizerName
from seq2seq.training.trackers import TrackerName


@dataclass(frozen=True)
class OptimizerOptions:
    """The optimizer, its learning-rate schedule, and what is done to gradients and weights.

    Raises:
        ValueError: an option is out of range, or would do nothing.
    """

    name: OptimizerName = "adamw"
    """`muon` moves matrices by their momentum made orthogonal, and all else by AdamW, at rates that suit AdamW: it
    needs fewer steps, each of which takes longer. `adafactor` remembers a row and a column of each matrix in place of
    two matrices. Its learning rate is in parts of a matrix's own root mean square, and at most 1/sqrt(step); 1e-3
    suits tuning."""
    learning_rate: float = 1e-3
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of AdamW's moment estimates. Muon's momentum is 0.95."""
    epsilon: float = 1e-8
    """AdamW's epsilon."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the weights of linear layers, but for one that is an embedding too."""
    schedule: Literal["inverse_square_root", "cosine", "linear", "constant"] = "inverse_square_root"
    """Shape of the learning rate after warm-up."""
    warmup_steps: int | None = None
    """Steps over which the learning rate rises linearly to its peak; by default a tenth of `training.max_steps`, but at
    most 1,000. Under `training.max_minutes` it takes a tenth of the time at most."""
    final_learning_rate: float = 0.0
    """Where `cosine` and `linear` end, at `training.max_steps` or `training.max_minutes`, whichever comes first."""
    clip_norm: float = 1.0
    """Gradient norm c for clipping: gradients are scaled by min(1, c/|g|); 0 switches it off."""
    flooding: float = 0.0
    """Flood level b in nats per token: the loss becomes |L-b|+b (Ishida et al. 2020); 0 switches it off."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the weights, which looks back over 1 / (1 - decay) steps, but at most
    over a quarter of the run so far; 0 = no average. Validation measures the loss with the average and with the weights
    themselves, and the better of the two is what is scored, compared and exported."""

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"`learning_rate` must be positive, but is {self.learning_rate}.")
        if not all(0.0 <= beta < 1.0 for beta in self.betas):
            raise ValueError(f"`betas` must be at least 0 and below 1, but are {list(self.betas)}.")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"`ema_decay` must be at least 0 and below 1, but is {self.ema_decay}.")
        _not_negative(self, "epsilon", "weight_decay", "final_learning_rate", "clip_norm", "flooding")
        if self.warmup_steps is not None:
            _not_negative(self, "warmup_steps")
        if self.final_learning_rate > self.learning_rate:
            raise ValueError(
                f"`final_learning_rate` ({self.final_learning_rate}) must be at most `learning_rate` "
                f"({self.learning_rate})."
            )
        refuse_unused(self, ("betas", "epsilon"), "name: adamw or muon", applies=self.name != "adafactor")
        ends = self.schedule in ("cosine", "linear")
        refuse_unused(self, ("final_learning_rate",), "schedule: cosine or linear", applies=ends)


@dataclass(frozen=True)
class TrainingOptions:
    """The loop.

    Raises:
        ValueError: an option is out of range.
    """

    max_steps: int = 10000
    """Most optimizer steps."""
    max_epochs: float = 0.0
    """Most passes over the training pairs, where they come before `max_steps`; 0 sets no limit."""
    initialize_from: Place | None = None
    """Run or model folder whose weights and tokenizer this run starts with."""
    freeze: tuple[str, ...] = ()
    """What of the model stays as it is: embeddings, output_layer, encoder, decoder (whole stacks, embeddings included),
    self_attention, cross_attention, feed_forward, norms, biases. What is shared is frozen wherever it stands: with
    `model.tie_embeddings: all`, freezing a stack freezes all embeddings and the output layer."""
    freeze_encoder_layers: int = 0
    """First layers of the encoder that stay as they are; 0 is none."""
    freeze_decoder_layers: int = 0
    """First layers of the decoder that stay as they are; 0 is none."""
    max_minutes: float = 0.0
    """Stop after this much training time, in minutes, over all resumed parts; 0 sets no limit. The learning rate comes
    down in that time, too."""
    gradient_accumulation: int = 1
    """Micro-batches per process in one optimizer step."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Compute type; weights and optimizer stay in fp32. `auto` is bf16 on machines that have instructions for it, and
    fp32 on others."""
    activation_checkpointing: bool = False
    """Let layers keep only what enters them, and compute the rest again in the backward pass: the same losses and
    gradients with less memory, in more time."""
    seed: int = 1
    """Seed of initialisation, batch order, dropout and subword sampling."""
    log_every: int = 50
    """Steps between lines of log.jsonl; 0 leaves only the one at the end."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; 0 leaves only the one at the end."""
    keep_checkpoints: int = 3
    """Newest checkpoints kept; the best one is kept besides."""
    average_checkpoints: int = 0
    """Average the weights of the last N checkpoints into the exported model; 0 exports the best checkpoint. Those count
    that are due by `checkpoint_every`, that were the best when they were made, and the last one of the run."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch."""
    accept_changed_data: bool = False
    """Let a run that has begun go on with other training or validation pairs; it begins its present epoch anew."""
    tracker: tuple[TrackerName, ...] = ()
    """Trackers that hear what log.jsonl is told, one or a list: `tensorboard` (files in the run directory), `wandb`,
    `mlflow` or `trackio`, each by its own variables of the environment; `none` leaves the log alone."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "gradient_accumulation", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}.")
        _not_negative(
            *(self, "max_epochs", "max_minutes", "seed", "log_every", "checkpoint_every", "average_checkpoints"),
            *("threads", "freeze_encoder_layers", "freeze_decoder_layers"),
        )
        check_groups(self.freeze, "freeze")
        if self.threads > MOST_PROCESSES:
            raise ValueError(f"`threads` must be at most {MOST_PROCESSES:,}, but is {self.threads}.")
        every = self.checkpoint_every or self.max_steps
        if self.average_checkpoints * every >= self.max_steps + every:
            raise ValueError(
                f"`average_checkpoints` is {self.average_checkpoints}, but {self.max_steps} steps with a checkpoint "
                f"every {every} leave fewer; lower it or `checkpoint_every`."
            )


@dataclass(frozen=True)
class ValidationOptions:
    """How a checkpoint is judged.

    Raises:
        ValueError: an option is out of range, or the checkpoint would be chosen by what is not measured.
    """

    every: int = 1000
    """Steps between validations; 0 validates only at the end."""
    metrics: tuple[str, ...] = ()
    """Metrics of decoded validation text: bleu, chrf, chrf++, ter, rouge1, rouge2, rougeL, rougeLsum, exact_match,
    sequence_error_rate, word_error_rate, phone_error_rate, character_error_rate."""
    select_by: str = "loss"
    """What chooses the best checkpoint: `loss`, or one of `metrics`. Of equal values, the lower loss is better."""
    patience: int = 0
    """Validations without a new best before training stops; 0 never stops early."""
    sentence_separator: str = ""
    """What stands between sentences within a text, such as `<n>`, for `rougeLsum`; by default line breaks do."""
    max_rows: int = 0
    """Most validation pairs that are decoded; 0 decodes all."""
    beam_width: int = 1
    """Beam width of decoding in validation; 1 is greedy."""
    batch_tokens: int = 0
    """Budget of one batch of validation: source plus target tokens, or, where they are decoded, source tokens times
    `beam_width`, padding included; 0 takes `data.batch_tokens`, and for decoding what `decode` takes."""

    def __post_init__(self) -> None:
        _not_negative(self, "every", "patience", "max_rows", "batch_tokens")
        if self.beam_width < 1:
            raise ValueError(f"`beam_width` must be at least 1, but is {self.beam_width}.")
        if self.select_by != "loss" and self.select_by not in self.metrics:
            raise ValueError(
                f"`select_by` is {self.select_by!r}, which is neither `loss` nor one of `metrics` "
                f"({', '.join(self.metrics) or 'none'})."
            )
        refuse_unused(self, ("sentence_separator",), "metrics: [rougeLsum]", applies="rougeLsum" in self.metrics)


def _not_negative(options: Any, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(options, name) < math.inf:
            raise ValueError(f"`{name}` must be 0 or more, but is {getattr(options, name)}.")
