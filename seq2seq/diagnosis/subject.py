"""What is diagnosed: a model that begins at one end of the target, and the pairs it is looked at on, as tokens.

Everything here is in the order of generation: position 0 is what the model says first, which of a model from the
right is the last word of the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from seq2seq.assembly.generation_config import TargetRules
from seq2seq.assembly.generator import TextGenerator
from seq2seq.assembly.search import greedy_search_like
from seq2seq.data.bucketing import length_sorted_batches
from seq2seq.data.cutting import smallest
from seq2seq.data.generation_order import LEFT, RIGHT, from_right
from seq2seq.decoding.parts.search import Search
from seq2seq.decoding.parts.teacher_forcing import ForcedTokens, forced_tokens
from seq2seq.decoding.running.in_process import InProcess
from seq2seq.generation.batches import SourceBatch
from seq2seq.generation.corpus import truncated
from seq2seq.generation.hypothesis import Hypothesis
from seq2seq.models.interface import Seq2Seq


@dataclass(frozen=True)
class Subject:
    """A model and N pairs."""

    model: Seq2Seq
    """Begins at `side`."""
    side: int
    tokenizer: Any
    decoding: Search
    """How the model searches in its own order."""
    rules: TargetRules
    """What no hypothesis may say, whatever the search."""
    batch_tokens: int
    """Budget of one decoding batch."""
    sources: list[list[int]]
    references: list[list[int]]
    """In the order of generation; each ends with end of sentence."""
    numbers: Sequence[int]
    """What the pairs are called."""
    device: str = "cpu"

    @classmethod
    def create(
        cls,
        generator: TextGenerator,
        sources: Sequence[str],
        references: Sequence[str],
        numbers: Sequence[int] | None = None,
    ) -> "Subject":
        """Return the subject of a generator and pairs of texts, of which the sources have their prefix already.

        Sources that are longer than the model takes are cut, with a warning.

        Args:
            numbers: of the pairs where they are from, for errors and warnings; by default they are counted from 1.

        Raises:
            ValueError: the model generates from both ends by turns, or a reference is longer than it takes.
        """
        order = generator.model.generation_order
        if order == "interleaved":
            raise ValueError(
                "A model of the order `interleaved` says the two ends of a target by turns, so it has no prefix to "
                "diagnose; give a model of the order l2r, r2l or bidirectional."
            )
        side = RIGHT if order == "r2l" else LEFT
        model = generator.model.from_side(side)
        encoded = generator.tokenizer.encode_sources(list(sources))
        targets = generator.tokenizer.encode_targets(list(references))
        numbers = range(1, len(targets) + 1) if numbers is None else numbers
        for number, ids in zip(numbers, targets, strict=True):
            if model.max_target_tokens is not None and len(ids) > model.max_target_tokens:
                raise ValueError(
                    f"Reference {number} has {len(ids)} tokens, of which the model takes {model.max_target_tokens}; "
                    "leave that pair out."
                )
        longest = smallest((generator.max_source_tokens, model.max_source_tokens))
        return cls(
            model=model,
            side=side,
            tokenizer=generator.tokenizer,
            decoding=generator.search,
            rules=generator.rules,
            batch_tokens=generator.batch_tokens,
            sources=truncated(encoded, longest, numbers),
            references=[from_right(ids) for ids in targets] if side == RIGHT else targets,
            numbers=numbers,
            device=generator.device,
        )

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def ends(self) -> tuple[int, ...]:
        """Tokens that end a text: end of sentence, and what counts as one in a search."""
        return (self.model.eos_id, *self.rules.other_ends)

    def is_finished(self, tokens: Sequence[int]) -> bool:
        """Return whether tokens end by themselves, and not where the longest length is."""
        return bool(tokens) and tokens[-1] in self.ends

    def words(self, tokens: Sequence[int]) -> list[int]:
        """Return tokens without what ends them, if they have ended."""
        return list(tokens[:-1] if self.is_finished(tokens) else tokens)

    def text(self, tokens: Sequence[int]) -> str:
        """Return tokens in the order of generation as a text to read."""
        words = self.words(tokens)
        return self.tokenizer.decode(words if self.side == LEFT else words[::-1])

    def forced(
        self, rows: Sequence[int], targets: Sequence[Sequence[int]], shown: Sequence[Sequence[int]] | None = None
    ) -> ForcedTokens:
        """Return what the model says of the targets of some pairs' sources; see `forced_tokens`."""
        return forced_tokens(self.model, [self.sources[row] for row in rows], targets, shown, self.device)

    def greedy(
        self, rows: Sequence[int] | None = None, prefixes: Sequence[Sequence[int]] | None = None
    ) -> list[Hypothesis]:
        """Return what the model says by itself, by default of all pairs, behind prefixes where there are any."""
        return self.found(greedy_search_like(self.decoding), rows, prefixes)

    def found(
        self, search: Search, rows: Sequence[int] | None = None, prefixes: Sequence[Sequence[int]] | None = None
    ) -> list[Hypothesis]:
        """Return the best hypothesis of each of these pairs' sources, tokens in the order of generation.

        Args:
            prefixes: by default what all targets begin with, such as a language.

        Raises:
            ValueError: a search fails; what is diagnosed must be whole.
        """
        rows = range(len(self)) if rows is None else rows
        prefixes = self.tokenizer.forced_starts(None, len(rows)) if prefixes is None else prefixes
        search = self.rules.applied(search)
        lengths = numpy.array([len(self.sources[row]) for row in rows], dtype=numpy.int64)
        budget = self.batch_tokens
        plan = length_sorted_batches(lengths, batch_tokens=budget, beam_width=search.width)
        batches = (
            SourceBatch(
                [self.sources[rows[i]] for i in batch],
                [int(rows[i]) for i in batch],
                None if prefixes is None else [list(prefixes[i]) for i in batch],
            )
            for batch in plan
        )
        hypotheses: dict[int, Hypothesis] = {}
        searched = InProcess(self.model, search, self.device).search_batches(batches)
        for batch, lists in zip(plan, searched, strict=True):
            for i, nbest in zip(batch, lists, strict=True):
                if nbest[0].error is not None:
                    raise ValueError(
                        f"The search for the source of pair {self.numbers[rows[i]]} failed: {nbest[0].error}"
                    )
                hypotheses[int(i)] = nbest[0]
        return [hypotheses[i] for i in range(len(rows))]
