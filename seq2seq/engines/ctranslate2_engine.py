"""Decode with an export for CTranslate2: the same lines, tokens and formats, without torch.

Enters a folder that `seq2seq export --format ctranslate2` wrote; leaves a `TextEngine`. What CTranslate2 cannot do is
an error that names the engine that can.
"""

import difflib
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from seq2seq.config.declaring import check_numbers
from seq2seq.data.cutting import smallest
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.engines.ctranslate2_vocabulary import saved_vocabularies
from seq2seq.files import fingerprint, read_object
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.engine import DECODING_FILE, TextEngine
from seq2seq.generation.hypothesis import Hypothesis, failure

MODEL_FILE = "model.bin"
"""CTranslate2's name for the weights; a folder that holds it is an export and may be replaced by another."""
TOKENIZER_FOLDER = "tokenizer"
MAX_POSITIONS = 1024
"""Least rows of the table of sinusoids, which CTranslate2 takes as a table; it cuts sources here by default."""
SMALL_BATCH_TOKENS = {"int8": 1024, "int16": 1024}
"""Its budget of a batch, see `batches.BATCH_TOKENS`, by how the type begins that it computes in: in integers it is no
faster on larger ones, and takes memory anew for each (captions, beam 5, two cores, int8: 6.7 CPU seconds, of which 0.2
in the system; 7.4 and 0.7 with 8192)."""
OTHER_BATCH_TOKENS = 4096
"""Of the other types: in fp32 1,000 captions take 10.2 seconds on two cores; 10.5 with 2048, 11.4 with 1024. In 16
bits, and on a GPU, nothing was measured."""
COMPUTE_TYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}
"""Its names of our precisions."""
DIFFERENT = {"max_length_ratio": 0, "length_normalization": "average"}
"""Options of saved searches that it has not, and the values that mean nothing."""
SAVED: dict[str, type] = {"source_prefix": str, "max_source_tokens": int, "target_start": list} | dict.fromkeys(
    ("source_language", "target_language"), str
)
"""What a folder says of texts, and the types that it is of."""
ANOTHER_ENGINE = "decode with the run that it was exported from, which can"


def require_ctranslate2() -> Any:
    """Return the library; raise ValueError with the way to install it where it is missing."""
    try:
        import ctranslate2
    except ImportError:
        raise ValueError("CTranslate2 is not installed: `pip install seq2seq-toolkit[ctranslate2]`.") from None
    return ctranslate2


def is_export(path: str | Path) -> bool:
    """Return whether a path is a folder that CTranslate2 reads."""
    return (Path(path) / MODEL_FILE).is_file()


@dataclass(frozen=True)
class CTranslate2Search:
    """Beam search as CTranslate2 does it; a beam of width 1 is greedy.

    Without length penalty it ends a sentence when nothing better can come, else when `beam_width` hypotheses have
    finished. Implements `generation.batches.Method`.

    Raises:
        ValueError: names the option and what it must be.
    """

    beam_width: int = 5
    """Hypotheses kept per sentence."""
    n_best: int = 1
    """Hypotheses returned per sentence."""
    length_penalty: float = 1.0
    """Exponent of the length that scores are divided by; 0 compares plain sums of log-probabilities."""
    max_length: int = 256
    """Most tokens, end of sentence included."""
    min_length: int = 0
    """Least number of tokens before end of sentence."""
    no_repeat_ngram: int = 0
    """Length of n-grams that may not occur twice; 0 allows all."""

    def __post_init__(self) -> None:
        check_numbers(self)
        for name, least in (("beam_width", 1), ("n_best", 1), ("max_length", 1), ("min_length", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, but is {getattr(self, name)}.")
        if self.no_repeat_ngram < 0:
            raise ValueError(f"`no_repeat_ngram` must not be negative, but is {self.no_repeat_ngram}.")
        if self.beam_width < self.n_best:
            raise ValueError(f"`beam_width` must be at least `n_best` ({self.n_best}), but is {self.beam_width}.")
        if self.min_length >= self.max_length:
            raise ValueError(f"`min_length` ({self.min_length}) must be below `max_length` ({self.max_length}).")

    @property
    def width(self) -> int:
        return self.beam_width

    def changed(self, options: Mapping[str, Any]) -> Self:
        """Return this search with other options.

        Raises:
            ValueError: CTranslate2 has no such option.
        """
        options = dict(options)
        method = options.pop("method", None)
        if method == "greedy":
            options["beam_width"] = 1
        elif method not in (None, "beam"):
            raise ValueError(f"CTranslate2 has no `method: {method}` here; {ANOTHER_ENGINE}.")
        if options.get("generation_order") in ("auto", "l2r"):
            del options["generation_order"]
        names = [option.name for option in fields(self)]
        for name, value in options.items():
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
                meant = f" (did you mean `{near[0]}`?)" if near else ""
                raise ValueError(f"CTranslate2 has no search option `{name}` here{meant}; {ANOTHER_ENGINE}.")
            kinds = (int, float) if name == "length_penalty" else (int,)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"`{name}` must be a number, but is {value!r}.")
        return replace(self, **options)


@dataclass(frozen=True)
class CTranslate2Searcher:
    """CTranslate2's search as a `Searcher`: token ids in, hypotheses out.

    Args:
        opened: returns the `ctranslate2.Translator`, made when it is first needed, since its threads survive no fork.
        source_tokens, target_tokens: its names by id.
        token_scores: whether hypotheses need the log-probability of each token, which takes another pass.
        start: tokens that every target begins with, and that cost nothing.
    """

    opened: Callable[[], Any]
    search: CTranslate2Search
    source_tokens: list[str]
    target_tokens: list[str]
    eos_id: int
    num_workers: int = 1
    token_scores: bool = True
    max_source_tokens: int | None = MAX_POSITIONS
    target_ids: dict[str, int] = field(default_factory=dict)
    start: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.target_ids.update((token, index) for index, token in enumerate(self.target_tokens))

    def search_batches(self, batches: Iterable[SourceBatch]) -> Iterator[list[list[Hypothesis]]]:
        """See `Searcher.search_batches`; its own threads have some batches ahead."""
        waiting: deque[tuple[SourceBatch, Any]] = deque()
        for batch in batches:
            waiting.append((batch, self._submitted(batch)))
            if len(waiting) > 2 * self.num_workers:
                yield self._found(*waiting.popleft())
        while waiting:
            yield self._found(*waiting.popleft())

    def search_batch(self, batch: SourceBatch, audience: Any = None) -> Iterator[tuple[int, list[Hypothesis]]]:
        """Yield each source's place and hypotheses; nobody hears of them before, and who leaves is searched anyway."""
        return iter(enumerate(self._found(batch, self._submitted(batch))))

    def _submitted(self, batch: SourceBatch) -> list[Any]:
        """Return what will have the result of each source that has any token; of others None."""
        kept = [index for index, source in enumerate(batch.sources) if len(source) > 1]
        inputs = [[self.source_tokens[i] for i in batch.sources[index][:-1]] for index in kept]
        prefixes = None
        if batch.prefixes is not None:
            prefixes = [[self.target_tokens[i] for i in batch.prefixes[index]] for index in kept]
        search = self.search
        results: list[Any] = [None] * len(batch.sources)
        found = self.opened().translate_batch(
            inputs,
            target_prefix=prefixes,
            asynchronous=True,
            beam_size=search.beam_width,
            num_hypotheses=search.n_best,
            length_penalty=search.length_penalty,
            no_repeat_ngram_size=search.no_repeat_ngram,
            max_decoding_length=search.max_length,
            min_decoding_length=search.min_length,
            max_input_length=0,
            return_scores=True,
            return_end_token=True,  # so that end of sentence counts in the length, as ours does
        )
        for index, result in zip(kept, found, strict=True):
            results[index] = result
        return results

    def _found(self, batch: SourceBatch, submitted: list[Any]) -> list[list[Hypothesis]]:
        results = []
        for result in submitted:
            try:
                found = None if result is None else result.result()
            except (RuntimeError, ValueError) as error:
                results.append([failure(f"CTranslate2: {error}")])
                continue
            results.append([Hypothesis((), (), 0.0, 0.0, finished=True)] if found is None else self._hypotheses(found))
        if self.token_scores or batch.prefixes is not None:
            self._score(batch, results)
        return results

    def _hypotheses(self, result: Any) -> list[Hypothesis]:
        """Return the hypotheses of one source; what has no log-probability of each token has their sum alone."""
        found = []
        for tokens, score in zip(result.hypotheses, result.scores, strict=True):
            ids = tuple(self.target_ids[token] for token in tokens)
            total = score * self._divisor(len(ids))
            found.append(Hypothesis(ids, (), total, score, finished=ids[-1:] == (self.eos_id,)))
        return found or [failure("CTranslate2 found nothing for this text.")]

    def _score(self, batch: SourceBatch, results: list[list[Hypothesis]]) -> None:
        """Put in the log-probability of each token, and the scores that are made of them."""
        places = [(i, j) for i, found in enumerate(results) for j, one in enumerate(found) if one.tokens]
        if not places:
            return
        sources = [[self.source_tokens[token] for token in batch.sources[i][:-1]] for i, _ in places]
        targets = [[self.target_tokens[token] for token in self._words(results[i][j])] for i, j in places]
        scored = self.opened().score_batch(sources, targets, max_input_length=0)
        for (i, j), one in zip(places, scored, strict=True):
            hypothesis = results[i][j]
            log_probs = tuple(one.log_probs[: len(hypothesis.tokens)])  # of what has not ended, without the end's
            if hypothesis.tokens[: len(self.start)] == self.start:
                log_probs = (0.0,) * len(self.start) + log_probs[len(self.start) :]
            score = math.fsum(log_probs)
            normalized = score / self._divisor(len(log_probs))
            results[i][j] = replace(hypothesis, token_log_probs=log_probs, score=score, normalized_score=normalized)

    def _divisor(self, length: int) -> float:
        return float(length**self.search.length_penalty) if length else 1.0

    def _words(self, hypothesis: Hypothesis) -> tuple[int, ...]:
        return hypothesis.tokens[:-1] if hypothesis.finished else hypothesis.tokens


class CTranslate2Engine(TextEngine):
    """Generates text from text by CTranslate2.

    Args:
        batch_tokens: see `TextEngine`; None = what suits the type that the model computes in.

    Raises:
        ValueError: the library is missing, or the folder is no export of this toolkit.
    """

    kind = "ctranslate2"
    generation_order = "l2r"

    def __init__(
        self,
        folder: str | Path,
        device: str = "auto",
        precision: str | None = None,
        num_workers: int = 1,
        threads: int = 1,
        batch_tokens: int | None = None,
        **options: Any,
    ) -> None:
        folder = Path(folder)
        library = require_ctranslate2()
        if not (folder / TOKENIZER_FOLDER).is_dir():
            raise ValueError(
                f"{folder} is a model of CTranslate2, but without `{TOKENIZER_FOLDER}`, which `seq2seq export --format "
                "ctranslate2` writes; export the run anew."
            )
        compute_type = "default" if precision in (None, "auto") else COMPUTE_TYPES[precision]
        self._opening = partial(
            library.Translator,
            str(folder),
            device=device,
            compute_type=compute_type,
            inter_threads=num_workers,
            intra_threads=threads,
        )
        self._translator: Any = None
        self.num_workers = num_workers
        self.tokenizer = TextTokenizer.load(folder / TOKENIZER_FOLDER)
        self.vocabularies = saved_vocabularies(folder)
        saved = read_object(folder / DECODING_FILE) if (folder / DECODING_FILE).is_file() else {}
        try:
            check_saved(saved, self.vocabularies, self.tokenizer)
            self.left_out, self.search = saved_search(saved.get("search"))
        except ValueError as error:
            raise ValueError(f"{folder / DECODING_FILE}: {str(error).rstrip('.')}; export the run anew.") from None
        self.search = self.search.changed(options)
        self.source_prefix = str(saved.get("source_prefix") or "")
        self.max_source_tokens = smallest((saved.get("max_source_tokens"), MAX_POSITIONS))
        self.languages = (saved.get("source_language"), saved.get("target_language"))
        self.tokenizer = copy(self.tokenizer.speaking(*self.languages))
        self.tokenizer.target_start = self.tokenizer.target_start or tuple(saved.get("target_start") or ())
        self._batch_tokens = batch_tokens
        self._folder, self._compute_type = folder, compute_type

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """See `TextEngine`; read when it is asked for, since a stream needs none and the weights may be large."""
        return f"{fingerprint(self._folder / MODEL_FILE)} {self.tokenizer.fingerprint()} {self._compute_type}"

    @property
    def batch_tokens(self) -> int:  # type: ignore[override]
        """See `TextEngine`."""
        if self._batch_tokens is not None:
            return self._batch_tokens
        computes_in = str(self._opened().compute_type)
        small = (tokens for kind, tokens in SMALL_BATCH_TOKENS.items() if computes_in.startswith(kind))
        return next(small, OTHER_BATCH_TOKENS)

    def _opened(self) -> Any:
        """Return CTranslate2's model; raise ValueError, which names the folder, if it cannot open it."""
        if self._translator is None:
            try:
                self._translator = self._opening()
            except (RuntimeError, ValueError) as error:  # of a damaged file, a device, or a type that is not there
                raise ValueError(
                    f"{self._folder}: CTranslate2 cannot open it: {error}. Export the run anew, or choose another "
                    "`--device` or `--precision`."
                ) from None
        return self._translator

    def searcher(self, token_scores: bool = True, **options: Any) -> CTranslate2Searcher:
        """See `TextEngine.searcher`.

        Args:
            token_scores: see `CTranslate2Searcher`.
        """
        return CTranslate2Searcher(
            self._opened,
            self.search.changed(options),
            *self.vocabularies,
            self.tokenizer.eos_id,
            self.num_workers,
            token_scores,
            start=self.tokenizer.target_start,
        )

    def speaking(self, source_language: str | None = None, target_language: str | None = None) -> Self:
        found = copy(self)
        found.tokenizer = self.tokenizer.speaking(source_language, target_language)
        found.languages = (source_language or self.languages[0], target_language or self.languages[1])
        return found


def check_saved(saved: Mapping[str, Any], vocabularies: Sequence[list[str]], tokenizer: TextTokenizer) -> None:
    """Raise ValueError, which names it, for what a folder says beside its search that cannot be so."""
    for name, kind in SAVED.items():
        value = saved.get(name)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            raise ValueError(f"`{name}` is {value!r}")
    if not all(
        isinstance(token, int) and 0 <= token < len(vocabularies[1]) for token in saved.get("target_start") or ()
    ):
        raise ValueError(f"`target_start` is {saved['target_start']!r}")
    for size, names in zip((tokenizer.source_vocab_size, tokenizer.target_vocab_size), vocabularies, strict=True):
        if size > len(names):
            raise ValueError(f"the vocabulary beside it has {len(names):,} tokens, and its tokenizer {size:,}")


def saved_search(saved: Any) -> tuple[list[str], CTranslate2Search]:
    """Return the search that a folder describes as far as CTranslate2 has it, and what it lacks.

    Args:
        saved: `search` of `decoding.json`: its kind with its options.
    """
    if not isinstance(saved, Mapping) or len(saved) != 1:
        return [], CTranslate2Search()
    [(kind, values)] = saved.items()
    values = values if isinstance(values, Mapping) else {}
    lacking = [] if kind in ("greedy", "beam") else [str(kind)]
    if kind in ("rescored", "minimum_bayes_risk"):
        return lacking, CTranslate2Search()
    known = {option.name for option in fields(CTranslate2Search)}
    taken = {name: value for name, value in values.items() if name in known}
    if kind not in ("beam", "diverse_beam"):
        taken["beam_width"] = 1
        taken.pop("n_best", None)
    lacking += [
        name for name in ("max_length_ratio", "length_normalization") if values.get(name) not in (None, 0, "average")
    ]
    return lacking, CTranslate2Search().changed(taken)
