"""`Seq2SeqTransformer`: the encoder-decoder of this toolkit.

It is three things at once: a transformers model (`forward` from ids to logits, `save_pretrained`, `generate`), a
training target (teacher forcing is that same forward), and, through `SearchableTransformer`, what a search runs on.
`InferenceTransformer` is the same network for search alone, without transformers.

From the outside in: `stacks` (encoder and decoder), `layers`, `attention` (the mathematics), `positions`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DynamicCache, EncoderDecoderCache, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from seq2seq.data.batch import IGNORED_LABEL
from seq2seq.models.transformer.attention import KeysValues, Remember, source_bias
from seq2seq.models.transformer.configuration import Seq2SeqTransformerConfig
from seq2seq.models.transformer.inference import EMBEDDINGS, TIED_WEIGHTS, output_layer
from seq2seq.models.transformer.initialization import initialize_module
from seq2seq.models.transformer.interleaved import make_decoder
from seq2seq.models.transformer.searching import SearchableTransformer
from seq2seq.models.transformer.stacks import DecoderOutput, Encoder

LogitsScorer = Callable[..., Any]
CACHE_NAME = "cache" if "cache" in Seq2SeqLMOutput.__dataclass_fields__ else "past_key_values"
"""What transformers' `generate` reads a cache from and passes it by: `cache` since 5.24."""


class TransformersEncoder(Encoder):
    """The encoder as transformers' `generate` calls it."""

    main_input_name = "input_ids"

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        output_attentions: bool | None = False,
        output_hidden_states: bool | None = False,
        return_dict: bool | None = True,
        perturbation: Tensor | None = None,
    ) -> BaseModelOutput | tuple:
        """Return hidden states; on request also weights [B, H, S, S] per layer, and embeddings and layer outputs."""
        found = super().forward(input_ids, attention_mask, bool(output_attentions), perturbation)
        output = BaseModelOutput(
            last_hidden_state=found.last_hidden_state,
            hidden_states=tuple(found.hidden_states) if output_hidden_states else None,
            attentions=tuple(found.weights) if output_attentions else None,  # type: ignore[arg-type]
        )
        return output if return_dict else output.to_tuple()


class Seq2SeqTransformer(SearchableTransformer, PreTrainedModel, GenerationMixin):
    """Encoder, decoder and output layer."""

    config: Seq2SeqTransformerConfig
    config_class = Seq2SeqTransformerConfig
    main_input_name = "input_ids"
    _no_split_modules = ["EncoderLayer", "DecoderLayer"]

    def __init__(self, config: Seq2SeqTransformerConfig) -> None:
        super().__init__(config)
        self.options = config
        self.encoder = TransformersEncoder(config)
        self.decoder = make_decoder(config)
        self.lm_head = output_layer(config)
        self._tied_weights_keys = {f"{name}.weight": EMBEDDINGS for name in TIED_WEIGHTS[config.tie_embeddings]}
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        initialize_module(module, is_output=module is self.lm_head)

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.embeddings.tokens

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return labels [B, T] shifted right behind the decoder's start token, padding where labels are ignored."""
        start = labels.new_full((labels.shape[0], 1), self.decoder_start_id)
        return torch.cat([start, labels[:, :-1].masked_fill(labels[:, :-1] == IGNORED_LABEL, self.pad_id)], dim=1)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple | None = None,
        cache: EncoderDecoderCache | None = None,
        use_cache: bool | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        score: LogitsScorer | None = None,
        sides: Tensor | None = None,
        visible: Tensor | None = None,
        source_perturbation: Tensor | None = None,
        target_perturbation: Tensor | None = None,
        past_key_values: EncoderDecoderCache | None = None,
    ) -> Seq2SeqLMOutput | tuple:
        """Return logits [B * G, T, V]: position t predicts the token after `decoder_input_ids[:, t]`.

        Args:
            input_ids: int64 [B, S]; not needed with `encoder_outputs`.
            attention_mask: [B, S], True or 1 = real; by default all.
            decoder_input_ids: int64 [B * G, T], G rows for each source; by default `labels` shifted right.
            decoder_attention_mask: [B, T] (with a cache, all positions so far). Padding on the right needs none.
            labels: int64 [B * G, T], `IGNORED_LABEL` = not counted; adds `loss`, the mean cross-entropy in nats.
            cache, past_key_values: the new and the old name of earlier positions, which are filled in place.
            score: called with the decoder's states [B, T, D], the output layer's weight [V, D] and as `bias` its bias
                [V], which is not trained, or None, in place of that layer; what it returns is `loss`, and there are no
                logits.
            sides, visible, source_perturbation, target_perturbation: see `Batch`.

        Raises:
            ValueError: no source or no target is given.
        """
        if decoder_input_ids is None:
            if labels is None:
                raise ValueError("give `decoder_input_ids`, or `labels` to derive them from")
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        if encoder_outputs is None:
            wanted = (output_attentions, output_hidden_states)
            encoder_outputs = self._encoded(input_ids, attention_mask, *wanted, perturbation=source_perturbation)
        if not isinstance(encoder_outputs, BaseModelOutput):
            encoder_outputs = BaseModelOutput(*encoder_outputs)
        cache = past_key_values if cache is None else cache
        if use_cache and cache is None:
            cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

        source_hidden: Tensor = encoder_outputs.last_hidden_state  # type: ignore[assignment]
        source = self._source(source_hidden, cache)
        bias = source_bias(attention_mask, source_hidden.dtype)
        output: DecoderOutput = self.decoder(
            *(decoder_input_ids, source, bias, decoder_attention_mask),
            past=0 if cache is None else cache.get_seq_length(),
            remember=self._remember(cache),
            need_weights=bool(output_attentions),
            sides=sides,
            visible=visible,
            perturbation=target_perturbation,
        )
        cached: dict[str, Any] = {CACHE_NAME: cache}
        loss = None if score is None else score(output.hidden, self.lm_head.weight, bias=self.lm_head.bias)
        logits = self.lm_head(output.hidden) if score is None else None
        if logits is not None and labels is not None:
            loss = functional.cross_entropy(logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED_LABEL)
        result = Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            **cached,
            decoder_hidden_states=tuple(output.hidden_states) if output_hidden_states else None,
            decoder_attentions=tuple(output.self_weights) if output_attentions else None,
            cross_attentions=tuple(output.cross_weights) if output_attentions else None,
            encoder_last_hidden_state=source_hidden,
            encoder_hidden_states=encoder_outputs.hidden_states,
            encoder_attentions=encoder_outputs.attentions,
        )
        return result.to_tuple() if return_dict is False else result

    def generate(self, *arguments: Any, **options: Any) -> Any:
        """Return what transformers' search finds.

        Raises:
            ValueError: the model does not generate from left to right, which that search takes for granted.
        """
        if self.generation_order in ("r2l", "interleaved"):
            raise ValueError(
                f"`generate` knows only generation from left to right, and this model was trained in the order "
                f"`{self.generation_order}`; decode with `seq2seq.load(folder)`."
            )
        return super().generate(*arguments, **options)  # type: ignore[misc]

    def _encoded(self, input_ids: Tensor | None, *arguments: Any, **options: Any) -> BaseModelOutput:
        if input_ids is None:
            raise ValueError("give `input_ids`, or `encoder_outputs` to attend to")
        return self.encoder(input_ids, *arguments, **options)

    def _source(self, source_hidden: Tensor, cache: EncoderDecoderCache | None) -> list[KeysValues] | Tensor:
        """Return what the decoder attends to: with a cache each layer's keys and values, which it keeps."""
        if cache is None:
            return source_hidden
        if not cache.is_updated.get(0):
            for i, (keys, values) in enumerate(self.decoder.source_keys_values(source_hidden)):
                cache.cross_attention_cache.update(keys, values, i)
                cache.is_updated[i] = True
        layers: list[Any] = cache.cross_attention_cache.layers
        return [(layer.keys, layer.values) for layer in layers]

    def _remember(self, cache: EncoderDecoderCache | None) -> list[Remember] | None:
        if cache is None:
            return None
        return [partial(cache.self_attention_cache.update, layer_idx=i) for i in range(len(self.decoder.layers))]
