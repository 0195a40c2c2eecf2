"""Every option of the toolkit: one frozen dataclass per section of a YAML file.

What enters is a YAML file with dotted overrides (see `loading`); what leaves is a `RunConfig`. This is pure data:
nothing here builds anything, and no component ever receives one of these objects (`assembly` unpacks them).
The string below each option is its help text.
"""

from dataclasses import dataclass, field
from typing import Literal

from seq2seq.config.decoder_inputs import DecoderInputsConfig
from seq2seq.config.gradient import GradientConfig, ParameterSearchConfig
from seq2seq.config.objective import CandidatesConfig, ObjectiveConfig

TokenizerKind = Literal["byte_bpe", "bpe", "unigram", "characters", "words"]


@dataclass(frozen=True)
class CorpusConfig:
    """Where one parallel corpus is read from: two line-aligned files, or one table."""

    source: str | None = None
    """File with one source text per line, aligned with `target`."""
    target: str | None = None
    """File with one target text per line, aligned with `source`."""
    path: str | None = None
    """Table with both sides: a .tsv, .csv, .jsonl, .json or .parquet file, or the name of a data set on the Hub."""
    format: Literal["auto", "tsv", "csv", "jsonl", "parquet", "hub"] = "auto"
    """Format of `path`; `auto` goes by the file's ending and takes a name that is no file for a Hub data set."""
    name: str | None = None
    """Configuration (subset) of a Hub data set."""
    split: str = "train"
    """Split of a Hub data set."""
    source_column: str = "source"
    """Column of the source text: a name, a dotted path such as `translation.en`, or a number counted from 0."""
    target_column: str = "target"
    """Column of the target text: a name, a dotted path such as `translation.de`, or a number counted from 0."""
    header: bool = False
    """Whether the first line of a TSV or CSV file names the columns. Without one, `source` is column 0 and `target`
    column 1."""
    source_prefix: str = ""
    """Text put before every source text, for example `translate English to German: `."""
    tag_column: str | None = None
    """Column whose value v is put before the source text as the tag `<v>` and a space (a language tag)."""
    streaming: bool = False
    """Read as a stream, never held on disk as a whole; for corpora that do not fit. Order is shuffled in pools."""


@dataclass(frozen=True)
class DataConfig:
    """Corpora, filters and batches."""

    train: CorpusConfig = field(default_factory=CorpusConfig)
    """The pairs to learn from."""
    validation: CorpusConfig = field(default_factory=CorpusConfig)
    """The pairs that choose the checkpoint; if it names none, those that `num_folds` leaves out of the training."""
    max_source_tokens: int = 256
    """Longest source, in tokens with end of sentence; longer training pairs are dropped and reported."""
    max_target_tokens: int = 256
    """Longest target, in tokens with end of sentence; longer training pairs are dropped and reported."""
    max_length_ratio: float = 0.0
    """Largest ratio of the longer side to the shorter, in tokens; 0 switches this filter off."""
    batch_tokens: int = 4096
    """Budget of one micro-batch on one process: source plus target tokens, padding included."""
    max_batch_rows: int = 0
    """Most pairs in one micro-batch; 0 sets no limit."""
    pool_rows: int = 20000
    """Pairs that a stream shuffles and sorts at a time (only with `streaming`)."""
    num_workers: int = 0
    """Worker processes that tokenise; 0 tokenises in the main process."""
    num_folds: int = 0
    """Parts that the training pairs are dealt into, one after another, when one of them is left out; 0 uses all. With
    20 and no `validation`, every twentieth pair is validated on."""
    left_out_fold: int = 0
    """The part that is left out, counted from 0."""


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes tokens: trained on the training corpus, or loaded."""

    kind: TokenizerKind = "byte_bpe"
    """Tokenizer to train. `words` splits at white space, for text that is segmented already."""
    target_kind: TokenizerKind | None = None
    """Kind for the target side when it differs from the source side; needs `shared: false`."""
    vocab_size: int = 8000
    """Vocabulary entries to train, special tokens included (an upper limit for `characters` and `words`)."""
    target_vocab_size: int | None = None
    """Vocabulary entries of the target side when not shared; by default the same as `vocab_size`."""
    shared: bool = True
    """One vocabulary for both sides, trained on both."""
    min_frequency: int = 1
    """Least number of times that a merge, character or word must occur to enter the vocabulary."""
    normalization: Literal["none", "nfc", "nfkc"] = "none"
    """Unicode normalisation before tokenising."""
    lowercase: bool = False
    """Lower-case before tokenising."""
    special_tokens: tuple[str, ...] = ()
    """Further tokens that are never split, such as language tags `<de>`."""
    path: str | None = None
    """Load instead of train: a folder or Hub name for `AutoTokenizer`, a tokenizer.json, or a SentencePiece .model."""
    target_path: str | None = None
    """The target side's tokenizer, when it is another one than `path`."""
    from_run: str | None = None
    """Run or model folder whose tokenizer is taken as it is."""
    sampling: float = 0.0
    """Subword regularisation in training: BPE-dropout probability, or alpha of Unigram sampling; 0 switches it off."""


@dataclass(frozen=True)
class ModelConfig:
    """The Transformer; names follow `Seq2SeqTransformerConfig`."""

    d_model: int = 256
    """Width of the residual stream."""
    encoder_layers: int = 4
    """Layers of the encoder."""
    decoder_layers: int = 4
    """Layers of the decoder."""
    num_heads: int = 4
    """Attention heads."""
    ffn_size: int = 1024
    """Width of the feed-forward layers."""
    key_size: int | None = None
    """Size of one head's queries and keys; by default `d_model / num_heads`."""
    value_size: int | None = None
    """Size of one head's values; by default `d_model / num_heads`."""
    norm_position: Literal["pre", "post"] = "pre"
    """Normalise before each sub-layer, or after its residual sum."""
    norm: Literal["layer_norm", "rms_norm"] = "layer_norm"
    """Kind of normalisation."""
    positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal"
    """Kind of position information."""
    max_positions: int = 1024
    """Longest sequence that `learned` positions can represent, in tokens."""
    activation: Literal["relu", "gelu", "gelu_tanh"] = "relu"
    """Non-linearity of the feed-forward layers."""
    dropout: float = 0.1
    """Dropout after each sub-layer and after the embeddings."""
    attention_dropout: float = 0.0
    """Dropout of attention weights."""
    activation_dropout: float = 0.0
    """Dropout inside the feed-forward layers."""
    token_dropout: float = 0.0
    """Probability of zeroing a whole token embedding of the source or decoder input."""
    tie_embeddings: Literal["all", "target", "none"] = "all"
    """Share source, target and output embeddings; or only target and output; or nothing."""
    generation_order: Literal["l2r", "r2l", "bidirectional", "interleaved"] = "l2r"
    """Order in which targets are generated: from the left, from the right, both in one model, or from both ends
    to the middle, two tokens a step. Data are always written from left to right."""
    interaction: Literal["none", "linear", "tanh", "relu", "gate"] = "none"
    """How a `bidirectional` model's two directions attend to each other (Zhou et al. 2019); needs `companions`."""
    interaction_weight: float = 0.1
    """Weight of what comes from the other direction, for all kinds but `gate`; 0 switches the interaction off."""
    interaction_layers: Literal["all", "last"] = "all"
    """Decoder layers that interact."""
    interaction_dropout: float = 0.0
    """Dropout of what comes from the other direction (the authors' code has 0.3)."""


@dataclass(frozen=True)
class CompanionsConfig:
    """What the directions of a model with an `interaction` see of each other in training: hypotheses of a model, since
    the reference would give away the answers."""

    model: str | None = None
    """Run or model folder of a `bidirectional` model that generates them. `self` stands for this run's own first stage,
    which learns both directions without interaction."""
    first_steps: int = 0
    """Optimizer steps of the first stage, with `model: self`."""
    folds: int = 0
    """With `model: self`, parts of the training pairs whose companions are generated by a model that has not seen them,
    trained like the first stage on the others, but never from `training.initialize_from`; 0 lets the first stage
    generate all."""
    fold_models: tuple[str, ...] = ()
    """Runs that have left out one fold each, in their order, and generate its companions; given by `folds`."""
    refreshes: int = 0
    """With `model: self`, how often in training a share of the companions is generated anew, by the model as it is by
    then, with its interaction on. The steps are cut into so many parts and one more, each a run with its own warm-up
    and schedule that starts with the weights of the one before."""
    refreshed_share: float = 0.2
    """Share of the training pairs whose companions a refresh generates; all others keep theirs. Pairs take turns."""
    refreshed_by: tuple[str, ...] = ()
    """Runs that have generated a share each, in their order; given by `refreshes`."""
    folder: str | None = None
    """Where companions are kept; by default `companions` in the run directory."""
    beam_width: int = 1
    """Beam width of generating them; 1 is greedy."""
    dropout: float = 0.1
    """Probability that the two directions of a target do not see each other."""
    scored: bool = False
    """Whether the tokens of a companion are predicted too, as in the authors' code, and not only the reference's.
    Whatever the model does wrong it then learns; docs/results/generation_orders.md has what that took."""


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, its learning-rate schedule and what is done to gradients and weights."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    betas: tuple[float, float] = (0.9, 0.98)
    """Decay of AdamW's moment estimates."""
    epsilon: float = 1e-8
    """AdamW's epsilon."""
    weight_decay: float = 0.0
    """Decoupled weight decay; not applied to biases, normalisation weights and embeddings."""
    schedule: Literal["inverse_square_root", "cosine", "linear", "constant"] = "inverse_square_root"
    """Shape of the learning rate after warm-up."""
    warmup_steps: int = 1000
    """Steps over which the learning rate rises linearly to its peak."""
    final_learning_rate: float = 0.0
    """Where `cosine` and `linear` end at `training.max_steps`."""
    clip_norm: float = 1.0
    """Gradient norm c that longer gradients are scaled to; 0 switches clipping off."""
    flooding: float = 0.0
    """Flood level b in nats per token: the loss becomes |L-b|+b (Ishida et al. 2020); 0 switches it off."""
    ema_decay: float = 0.0
    """Decay of the exponential moving average of the weights, which is then validated and exported; 0 = no average."""


@dataclass(frozen=True)
class TrainingConfig:
    """The loop."""

    max_steps: int = 10000
    """Optimizer steps."""
    initialize_from: str | None = None
    """Run or model folder whose weights and tokenizer this run starts with."""
    accept_changed_data: bool = False
    """Let a run that has begun go on with other training or validation pairs; it begins its present epoch anew."""
    max_minutes: float = 0.0
    """Stop after this much training time, in minutes, over all resumed parts; 0 sets no limit."""
    gradient_accumulation: int = 1
    """Micro-batches per process in one optimizer step."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "fp32"
    """Compute type; weights and optimizer stay in fp32. `auto` is bf16 on machines that have instructions for it, and
    fp32 on others."""
    seed: int = 1
    """Seed of initialisation, batch order, dropout and subword sampling."""
    log_every: int = 50
    """Steps between lines of log.jsonl."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""
    keep_checkpoints: int = 3
    """Newest checkpoints kept; the best one is kept besides."""
    average_checkpoints: int = 0
    """Average the weights of the last N checkpoints into the exported model; 0 exports the best checkpoint. Those count
    that are due by `checkpoint_every`, that were the best when they were made, and the last one of the run."""
    threads: int = 0
    """CPU threads; 0 leaves the choice to torch."""
    tensorboard: bool = True
    """Write TensorBoard files where the package is installed."""


@dataclass(frozen=True)
class ValidationConfig:
    """How a checkpoint is judged."""

    every: int = 1000
    """Steps between validations; 0 validates only at the end."""
    metrics: tuple[str, ...] = ()
    """Metrics of decoded validation text: bleu, chrf, chrf++, ter, rouge1, rouge2, rougeL, rougeLsum, exact_match,
    sequence_error_rate, word_error_rate, phone_error_rate, character_error_rate."""
    select_by: str = "loss"
    """What chooses the best checkpoint: `loss`, or one of `metrics`. Of equal values, the lower loss is better."""
    patience: int = 0
    """Validations without a new best before training stops; 0 never stops early."""
    max_rows: int = 0
    """Most validation pairs that are decoded; 0 decodes all."""
    batch_tokens: int = 0
    """Budget of one batch of validation: source plus target tokens, or, where they are decoded, source tokens times
    `beam_width`, padding included; 0 takes `data.batch_tokens` and `decoding.batch_tokens`."""
    beam_width: int = 1
    """Beam width of decoding in validation; 1 is greedy."""


@dataclass(frozen=True)
class DecodingConfig:
    """Search; also the default of `decode` for the trained model."""

    method: Literal["greedy", "beam", "sampling", "diverse_beam"] = "beam"
    """Search algorithm; a beam of width 1 is greedy."""
    generation_order: Literal["auto", "l2r", "r2l", "bidirectional", "interleaved"] = "auto"
    """Order of generation, which the model must have been trained for; `auto` takes that one. A `bidirectional` model
    also knows `l2r` and `r2l`."""
    pairing: Literal["rank", "joint", "companion"] = "rank"
    """What the directions of a `bidirectional` search see of each other: the hypothesis of the same rank in the other
    half of the beam (Zhou et al. 2019); a fixed partner, both being one hypothesis; or a greedy companion of each
    hypothesis's own, at two rows a hypothesis."""
    rescore: Literal["none", "l2r", "r2l", "both"] = "none"
    """Rank the hypotheses anew by what both directions of a `bidirectional` model give them: `r2l` those of a search
    from the left, `l2r` those of one from the right, `both` of one each. Those of an `interleaved` model are ranked by
    a model from the left beside it: `l2r`."""
    rescoring_weight: float = 0.5
    """Share of the score from the right, or from the left in that of an `interleaved` model's hypotheses, 0 to 1."""
    rescoring_margin: float = 0.0
    """How far below a search's best score, per token with average length normalisation, a hypothesis is still ranked
    anew; those further below are left out. 0 ranks all. docs/results/generation_orders.md has what margins gain."""
    mbr: str = "none"
    """Minimum Bayes risk decoding: a metric, such as `chrf`, by which to return that sample which is on average most
    like all samples (Eikema and Aziz 2020). Its expected score is the `normalized_score` of the output, negated where
    lower is better. To compare systems, use another metric than this one."""
    num_samples: int = 64
    """Samples per sentence that `mbr` draws."""
    mbr_epsilon: float = 0.02
    """What `epsilon` is for the samples of `mbr` where that is 0. With both 0 the samples are unbiased, but need to be
    many more."""
    mbr_candidates: Literal["samples", "search"] = "samples"
    """What `mbr` chooses from: its samples, or the `beam_width` hypotheses that `method` finds. The references are
    samples either way."""
    mbr_pairwise: bool = False
    """Whether `mbr` compares all pairs under `bleu`, `chrf` and `chrf++` too, in time quadratic in `num_samples`;
    otherwise with the mean n-gram counts of all samples (DeNero et al. 2009; Vamvas and Sennrich 2024)."""
    beam_width: int = 5
    """Hypotheses kept per sentence, in a `bidirectional` search those of both directions together."""
    n_best: int = 1
    """Hypotheses returned per sentence."""
    length_penalty: float = 1.0
    """Exponent of the length normalisation; 0 compares plain sums of log-probabilities."""
    length_normalization: Literal["average", "gnmt"] = "average"
    """`average` divides by length^p; `gnmt` by ((5+length)/6)^p (Wu et al. 2016)."""
    early_stopping: bool = False
    """Whether beam search ends a sentence as soon as `beam_width` hypotheses have finished; otherwise it goes
    on while a running one may become better."""
    min_length: int = 0
    """Least number of tokens before end of sentence."""
    max_length: int = 256
    """Most tokens, end of sentence included."""
    max_length_ratio: float = 0.0
    """Most tokens relative to the source's, plus 10; 0 switches this limit off."""
    no_repeat_ngram: int = 0
    """Length of n-grams that may not occur twice; 0 allows all."""
    temperature: float = 1.0
    """Divides the logits in sampling."""
    top_k: int = 0
    """Sample among the k likeliest tokens; 0 switches it off."""
    top_p: float = 1.0
    """Sample among the likeliest tokens that hold this share of probability; 1 switches it off."""
    min_p: float = 0.0
    """Drop tokens below this fraction of the likeliest token's probability; 0 switches it off."""
    epsilon: float = 0.0
    """Drop tokens below this probability; 0 switches it off, or under `mbr` leaves it to `mbr_epsilon`."""
    seed: int = 1
    """Seed of sampling."""
    num_groups: int = 5
    """Groups of diverse beam search; divides `beam_width`."""
    diversity_penalty: float = 0.5
    """What a token chosen by an earlier group at the same step costs (Vijayakumar et al. 2018)."""
    batch_tokens: int = 8192
    """Budget of one decoding batch: source tokens, padding included, times the hypotheses that run at a time, such as
    `beam_width`, or under `mbr` `num_samples`."""


@dataclass(frozen=True)
class RunConfig:
    """A whole run."""

    run_directory: str
    """Where configuration, log, checkpoints and the exported model go."""
    data: DataConfig = field(default_factory=DataConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    companions: CompanionsConfig = field(default_factory=CompanionsConfig)
    decoder_inputs: DecoderInputsConfig = field(default_factory=DecoderInputsConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    candidates: CandidatesConfig = field(default_factory=CandidatesConfig)
    gradient: GradientConfig = field(default_factory=GradientConfig)
    parameter_search: ParameterSearchConfig = field(default_factory=ParameterSearchConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
