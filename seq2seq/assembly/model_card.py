"""The `README.md` of a model folder: what the model is, what it has learned from, how good it is, and how to use it.

What a run knows of itself enters: its configuration, its log, the model. A text in Markdown leaves, with the front
matter that model hubs read. Nothing is said that the run does not know, and no path of the machine that it ran on: of
a file its name.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq import __version__
from seq2seq.assembly.configuration import RunConfig
from seq2seq.assembly.generator import CARD_FILE
from seq2seq.config.declaring import UnreadPiece, options_of
from seq2seq.config.writing import repr_of, settings
from seq2seq.data.corpus_options import TABLE_ENDINGS, CorpusOptions, MixedCorpusOptions, PartialCorpusOptions
from seq2seq.data.options import DataOptions
from seq2seq.data.tokenizer import SOURCE_FOLDER, TARGET_FOLDER, TextTokenizer
from seq2seq.files import written
from seq2seq.metrics import METRICS, known_metric
from seq2seq.models.transformer.options import MODEL_TYPE, TransformerOptions
from seq2seq.training.tracking import LOG_NAME, read_log

LIBRARY = MODEL_TYPE
"""The name by which this package is installed."""
TAGS = f"{LIBRARY}, seq2seq, encoder-decoder, text2text-generation"
BAR = r"\|"
"""A bar within a table."""
ORDERS = {
    "l2r": "from the left",
    "r2l": "from the right",
    "bidirectional": "from both ends, or either",
    "interleaved": "from both ends in turn",
}
LANGUAGES = (
    "af am ar az be bg bn bs ca cs cy da de el en eo es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn "
    "ko la lb lo lt lv mk ml mn mr ms mt my nb ne nl nn no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk "
    "ur uz vi yi zh zu"
)
"""Codes of ISO 639-1: what columns and endings of files are called where they say a language."""
_UNTOLD = ("run_directory", "training.threads", "training.tracker", "data.num_workers")
"""Options that say nothing of the model."""
_HUB_NAME, _ABSOLUTE = re.compile(r"[\w-]+/[\w.-]+"), re.compile(r"[/~\\]|[A-Za-z]:[/\\]")


@dataclass(frozen=True)
class ModelCard:
    """What is said of a run's model.

    Args:
        name: of the run.
        entries: of the run's log so far.
        step: whose weights the model has; None for a mean of several.
    """

    name: str
    config: RunConfig
    model: TransformerOptions
    tokenizer: TextTokenizer
    num_parameters: int
    entries: Sequence[Mapping[str, Any]]
    step: int | None = None

    def text(self) -> str:
        """Return the card."""
        parts = (self._front_matter, self._model, self._data, self._training, self._scores, self._use, self._limits)
        return "\n".join(line for part in parts for line in part()) + "\n"

    # ---- what a hub reads --------------------------------------------------------------------------------------------

    def _front_matter(self) -> Iterator[str]:
        yield f"---\nlibrary_name: {LIBRARY}\ntags: [{TAGS}]"
        if languages := [code for corpus in self.config.data.corpora for code in languages_of(corpus)]:
            yield f"language: {json.dumps(list(dict.fromkeys(languages)))}"  # quoted, since Norwegian is `no`
        if values := self._measured():
            yield f"metrics: {json.dumps(list(values))}"
            yield f"model-index:\n- name: {_quoted(self.name)}\n  results:\n  - task: {{type: text2text-generation}}"
            name = self._validated_on().replace("`", "")
            yield f"    dataset: {{name: {_quoted(name)}, type: validation}}\n    metrics:"
            for metric, value in values.items():
                kind = metric if metric in METRICS else _quoted(metric)
                yield f"    - {{type: {kind}, value: {value:.2f}, name: {_quoted(signature_of(metric))}}}"
        yield "---\n"

    def _measured(self) -> dict[str, float]:
        """Return the metrics of decoded text in the validation of the model."""
        entry = self._validation()
        measured = dict.fromkeys((*METRICS, *self.config.validation.metrics))
        return {name: float(entry[name]) for name in measured if isinstance(entry.get(name), int | float)}

    def _validation(self) -> Mapping[str, Any]:
        """Return the validation of the model's step, or else the last one; nothing before the first."""
        found = [entry for entry in self.entries if entry["kind"] == "validation"]
        at_step = [entry for entry in found if entry["step"] == self.step]
        return (at_step or found or [{}])[-1]

    # ---- what it is --------------------------------------------------------------------------------------------------

    def _model(self) -> Iterator[str]:
        model, tokenizer = self.model, self.tokenizer
        sizes = f"{tokenizer.target_vocab_size:,} entries, of both sides"
        if not tokenizer.shared:
            sizes = f"{tokenizer.source_vocab_size:,} entries of sources, {tokenizer.target_vocab_size:,} of targets"
        yield f"# {self.name}\n"
        yield f"A Transformer that turns one text into another, trained with {LIBRARY} {__version__}. It reads and"
        yield "writes plain text; its tokenizer is part of this folder.\n"
        yield "| | |\n|---|---|"
        yield f"| parameters | {self.num_parameters:,} |"
        yield f"| layers | {model.encoder_layers} of the encoder, {model.decoder_layers} of the decoder |"
        yield f"| width | {model.d_model}, with {model.num_heads} heads, and {model.ffn_size} inside of a layer |"
        yield f"| vocabulary | {sizes} |"
        yield f"| generates | {ORDERS[model.generation_order]} |"
        if model.longest is not None:
            yield f"| longest text | {model.longest} tokens |"

    def _data(self) -> Iterator[str]:
        data = self.config.data
        counts: Mapping[str, Any] = next((entry for entry in self.entries if entry["kind"] == "data"), {})
        counted = f": {counts['kept']:,} of {counts['rows']:,} pairs" if {"kept", "rows"} <= counts.keys() else ""
        yield f"\n## Data\n\n- Trained on {_names(data)}{counted}."
        if isinstance(data.train, tuple):
            yield from _shares(data, counts.get("corpora", {}))
        yield f"- Validated on {self._validated_on()}."
        if data.source_prefix:
            yield f"- Every source has {_quoted(data.source_prefix)} put before it, also where it is used."

    def _validated_on(self) -> str:
        data = self.config.data
        if data.validation.is_named:
            return corpus_name(data.validation)
        return f"one in {data.num_folds} pairs of {_names(data)}, which were held out"

    def _training(self) -> Iterator[str]:
        what = "the mean of several steps'" if self.step is None else f"those of step {self.step}"
        yield f"\n## Training\n\nThe weights are {what}. Options other than the defaults of {LIBRARY} {__version__}:\n"
        defaults = settings(with_defaults_of_kinds(self.config)) | settings(RunConfig(run_directory=""))
        for place in range(len(self.config.data.corpora)):
            defaults |= settings(MixedCorpusOptions(), f"data.train.{place}.")
        yield "```yaml"
        shown = settings(self.config, shown_place=_last_name)
        for name, value in settings(self.config).items():
            if defaults.get(name) != value and name not in _UNTOLD:
                yield f"{name}: {_shown(shown[name])}"
        yield "```"

    def _scores(self) -> Iterator[str]:
        entry = self._validation()
        yield f"\n## Scores\n\nOn {self._validated_on()}. They chose the checkpoint, so new texts may score lower.\n"
        yield "| metric | value | signature |\n|---|---|---|"
        for name in ("nll", "perplexity", "token_accuracy"):
            if isinstance(entry.get(name), int | float):
                yield f"| {name} | {entry[name]:.4g} | per token of the references |"
        for name, value in self._measured().items():
            yield f"| {name} | {value:.2f} | `{signature_of(name).replace('|', BAR)}` |"
        yield from self._guard()

    def _guard(self) -> Iterator[str]:
        """Yield what has become of general text, once the log says it."""
        found = [entry for entry in self.entries if entry["kind"] == "guard" and entry["step"] > 0]
        corpora = {label: scores for label, scores in found[-1].items() if isinstance(scores, dict)} if found else {}
        if not corpora:
            return
        yield "\nOn general text, by the weights that it started with, by these, and the p-value of a paired test:\n"
        yield "| corpus | metric | before | after | p |\n|---|---|---|---|---|"
        for label, scores in corpora.items():
            for name, numbers in scores.items():
                values = (f"{numbers['before']:.2f}", f"{numbers['after']:.2f}", f"{numbers['p_value']:.3f}")
                yield f"| {label} | {name} | {' | '.join(values)} |"

    def _use(self) -> Iterator[str]:
        prefix = self.config.data.source_prefix
        return how_to_use(self.model.generation_order, prefix, shared=self.tokenizer.shared)

    def _limits(self) -> Iterator[str]:
        data = self.config.data
        yield "\n## Limits\n"
        yield f"- It has seen nothing but the pairs above, with sources of at most {data.max_source_tokens} and targets"
        yield f"  of at most {data.max_target_tokens} tokens; what it makes of other texts was not measured."
        yield "- What is wrong in the pairs, it has learned too. It may leave out, invent and repeat."


def write_card(
    folder: Path, run: Path, config: RunConfig, model: Any, tokenizer: TextTokenizer, step: int | None
) -> None:
    """Write the card of a run's model into its folder.

    Args:
        run: its directory, with the log so far.
        model: a `Seq2SeqTransformer`.
        step: whose weights it has; None for a mean of several.
    """
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    name, entries = run.absolute().name, read_log(run / LOG_NAME)
    _write(folder, ModelCard(name, config, model.options, tokenizer, num_parameters, entries, step).text())


def write_card_of_mean(folder: Path, models: Sequence[str], prefix: str, *, order: str) -> None:
    """Write the card of a mean of models, about which nothing was measured."""
    names = ", ".join(f"`{_last_name(model)}`" for model in models)
    text = f"---\nlibrary_name: {LIBRARY}\ntags: [{TAGS}]\n---\n\n# Mean of {len(models)} models\n\n"
    text += f"Its weights are the mean of those of {names}; all else is that of the first. It was not scored.\n"
    shared = not (folder / SOURCE_FOLDER).is_dir()
    _write(folder, "\n".join([text.rstrip(), *how_to_use(order, prefix, shared=shared)]) + "\n")


def _write(folder: Path, text: str) -> None:
    with written(folder / CARD_FILE) as file:
        file.write(text)


def how_to_use(order: str, source_prefix: str, *, shared: bool) -> Iterator[str]:
    """Yield the section that says how a model is used, with code that runs in its folder.

    Args:
        order: of generation.
        shared: whether both sides have one tokenizer.
    """
    yield "\n## Use\n"
    yield f"```\npip install {LIBRARY}\nseq2seq decode --model FOLDER < sources.txt > outputs.txt\n```\n"
    yield "In Python, where `.` is this folder:\n"
    yield '```python\nimport seq2seq\n\ngenerator = seq2seq.load(".")\nprint(generator("a text")[0])\n```'
    if order not in ("l2r", "bidirectional"):
        yield "\n`generate` of transformers begins at the left, so it cannot search with this model."
        return
    names = ("tokenizer", "tokenizer") if shared else ("tokenizer", "target_tokenizer")
    yield f"\nWith transformers, which knows such models once {LIBRARY} is installed and imported:\n"
    yield "```python\nfrom transformers import AutoModelForSeq2SeqLM, AutoTokenizer\n"
    yield "from seq2seq import Seq2SeqTransformer  # makes the model known\n"
    yield 'model = AutoModelForSeq2SeqLM.from_pretrained(".")'
    for name, folder in dict(zip(names, (SOURCE_FOLDER, TARGET_FOLDER), strict=True)).items():
        yield f'{name} = AutoTokenizer.from_pretrained("."{"" if shared else f", subfolder={_quoted(folder)}"})'
    yield f'batch = tokenizer([{_quoted(source_prefix + "a text")}], return_tensors="pt")'
    yield 'found = model.generate(batch["input_ids"], attention_mask=batch["attention_mask"])'
    yield f"print({names[1]}.batch_decode(found, skip_special_tokens=True)[0])\n```"


def with_defaults_of_kinds(config: RunConfig) -> RunConfig:
    """Return the defaults with the same kinds of objective, search and whatever else is one of several."""
    kinds: dict[str, Any] = {
        name: getattr(config, name) for name, option in options_of(RunConfig).items() if option.choice is not None
    }
    chosen: dict[str, Any] = {
        name: kind if kind is None or isinstance(kind, UnreadPiece) else type(kind)() for name, kind in kinds.items()
    }
    return RunConfig("", **chosen)


def signature_of(metric: str) -> str:
    """Return what a metric of a validation is made with."""
    chosen = known_metric(metric)
    if chosen is None:  # of somebody's own, which is not imported for a card
        return metric
    return chosen.score(chosen.statistics(["a"], [["a"]]).sum(axis=0)).signature


def languages_of(corpus: CorpusOptions) -> tuple[str, ...]:
    """Return the languages of source and target, if the names of both columns, or of both files, end in their codes."""
    sides = (corpus.source_column, corpus.target_column) if corpus.path else (corpus.source, corpus.target)
    codes = tuple(str(side).removesuffix(".gz").rsplit(".", 1)[-1].lower() for side in sides)
    return codes if set(LANGUAGES.split()).issuperset(codes) else ()


def _names(data: DataOptions) -> str:
    return ", ".join(map(corpus_name, data.corpora))


def _shares(data: DataOptions, counts: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the corpora of a list were mixed, as far as the log says it."""
    yield f"- They were mixed at temperature {data.temperature:g}:"
    for label, numbers in counts.items():
        kept, share, times = (numbers[name] for name in ("kept", "share", "times"))
        yield f"  - {label}: {kept:,} pairs, {share:.1%} of an epoch, each {times:.3g} times"


def corpus_name(corpus: PartialCorpusOptions) -> str:
    """Return what a corpus is called: the names of its files, or of a data set on the Hub."""
    if corpus.path is not None:
        is_of_hub = _HUB_NAME.fullmatch(corpus.path) and Path(corpus.path).suffix.lower() not in TABLE_ENDINGS
        names = [corpus.path if is_of_hub else _last_name(corpus.path), *filter(None, [corpus.name])]
        return " ".join(f"`{name}`" for name in names)
    return " and ".join(f"`{_last_name(str(path))}`" for path in (corpus.source, corpus.target))


def _shown(value: Any) -> str:
    """Return an option's value as YAML has it, of what looks like a whole path its last name."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return repr_of(_last_name(value) if isinstance(value, str) and _ABSOLUTE.match(value) else value)


def _last_name(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
