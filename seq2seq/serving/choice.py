"""Which of the models that are served answers a request."""

import difflib
from collections.abc import Mapping

from seq2seq.serving.requests import RequestRefused, Served


def chosen(
    models: Mapping[str, Served],
    name: str | None = None,
    source_language: str | None = None,
    target_language: str | None = None,
) -> Served:
    """Return the model of this name, or the first that has these languages, or the only one.

    Raises:
        RequestRefused: there is none, or nothing says which of several.
    """
    if name is not None:
        if name not in models:
            raise unknown_model(models, name)
        _check_language(models[name].source_languages, source_language, "source")
        _check_language(models[name].target_languages, target_language, "target")
        return models[name]
    if source_language is None and target_language is None:
        if len(models) > 1:
            raise RequestRefused(422, "unknown_model", f"Say which model: {', '.join(models)}.")
        return next(iter(models.values()))
    for model in models.values():
        if _speaks(model.source_languages, source_language) and _speaks(model.target_languages, target_language):
            return model
    pairs = "; ".join(
        f"{', '.join(model.source_languages) or 'unknown'} → {', '.join(model.target_languages)}"
        for model in models.values()
        if model.target_languages
    )
    there_are = f"there are {pairs}" if pairs else "nothing is known of the models' languages"
    raise RequestRefused(
        422,
        "unknown_language",
        f"No model here goes from {source_language or 'any'} to {target_language or 'any'}; {there_are}.",
    )


def _speaks(languages: tuple[str, ...], language: str | None) -> bool:
    return language is None or language in languages


def _check_language(languages: tuple[str, ...], language: str | None, side: str) -> None:
    if not _speaks(languages, language):
        there_are = f"it has {', '.join(languages)}" if languages else "nothing is known of its languages"
        raise RequestRefused(
            422, "unknown_language", f"The model has no {side} language {str(language)[:40]}: {there_are}."
        )


def unknown_model(models: Mapping[str, Served], name: str) -> RequestRefused:
    near = difflib.get_close_matches(name[:100], models, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(models)}."
    return RequestRefused(404, "unknown_model", f"There is no model {name[:100]} here; {hint}")
