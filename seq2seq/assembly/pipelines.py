"""The pipelines that transformers 5 has no more: translation, summaries, text from text.

Texts enter, dictionaries leave, under the names of transformers 4: `translation_text`, `summary_text`,
`generated_text`. Arguments have its names and meaning (`generate_arguments`, `pipeline_arguments`). Where none is given
a model's own apply: those of its generation_config.json, and the `task_specific_params` of its config.json. The search
is that of `seq2seq.load`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sized
from copy import copy
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from seq2seq.assembly.generate_arguments import RULES, TRANSLATED, in_their_words, layered, search_options
from seq2seq.assembly.generation_config import TargetRules, read_generation_config, rules_of
from seq2seq.assembly.generator import TextGenerator, load
from seq2seq.assembly.model_folder import find_model
from seq2seq.assembly.pipeline_arguments import (
    AroundTheSearch,
    checked_texts,
    cleaned_up,
    device_name,
    precision_name,
    without_effect,
)
from seq2seq.assembly.search import inner_search
from seq2seq.decoding import Sampling
from seq2seq.files import read_object
from seq2seq.generation.corpus import POOL_LINES
from seq2seq.generation.engine import DECODING_FILE
from seq2seq.generation.output import TextHypothesis
from seq2seq.models.transformer.inference import CONFIG_FILE

RESULTS = {"translation": "translation", "summarization": "summary", "text2text-generation": "generated"}
"""What the keys of each task's results begin with."""
TRANSLATION = re.compile(r"translation_(.+)_to_(.+)")
DEFAULTS = {"num_beams": 4, "max_new_tokens": 256}
"""Of transformers' pipelines, for a model of transformers that says nothing else."""
UNSAID_LENGTH = 20
"""The `max_length` that older files of transformers hold where nobody had said anything."""
LONGEST_TEXT = 10**9
"""A `model_max_length` from here on is how transformers says that there is none."""


class TextPipeline:
    """A task's pipeline as transformers 4 had it; called with texts. What `seq2seq.pipeline` returns.

    Args:
        own: what the model says itself: arguments of `generate`.
        given: arguments of all calls: those of `generate`, and the fields of `AroundTheSearch`.
    """

    def __init__(self, task: str, generator: TextGenerator, own: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        self.task = task
        self.generator = generator
        self._name = RESULTS["translation" if task.startswith("translation") else task]
        self._own, self._given = dict(own), dict(given)
        self._call_of({})

    def __call__(self, texts: str | Iterable[str], **arguments: Any) -> Any:
        """Return a list of results, best first, for a text; for a list of texts a list of one result each, or of lists
        where `num_return_sequences` is above 1; for any other iterable an iterator of lists.

        A result is a dictionary with `translation_text`, `summary_text` or `generated_text`, or with `…_token_ids`.
        That of a text whose search fails has an empty text, and the reason as its `error`, which no other has. An empty
        text has an empty result.

        Args:
            arguments: for this call, in place of those of the pipeline.

        Raises:
            ValueError: there is no such argument, it cannot have that value, or what is given is no text.
        """
        around, generator, search = self._call_of(arguments)
        start_id = generator.model.decoder_start_id

        def results(texts: Iterable[str]) -> Iterator[list[dict[str, Any]]]:
            pool_lines = POOL_LINES if isinstance(texts, Sized) else around.batch_size
            stream = generator.stream(checked_texts(texts), pool_lines=pool_lines, **search)
            return ([self._result(hypothesis, around, start_id) for hypothesis in found.hypotheses] for found in stream)

        if isinstance(texts, str):
            return next(results([texts]))
        if not isinstance(texts, list | tuple):
            return results(texts)
        found = list(results(texts))
        is_nested = search.get("n_best", getattr(generator.search, "n_best", 1)) > 1
        return found if is_nested else [result for [result] in found]

    def _call_of(self, arguments: Mapping[str, Any]) -> tuple[AroundTheSearch, TextGenerator, dict[str, Any]]:
        """Return what a call does around the search, and whose search it is with which options.

        Raises:
            ValueError: see `__call__`.
        """
        given = layered(self._given, without_effect(arguments))
        names = {field.name for field in fields(AroundTheSearch)}
        around = AroundTheSearch(**{name: value for name, value in given.items() if name in names})
        said = {name: value for name, value in given.items() if name not in names}
        merged = layered(self._own, said)
        for name in ("temperature", "top_k", "top_p"):
            if name in said and not merged.get("do_sample"):
                raise ValueError(f"`{name}` is for sampling; add `do_sample=True`, or leave it out.")
        options = search_options(merged)
        is_sampling = isinstance(inner_search(self.generator.search), Sampling)
        if is_sampling and merged.get("do_sample") is False and "method" not in options:
            options |= {"method": "beam", "beam_width": DEFAULTS["num_beams"]}
        try:
            generator = self.generator.speaking(*self._languages(around))
            if said.keys() & {*RULES}:
                generator.rules = self._rules(merged, generator.rules)
            if around.cuts and (longest := _longest_text(generator)) is not None:
                generator.tokenizer = generator.tokenizer.cutting_sources(longest)
            generator.searcher(**options)
        except ValueError as error:
            raise ValueError(in_their_words(str(error))) from None
        return around, generator, options

    def _languages(self, around: AroundTheSearch) -> tuple[str | None, str | None]:
        """Return the languages of sources and targets; None where the generator's own hold, if it is told any.

        The name of the task speaks to models of codes on both sides alone, and to none that was told already.
        """
        languages, of_task = self.generator.tokenizer.languages, TRANSLATION.fullmatch(self.task)
        is_told = any((around.src_lang, around.tgt_lang, *self.generator.languages))
        if of_task is None or is_told or not languages.ids or languages.of_target_only:
            return around.src_lang, around.tgt_lang
        return of_task[1], of_task[2]

    def _rules(self, merged: Mapping[str, Any], before: TargetRules) -> TargetRules:
        """Return what no hypothesis may say; what is said beside a generator or a run is added to theirs.

        Raises:
            ValueError: a value has no such form, or a token is none of the model's.
        """
        values = {name: merged[name] for name in RULES if name in merged}
        try:
            rules = rules_of(values, self.generator.model)
        except (TypeError, IndexError) as error:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in values)}: {error}; write them as for `generate`."
            ) from None
        constraints = (() if self._own else before.constraints) + rules.constraints
        return TargetRules(constraints, before.start, before.other_ends)

    def _result(self, hypothesis: TextHypothesis, around: AroundTheSearch, start_id: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        if around.return_text or not around.return_tensors:
            text = hypothesis.text
            result[f"{self._name}_text"] = cleaned_up(text) if around.clean_up_tokenization_spaces else text
        if around.return_tensors:
            result[f"{self._name}_token_ids"] = torch.tensor([start_id, *hypothesis.token_ids])
        return result if hypothesis.error is None else result | {"error": hypothesis.error}


def _longest_text(generator: TextGenerator) -> int | None:
    """Return the most tokens of a source that its tokenizer speaks of; None where it does not."""
    longest = getattr(getattr(generator.tokenizer.source, "tokenizer", None), "model_max_length", None)
    return longest if isinstance(longest, int) and longest < LONGEST_TEXT else None


def pipeline(
    task: str,
    model: str | Path | TextGenerator | None = None,
    *,
    tokenizer: str | Path | None = None,
    device: Any = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    prefix: str | None = None,
    **arguments: Any,
) -> TextPipeline:
    """Return a pipeline as transformers 4 had them: the same call, the same keys of the results.

        >>> import seq2seq
        >>> translate = seq2seq.pipeline("translation", model="runs/mine")
        >>> results = translate(["a text", "another"], num_beams=4)
        >>> print(results[0]["translation_text"])

    Args:
        task: `translation`, `translation_xx_to_yy`, `summarization` or `text2text-generation`.
        model: folder of a model, its name on the Hub, a run directory, or what `seq2seq.load` returns.
        tokenizer: the same as `model`, whose folder has its tokenizer.
        device: as in transformers: -1 is the CPU and other numbers are GPUs; by default a GPU where there is one.
        dtype: type of the weights, such as `torch.bfloat16` or `"bf16"`; by default that of the saved ones.
        torch_dtype: the same under its older name.
        prefix: put before every text; by default what the model's configuration or its run says.
        arguments: of all calls: `num_beams`, `max_new_tokens` and others of transformers' `generate`, and the fields of
            `AroundTheSearch`. docs/pipelines.md has a table of them.

    Raises:
        ValueError: there is no such task or model, or an argument has no counterpart here.
    """
    if task not in RESULTS and not TRANSLATION.fullmatch(str(task)):
        raise ValueError(
            f"There is no task {task!r} here; there are {', '.join(RESULTS)} and translation_xx_to_yy, such as "
            "translation_en_to_de."
        )
    if not isinstance(model, str | Path | TextGenerator):
        place = getattr(model, "name_or_path", "") or "`save_pretrained` makes one, to which its tokenizer is added"
        raise ValueError(
            "`model` must be a folder, a name on the Hub, a run directory or what `seq2seq.load` returns, but is a "
            f"{type(model).__name__}; give its folder ({place})."
        )
    if tokenizer is not None and str(tokenizer) != str(model):
        raise ValueError("`tokenizer` must be the one in the folder of the `model`; leave it out.")
    given = without_effect(arguments)
    precision = precision_name(torch_dtype if dtype is None else dtype)
    placed: dict[str, Any] = {} if device is None else {"device": device_name(device)}
    placed |= {} if precision is None else {"precision": precision}
    own: dict[str, Any] = {}
    if isinstance(model, TextGenerator):
        if placed:
            raise ValueError("`device` and `dtype` of a generator are those that it was loaded with; leave them out.")
        generator = copy(model)
    else:
        generator, own = load(model, **placed), said_by_model(model, task)
    own_prefix = own.pop("prefix", generator.source_prefix)
    generator.source_prefix = own_prefix if prefix is None else prefix
    return TextPipeline(task, generator, own, given)


def said_by_model(path: str | Path, task: str) -> dict[str, Any]:
    """Return what a model of transformers says of a task: arguments of `generate`, and perhaps a `prefix`.

    A model that was trained here says by itself how it searches and what stands before its sources.

    Raises:
        ValueError: what its configuration says of the task has no counterpart here; names the file.
    """
    folder = find_model(path)
    if (folder / DECODING_FILE).is_file() or not (folder / CONFIG_FILE).is_file():
        return {}
    config = read_object(folder / CONFIG_FILE)
    general = {name: value for name, value in read_generation_config(folder).items() if name in TRANSLATED}
    if general.get("max_length") == UNSAID_LENGTH:
        del general["max_length"]
    of_tasks = config.get("task_specific_params") or {}
    if task == "translation":
        task = next((name for name in of_tasks if name.startswith("translation")), task)
    of_task = dict(of_tasks.get(task) or {})
    prefix = of_task.pop("prefix", config.get("prefix"))
    merged = layered(DEFAULTS, general, of_task)
    try:
        search_options(merged)
    except ValueError as error:
        raise ValueError(f"{folder / CONFIG_FILE}: `task_specific_params` of {task}: {error}") from None
    return merged if prefix is None else merged | {"prefix": prefix}
