"""From checkpoints to a model folder that `load`, `AutoModelForSeq2SeqLM` and `AutoTokenizer` read."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import GenerationConfig

from seq2seq.assembly.configuration import RunConfig, read_run_config
from seq2seq.assembly.decoding_defaults import DecodingDefaults, write_decoding
from seq2seq.assembly.limits import cut_length
from seq2seq.assembly.model import build_model_config
from seq2seq.assembly.model_card import write_card
from seq2seq.assembly.model_folder import CHECKPOINTS_FOLDER, MODEL_FOLDER, RUN_FILE, TOKENIZER_FOLDER
from seq2seq.assembly.search import default_search, inner_search
from seq2seq.assembly.start import RunStart, fitted, kept_start
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.decoding import Search
from seq2seq.decoding.parts.options import BeamOptions, SearchOptions
from seq2seq.files import new_folder
from seq2seq.models.families.folders import FAMILIES, FamilyModel, write_family
from seq2seq.models.loading import without_reports
from seq2seq.models.transformer import Seq2SeqTransformer, Seq2SeqTransformerConfig
from seq2seq.models.transformer.inference import without_memory
from seq2seq.models.transformer.options import TransformerOptions
from seq2seq.models.weights import weights_written
from seq2seq.training.averaging import average_weights, last_checkpoints
from seq2seq.training.checkpoint import TrainingState, exported_weights
from seq2seq.training.checkpoint_folder import checkpoint_path, checkpoint_paths


def chosen_checkpoints(folder: Path, average_checkpoints: int, state: TrainingState) -> list[Path]:
    """Return the checkpoints that make the exported model: the last N to average, else the best, else the last.

    Raises:
        ValueError: there are fewer than N.
    """
    if average_checkpoints:
        return last_checkpoints(folder, average_checkpoints, state.regular)
    last, best_step = checkpoint_paths(folder)[-1:], state.best.step
    if best_step is None:
        return last
    best = checkpoint_path(folder, best_step)
    if best.is_dir():
        return [best]
    warnings.warn(f"{best}, of the best validation, has been removed; the last checkpoint is exported.", stacklevel=2)
    return last


@dataclass(frozen=True)
class ModelExport:
    """Writes model folders of one run, which differ in their weights alone."""

    model_config: Seq2SeqTransformerConfig
    tokenizer: TextTokenizer
    search: Search | None
    source_prefix: str
    max_source_tokens: int | None = None
    """Tokens that sources are cut at, if they are."""
    config: RunConfig | None = None
    """What the model's card tells of its run; without one there is no card."""
    start: RunStart | None = None
    """The model that the run started as; one of a family is written as its family writes it."""
    languages: tuple[str | None, str | None] = (None, None)
    """Of sources and targets, for a model of many."""

    @classmethod
    def of(cls, config: RunConfig, tokenizer: TextTokenizer, start: RunStart | None = None) -> "ModelExport":
        """Return that of the run of a configuration."""
        prefix = config.data.source_prefix
        cut = cut_length(config)
        model_config = build_model_config(config, tokenizer, start)
        return cls(
            model_config, tokenizer, config.decoding, prefix, cut, config, start, config.data.validated.languages
        )

    def write(self, folder: Path, weights: Mapping[str, Tensor], step: int | None = None) -> None:
        """Write a model folder with these weights, of a step or a mean of several.

        The folder appears whole or not at all; one that was there is replaced.
        """
        with without_memory():
            model = Seq2SeqTransformer(self.model_config)
        model.load_state_dict(weights, assign=True)
        model.tie_weights()
        model.generation_config = self.generation_config()
        with new_folder(folder) as unfinished, weights_written(folder), without_reports():
            if (family := self._family_model(model)) is None:
                model.save_pretrained(unfinished)
            else:
                write_family(unfinished, family, self._family_generation())
            self.tokenizer.save(unfinished)
            said = DecodingDefaults(self.search, self.source_prefix, self.max_source_tokens, *self.languages)
            write_decoding(unfinished, said)
            if self.config is not None:
                write_card(unfinished, Path(self.config.run_directory), self.config, model, self.tokenizer, step)

    def _family_model(self, model: Seq2SeqTransformer) -> FamilyModel | None:
        """Return the model as one of its family; None where it is of none, or generates in an order that none has."""
        start = self.start
        if start is None or start.family is None or model.generation_order != "l2r":
            return None
        options = TransformerOptions.of_values(
            {f.name: getattr(model.config, f.name) for f in fields(TransformerOptions)}
        )
        # What it was to be used for before it was tuned, prefixes above all, it no longer is.
        config = {name: value for name, value in (start.config or {}).items() if name != "task_specific_params"}
        return FamilyModel(FAMILIES[start.family], config, options, model.state_dict())

    def _family_generation(self) -> dict[str, Any]:
        """Return what the family's `generation_config.json` says, with the search of the run where it has one."""
        assert self.start is not None, "a family is that of a start"
        before = {**(self.start.generation or self.start.config_of_generation())}
        if self.search is None:
            return before
        said = self.generation_config()
        names = ("num_beams", "max_length", *(("length_penalty",) if said.num_beams > 1 else ()))
        return {**before, **{name: getattr(said, name) for name in names}}

    def generation_config(self) -> GenerationConfig:
        """Return what `generate` of transformers can be told of the run's search."""
        tokenizer = self.tokenizer
        chosen = inner_search(self.search or default_search(self.model_config.generation_order))
        assert isinstance(chosen, SearchOptions), "a search of one model has limits"
        return GenerationConfig(
            bos_token_id=tokenizer.bos_id,
            eos_token_id=tokenizer.eos_id,
            pad_token_id=tokenizer.pad_id,
            decoder_start_token_id=tokenizer.decoder_start_id,
            max_length=chosen.max_length + 1,  # transformers counts the start token too
            num_beams=chosen.beam_width if isinstance(chosen, BeamOptions) else 1,
            length_penalty=float(chosen.length_penalty),
        )

    def write_best(self, run: Path, state: TrainingState) -> None:
        """Export the best checkpoint so far, so that a run that goes on, or is cut, can be decoded with.

        It is as whole as it was a moment ago, so that nothing is verified. One that cannot be exported costs the run
        nothing: the checkpoint is there.
        """
        if state.best.step is None:
            return
        try:
            weights = exported_weights(checkpoint_path(run / CHECKPOINTS_FOLDER, state.best.step))
            self.write(run / MODEL_FOLDER, weights, state.best.step)
        except (OSError, ValueError) as error:
            warnings.warn(f"The best model so far could not be exported: {error}", stacklevel=2)


def export_checkpoint(checkpoint: Path, folder: Path) -> None:
    """Write what a run would have exported at a checkpoint of its own.

    Raises:
        ValueError: the checkpoint is damaged, or the run's configuration or tokenizer; names the file.
    """
    run = checkpoint.absolute().parents[1]
    for part in (RUN_FILE, TOKENIZER_FOLDER):
        if not (run / part).exists():
            raise ValueError(f"{run} has lost its {part}, without which its checkpoints cannot be decoded with.")
    tokenizer = TextTokenizer.load(run / TOKENIZER_FOLDER)
    start = kept_start(run)
    export = ModelExport.of(read_run_config(run / RUN_FILE), fitted(tokenizer, start), start)
    export = replace(export, config=None)
    export.write(folder, average_weights([checkpoint]))
