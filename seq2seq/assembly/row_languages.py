"""Corpora whose rows say their languages: whether a model can be told these, and who cannot tell them."""

from seq2seq.data.corpus import Corpus, Dataset
from seq2seq.data.corpus_options import LANGUAGES
from seq2seq.data.loader import rows_by_languages, said_languages
from seq2seq.data.tokenizer import TextTokenizer

ONE_START = (
    "the decoder of this model starts from the language of its targets, so that all pairs must have the same "
    "`target_language`."
)


def check_one_language(corpus: Corpus, called: str) -> None:
    """Raise ValueError if rows say languages, for whoever has a model read and write all of them in the same.

    Args:
        called: the pairs, as what the error begins with.
    """
    if any(name in (corpus.column_names or ()) for name in LANGUAGES):
        raise ValueError(
            f"{called} are in languages that each row says, but all would be taken for those of the model; give "
            "`--source` and `--reference`, two files of its own languages, with a text on each line."
        )


def check_spoken(corpus: Dataset, tokenizer: TextTokenizer, option: str) -> None:
    """Raise ValueError, which names the option, if rows say languages that cannot be told to a model."""
    said = [name for name in LANGUAGES if name in corpus.column_names]
    if not said:
        return
    table = corpus.with_format("arrow").select_columns(said)[:]
    pairs = rows_by_languages(said_languages(table.group_by(said).aggregate([])))
    if tokenizer.languages.is_start and any(target is not None for _, target in pairs):
        raise ValueError(f"`{option}`: {ONE_START} Name it so, and not by a column.")
    for spoken in pairs:
        try:
            tokenizer.speaking(*spoken)
        except ValueError as error:
            row = 1 + said_languages(table).index(spoken)
            raise ValueError(f"`{option}`, row {row:,}: {error}") from None
