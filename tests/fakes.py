"""Models and a tokenizer that are small enough to reason about by hand.

`TableModel` reads the next token's probabilities from a table written out per prefix, `RandomModel` draws logits that
depend on nothing but (source, prefix). Both stand behind `models.interface.Seq2Seq`, and both check on the way that
search keeps their state in order: each hypothesis remembers its own source and prefix.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq.data.languages import Languages
from seq2seq.models.orders import FromTheLeft

Prefix = tuple[int, ...]


@dataclass(frozen=True)
class PrefixState:
    sources: list[Prefix]
    """B sources, without padding"""
    prefixes: list[list[Prefix]]
    """[B][W], without the start token"""
    started: bool = False


class PrefixModel(FromTheLeft):
    """A model whose next token depends on (source, prefix) through a function."""

    pad_id = 0
    decoder_start_id = 1

    def __init__(
        self,
        logits: Callable[[Prefix, Prefix], Tensor],
        vocab_size: int,
        eos_id: int,
    ) -> None:
        self.logits = logits
        self.vocab_size = vocab_size
        self.eos_id = eos_id
        self.num_encoded = 0
        self.num_rows_stepped = 0

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> PrefixState:
        sources = [tuple(ids[mask].tolist()) for ids, mask in zip(input_ids, attention_mask, strict=True)]
        self.num_encoded += len(sources)
        return PrefixState(sources, [[()] for _ in sources])

    def step(self, state: PrefixState, token_ids: Tensor) -> tuple[Tensor, PrefixState]:
        assert token_ids.shape == (len(state.sources), len(state.prefixes[0])), "one token per hypothesis"
        self.num_rows_stepped += token_ids.numel()
        prefixes = state.prefixes
        if state.started:
            added = token_ids.tolist()
            prefixes = [[(*p, t) for p, t in zip(ps, ts, strict=True)] for ps, ts in zip(prefixes, added, strict=True)]
        else:
            assert bool((token_ids == self.decoder_start_id).all()), "the first token is the start token"
        rows = zip(state.sources, prefixes, strict=True)
        logits = torch.stack([torch.stack([self.logits(s, p) for p in ps]) for s, ps in rows])
        return logits, PrefixState(state.sources, prefixes, started=True)

    def reorder(self, state: PrefixState, beams: Tensor | None = None, sentences: Tensor | None = None) -> PrefixState:
        kept = list(range(len(state.sources))) if sentences is None else sentences.tolist()
        assert kept == sorted(kept), "sentences ascend"
        if beams is None:
            prefixes = [state.prefixes[b] for b in kept]
        else:
            prefixes = [[state.prefixes[b][w] for w in ws] for b, ws in zip(kept, beams.tolist(), strict=True)]
        return PrefixState([state.sources[b] for b in kept], prefixes, state.started)

    def teacher_forced(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        state = self.encode(input_ids, attention_mask)
        num_rows = len(decoder_input_ids) // len(state.sources)
        sources = [source for source in state.sources for _ in range(num_rows)]
        rows = []
        for source, ids in zip(sources, decoder_input_ids.tolist(), strict=True):
            rows.append(torch.stack([self.logits(source, tuple(ids[1:t])) for t in range(1, len(ids) + 1)]))
        return torch.stack(rows)


class TableModel(PrefixModel):
    """Probabilities by prefix; `tables` maps a source's first token to its table. Prefixes not in it end at once."""

    def __init__(self, tables: Mapping[int, Mapping[Prefix, Sequence[float]]], eos_id: int) -> None:
        self.vocab_size = len(next(iter(tables.values()))[()])
        end = [float(token == eos_id) for token in range(self.vocab_size)]
        super().__init__(
            lambda source, prefix: torch.tensor(tables[source[0]].get(prefix, end)).log(),
            vocab_size=self.vocab_size,
            eos_id=eos_id,
        )


class RandomModel(PrefixModel):
    """Normally distributed logits from a hash of (seed, source, prefix); larger scale, surer model."""

    def __init__(self, vocab_size: int, seed: int = 1, scale: float = 2.0, eos_id: int = 2) -> None:
        super().__init__(self._random_logits, vocab_size, eos_id)
        self.seed = seed
        self.scale = scale

    def _normal(self, size: int, *key: object) -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(repr((self.seed, *key)).encode()))
        return torch.randn(size, generator=generator)

    def _random_logits(self, source: Prefix, prefix: Prefix) -> Tensor:
        return self.scale * self._normal(self.vocab_size, "logits", source, prefix)


class CharTokenizer:
    """One token per character: `<pad>`, `<s>`, `</s>`, `<unk>`, then the alphabet."""

    pad_id, bos_id, eos_id, unk_id = range(4)
    languages = Languages()
    target_start: tuple[int, ...] = ()

    def __init__(self, alphabet: str = "abcdefghijklmnopqrstuvwxyz ") -> None:
        self.vocabulary = ["<pad>", "<s>", "</s>", "<unk>", *alphabet]
        self.ids = {token: number for number, token in enumerate(self.vocabulary)}

    def encode_sources(self, texts: Sequence[str], seeds: Sequence[int] | None = None) -> list[list[int]]:
        return [[*(self.ids.get(character, self.unk_id) for character in text), self.eos_id] for text in texts]

    encode_targets = encode_sources

    def speaking(self, source_language: str | None, target_language: str | None) -> "CharTokenizer":
        return self

    def forced_starts(self, prefixes: Sequence[str] | None, number: int) -> list[list[int]] | None:
        if prefixes is None:
            return [list(self.target_start)] * number if self.target_start else None
        return [ids[:-1] for ids in self.encode_targets(prefixes)]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.vocabulary[i] for i in ids if i > self.unk_id)

    def target_tokens(self, ids: Sequence[int]) -> list[str]:
        return [self.vocabulary[i] for i in ids]
