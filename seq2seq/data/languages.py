"""The languages of a tokenizer of transformers, and how its models are told them.

Some families put a code on each text: NLLB, M2M100 and mBART. Others, such as multilingual Marian models and MADLAD,
are told the target's language alone, by a token in front of the source. All other tokenizers know no languages.
"""

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

CODE = re.compile(r"[a-z]{2,3}_[A-Z][A-Za-z]{1,3}")
"""Codes of NLLB, such as `eng_Latn`, and of mBART, such as `en_XX`."""
TAG = re.compile(r">>(.+)<<|<2([A-Za-z_]+)>")
"""Tokens that say a target's language in front of a source: `>>fra<<` of Marian, `<2fr>` of MADLAD."""
SHOWN = 8


@dataclass(frozen=True)
class Languages:
    """The languages of a tokenizer by name, each with the id of its token."""

    ids: dict[str, int] = field(default_factory=dict)
    of_target_only: bool = False
    """Whether models are told the target's alone, in front of the source."""
    is_start: bool = False
    """Whether a decoder starts from the target's, in the place of a start token, as that of mBART-25 does."""

    def id_of(self, name: str, side: str) -> int:
        """Return the token of a language.

        Raises:
            ValueError: there is none of this name; says which there are.
        """
        if not self.ids:
            raise ValueError(
                f"`{side}_language` is {name!r}, but this model's tokenizer knows no languages; leave it out."
            )
        if name not in self.ids:
            near = get_close_matches(name, self.ids, n=3) or sorted(self.ids)[:SHOWN]
            raise ValueError(
                f"`{side}_language` {name!r} is none of the {len(self.ids)} languages of this model, such as "
                f"{', '.join(near)}."
            )
        return self.ids[name]


def known_languages(tokenizer: Any) -> Languages:
    """Return the languages of a tokenizer of transformers."""
    vocabulary = tokenizer.get_vocab()
    if hasattr(tokenizer, "src_lang"):
        names = {token: vocabulary[token] for token in tokenizer.all_special_tokens if CODE.fullmatch(token)}
        names |= {name: int(index) for name, index in getattr(tokenizer, "lang_code_to_id", {}).items()}
        return Languages(names, is_start=type(tokenizer).__name__.startswith("MBartTokenizer"))
    tags = {token: found for token in vocabulary if (found := TAG.fullmatch(token))}
    return Languages({found[1] or found[2]: vocabulary[token] for token, found in tags.items()}, of_target_only=True)
