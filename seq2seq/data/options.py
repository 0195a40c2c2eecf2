"""The options of data: which corpora, which pairs of them are kept, how they are batched; companions and teachers."""

import math
from dataclasses import dataclass, field
from typing import Literal

from seq2seq.config.declaring import MOST_PROCESSES, Place, refuse_unused
from seq2seq.data.corpus_options import (
    CorpusOptions,
    GuardOptions,
    MixedCorpusOptions,
    PartialCorpusOptions,
    labels_of,
)


@dataclass(frozen=True)
class DataOptions:
    """Corpora, filters and batches.

    Raises:
        ValueError: an option is out of range, or options do not go together.
    """

    train: CorpusOptions | tuple[MixedCorpusOptions, ...] = field(default_factory=CorpusOptions)
    """The pairs to learn from; or a list of corpora, `data.train.0` and so on, each with all options of its own, that
    are mixed by `weight` and `temperature`."""
    validation: PartialCorpusOptions = field(default_factory=PartialCorpusOptions)
    """The pairs that choose the checkpoint, read like those of `train`, of a list like its first corpus, where nothing
    else is said; if it names none, those that `num_folds` leaves out of the training."""
    temperature: float = 1.0
    """T of mixing a list of corpora: the share of one is in proportion to weight * pairs^(1/T) (Arivazhagan et al.
    2019, section 4.2). 1 takes all pairs alike; 5 is usual for many languages; very large values give all corpora the
    same share."""
    guard: tuple[GuardOptions, ...] = ()
    """Corpora of general text, `data.guard.0` and so on, that show what a run which starts with trained weights
    forgets: decoded and scored with the metrics of `validation`, and as many pairs of each, before the first step and
    with the exported model. They are read like those of `validation`."""
    max_source_tokens: int = 256
    """Longest source, in tokens with end of sentence; what becomes of longer ones in training is `long_sources`."""
    max_target_tokens: int = 256
    """Longest target, in tokens with end of sentence; longer training pairs are dropped and reported."""
    long_sources: Literal["drop", "cut"] = "drop"
    """What becomes of pairs whose source is too long. `drop` leaves them out of the training; `cut` keeps the first
    tokens of the source and its end of sentence, no more than learned positions, in training, validation and (unless
    `--max-source-tokens` says otherwise) decoding. For titles and summaries, where the beginning of a text is enough;
    targets are never cut."""
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

    def __post_init__(self) -> None:
        for name in ("max_source_tokens", "max_target_tokens", "batch_tokens", "pool_rows"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, but is {getattr(self, name)}.")
        for name in ("max_length_ratio", "max_batch_rows", "num_workers", "num_folds"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more, but is {getattr(self, name)}.")
        if self.num_workers > MOST_PROCESSES:
            raise ValueError(f"`num_workers` must be at most {MOST_PROCESSES:,}, but is {self.num_workers}.")
        if self.long_sources == "cut" and self.max_source_tokens < 2:
            raise ValueError("`max_source_tokens` must be at least 2 where `long_sources` are cut: one is the end.")
        if self.num_folds and not 0 <= self.left_out_fold < self.num_folds:
            raise ValueError(f"`left_out_fold` ({self.left_out_fold}) must be below `num_folds` ({self.num_folds}).")
        self._check_mixing()
        self._check_guard()
        if self.num_folds and self.streaming:
            raise ValueError("`num_folds` are of a corpus that is held on disk; leave out `train.streaming`.")
        refuse_unused(self, ("left_out_fold",), "num_folds", applies=self.num_folds > 0)
        refuse_unused(self, ("pool_rows",), "train.streaming: true", applies=self.streaming)

    def _check_mixing(self) -> None:
        """Raise ValueError for corpora that cannot be mixed, or for mixing a single one."""
        is_list = isinstance(self.train, tuple)
        refuse_unused(self, ("temperature",), "a list of corpora in `train`", applies=is_list)
        if self.temperature <= 0:
            raise ValueError(f"`temperature` must be above 0, but is {self.temperature}.")
        if not isinstance(self.train, tuple):
            return
        if not self.train:
            raise ValueError("`train` is a list without a corpus; name one.")
        labels = labels_of(self.train)
        for place, corpus in enumerate(self.train):
            if not corpus.is_named:
                raise ValueError(f"`train.{place}` names no data: set its `path`, or its `source` and `target`.")
            if corpus.streaming:
                raise ValueError(
                    f"`train.{place}` ({labels[place]}) is `streaming`, but of a list of corpora a share is drawn by "
                    "the numbers of its pairs, which a stream has not; leave it out, or stream a single corpus."
                )

    def _check_guard(self) -> None:
        """Raise ValueError for guard corpora that cannot be told apart or read."""
        labels = labels_of(self.guard)
        for place, corpus in enumerate(self.guard):
            if not corpus.is_named:
                raise ValueError(f"`guard.{place}` names no data: set its `path`, or its `source` and `target`.")
            if corpus.streaming:
                raise ValueError(f"`guard.{place}` ({labels[place]}) is read as a whole; leave out `streaming`.")

    @property
    def corpora(self) -> tuple[CorpusOptions, ...]:
        """All corpora to learn from."""
        return self.train if isinstance(self.train, tuple) else (self.train,)

    @property
    def validated(self) -> CorpusOptions:
        """The pairs that choose the checkpoint, with all options."""
        return self.validation.completed(self.corpora[0])

    @property
    def streaming(self) -> bool:
        """Whether the pairs to learn from are read as a stream."""
        return self.corpora[0].streaming

    @property
    def source_prefix(self) -> str:
        """What stands before every source that is learned from."""
        prefixes = {corpus.source_prefix for corpus in self.corpora}
        return prefixes.pop() if len(prefixes) == 1 else ""


@dataclass(frozen=True)
class CompanionOptions:
    """What the directions of a model with an `interaction` see of each other in training: hypotheses of a model, since
    the reference would give away the answers.

    Raises:
        ValueError: an option is out of range, or would do nothing.
    """

    model: Place | None = None
    """Run or model folder of a `bidirectional` model that generates them. `self` stands for this run's own first stage,
    which learns both directions without interaction."""
    first_steps: int = 0
    """Optimizer steps of the first stage, with `model: self`."""
    folds: int = 0
    """With `model: self`, parts of the training pairs whose companions are generated by a model that has not seen them,
    trained like the first stage on the others, but never from `training.initialize_from`; 0 lets the first stage
    generate all."""
    fold_models: tuple[Place, ...] = ()
    """Runs that have left out one fold each, in their order, and generate its companions; given by `folds`."""
    refreshes: int = 0
    """With `model: self`, how often in training a share of the companions is generated anew, by the model as it is by
    then, with its interaction on. The steps are cut into so many parts and one more, each a run with its own warm-up
    and schedule that starts with the weights of the one before."""
    refreshed_share: float = 0.2
    """Share of the training pairs whose companions a refresh generates; all others keep theirs. Pairs take turns."""
    refreshed_by: tuple[Place, ...] = ()
    """Runs that have generated a share each, in their order; given by `refreshes`."""
    folder: Place | None = None
    """Where companions are kept; by default `companions` in the run directory."""
    beam_width: int = 1
    """Beam width of generating them; 1 is greedy."""
    dropout: float = 0.1
    """Probability that the two directions of a target do not see each other."""
    scored: bool = False
    """Whether the tokens of a companion are predicted too, as in the authors' code, and not only the reference's.
    Whatever the model does wrong it then learns; docs/results/interaction.md has what that took."""

    def __post_init__(self) -> None:
        if self.beam_width < 1:
            raise ValueError(f"`beam_width` must be at least 1, but is {self.beam_width}.")
        if not 0.0 <= self.dropout <= 1.0:
            raise ValueError(f"`dropout` must be between 0 and 1, but is {self.dropout}.")
        if not 0.0 < self.refreshed_share <= 1.0:
            raise ValueError(f"`refreshed_share` must be above 0 and at most 1, but is {self.refreshed_share}.")
        for name in ("first_steps", "folds", "refreshes"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` must be 0 or more, but is {getattr(self, name)}.")
        refuse_unused(self, ("first_steps", "folds", "refreshes"), "model: self", applies=self.model == "self")
        others = ("fold_models", "folder", "beam_width", "dropout", "scored")
        refuse_unused(self, others, "companions that have a `model`", applies=self.model is not None)


@dataclass(frozen=True)
class TeachingOptions:
    """What a run learns in place of the targets of `data.train`: what other models make of their sources
    (sequence-level knowledge distillation, Kim and Rush 2016, section 3.2). Validation keeps its references.

    Raises:
        ValueError: an option is out of range, or would do nothing.
    """

    model: Place | None = None
    """Run, model folder or name on the Hub that generates the targets. `self` stands for this run's own first training,
    which is all that is said otherwise; the run then goes on from its weights, with what it has generated."""
    right_model: Place | None = None
    """Run or model folder that generates from the right: the two rank each other's hypotheses, and the best is the
    target. `self` stands for a training from the right that starts with the weights of the first one."""
    beam_width: int = 4
    """Beam width of generating the targets, for each of the models."""
    rescoring_weight: float = 0.3
    """Weight of `right_model` in ranking hypotheses, between 0 and 1; the other one has the rest."""
    source_language: str | None = None
    """Language of the sources, for a teacher of many, as its tokenizer calls it; by default that of `data.train`."""
    target_language: str | None = None
    """Language of the targets, likewise."""
    folder: Place | None = None
    """Where the generated targets are kept; by default `taught` in the run directory."""
    steps: int = 0
    """With `model: self`, optimizer steps of each training after the first, which has `training.max_steps`; with it, 0
    is refused."""
    learning_rate: float = 1e-3
    """With `model: self`, peak learning rate of each training after the first."""
    max_minutes: float = 0.0
    """With `model: self`, most minutes of each training after the first, as `training.max_minutes`; 0 sets no limit."""

    def __post_init__(self) -> None:
        if self.beam_width < 1:
            raise ValueError(f"`beam_width` must be at least 1, but is {self.beam_width}.")
        if not 0.0 <= self.rescoring_weight <= 1.0:
            raise ValueError(f"`rescoring_weight` must be between 0 and 1, but is {self.rescoring_weight}.")
        if self.learning_rate <= 0:
            raise ValueError(f"`learning_rate` must be positive, but is {self.learning_rate}.")
        for name in ("steps", "max_minutes"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be 0 or more, but is {getattr(self, name)}.")
        refuse_unused(self, ("steps", "learning_rate", "max_minutes"), "model: self", applies=self.model == "self")
        refuse_unused(self, ("rescoring_weight",), "a `right_model`", applies=self.right_model is not None)
        others = ("right_model", "beam_width", "source_language", "target_language", "folder")
        refuse_unused(self, others, "targets that a `model` generates", applies=self.model is not None)
        if self.right_model == "self" and self.model != "self":
            raise ValueError("`right_model: self` starts with the weights of `model: self`; name the run instead.")
